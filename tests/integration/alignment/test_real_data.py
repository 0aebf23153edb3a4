"""Real input: two rounds of a section as cycles, and tiles of a brain section put together."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.runner.execute import run_step
from gpu_workers.steps.align.batches import pairs_of
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.layout import PlateLayout, load_layout
from tests.data_sets import data_set, unpacked
from tests.integration.alignment.cycles import align
from tests.integration.conversion.source import convert, experiment
from tests.integration.mosaics import plates
from tests.unit.imaging.test_registration import logarithms_correlate

pytestmark = pytest.mark.data


def test_two_rounds_of_a_section(tmp_path: Path) -> None:
    folder = data_set("two_rounds_dapi_registration")
    names = ("anchor_nuclei_downsampled.tif", "r1_DAPI_downsampled.tif")
    # The common upper left part.
    images = [tifffile.imread(folder / name)[:912, :624] for name in names]
    layout = plates.layout(
        [[(0, 0, 912, 624)]], ("float32", "float32"), height=1024, width=1024, shard=1024
    )
    channels = tuple(
        c.model_copy(update={"name": f"{c.index}_DAPI", "cycle": c.index}) for c in layout.channels
    )
    layout = layout.model_copy(update={"channels": channels, "n_cycles": 2})
    inputs = plates.write(tmp_path, layout, {(0, 0, c, 0): images[c] for c in (0, 1)})

    found = align(tmp_path, inputs)

    (row,) = found.rows()
    assert (row["y"], row["x"]) == pytest.approx((-11.3, 3.65), abs=0.5)
    assert logarithms_correlate(*images, (row["y"], row["x"])) >= 0.92
    assert not row["outlier"]
    # One shift leaves parts of the section off by up to 1.3 px: said, not hidden.
    assert row["residual_px"] == pytest.approx(1.35, abs=0.3)
    assert 0.3 < row["residual_median_px"] < 1.2
    assert found.manifest.wells[0].residual_px == row["residual_px"]
    assert (row["y0"], row["x0"], row["y1"], row["x1"]) in {(0, 4, 901, 624), (0, 3, 901, 624)}
    aligned = Alignment.open(tmp_path, found.path)
    moved = aligned.apply(images[1], plates.PLATE, 0, 1)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved[:901, 4:], images[1][11:, :620])


def write_tiles(root: Path, folder: Path) -> tuple[dict[str, str], list[np.ndarray]]:
    """Write the 54 tiles of the nominal grid as the sites of a well."""
    text = (data_set("wsi_brain_tiles") / "TileConfiguration.txt").read_text()
    lines = [line.split(";") for line in text.splitlines() if line.startswith("C3-")]
    places = [tuple(float(v) for v in place.strip(" ()").split(",")) for _, _, place in lines]
    images = [tifffile.imread(folder / name) for name, _, _ in lines]
    boxes = [[(int(y), int(x), 512, 512) for x, y in places]]
    layout = plates.layout(boxes, ("uint16",), height=3072, width=4608, shard=4608)
    return plates.write(root, layout, {(n, 0, 0, 0): i for n, i in enumerate(images)}), images


def seams(plate: PlateLayout, images: list[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """Return, for each pair of neighbours, how what both show correlates."""
    found = []
    for a, b in pairs.tolist():
        one, two = plate.sites[a], plate.sites[b]
        y0, x0 = max(one.y, two.y), max(one.x, two.x)
        y1, x1 = min(one.y, two.y) + 512, min(one.x, two.x) + 512
        parts = [
            images[s.index][y0 - s.y : y1 - s.y, x0 - s.x : x1 - s.x].ravel() for s in (one, two)
        ]
        found.append(np.corrcoef(*parts)[0, 1])
    return np.array(found)


def test_tiles_of_a_brain_section(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = next(unpacked("wsi_brain_tiles", tmp_path_factory).rglob("*0001.tif")).parent
    inputs, raw = write_tiles(tmp_path, folder)
    inputs |= run_step(tmp_path, "corilla", plates.experiment(), {}, inputs)[0].products

    found = align(tmp_path, inputs, stitch=True)

    nominal = load_layout(tmp_path, inputs["layout"])
    plate, made = nominal.plates[0], Alignment.open(tmp_path, found.path).layout.plates[0]
    assert found.manifest.corrected == {"C00": "basic"}
    pairs = pairs_of(plate)
    lamp = Corrections.resolve(tmp_path, inputs["illumination"], nominal)
    images = [lamp.apply(0, image) for image in raw]
    before, after = seams(plate, images, pairs), seams(made, images, pairs)
    assert np.median(before) < 0.87
    assert np.median(after) >= 0.92
    (summary,) = found.manifest.stitching
    assert (summary.n_sites, summary.n_pairs) == (54, 93)
    # Tiles of bare glass share nothing but noise.
    assert summary.n_used >= 80
    assert summary.n_unconnected <= 3
    assert summary.median_residual_px == pytest.approx(0, abs=0.2)
    # Each tile to the right lies 8 px further down: clockwise as seen.
    assert summary.turn_deg == pytest.approx(-0.95, abs=0.05)
    assert summary.largest_move_px == pytest.approx(37, abs=3)


def test_tiles_whose_names_and_nominal_overlap_are_known(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same section without its list of positions: rows, columns and 10 % of overlap lead as far."""
    tiles = next(unpacked("wsi_brain_tiles", tmp_path_factory).rglob("*0001.tif")).parent
    folder = tmp_path / "tiles"
    folder.mkdir()
    text = (data_set("wsi_brain_tiles") / "TileConfiguration.txt").read_text()
    for name, x, y in re.findall(r"(\S+\.tif); ; \((\S+), (\S+)\)", text):
        place = f"x{float(x) / 460:.0f}_y{float(y) / 460:.0f}"
        (folder / f"{place}.tif").hardlink_to(tiles / name)
    described = experiment(folder, pattern=r"x(?P<x>\d)_y(?P<y>\d)\.tif")
    result = convert(tmp_path, described, layout={"overlap": 0.1})
    inputs = result.inputs | run_step(tmp_path, "corilla", described, {}, result.inputs)[0].products

    found = align(tmp_path, inputs, stitch=True)

    (plate,) = result.layout.plates
    # 512 px less 10 % is 460.8 px; the microscope went 460.
    assert {s.x for s in plate.sites} == {round(460.8 * n) for n in range(9)}
    (made,) = Alignment.open(tmp_path, found.path).layout.plates
    lamp = Corrections.resolve(tmp_path, inputs["illumination"], result.layout)
    raw = [result.plates.read(plate.id, s.index, 0, 0, 0) for s in plate.sites]
    images = [lamp.apply(0, image) for image in raw if image is not None]
    pairs = pairs_of(plate)
    assert (len(images), len(pairs)) == (54, 93)
    assert np.median(seams(made, images, pairs)) >= 0.92
    (summary,) = found.manifest.stitching
    assert summary.n_used >= 80
