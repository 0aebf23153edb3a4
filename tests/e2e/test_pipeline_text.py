"""A pipeline is written on the workflow page, and what is wrong with it shown at its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults
from tests.e2e.conftest import Prepared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def _shot(page: Page, name: str) -> None:
    """Keep a picture for people where one is asked for."""
    folder = os.environ.get("TISSUEMAPS_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_problems_are_shown_at_their_lines(page: Page, experiment: Prepared) -> None:
    page.goto(experiment.url("workflow") + "?step=jterator")
    text = page.get_by_label("Pipeline", exact=True)
    text.wait_for()
    expect(page.get_by_text("No pipeline of your own")).to_be_visible()

    page.get_by_role("combobox", name="Start from a template").click()
    page.get_by_role("option", name="Nuclei", exact=True).click()
    page.get_by_text("Nothing is wrong").wait_for()
    good = text.input_value()
    assert "dna: D" in good
    _shot(page, "pipeline-good")

    text.fill(good.replace("module: measure_intensity", "module: measure_intensities"))
    problems = page.get_by_role("list", name="Problems of the pipeline")
    problems.wait_for()
    expect(problems).to_contain_text("no module is called 'measure_intensities'")
    _shot(page, "pipeline-problem")
    assert faults(page) == []

    problems.get_by_role("button").first.click()
    selected = text.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)")
    assert "measure_intensities" in selected

    text.fill(good)
    page.get_by_text("Nothing is wrong").wait_for()
    expect(problems).to_have_count(0)
    page.get_by_role("button", name="Save arguments").click()
    expect(page.get_by_role("button", name="Save arguments")).to_be_disabled()
    page.reload()
    text.wait_for()
    expect(page.get_by_label("Pipeline", exact=True)).to_have_value(good)
    page.get_by_role("button", name="Use the built-in one").click()
    page.get_by_role("button", name="Save arguments").click()
    expect(page.get_by_role("button", name="Save arguments")).to_be_disabled()
