"""Mosaics and objects from aligned pixels: what they show, where they lie, when they are used."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

from gpu_workers.messages import Problem
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.steps.align.use import alignment_of
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.layout import layout_path
from gpu_workers.storage.mosaics import MosaicManifest, load_mosaic
from gpu_workers.storage.objects import load_manifest
from tests.integration.alignment.cycles import (
    SIDE,
    Aligned,
    Plate,
    align,
    cycles_layout,
    plate_of_cycles,
    plate_with_stage_errors,
    stage_errors,
)
from tests.integration.mosaics import plates

MOVES = [(0.0, 0.0), (-11.3, 3.65)]


@pytest.fixture(scope="module")
def plate() -> Plate:
    return plate_of_cycles(cycles_layout(wells=1, n_cycles=2), MOVES)


def run(
    root: Path, step: str, inputs: dict[str, str], **arguments: Any
) -> tuple[dict[str, str], list[Problem]]:
    output, problems = run_step(root, step, plates.experiment(), arguments, inputs)
    return output.products, problems


def mosaic_of(root: Path, inputs: dict[str, str], **arguments: Any) -> MosaicManifest:
    return load_mosaic(root, run(root, "illuminati", inputs, **arguments)[0]["mosaic"])


def level0(root: Path, manifest: MosaicManifest) -> np.ndarray:
    return zarr.open_array(root / manifest.plates[0].path / "0", mode="r")[0, :, 0]


@pytest.mark.parametrize("subpixel", [False, True])
def test_a_mosaic_shows_cycles_on_one_another(tmp_path: Path, plate: Plate, subpixel: bool) -> None:
    inputs = plate.write(tmp_path)
    found = align(tmp_path, inputs)

    manifest = mosaic_of(tmp_path, inputs | {"alignment": found.path}, align_subpixel=subpixel)

    image = level0(tmp_path, manifest)
    aligned = Alignment.open(tmp_path, found.path)
    site = plate.layout.plates[0].sites[0]
    y0, x0, _, _ = aligned.intersection(plates.PLATE, site)
    # The first site owns its pixels up to the middle of the overlap with its neighbours.
    own = np.s_[y0 + 1 : 240, x0 + 1 : 240]
    for channel in plate.layout.channels:
        raw = plate.planes[0, 0, channel.index, 0].astype(float)
        shift = aligned.shift(plates.PLATE, 0, channel.cycle)
        moved = ndimage.shift(raw, shift if subpixel else np.round(shift), order=1)
        np.testing.assert_allclose(image[channel.index][own], moved[own], atol=0.51)
    assert not image[:, :y0, : site.width].any()
    assert manifest.layout == plate.layout.key
    assert manifest.alignment == found.manifest.key
    # Cycle 1 shows the same cells with the same stain: aligned, it looks like cycle 0.
    assert np.corrcoef(image[0][own].ravel(), image[2][own].ravel())[0, 1] > 0.9


def test_who_does_not_want_it_gets_raw_places(tmp_path: Path, plate: Plate) -> None:
    inputs = plate.write(tmp_path)
    without = mosaic_of(tmp_path, inputs)
    found = align(tmp_path, inputs)

    off = mosaic_of(tmp_path, inputs | {"alignment": found.path}, align="off")

    assert off.key == without.key
    assert off.alignment is None
    assert mosaic_of(tmp_path, inputs | {"alignment": found.path}).key != off.key


def test_an_alignment_that_changes_nothing_changes_no_key(tmp_path: Path) -> None:
    one = plate_of_cycles(cycles_layout(wells=1, n_cycles=1), MOVES[:1])
    inputs = one.write(tmp_path)
    found = align(tmp_path, inputs)

    manifest = mosaic_of(tmp_path, inputs | {"alignment": found.path}, align="on")

    assert manifest.key == mosaic_of(tmp_path, inputs).key


@pytest.mark.parametrize("step", ["illuminati", "jterator"])
def test_asked_for_it_must_be_there(tmp_path: Path, plate: Plate, step: str) -> None:
    inputs = plate.write(tmp_path)

    with pytest.raises(StepFailed) as failed:
        run(tmp_path, step, inputs, align="on")

    assert failed.value.code == "missing_input"


def test_an_alignment_of_another_layout_is_left_out(tmp_path: Path, plate: Plate) -> None:
    inputs = plate.write(tmp_path)
    found = align(tmp_path, inputs)
    corrected = plate.layout.model_copy(update={"key": "c0"})
    paths.write_json(tmp_path / layout_path("c0"), corrected.model_dump(mode="json"))
    inputs |= {"layout": layout_path("c0"), "alignment": found.path}
    context = StepContext(tmp_path, plates.experiment(), inputs=inputs)

    assert alignment_of(context, "auto") is None
    assert [p.code for p in context.problems] == ["stale_alignment"]
    with pytest.raises(StepFailed) as failed:
        run(tmp_path, "illuminati", inputs, align="on")
    assert failed.value.code == "stale_alignment"


def test_objects_at_the_edge_of_the_common_area_are_at_the_border(
    tmp_path: Path, plate: Plate
) -> None:
    inputs = plate.write(tmp_path)
    found = align(tmp_path, inputs)
    arguments = {"nuclei_channel": "0_DAPI", "cells": "expansion", "expansion": 0}

    products, _ = run(tmp_path, "jterator", inputs | {"alignment": found.path}, **arguments)

    manifest = load_manifest(tmp_path, products["objects"])
    assert manifest.layout == plate.layout.key
    assert manifest.alignment == found.manifest.key
    store = FeatureStore(tmp_path, manifest)
    places = store.positions("Nuclei", plates.PLATE)
    aligned = Alignment.open(tmp_path, found.path)
    flagged = 0
    for site in plate.layout.plates[0].sites:
        y0, x0, y1, x1 = aligned.intersection(plates.PLATE, site)
        mine = places["site"] == site.index
        box = [places[n][mine] - (site.y, site.x)[i % 2] for i, n in enumerate(("y0", "x0", "y1", "x1"))]  # fmt: skip
        # Smoothing may carry an object a pixel or two across.
        touches = (box[0] <= y0) | (box[1] <= x0) | (box[2] >= y1) | (box[3] >= x1)
        np.testing.assert_array_equal(places["is_border"][mine], touches)
        assert (box[0] >= y0 - 2).all()
        assert (box[2] <= y1 + 2).all()
        flagged += int(touches.sum())
    assert flagged > 0
    # Intensities of the other cycle are those of the same nuclei.
    names = [f.name for f in manifest.type("Nuclei").features]
    dapi = [n for n in names if n.startswith("Intensity_mean") and n.endswith("DAPI")]
    columns = store.columns("Nuclei", plates.PLATE, tuple(dapi))
    assert np.corrcoef(columns[dapi[0]], columns[dapi[1]])[0, 1] > 0.95


@pytest.fixture(scope="module")
def stage() -> tuple[Plate, np.ndarray]:
    layout = cycles_layout(wells=2, n_cycles=1, rows=3, columns=3)
    errors = stage_errors(layout, seed=3)
    return plate_with_stage_errors(layout, errors), errors


def stitch(root: Path, plate: Plate, **arguments: Any) -> tuple[Aligned, dict[str, str]]:
    inputs = plate.write(root)
    return align(root, inputs, stitch=True, **arguments), inputs


def test_errors_of_the_stage_are_found(tmp_path: Path, stage: tuple[Plate, np.ndarray]) -> None:
    plate, errors = stage

    found, inputs = stitch(tmp_path, plate, stitch_search=20)

    nominal, made = plate.layout.plates[0], Alignment.open(tmp_path, found.path).layout.plates[0]
    for well in ("A01", "A02"):
        rows = [s.index for s in nominal.sites if s.well == well]
        truth = np.array([(nominal.sites[i].y, nominal.sites[i].x) for i in rows]) + errors[rows]
        places = np.array([(made.sites[i].y, made.sites[i].x) for i in rows])
        off = places - truth
        # Where the whole well lies cannot be told; places are whole pixels.
        assert np.abs(off - np.median(off, axis=0)).max() <= 1
        assert (np.abs(off - np.median(off, axis=0)) == 0).mean() > 0.7
    edges = found.rows(found.manifest.edges)
    # 12 pairs of neighbours a well, of cells on 26 of 256 px.
    assert len(edges) == 24
    good = [e for e in edges if e["used"]]
    assert len(good) >= 20
    errors_px = []
    for edge in good:
        a, b = nominal.sites[edge["a"]], nominal.sites[edge["b"]]
        truth = np.array([b.y - a.y, b.x - a.x]) + errors[b.index] - errors[a.index]
        errors_px.append(np.hypot(*(np.array([edge["y"], edge["x"]]) - truth)))
    # A strip of 26 x 256 px shows a few cells and their noise.
    assert np.median(errors_px) < 0.2
    assert np.quantile(errors_px, 0.9) < 1
    summary = found.manifest.stitching[0]
    assert (summary.n_sites, summary.n_pairs) == (18, 24)
    assert summary.median_residual_px == pytest.approx(0, abs=0.3)
    assert found.problems == []
    assert inputs["layout"] != found.manifest.layout


def test_the_stitched_layout_is_a_whole_layout(
    tmp_path: Path, stage: tuple[Plate, np.ndarray]
) -> None:
    plate, _ = stage
    inputs = plate.write(tmp_path)
    for name in ("planes.parquet", "raw.json", "problems.json"):
        (tmp_path / inputs["layout"]).with_name(name).write_bytes(name.encode())

    found = align(tmp_path, inputs, stitch=True)

    layout = Alignment.open(tmp_path, found.path).layout
    assert layout.key == found.manifest.layout_key == found.manifest.key
    assert found.manifest.source_layout_key == plate.layout.key
    nominal, made = plate.layout.plates[0], layout.plates[0]
    assert [s.model_dump(exclude={"y", "x"}) for s in made.sites] == [
        s.model_dump(exclude={"y", "x"}) for s in nominal.sites
    ]
    for well in made.wells:
        own = [s for s in made.sites if s.well == well.name]
        assert well.y % made.shard == 0
        assert well.x % made.shard == 0
        assert min(s.y for s in own) >= well.y
        assert min(s.x for s in own) >= well.x
        assert max(s.y + s.height for s in own) == well.y + well.height
        assert max(s.x + s.width for s in own) == well.x + well.width
        assert well.height <= made.pitch[0]
        assert well.y + well.height <= made.height
    assert made.width == made.pitch[1] + max(w.width for w in made.wells)
    for name in ("planes.parquet", "raw.json", "problems.json"):
        assert (tmp_path / found.manifest.layout).with_name(name).read_bytes() == name.encode()


def test_a_mosaic_of_stitched_sites_fits_at_its_seams(
    tmp_path: Path, stage: tuple[Plate, np.ndarray]
) -> None:
    plate, _ = stage
    found, inputs = stitch(tmp_path, plate)
    manifest = mosaic_of(tmp_path, inputs | {"alignment": found.path})

    image = level0(tmp_path, manifest)

    made = Alignment.open(tmp_path, found.path).layout.plates[0]
    assert manifest.layout == found.manifest.layout_key
    assert image.shape[1:] == (made.height, made.width)
    for site in made.sites:
        raw = plate.planes[site.index, 0, 0, 0]
        # What lies inside every overlap is the site's own.
        inner = np.s_[site.y + 45 : site.y + 200, site.x + 45 : site.x + 200]
        np.testing.assert_array_equal(image[0][inner], raw[45:200, 45:200])
    agree = [
        np.corrcoef(*(plate.planes[s, 0, 0, 0][area].ravel() for s, area in zip(pair, areas, strict=True)))[0, 1]
        for pair, areas in seams(made.sites)
    ]  # fmt: skip
    assert np.median(agree) > 0.9


def seams(sites: Any) -> list[tuple[tuple[int, int], tuple[Any, Any]]]:
    """Return horizontal neighbours and what both cover, in the pixels of each."""
    found = []
    for a, b in pairwise(sites):
        if a.well != b.well or b.index % 3 == 0:
            continue
        dy, dx = b.y - a.y, b.x - a.x
        own = np.s_[max(0, dy) : min(SIDE, SIDE + dy), dx:SIDE]
        other = np.s_[max(0, -dy) : min(SIDE, SIDE - dy), : SIDE - dx]
        found.append(((a.index, b.index), (own, other)))
    return found


def test_edge_to_edge_there_is_nothing_to_stitch(tmp_path: Path) -> None:
    layout = cycles_layout(wells=1, n_cycles=1)
    plate = layout.plates[0]
    apart = tuple(
        s.model_copy(update={"y": s.index // 2 * SIDE, "x": s.index % 2 * SIDE})
        for s in plate.sites
    )
    layout = layout.model_copy(update={"plates": (plate.model_copy(update={"sites": apart}),)})

    found, _ = stitch(tmp_path, plate_of_cycles(layout, MOVES[:1]))

    assert found.codes == {"no_overlaps", "nothing_stitched"}
    assert not found.manifest.changes
    assert found.manifest.layout_key == layout.key


def test_cycles_and_sites_at_once(tmp_path: Path) -> None:
    layout = cycles_layout(wells=1, n_cycles=2)
    errors = stage_errors(layout, seed=5)
    first = plate_with_stage_errors(layout, errors)
    # The second cycle: the stage as a whole elsewhere, everything else the same.
    second = plate_with_stage_errors(layout, errors + np.array([7, -4]))
    planes = first.planes | {k: v for k, v in second.planes.items() if k[2] >= 2}

    found, inputs = stitch(tmp_path, Plate(layout, planes, {}))

    assert found.manifest.stitched
    # Cycle 1 looks 7 px further down: its pixels belong 7 px lower.
    for row in found.rows():
        assert (row["y"], row["x"]) == pytest.approx((7, -4), abs=0.2)
    manifest = mosaic_of(tmp_path, inputs | {"alignment": found.path})
    assert manifest.layout == found.manifest.key
    assert json.loads((tmp_path / found.manifest.layout).read_text())["n_cycles"] == 2
