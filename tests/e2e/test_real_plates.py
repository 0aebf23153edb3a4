"""Plates that real microscopes wrote, through the public HTTP API of the whole platform."""

from __future__ import annotations

import shutil
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import nd2
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Page, expect

from gpu_workers.storage import paths
from gpu_workers.storage.layout import load_layout
from gpu_workers.storage.plates import Plates
from tests.data_sets import data_set, unpacked
from tests.e2e.axe import faults
from tests.e2e.conftest import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.data, pytest.mark.timeout(600)]

WAIT_S = 300
DONE = {"succeeded", "failed", "killed"}
CONVERTED = ["image_conversion", "image_preprocessing", "pyramid_creation"]


def _experiment(platform: Platform, name: str, **facts: Any) -> tuple[str, str]:
    """Create an experiment of one plate; returns the path of its API and the plate's id."""
    client = platform.client
    group = next(iter(client.every("groups/")))["id"]
    made = client.post("experiments/", {"name": name, "group": group, **facts})
    base = f"experiments/{made['id']}"
    return base, client.post(f"{base}/plates/", {"name": "Plate 1"})["id"]


def _acquire(platform: Platform, base: str, plate: str, folder: Path, **acquisition: Any) -> None:
    """Upload a folder as an acquisition of a plate."""
    client = platform.client
    made = client.post(
        f"{base}/acquisitions/", {"plate": plate, "name": folder.name, **acquisition}
    )
    client.upload_folder(f"{base}/acquisitions/{made['id']}/files/", folder, lambda _: None)


def _ingest(platform: Platform, name: str, folder: Path, **acquisition: Any) -> str:
    """Create an experiment of one plate and upload a folder; returns the path of its API."""
    base, plate = _experiment(platform, name)
    _acquire(platform, base, plate, folder, **acquisition)
    return base


def _run(
    platform: Platform, base: str, arguments: dict[str, Any], **request: Any
) -> dict[str, Any]:
    """Set arguments by step name, submit the workflow, wait for its end."""
    client = platform.client
    description = client.get(f"{base}/workflow-description/")
    for stage in description["stages"]:
        for step in stage["steps"]:
            step["arguments"] = {**step["arguments"], **arguments.get(step["name"], {})}
    body = {key: description[key] for key in ("type", "stages")}
    client.put(f"{base}/workflow-description/", body)
    workflow = client.post(f"{base}/workflows/", request)
    deadline = time.monotonic() + WAIT_S
    while workflow["state"] not in DONE:
        assert time.monotonic() < deadline, f"the workflow is {workflow['state']} after {WAIT_S} s"
        time.sleep(0.5)
        workflow = client.get(f"{base}/workflows/{workflow['id']}/")
    assert workflow["state"] == "succeeded", workflow
    return dict(workflow)


def _converted(platform: Platform, base: str) -> tuple[Any, Plates, Path]:
    """Open what the platform stored: layout, raw plates, the folder of the uploaded files."""
    root = paths.experiment_root(platform.data, base.removeprefix("experiments/"))
    (layout,) = root.glob("layouts/*/layout.json")
    (plates,) = root.glob("plates/*/plates.json")
    (uploads,) = (p for p in root.glob("uploads/*") if not p.name.startswith("."))
    manifest = str(plates.relative_to(root))
    return load_layout(root, str(layout.relative_to(root))), Plates.open(root, manifest), uploads


def test_imagexpress_3433_counts_positions_projection_and_every_pixel(platform: Platform) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    base = _ingest(platform, "ImageXpress 3433", folder)

    _run(platform, base, {"imextract": {"projection": "max"}})

    sites = list(platform.client.every(f"{base}/sites/"))
    channels = [c["name"] for c in platform.client.every(f"{base}/channels/")]
    assert [w["name"] for w in platform.client.every(f"{base}/wells/")] == ["B02", "B03"]
    assert (len(sites), channels) == (4, ["DAPI", "FITC"])
    layout, plates, _ = _converted(platform, base)
    (plate,) = layout.plates
    for site in plate.sites:
        for c in range(2):
            names = f"9987_{site.well}_s{site.name}_w{c + 1}.TIF"
            for z in range(3):
                source = folder / "TimePoint_1" / f"ZStep_{z + 1}" / names
                stored = plates.read(plate.id, site.index, 0, c, z, None)
                np.testing.assert_array_equal(stored, tifffile.imread(source))
            vendor = tifffile.imread(folder / "TimePoint_1" / "ZStep_0" / names)
            ours = plates.read(plate.id, site.index, 0, c, 0, "max")
            np.testing.assert_array_equal(ours, vendor)
        with tifffile.TiffFile(folder / "TimePoint_1" / "ZStep_1" / names) as tiff:
            facts = tiff.metaseries_metadata["PlaneInfo"]
        (row,) = [s for s in sites if s["index"] == site.index]
        assert row["stage_x_um"] == pytest.approx(facts["stage-position-x"])
        assert row["stage_y_um"] == pytest.approx(facts["stage-position-y"])


def test_imagexpress_3420_a_single_plane(platform: Platform) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3420"
    base = _ingest(platform, "ImageXpress 3420", folder)

    _run(platform, base, {})

    layout, plates, _ = _converted(platform, base)
    (plate,) = layout.plates
    source = tifffile.imread(folder / "TimePoint_1" / "9987_B02.TIF")
    np.testing.assert_array_equal(plates.read(plate.id, 0, 0, 0, 0, None), source)
    assert [len(plate.wells), len(plate.sites), len(layout.channels)] == [1, 1, 1]


def test_cellvoyager_layout(platform: Platform) -> None:
    folder = next((data_set("cellvoyager_cv8000_meta")).glob("CV8000-Minimal*"))
    base = _ingest(platform, "CV8000", folder)

    _run(platform, base, {}, stages=["image_conversion"])

    wells = [w["name"] for w in platform.client.every(f"{base}/wells/")]
    sites = list(platform.client.every(f"{base}/sites/"))
    layout, _, _ = _converted(platform, base)
    assert (wells, len(sites)) == (["D08", "E03", "F08"], 12)
    assert (len(layout.channels), layout.n_zplanes, layout.n_tpoints) == (2, 4, 1)
    first = next(s for s in sites if s["name"] in {"1", "001"})
    assert first["stage_x_um"] == pytest.approx(-567.1)
    assert abs(first["stage_y_um"]) == pytest.approx(402.9)


def _bytes(platform: Platform, path: str) -> bytes:
    request = Request(
        f"{platform.url}/api/v1/{path}",
        headers={"Authorization": f"Bearer {platform.client.token}"},
    )
    with urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def _column(platform: Platform, path: str) -> np.ndarray:
    return np.frombuffer(_bytes(platform, path), "<f4")


def _mosaic(platform: Platform, base: str) -> dict[str, Any]:
    (mosaic,) = platform.client.every(f"{base}/mosaics/?current=true")
    return dict(mosaic)


def _drawn(platform: Platform, base: str, **query: Any) -> np.ndarray:
    """Return a region of the mosaic as the server draws it at full resolution, (y, x, RGB)."""
    path = f"{base}/mosaics/{_mosaic(platform, base)['id']}/render/?{urlencode(query)}"
    return np.asarray(Image.open(BytesIO(_bytes(platform, path))).convert("RGB"))


def _table(platform: Platform, base: str, kind: str, feature: str) -> pd.DataFrame:
    sets = platform.client.every(f"{base}/object-sets/?current=true")
    found = next(s for s in sets if s["object_type"]["name"] == kind)
    columns = {
        name: _column(platform, f"{base}/object-sets/{found['id']}/features/{name}/")
        for name in ("site", "label", feature)
    }
    return pd.DataFrame(columns).rename(columns={feature: kind})


def test_bbbc013_shows_its_dose_response(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = unpacked("sbs_bbbc013_rowA", tmp_path_factory)
    pattern = r"Channel(?P<channel>\d)-\d+-(?P<row>[A-H])-(?P<column>\d+)\.tif"
    base = _ingest(platform, "BBBC013", folder, pattern=pattern)
    analysis = {
        "nuclei_channel": "Channel2", "cells": "expansion", "expansion": 5, "cytoplasm": True
    }  # fmt: skip

    _run(platform, base, {"jterator": analysis})

    # given each cell's mean GFP in the nucleus and in a ring of 5 px around it
    gfp = "Intensity_mean_Channel1"
    cells = _table(platform, base, "Nuclei", gfp).merge(_table(platform, base, "Cytoplasm", gfp))
    ratios = (cells["Nuclei"] / cells["Cytoplasm"]).groupby(cells["site"]).median()
    sites = platform.client.every(f"{base}/sites/")
    columns = {s["index"]: int(s["well_name"][1:]) for s in sites}
    by_column = {columns[int(index)]: value for index, value in ratios.items()}
    low, high = [by_column[c] for c in range(1, 6)], [by_column[c] for c in range(7, 13)]
    assert min(high) >= 2.5 * max(low)
    assert max(low) < by_column[6] < min(high)


@pytest.fixture(scope="module")
def slide(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A stained section on the map: the path of its API and the scanner's file."""
    folder = tmp_path_factory.mktemp("slide")
    source = data_set("he_svs") / "cmu-1-small-region.svs"
    shutil.copyfile(source, folder / source.name)
    base = _ingest(platform, "Slide", folder)
    _run(platform, base, {}, stages=["image_conversion", "pyramid_creation"])
    return base, source


def test_a_slide_keeps_its_colours_and_its_white(
    platform: Platform, slide: tuple[str, Path]
) -> None:
    base, source = slide

    drawn = _drawn(platform, base, y=1200, x=900, height=300, width=400, size=400)
    beside = _drawn(platform, base, y=2900, x=2200, height=100, width=100, size=100)

    mosaic, layout = _mosaic(platform, base), platform.client.get(f"{base}/layout/")
    assert (mosaic["shape"], mosaic["pixel_size_um"]) == ([1, 3, 1, 2967, 2220], 0.499)
    assert [c["name"] for c in layout["channels"]] == ["red", "green", "blue"]
    assert all(c["brightfield"] for c in layout["channels"])
    np.testing.assert_array_equal(drawn, tifffile.imread(source)[1200:1500, 900:1300])
    np.testing.assert_array_equal(beside[:, 20:], 255)


def test_the_browser_shows_a_slide_on_white(
    page: Page, platform: Platform, slide: tuple[str, Path]
) -> None:
    base, source = slide
    page.goto(f"{platform.url}/{base}/view")
    page.wait_for_function("window.__tissuemaps && window.__tissuemaps.ready()", timeout=60_000)

    # given the slide's lower border in the middle of the map, one pixel for one
    page.evaluate(
        """() => {
          const map = window.__tissuemaps, old = map.view();
          map.setView({view: {...old.view, x: 900, y: 2967, scale: 1}});
        }"""
    )
    page.wait_for_timeout(300)
    page.wait_for_function("window.__tissuemaps.ready()", timeout=60_000)

    width, height = page.locator("canvas").first.evaluate("c => [c.width, c.height]")
    left, top, side = width // 2 - 200, height // 2 - 100, 300
    region = f"{left}, {top}, {side}, {side}"
    drawn = page.evaluate(f"() => Array.from(window.__tissuemaps.readRegion({region}))")
    corner = page.evaluate(f"() => window.__tissuemaps.worldAt({left} + 0.5, {top} + 0.5)")
    seen = np.array(drawn, np.int16).reshape(side, side, 4)[..., :3]
    y, x = int(corner["y"]), int(corner["x"])
    there = tifffile.imread(source)[y : y + side, x : x + side].astype(np.int16)
    assert 0 < len(there) < side
    assert there.std() > 20
    # One step of 255: the GPU rounds where we do not.
    assert np.abs(seen[: len(there)] - there).max() <= 1
    assert (seen[len(there) :] == 255).all()


def test_a_pattern_is_tried_live_and_kept(page: Page, platform: Platform, tmp_path: Path) -> None:
    for well in ("r1-c2", "r1-c3", "r2-c2"):
        for stain in ("a", "b"):
            tifffile.imwrite(
                tmp_path / f"scan {well} stain-{stain}.tif", np.zeros((8, 8), np.uint16)
            )
    base = _ingest(platform, "Own names", tmp_path)
    page.goto(f"{platform.url}/{base}/data")
    panel = page.get_by_role("region", name="How the files are read")
    pattern = panel.get_by_label("Pattern of the file names")
    keep = panel.get_by_role("button", name="Read the files so")

    pattern.fill("scan (?P<well")
    expect(panel.get_by_role("alert")).to_contain_text("is no regular expression")
    expect(keep).to_be_disabled()
    written = r"r(?P<row>\d)-c(?P<column>\d) stain-(?P<channel>\w)"
    pattern.fill(written)
    expect(panel.get_by_role("status")).to_contain_text("6 planes, 3 wells, 3 sites, 2 channels")
    expect(panel.get_by_role("cell", name="B02", exact=True).first).to_be_visible()
    keep.click()
    expect(keep).to_be_hidden()

    (acquisition,) = platform.client.every(f"{base}/acquisitions/")
    assert acquisition["pattern"] == written
    assert faults(page) == []


def test_ome_zarr_brings_its_labels_as_objects(platform: Platform) -> None:
    base = _ingest(platform, "OME-Zarr", data_set("omezarr_cardiomyocyte_nuclei"))

    _run(platform, base, {})

    assert [w["name"] for w in platform.client.every(f"{base}/wells/")] == ["B03"]
    assert _mosaic(platform, base)["shape"] == [1, 3, 1, 1080, 1280]
    sets = {
        s["object_type"]["name"]: s
        for s in platform.client.every(f"{base}/object-sets/?current=true")
    }
    assert sets["nuclei"]["n_objects"] == 3006
    features = {f["name"] for f in sets["nuclei"]["features"]}
    assert {"regionprops_DAPI_area", "Intensity_mean_nanog"} <= features
    # given the area that the source's own table states, and ours of the same pixels
    url = f"{base}/object-sets/{sets['nuclei']['id']}/features"
    theirs = _column(platform, f"{url}/regionprops_DAPI_area/")
    ours = _column(platform, f"{url}/Morphology_Area/")
    # Their labels were made, and measured, at a finer level: a scale, and a pixel at the border.
    assert np.corrcoef(theirs, ours)[0, 1] > 0.98


def test_two_cycles_are_aligned(platform: Platform, tmp_path: Path) -> None:
    first = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    second = tmp_path / "second"
    shutil.copytree(first, second, copy_function=shutil.copyfile)
    for folder in (second, *second.rglob("*")):
        folder.chmod(0o755)
    moved = (4, -7)  # y, x
    for file in second.rglob("*.TIF"):
        with tifffile.TiffFile(file) as tiff:
            image, told = tiff.asarray(), tiff.pages.first.description
        tifffile.imwrite(file, np.roll(image, moved, (0, 1)), description=told, metadata=None)
    base, plate = _experiment(
        platform, "Cycles", workflow_type="multiplexing", acquisition_mode="multiplexing"
    )
    _acquire(platform, base, plate, first)
    _acquire(platform, base, plate, second)

    _run(platform, base, {}, stages=CONVERTED)

    channels = [c["name"] for c in platform.client.every(f"{base}/channels/")]
    assert channels == ["0_DAPI", "0_FITC", "1_DAPI", "1_FITC"]
    (cycle,) = platform.client.get(f"{base}/alignment/")["models"]
    assert (cycle["y"], cycle["x"]) == pytest.approx((-4, 7), abs=0.2)
    # The cycles differ by nothing but the shift: they are drawn alike, away from the sites' borders.
    area = {"y": 40, "x": 40, "height": 150, "width": 150, "size": 150, "z": 1}
    drawn = [
        _drawn(platform, base, channels=f"{c}:400:4000:ffffff", **area).astype(int) for c in (0, 2)
    ]
    assert drawn[0].std() > 5
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_nd2_with_planes_times_and_physical_units(platform: Platform) -> None:
    folder = data_set("single_files") / "nd2"
    base = _ingest(platform, "ND2", folder)

    _run(platform, base, {}, stages=CONVERTED)

    mosaic, layout = _mosaic(platform, base), platform.client.get(f"{base}/layout/")
    assert mosaic["shape"] == [3, 2, 10, 31, 38]
    assert (layout["pixel_size_um"], layout["z_step_um"]) == pytest.approx((0.1678, 0.5), abs=1e-4)
    names = ["5-FAM/pH 9.0", "FM 4-64/2% CHAPS"]
    assert [c["name"] for c in platform.client.every(f"{base}/channels/")] == names
    with nd2.ND2File(folder / "cluster.nd2") as file:
        assert list(file.sizes) == ["T", "Z", "C", "Y", "X"]
        source = file.asarray()
    for t, c, z in ((0, 0, 0), (1, 1, 4), (2, 0, 9)):
        plane = _drawn(
            platform, base, channels=f"{c}:0:2550:ffffff", t=t, z=z, height=31, width=38, size=38
        )
        expected = np.clip(source[t, z, c] / 2550, 0, 1) * 255
        # One step of 255: how the server rounds is its own affair.
        assert np.abs(plane[..., 0] - expected).max() <= 1
