"""Images of a site that differ in size: left out, or cropped to what all of them have."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.verification import plates_verify
from tests.data_sets import data_set
from tests.integration.alignment.cycles import align
from tests.integration.conversion.source import Converted, convert, experiment, image
from tests.unit.imaging.test_registration import logarithms_correlate

CROP = {"crop": True}


def _stored(result: Converted, site: int = 0, channel: int = 0) -> np.ndarray:
    plane = result.plates.read(result.layout.plates[0].id, site, 0, channel, 0)
    assert plane is not None
    return plane


@pytest.fixture
def two_sizes(tmp_path: Path) -> Path:
    """Three sites of a plate, one of which is a few pixels smaller."""
    folder = tmp_path / "uploads" / "images"
    folder.mkdir(parents=True)
    for site, size in enumerate([(64, 80), (64, 80), (60, 70)], 1):
        tifffile.imwrite(folder / f"p_A01_s{site}_w1.tif", image(site, size))
    return folder


def test_images_are_left_out_unless_cropping_is_asked_for(two_sizes: Path, tmp_path: Path) -> None:
    result = convert(tmp_path, experiment(two_sizes))

    assert result.files("other_size") == {"p_A01_s3_w1.tif"}
    assert len(result.planes) == 2
    assert not result.layout.cropped


def test_the_upper_left_part_that_all_have_is_kept(two_sizes: Path, tmp_path: Path) -> None:
    result = convert(tmp_path, experiment(two_sizes), layout=CROP)

    assert [(s.height, s.width) for s in result.layout.plates[0].sites] == [(60, 70)] * 3
    for site in range(3):
        expected = tifffile.imread(two_sizes / f"p_A01_s{site + 1}_w1.tif")[:60, :70]
        np.testing.assert_array_equal(_stored(result, site), expected)
    assert result.files("cropped") == {"p_A01_s1_w1.tif", "p_A01_s2_w1.tif"}
    assert "other_size" not in result.codes
    assert plates_verify(result.root, result.inputs["plates"]).n_damaged == 0


def test_nothing_is_said_where_all_are_alike(two_sizes: Path, tmp_path: Path) -> None:
    (two_sizes / "p_A01_s3_w1.tif").unlink()

    result = convert(tmp_path, experiment(two_sizes), layout=CROP)

    assert not result.layout.cropped
    assert "cropped" not in result.codes


def test_originals_of_which_a_part_is_kept_are_not_removed(two_sizes: Path, tmp_path: Path) -> None:
    description = experiment("uploads/images")

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, description, layout=CROP, images={"delete": True})

    assert caught.value.code == "cropped_originals"
    assert len(list(two_sizes.iterdir())) == 3


def test_a_truncated_file_is_no_smaller_image(two_sizes: Path, tmp_path: Path) -> None:
    path = two_sizes / "p_A01_s2_w1.tif"
    description = experiment(two_sizes)
    inputs = convert(tmp_path, description, layout=CROP, until="metaconfig").inputs
    before = path.stat()
    # Of the same length and time of change, but smaller than its metadata said.
    data = tifffile.imread(path)[:50]
    tifffile.imwrite(path, data)
    with path.open("ab") as stream:
        stream.write(b"\0" * (before.st_size - path.stat().st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    _, problems = run_step(tmp_path, "imextract", description, {}, inputs)

    (problem,) = (p for p in problems if p.code == "unreadable_planes")
    assert problem.files == ("p_A01_s2_w1.tif",)
    assert "50 x 80 px, not 60 x 70" in problem.message


@pytest.mark.data
def test_two_rounds_of_a_section_whose_images_differ_in_size(tmp_path: Path) -> None:
    folders = []
    for name in ("anchor_nuclei_downsampled.tif", "r1_DAPI_downsampled.tif"):
        folder = tmp_path / "uploads" / name.partition("_")[0]
        folder.mkdir(parents=True)
        shutil.copy(data_set("two_rounds_dapi_registration") / name, folder / "DAPI.tif")
        folders.append(folder)
    rounds = [tifffile.imread(f / "DAPI.tif") for f in folders]
    described = experiment(*folders, plates=[0, 0], mode="multiplexing")

    result = convert(tmp_path, described, layout=CROP)
    found = align(tmp_path, result.inputs)

    (site,) = result.layout.plates[0].sites
    assert (site.height, site.width) == (912, 624)
    assert [(c.name, c.cycle) for c in result.layout.channels] == [
        ("0_Channel1", 0), ("1_Channel1", 1),
    ]  # fmt: skip
    for c in range(2):
        np.testing.assert_array_equal(_stored(result, channel=c), rounds[c][:912, :624])
    (row,) = found.rows()
    assert (row["y"], row["x"]) == pytest.approx((-11.3, 3.65), abs=0.5)
    common = [r[:912, :624] for r in rounds]
    assert logarithms_correlate(*common, (row["y"], row["x"])) >= 0.92
    assert Alignment.open(tmp_path, found.path).shift(
        result.layout.plates[0].id, 0, 1
    ) == pytest.approx((row["y"], row["x"]))
