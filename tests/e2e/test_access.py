"""axe on every page, in the state that a person meets it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import faults
from tests.e2e.conftest import Platform, Prepared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_login_page(browser: Browser, platform: Platform) -> None:
    context = browser.new_context()
    page = context.new_page()
    outside: list[str] = []
    page.on(
        "request",
        lambda r: outside.append(r.url) if not r.url.startswith((platform.url, "data:")) else None,
    )

    page.goto(f"{platform.url}/login/")
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    assert faults(page) == []
    assert outside == []
    context.close()


@pytest.mark.parametrize(
    ("address", "waits_for"),
    [
        ("/", "table, h2"),
        ("/experiments/new", "form"),
        ("/nowhere", "h1"),
    ],
)
def test_pages_without_an_experiment(
    page: Page, platform: Platform, address: str, waits_for: str
) -> None:
    page.goto(platform.url + address)
    page.locator(f"main :is({waits_for})").first.wait_for()

    assert faults(page) == []


@pytest.mark.parametrize(
    ("place", "waits_for"),
    [
        ("data", "table"),
        ("workflow", "nav[aria-label='Stages and steps']"),
        ("pipeline", "table"),
        ("view", "canvas, h2"),
        ("analysis", "h2"),
    ],
)
def test_places_of_an_experiment(
    page: Page, experiment: Prepared, place: str, waits_for: str
) -> None:
    page.goto(experiment.url(place))
    page.locator(f"main :is({waits_for})").first.wait_for()
    page.wait_for_timeout(500)

    assert faults(page) == []


def test_panels(page: Page, experiment: Prepared) -> None:
    page.goto(experiment.url("data"))
    page.get_by_role("table", name="Files", exact=True).wait_for()

    page.get_by_role("button", name="Sharing").click()
    page.get_by_role("complementary", name="Sharing").wait_for()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Sharing")).to_have_count(0)

    page.get_by_role("button", name="user menu").click()
    page.get_by_role("menuitem", name="API tokens").click()
    page.get_by_role("complementary", name="API tokens").wait_for()
    assert faults(page) == []
