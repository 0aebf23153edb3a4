"""Plates that real microscopes wrote, through the public HTTP API of the whole platform."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest
import tifffile

from gpu_workers.storage import paths
from gpu_workers.storage.layout import load_layout
from gpu_workers.storage.plates import Plates
from tests.data_sets import data_set, unpacked
from tests.e2e.conftest import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.data, pytest.mark.timeout(600)]

WAIT_S = 300
DONE = {"succeeded", "failed", "killed"}


def _ingest(platform: Platform, name: str, folder: Path, **acquisition: Any) -> str:
    """Create an experiment of one plate and upload a folder; returns the path of its API."""
    client = platform.client
    group = next(iter(client.every("groups/")))["id"]
    base = f"experiments/{client.post('experiments/', {'name': name, 'group': group})['id']}"
    plate = client.post(f"{base}/plates/", {"name": folder.name})["id"]
    made = client.post(f"{base}/acquisitions/", {"plate": plate, "name": "first", **acquisition})
    client.upload_folder(f"{base}/acquisitions/{made['id']}/files/", folder, lambda _: None)
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


def _column(platform: Platform, path: str) -> np.ndarray:
    request = Request(
        f"{platform.url}/api/v1/{path}",
        headers={"Authorization": f"Bearer {platform.client.token}"},
    )
    with urlopen(request, timeout=60) as answer:
        return np.frombuffer(answer.read(), "<f4")


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
