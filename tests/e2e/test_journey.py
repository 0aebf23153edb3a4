"""One person's way through the platform: files to numbers, in a real browser."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults
from tests.e2e.conftest import Prepared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
WORKFLOW_MS = 300_000


def _finish(page: Page, experiment: Prepared) -> None:
    """Submit the workflow unless that was done, and see it end well."""
    submitted = experiment.every("workflows/")
    page.goto(experiment.url("workflow"))
    state = page.get_by_test_id("workflow-state")
    if not submitted:
        page.get_by_role("button", name="Submit", exact=True).click()
    expect(state).to_have_text("done", timeout=WORKFLOW_MS)


def _open_map(page: Page, experiment: Prepared) -> None:
    page.goto(experiment.url("view"))
    _settle(page)


def _settle(page: Page) -> None:
    page.wait_for_function("window.__tissuemaps && window.__tissuemaps.ready()", timeout=60_000)


def _ask(page: Page, script: str, argument: Any = None) -> Any:
    return page.evaluate(f"(argument) => {{ const map = window.__tissuemaps; {script} }}", argument)


def _screen(page: Page, world: tuple[float, float]) -> tuple[float, float]:
    """Return where a point of the world (y, x) lies on the page."""
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    origin = _ask(page, "return map.worldAt(0, 0)")
    scale = _ask(page, "return map.view().view.scale")
    return (
        box["x"] + (world[1] - origin["x"]) * scale,
        box["y"] + (world[0] - origin["y"]) * scale,
    )


def _nucleus(experiment: Prepared) -> tuple[dict[str, Any], tuple[float, float]]:
    """Return a nucleus away from the borders, and its centre in the world (y, x)."""
    objects = next(
        s
        for s in experiment.every("object-sets/?current=true")
        if s["object_type"]["name"] == "Nuclei"
    )
    mosaic = next(iter(experiment.every("mosaics/?current=true")))
    client = experiment.platform.client
    base = f"experiments/{experiment.id}/object-sets/{objects['id']}/objects"
    for index in range(1, objects["n_objects"] + 1):
        found = client.get(f"{base}/{index}/")
        if not found["is_border"] and found["features"]["Morphology_Area"] > 150:
            return found, (found["y"] + mosaic["origin"][0], found["x"] + mosaic["origin"][1])
    raise AssertionError("no nucleus is away from the borders")


def test_workflow_is_watched_live_and_survives_a_reload(page: Page, experiment: Prepared) -> None:
    page.goto(experiment.platform.url)
    page.get_by_role("link", name="Two wells").click()
    page.get_by_role("link", name="Workflow", exact=True).click()
    state = page.get_by_test_id("workflow-state")

    page.get_by_role("button", name="Submit", exact=True).click()
    expect(state).to_have_text("running")
    tree = page.get_by_role("navigation", name="Stages and steps")
    expect(tree.get_by_role("button", name="metaextract").get_by_label("done")).to_be_visible(
        timeout=WORKFLOW_MS
    )
    page.reload()

    expect(state).to_have_text("done", timeout=WORKFLOW_MS)
    for step in ("imextract", "illuminati", "jterator"):
        expect(tree.get_by_role("button", name=step).get_by_label("done")).to_be_visible()


def test_jobs_show_their_log(page: Page, experiment: Prepared) -> None:
    _finish(page, experiment)

    page.get_by_role("button", name="jterator").click()
    page.get_by_role("button", name="Log of plan").click()

    expect(page.get_by_text("complete", exact=True)).to_be_visible()
    expect(page.get_by_role("log")).not_to_be_empty()
    assert faults(page) == []


def test_a_nucleus_is_found_coloured_and_read(page: Page, experiment: Prepared) -> None:
    _finish(page, experiment)
    nucleus, world = _nucleus(experiment)
    _open_map(page, experiment)
    fitted = _ask(page, "return map.view().view.scale")

    # Zoom with the wheel, the pointer on the nucleus: it stays under the pointer.
    for _ in range(40):
        if _ask(page, "return map.view().view.scale") >= 2:
            break
        page.mouse.move(*_screen(page, world))
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(60)
    page.mouse.move(*_screen(page, world))
    _settle(page)

    assert _ask(page, "return map.view().view.scale") >= 2 > fitted
    readout = page.get_by_test_id("readout")
    expect(readout).to_contain_text(f"Nuclei {nucleus['index']}")
    expect(readout).to_contain_text(f"well {nucleus['well']}")

    channel = next(iter(experiment.every("channels/")))["name"]
    before = _ask(page, "return map.view().channels[0].high")
    brightest = page.get_by_label(f"Brightest value of {channel}, as a number")
    if not brightest.is_visible():
        page.get_by_role("button", name=f"Settings of {channel}").click()
    brightest.fill(str(round(before * 0.8)))
    brightest.press("Enter")
    page.wait_for_function(
        "(high) => window.__tissuemaps.view().channels[0].high === high", arg=round(before * 0.8)
    )

    colour = page.get_by_label("Colour Nuclei by")
    if not colour.first.is_visible():
        page.get_by_role("button", name="Settings of Nuclei").click()
    colour.first.click()
    page.get_by_role("option").filter(has_text="Area").first.click()
    page.wait_for_function(
        "() => (window.__tissuemaps.view().objects.find(o => o.type === 'Nuclei')"
        ".colour?.feature || '').includes('Area')"
    )
    _settle(page)
    mosaic, plane = _level0(experiment, 0)
    y, x = (int(world[axis] - mosaic["origin"][axis]) for axis in (0, 1))
    # The middle of a pixel, away from what rounding to the screen's pixels could change.
    page.mouse.move(*_screen(page, (y + mosaic["origin"][0] + 0.5, x + mosaic["origin"][1] + 0.5)))
    expect(readout).to_contain_text(f"Nuclei {nucleus['index']}")
    expect(readout).to_contain_text(f"x {x} y {y} px")
    value = page.locator("[data-testid=readout] [data-channel='0']")
    expect(value).to_have_attribute("data-value", str(int(plane[y, x])))
    assert faults(page) == []


def _level0(experiment: Prepared, channel: int) -> tuple[dict[str, Any], np.ndarray]:
    """Return the current mosaic and its full-resolution plane of a channel, read from the disk."""
    mosaic = next(iter(experiment.every("mosaics/?current=true")))
    folder = next((experiment.folder / "mosaics" / mosaic["key"]).glob("*.zarr"))
    array = zarr.open_array(str(folder / "0"), mode="r")
    return mosaic, np.asarray(array[0, channel, 0])


def test_canvas_at_one_to_one_equals_the_arrays(page: Page, experiment: Prepared) -> None:
    _finish(page, experiment)
    mosaic, plane = _level0(experiment, 0)
    high, low = float(np.percentile(plane[plane > 0], 99)), 100.0
    well = next(iter(experiment.every("wells/")))
    world = [
        mosaic["origin"][0] + well["y"] + well["height"] // 2,
        mosaic["origin"][1] + well["x"] + well["width"] // 2,
    ]
    _open_map(page, experiment)

    _ask(
        page,
        """
        const old = map.view();
        map.setView({
          view: {...old.view, x: Math.round(argument.x), y: Math.round(argument.y), scale: 1, t: 0, z: 0},
          channels: old.channels.map((c, i) => ({...c, visible: i === 0, color: '#ffffff',
            low: argument.low, high: argument.high, gamma: 1, opacity: 1})),
          objects: old.objects.map(o => ({...o, visible: false})),
        });
        """,
        {"y": world[0], "x": world[1], "low": low, "high": high},
    )
    page.wait_for_timeout(200)
    _settle(page)
    side = 256
    box = page.locator("canvas").first.evaluate("c => [c.width, c.height]")
    left, top = int(box[0] // 2 - side // 2), int(box[1] // 2 - side // 2)
    drawn = _ask(page, f"return Array.from(map.readRegion({left}, {top}, {side}, {side}))")
    corner = _ask(page, f"return map.worldAt({left} + 0.5, {top} + 0.5)")

    seen = np.array(drawn, dtype=np.int16).reshape(side, side, 4)[..., :3]
    y = int(corner["y"] - mosaic["origin"][0])
    x = int(corner["x"] - mosaic["origin"][1])
    assert y >= 0
    assert x >= 0
    wanted = np.zeros((side, side), dtype=np.float64)
    there = plane[y : y + side, x : x + side].astype(np.float64)
    wanted[: there.shape[0], : there.shape[1]] = np.clip((there - low) / (high - low), 0, 1) * 255
    # One step of 255: the GPU rounds where we do not.
    difference = np.abs(seen - np.rint(wanted)[..., None])
    assert difference.max() <= 1, json.dumps({"wrong": int((difference > 1).sum())})
    assert wanted.std() > 5
