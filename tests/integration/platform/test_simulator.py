"""Simulated plates: what the truth says is in the files, and the files are what the vendors write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from defusedxml import ElementTree
from scipy import ndimage

from tissuemaps.cli.simulate import PlateScene, Truth, simulate_plate
from tissuemaps.cli.simulate.scene import well_name
from tissuemaps.cli.simulate.truth import truth_path

NS = "{http://www.yokogawa.co.jp/BTS/BTSSchema/1.0}"


def image(folder: Path, well: str, site: int, channel: int, t: int = 1, z: int = 1) -> np.ndarray:
    name = f"simulated_{well}_T{t:04d}F{site:03d}L01A{channel:02d}Z{z:02d}C{channel:02d}.tif"
    return tifffile.imread(folder / name).astype(float)


def labelled_nuclei(pixels: np.ndarray) -> np.ndarray:
    """An independent, simple count: smooth, fixed threshold between background and nuclei, label."""
    _, count = ndimage.label(ndimage.gaussian_filter(pixels, 1) > 380)
    return np.array(ndimage.center_of_mass(np.ones_like(pixels), _, range(1, count + 1)))


def test_an_independent_count_finds_the_true_nuclei(tmp_path: Path) -> None:
    # given a plate sparse enough that nuclei hardly touch
    truth = simulate_plate(
        tmp_path / "p", rows=1, columns=2, sites=(1, 1), size=1024, density=90, illumination=0
    )

    # when every well is segmented
    counts = {w: len(labelled_nuclei(image(tmp_path / "p", w, 1, 1))) for w in truth.wells}

    # then the numbers agree within the touching pairs
    for well, count in counts.items():
        assert abs(count - truth.count(well)) <= max(2, 0.04 * truth.count(well))


def test_every_true_nucleus_is_bright(tmp_path: Path) -> None:
    truth = simulate_plate(tmp_path / "p", rows=1, columns=1, sites=(2, 2), size=256, density=300)

    for site in range(4):
        pixels = image(tmp_path / "p", "B02", site + 1, 1)
        centres = truth.of_site("B02", site).astype(int)
        assert len(centres) > 3
        assert np.median(pixels[centres[:, 0], centres[:, 1]]) > 4 * np.median(pixels)


def test_overlaps_show_the_same_cells(tmp_path: Path) -> None:
    # given no noise and even light
    simulate_plate(
        tmp_path / "p",
        rows=1,
        columns=1,
        sites=(1, 2),
        size=256,
        overlap=0.25,
        noise=False,
        illumination=0,
    )

    left, right = (image(tmp_path / "p", "B02", s, 1) for s in (1, 2))

    np.testing.assert_array_equal(left[:, 192:], right[:, :64])


def test_truth_counts_a_nucleus_in_an_overlap_once(tmp_path: Path) -> None:
    truth = simulate_plate(
        tmp_path / "p", rows=1, columns=1, sites=(2, 2), size=256, overlap=0.2, density=400
    )

    in_sites = sum(len(truth.of_site("B02", s)) for s in range(4))

    assert truth.count("B02") == truth.total
    assert in_sites > truth.total


def test_dose_grows_over_the_columns(tmp_path: Path) -> None:
    truth = simulate_plate(tmp_path / "p", rows=1, columns=4, sites=(1, 1), size=256, density=300)

    means = [image(tmp_path / "p", w, 1, 2).mean() - 100 for w in truth.wells]

    assert np.all(np.diff(truth.doses) > 0)
    assert means[-1] > 1.5 * means[0]


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    for name, threads in (("a", 1), ("b", 3)):
        simulate_plate(
            tmp_path / name, rows=1, columns=3, sites=(1, 1), size=128, seed=5, threads=threads
        )

    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_missing_wells_have_no_files_and_change_no_others(tmp_path: Path) -> None:
    full = simulate_plate(tmp_path / "a", rows=1, columns=3, sites=(1, 1), size=128)
    part = simulate_plate(
        tmp_path / "b", rows=1, columns=3, sites=(1, 1), size=128, missing_wells=[(1, 2)]
    )

    assert part.wells == ("B02", "B04")
    assert not list((tmp_path / "b").glob("*_B03_*"))
    assert part.count("B04") == full.count("B04")


def test_light_falls_off_towards_the_corners(tmp_path: Path) -> None:
    simulate_plate(
        tmp_path / "p", rows=2, columns=3, sites=(2, 2), size=256, illumination=0.6, density=0.0
    )

    mean = (
        np.mean(
            [tifffile.imread(f).astype(float) for f in (tmp_path / "p").glob("*C01.tif")], axis=0
        )
        - 100
    )

    assert mean[96:160, 96:160].mean() > 1.4 * mean[-24:, :24].mean()


def test_stacks_are_sharpest_in_the_middle(tmp_path: Path) -> None:
    simulate_plate(tmp_path / "p", rows=1, columns=1, sites=(1, 1), size=256, z=5, noise=False)

    sharpness = [
        np.var(ndimage.laplace(image(tmp_path / "p", "B02", 1, 1, z=z))) for z in range(1, 6)
    ]

    assert int(np.argmax(sharpness)) in {1, 2, 3}
    assert max(sharpness) > 2 * sharpness[0]


def test_cells_move_between_time_points(tmp_path: Path) -> None:
    truth = simulate_plate(tmp_path / "p", rows=1, columns=1, sites=(1, 1), size=256, t=3)

    first, last = truth.of_well("B02", 0), truth.of_well("B02", 2)

    assert first.shape == last.shape
    assert 0.2 < np.linalg.norm(last - first, axis=1).mean() < 12


def test_cycles_are_shifted_as_the_truth_says(tmp_path: Path) -> None:
    truth = simulate_plate(
        tmp_path / "p",
        rows=1,
        columns=1,
        sites=(1, 1),
        size=256,
        cycles=2,
        noise=False,
        illumination=0,
    )
    first, second = (image(tmp_path / "p" / f"cycle_{i}", "B02", 1, 1) for i in (1, 2))

    dy, dx = truth.cycle_shifts[1].astype(int)

    np.testing.assert_allclose(
        np.roll(first, (dy, dx), (0, 1))[40:-40, 40:-40], second[40:-40, 40:-40], atol=2
    )
    assert (dy, dx) != (0, 0)


def test_truth_survives_saving(tmp_path: Path) -> None:
    truth = simulate_plate(tmp_path / "p", rows=1, columns=2, sites=(1, 1), size=128)

    loaded = Truth.load(truth_path(tmp_path / "p"))

    assert loaded.wells == truth.wells
    np.testing.assert_array_equal(loaded.y, truth.y)
    assert not [p for p in (tmp_path / "p").iterdir() if "truth" in p.name]


def test_cellvoyager_records_name_every_file(tmp_path: Path) -> None:
    simulate_plate(tmp_path / "p", rows=1, columns=1, sites=(2, 1), size=128, channels=2, z=2)

    records = ElementTree.parse(tmp_path / "p" / "MeasurementData.mlf").getroot()
    detail = ElementTree.parse(tmp_path / "p" / "MeasurementDetail.mrf").getroot()

    assert {r.text for r in records} == {p.name for p in (tmp_path / "p").glob("*.tif")}
    assert detail.get(f"{NS}ColumnCount") == "12"
    # The stage's y grows upwards: the first row of sites lies higher.
    heights = {r.get(f"{NS}FieldIndex"): float(r.get(f"{NS}Y", "nan")) for r in records}
    assert heights["1"] > heights["2"]


def test_imagexpress_stack_comes_with_its_projection(tmp_path: Path) -> None:
    simulate_plate(
        tmp_path / "p",
        vendor="imagexpress",
        rows=1,
        columns=1,
        sites=(1, 2),
        size=128,
        z=3,
        projection=True,
    )
    steps = [
        tmp_path / "p" / "TimePoint_1" / f"ZStep_{z}" / "simulated_B02_s2_w1.TIF" for z in range(4)
    ]

    planes = [tifffile.imread(s) for s in steps]
    with tifffile.TiffFile(steps[1]) as tiff:
        plane = tiff.metaseries_metadata["PlaneInfo"]

    np.testing.assert_array_equal(planes[0], np.max(planes[1:], axis=0))
    assert plane["stage-label"] == "B02 : Site 2"
    assert plane["spatial-calibration-x"] == 0.65
    assert '"WaveName1", "DAPI"' in (tmp_path / "p" / "simulated.HTD").read_text(encoding="latin-1")


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", 8), ("overlap", 0.7), ("channels", 9), ("z", 0), ("plate_format", 97)],
)
def test_what_no_microscope_does_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        PlateScene(wells=((0, 0),), **{field: value})  # type: ignore[arg-type]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(FileExistsError):
        simulate_plate(tmp_path, rows=1, columns=1, size=64)

    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_well_names_go_past_z() -> None:
    assert [well_name(r, 0) for r in (0, 25, 26, 31)] == ["A01", "Z01", "AA01", "AF01"]
