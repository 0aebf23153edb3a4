"""What names, metadata and files say against each other, and what is not there: named with the files."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.messages import Problem
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.steps.metaextract import MetaExtract, MetaExtractArguments
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import Converted, convert, experiment, image, write_images

PROPERTY = '<prop id="{}" type="{}" value="{}"/>'


def _metamorph(path: Path, **facts: Any) -> None:
    """Write an image with the description of MetaMorph."""
    known = {
        "spatial-calibration-state": "on", "spatial-calibration-units": "um",
        "spatial-calibration-x": "0.5", "image-name": "DAPI",
    } | {name.replace("_", "-"): str(value) for name, value in facts.items()}  # fmt: skip
    properties = "".join(PROPERTY.format(name, "string", value) for name, value in known.items())
    text = f"<MetaData><PlaneInfo>{properties}</PlaneInfo></MetaData>"
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image(1), description=text, metadata=None, photometric="minisblack")


def _problem(result: Converted, code: str) -> Problem:
    (problem,) = (p for p in result.problems if p.code == code)
    return problem


def _layout(root: Path, *folders: Path, **how: Any) -> Converted:
    return convert(root, experiment(*folders, **how), until="metaconfig")


def test_a_channel_of_another_stain(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for site in range(1, 5):
        stain = "FITC" if site == 3 else "DAPI"
        _metamorph(folder / f"p_A01_s{site}_w1.TIF", image_name=stain)

    result = _layout(tmp_path, folder)

    problem = _problem(result, "channel_differs")
    assert problem.files == ("p_A01_s3_w1.TIF",)
    assert problem.message.startswith("1 file says another channel")
    assert [c.name for c in result.layout.channels] == ["DAPI"]


def test_pixel_sizes_that_differ(tmp_path: Path) -> None:
    for site, size in enumerate(("0.5", "0.5", "1.3")):
        _metamorph(tmp_path / "images" / f"p_A01_s{site}_w1.TIF", spatial_calibration_x=size)

    result = _layout(tmp_path, tmp_path / "images")

    assert "0.5 to 1.3" in _problem(result, "pixel_sizes_differ").message
    assert result.layout.pixel_size_um == 0.5


def test_missing_sites_are_named(tmp_path: Path) -> None:
    names = [f"p_{w}_s{s}_w1.tif" for w in ("A01", "A02", "B01") for s in (1, 2, 10)]
    folder = write_images(tmp_path / "images", [n for n in names if "A02_s10" not in n])

    result = _layout(tmp_path, folder)

    message = "plate 'plate 0' lacks 1 site that other wells have: A02 site 10"
    assert _problem(result, "missing_sites").message == message


@pytest.mark.data
def test_missing_wells_are_named_with_their_files(tmp_path: Path) -> None:
    source = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    folder = tmp_path / "images"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*_B03_*"))

    result = _layout(tmp_path, folder)

    problem = _problem(result, "missing_wells")
    assert "has no image of 1 well that its metadata describes: B03" in problem.message
    assert "TimePoint_1/ZStep_1/9987_B03_s1_w1.TIF" in problem.files
    assert [w.name for w in result.layout.plates[0].wells] == ["B02"]


@pytest.mark.data
def test_images_without_a_place_are_not_converted(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tiles = unpacked("wsi_brain_tiles", tmp_path_factory)
    folder = tmp_path / "images"
    folder.mkdir()
    for tile in tiles.rglob("*.tif"):
        (folder / tile.name).hardlink_to(tile)
    shutil.copy(data_set("wsi_brain_tiles") / "TileConfiguration.txt", folder)

    result = _layout(tmp_path, folder)

    (unplaced,) = (p for p in result.problems if p.code.startswith("unplaced"))
    assert len(unplaced.files) == 9
    assert len(result.layout.plates[0].sites) == len(result.planes) == 54
    assert not {p["file"] for p in result.planes} & set(unplaced.files)
    places = {p["file"]: result.layout.plates[0].sites[p["site"]] for p in result.planes}
    lines = (folder / "TileConfiguration.txt").read_text().splitlines()
    listed = [line.split(";") for line in lines if line.count(";") == 2]
    corners = {n.strip(): ast.literal_eval(place.strip()) for n, _, place in listed}
    left, top = (min(c[axis] for c in corners.values()) for axis in (0, 1))
    for name, site in places.items():
        assert site.x == round(corners[name][0] - left)
        assert site.y == round(corners[name][1] - top)


def test_a_folder_that_is_registered_twice(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif", "p_A01_s2_w1.tif"])

    result = _layout(tmp_path, folder, folder, plates=[1, 1])

    problem = _problem(result, "shared_files")
    assert problem.message == "2 files of 'acquisition 1' belong to 'acquisition 0' too"
    assert problem.files == ("p_A01_s1_w1.tif", "p_A01_s2_w1.tif")
    assert result.layout.n_tpoints == 2


def test_cycles_that_lack_sites_or_a_common_channel(tmp_path: Path) -> None:
    first = write_images(tmp_path / "a", ["p_A01_s1_w1.tif", "p_A01_s2_w1.tif"])
    second = write_images(tmp_path / "b", ["p_A01_s1_w2.tif"])

    result = _layout(tmp_path, first, second, plates=[1, 1], mode="multiplexing")

    messages = [p.message for p in result.problems if p.code == "cycles_differ"]
    assert "cycle 1 ('acquisition 1') lacks 1 of 2 sites: A01 site 2" in messages
    assert any("no channel has the same name in all cycles" in m for m in messages)


def test_cycles_named_within_one_acquisition(tmp_path: Path) -> None:
    names = [f"p_A01_c{cycle}_{stain}.tif" for cycle in (1, 2) for stain in ("DAPI", "GFP")]
    folder = write_images(tmp_path / "images", names)
    pattern = r"_(?P<well>A\d+)_c(?P<cycle>\d)_(?P<channel>[A-Z]+)"

    result = convert(tmp_path, experiment(folder, pattern=pattern))

    layout = result.layout
    assert [(c.name, c.cycle) for c in layout.channels] == [
        ("0_DAPI", 0), ("0_GFP", 0), ("1_DAPI", 1), ("1_GFP", 1),
    ]  # fmt: skip
    assert (layout.n_cycles, layout.n_tpoints, len(layout.plates[0].sites)) == (2, 1, 1)
    for c, seed in enumerate(range(4)):
        stored = result.plates.read(layout.plates[0].id, 0, 0, c, 0)
        np.testing.assert_array_equal(stored, image(seed))


def test_plates_that_differ(tmp_path: Path) -> None:
    first = write_images(tmp_path / "a", ["p_A01_s1_w1.tif", "p_A01_s1_w2.tif"])
    second = write_images(tmp_path / "b", ["p_A01_s1_w1.tif", "p_A02_s1_w1.tif"])

    result = _layout(tmp_path, first, second)

    assert _problem(result, "plates_differ").message == (
        "plate 'plate 1' differs from 'plate 0': it has more wells A02; it lacks channels w2"
    )


def test_nothing_left_says_why_without_a_colon_and_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("p_A01_s1_w1.tif", "p_A01_s2_w1.tif"):
        (folder / name).write_bytes(b"no image")
    done = convert(tmp_path, experiment(folder), until="metaextract")

    with pytest.raises(StepFailed, match="no image is left after checking: 2 files of") as caught:
        run_step(tmp_path, "metaconfig", experiment(folder), {}, done.inputs)

    assert set(caught.value.files) == {"p_A01_s1_w1.tif", "p_A01_s2_w1.tif"}


def test_a_folder_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif"])
    step, arguments = MetaExtract(), MetaExtractArguments()
    plan = step.plan(StepContext(tmp_path, experiment(folder)), arguments)
    shutil.rmtree(folder)

    with pytest.raises(FileError, match="is not there") as caught:
        step.run(
            StepContext(tmp_path, experiment(folder), key=plan.key), arguments, plan.rounds[0][0]
        )

    assert caught.value.code == "no_folder"


def test_a_file_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif", "p_A01_s2_w1.tif"])
    step, arguments = MetaExtract(), MetaExtractArguments()
    plan = step.plan(StepContext(tmp_path, experiment(folder)), arguments)
    (folder / "p_A01_s2_w1.tif").unlink()
    context = StepContext(tmp_path, experiment(folder), key=plan.key)
    step.run(context, arguments, plan.rounds[0][0])

    output = step.collect(context, arguments)

    assert [(p.code, p.files) for p in context.problems] == [("file_missing", ("p_A01_s2_w1.tif",))]
    layout, _ = run_step(tmp_path, "metaconfig", experiment(folder), {}, output.products)
    assert layout.output["planes"] == 1


def test_sizes_and_times_of_the_files_are_kept(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif"])

    (plane,) = _layout(tmp_path, folder).planes

    status = (folder / plane["file"]).stat()
    assert (plane["size"], plane["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_a_projection_is_asked_for_by_the_layout(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif"])

    result = convert(tmp_path, experiment(folder), layout={"mip": True}, until="metaconfig")

    assert result.layout.mip


def test_a_pattern_that_fits_no_name(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif"])

    with pytest.raises(StepFailed, match="doesn't match the pattern") as caught:
        convert(tmp_path, experiment(folder), layout={"regex": "(?P<well>Z99)x"})

    assert caught.value.code == "no_images"
