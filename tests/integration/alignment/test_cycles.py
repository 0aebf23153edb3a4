"""Cycles of a plate: known shifts found, odd sites flagged, the common area right, runs repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_workers.runner.execute import StepFailed
from gpu_workers.storage.alignment import Alignment
from tests.integration.alignment.cycles import SIDE, Plate, align, cycles_layout, plate_of_cycles
from tests.integration.mosaics import plates

MOVES = [(0.0, 0.0), (-11.3, 3.65), (6.4, -9.25)]


@pytest.fixture(scope="module")
def plate() -> Plate:
    return plate_of_cycles(cycles_layout(), MOVES)


def test_known_shifts_are_found(tmp_path: Path, plate: Plate) -> None:
    found = align(tmp_path, plate.write(tmp_path))

    assert set(found.shifts) == set(plate.shifts)
    errors = [
        np.subtract((found.shifts[k]["y"], found.shifts[k]["x"]), truth)
        for k, truth in plate.shifts.items()
    ]
    assert np.abs(errors).max() < 0.2
    assert not any(r["outlier"] for r in found.rows())
    assert min(r["confidence"] for r in found.rows()) > 0.3
    # Nothing is turned or bent: what remains is what can be measured on a quarter of a small image.
    assert max(r["residual_median_px"] for r in found.rows()) < 0.3
    manifest = found.manifest
    assert (manifest.reference_cycle, manifest.reference_channel) == (0, "DAPI")
    assert manifest.layout_key == plate.layout.key
    assert not manifest.stitched
    assert manifest.n_shifts == 16
    assert found.problems == []


def test_wells_and_the_plate_are_summarised(tmp_path: Path, plate: Plate) -> None:
    manifest = align(tmp_path, plate.write(tmp_path)).manifest

    assert [(w.well, w.n, w.n_outliers) for w in manifest.wells] == [("A01", 8, 0), ("A02", 8, 0)]
    for well in manifest.wells:
        assert well.shifts[0] is None
        for cycle in (1, 2):
            # The jitter of four sites is in it.
            assert well.shifts[cycle] == pytest.approx(MOVES[cycle], abs=0.8)
    assert [(m.cycle, m.n_sites) for m in manifest.models] == [(1, 8), (2, 8)]
    for model in manifest.models:
        assert (model.y, model.x) == pytest.approx(MOVES[model.cycle], abs=0.6)
        assert abs(model.rotation_deg) < 0.1
        assert model.residual_px < 1.5


def test_the_common_area_is_what_every_cycle_covers(tmp_path: Path, plate: Plate) -> None:
    inputs = plate.write(tmp_path)
    found = align(tmp_path, inputs)
    aligned = Alignment.open(tmp_path, found.path)

    for site in plate.layout.plates[0].sites:
        covered = np.ones((SIDE, SIDE), bool)
        for cycle in (1, 2):
            y, x = (round(v) for v in aligned.shift(plates.PLATE, site.index, cycle))
            rows, columns = np.arange(SIDE)[:, None] - y, np.arange(SIDE)[None] - x
            covered &= (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
        y0, x0, y1, x1 = aligned.intersection(plates.PLATE, site)
        expected = np.zeros((SIDE, SIDE), bool)
        expected[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(covered, expected)
        for channel in plate.layout.channels:
            image = plate.planes[site.index, 0, channel.index, 0]
            result = aligned.apply(image, plates.PLATE, site.index, channel.index)
            assert not result[~covered].any()
            y, x = (round(v) for v in aligned.shift(plates.PLATE, site.index, channel.cycle))
            np.testing.assert_array_equal(result[y0:y1, x0:x1], image[y0 - y : y1 - y, x0 - x : x1 - x])  # fmt: skip


def test_odd_sites_follow_their_neighbours_and_are_flagged(tmp_path: Path, plate: Plate) -> None:
    planes = dict(plate.planes)
    rng = np.random.default_rng(0)
    planes[1, 0, 2, 0] = rng.poisson(120, (SIDE, SIDE)).astype(np.uint16)  # empty in cycle 1
    planes[6, 0, 4, 0] = np.roll(planes[6, 0, 4, 0], (25, -18), (0, 1))  # elsewhere in cycle 2
    del planes[3, 0, 4, 0]  # no DAPI in cycle 2
    del planes[4, 0, 2, 0], planes[4, 0, 3, 0]  # nothing in cycle 1
    inputs = Plate(plate.layout, planes, plate.shifts).write(tmp_path)

    found = align(tmp_path, inputs)

    assert {k for k, r in found.shifts.items() if r["outlier"]} == {(1, 1), (6, 2), (3, 2)}
    assert (4, 1) not in found.shifts
    for key in [(1, 1), (6, 2), (3, 2)]:
        # Neighbours say it to within their jitter.
        assert (found.shifts[key]["y"], found.shifts[key]["x"]) == pytest.approx(
            plate.shifts[key], abs=1.5
        )
    assert found.shifts[3, 2]["measured_y"] is None
    assert found.shifts[6, 2]["measured_y"] == pytest.approx(plate.shifts[6, 2][0] - 25, abs=0.3)
    # What remains is looked at again at the shift that is used: there the site contradicts.
    assert found.shifts[6, 2]["n_parts"] < found.shifts[5, 2]["n_parts"]
    assert found.manifest.n_outliers == 3
    assert {w.well: w.outlier_sites for w in found.manifest.wells} == {"A01": (1, 3), "A02": (6,)}
    problem = next(p for p in found.problems if p.code == "shifts_replaced")
    assert "A02 site 7 cycle 2" in problem.message
    # The area of a site that lacks a cycle is cut by the others only.
    aligned = Alignment.open(tmp_path, found.path)
    site = plate.layout.plates[0].sites[4]
    y, x = (round(v) for v in aligned.shift(plates.PLATE, 4, 2))
    ends = max(0, y), max(0, x), SIDE + min(0, y), SIDE + min(0, x)
    assert aligned.intersection(plates.PLATE, site) == ends


def test_runs_leave_the_same_files_whatever_the_jobs(tmp_path: Path, plate: Plate) -> None:
    inputs = plate.write(tmp_path)
    first = align(tmp_path, inputs, batch_size=3)
    folder = (tmp_path / first.path).parent
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}

    again = align(tmp_path, inputs, batch_size=1)

    assert again.path == first.path
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_another_reference_turns_the_shifts_around(tmp_path: Path, plate: Plate) -> None:
    found = align(tmp_path, plate.write(tmp_path), ref_cycle=1, ref_wavelength="GFP")

    assert {cycle for _, cycle in found.shifts} == {0, 2}
    assert found.manifest.reference_channel == "GFP"
    for (site, cycle), row in found.shifts.items():
        one, own = plate.shifts[site, 1], plate.shifts.get((site, cycle), (0.0, 0.0))
        assert (row["y"], row["x"]) == pytest.approx(np.subtract(own, one), abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ref_cycle": 3}, "unknown_cycle"),
        ({"ref_wavelength": "Cy5"}, "unknown_channel"),
        ({"correct": "on"}, "missing_input"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, plate: Plate, arguments: dict[str, object], code: str
) -> None:
    inputs = plate.write(tmp_path)

    with pytest.raises(StepFailed) as failed:
        align(tmp_path, inputs, **arguments)

    assert failed.value.code == code


def test_a_cycle_without_the_channel_stays_where_it_is(tmp_path: Path, plate: Plate) -> None:
    channels = list(plate.layout.channels)
    channels[2] = channels[2].model_copy(update={"name": "1_Hoechst"})
    layout = plate.layout.model_copy(update={"channels": tuple(channels)})
    inputs = Plate(layout, plate.planes, plate.shifts).write(tmp_path)

    found = align(tmp_path, inputs, ref_wavelength="DAPI")

    assert {cycle for _, cycle in found.shifts} == {2}
    assert found.codes == {"missing_channel"}
    assert Alignment.open(tmp_path, found.path).shift(plates.PLATE, 0, 1) == (0, 0)
    # Without a name the channel that all cycles have is taken.
    assert align(tmp_path, inputs).manifest.reference_channel == "GFP"


def test_stacks_are_compared_by_what_is_brightest_in_them(tmp_path: Path, plate: Plate) -> None:
    planes: dict[plates.Plane, np.ndarray] = {}
    for (site, t, c, _), image in plate.planes.items():
        upper, lower = image.copy(), image.copy()
        upper[SIDE // 2 :], lower[: SIDE // 2] = 100, 100
        planes[site, t, c, 0], planes[site, t, c, 1] = upper, lower
    layout = plate.layout.model_copy(update={"n_zplanes": 2})

    found = align(tmp_path, Plate(layout, planes, plate.shifts).write(tmp_path))

    for key, truth in plate.shifts.items():
        row = found.shifts[key]
        assert (row["y"], row["x"]) == pytest.approx(truth, abs=0.2)


def test_cycles_that_a_plate_lacks_are_no_outliers(tmp_path: Path, plate: Plate) -> None:
    planes = {k: v for k, v in plate.planes.items() if k[2] < 2}

    found = align(tmp_path, Plate(plate.layout, planes, {}).write(tmp_path))

    assert found.rows() == []
    assert found.manifest.n_outliers == 0
    aligned = Alignment.open(tmp_path, found.path)
    site = plate.layout.plates[0].sites[0]
    assert aligned.intersection(plates.PLATE, site) == (0, 0, SIDE, SIDE)


def test_one_cycle_has_nothing_to_align(tmp_path: Path) -> None:
    one = plate_of_cycles(cycles_layout(wells=1, n_cycles=1), MOVES[:1])

    found = align(tmp_path, one.write(tmp_path))

    assert found.codes == {"nothing_to_align"}
    assert not found.manifest.changes
    assert found.manifest.layout_key == one.layout.key


def test_a_plate_without_a_site(tmp_path: Path) -> None:
    layout = cycles_layout(wells=1)
    empty = layout.plates[0].model_copy(update={"sites": (), "wells": ()})
    inputs = Plate(layout.model_copy(update={"plates": (empty,)}), {}, {}).write(tmp_path)

    found = align(tmp_path, inputs, stitch=True)

    assert found.manifest.n_shifts == 0
    assert not found.manifest.stitched
