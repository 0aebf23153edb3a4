"""Real MetaXpress plates through the three steps, against tifffile and the files' own metadata."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers import formats
from gpu_workers.storage.plates import Plates
from tests.data_sets import data_set
from tests.integration.conversion.source import Converted, convert, experiment

pytestmark = pytest.mark.data
NAME = re.compile(r"9987_([A-H]\d\d)(?:_s(\d))?(?:_w(\d))?\.TIF")


@pytest.fixture(scope="module")
def plate_3433() -> Path:
    return data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"


@pytest.fixture(scope="module")
def converted(plate_3433: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    root = tmp_path_factory.mktemp("3433")
    return convert(root, experiment(plate_3433), images={"projection": "max"})


def test_counts(converted: Converted) -> None:
    layout = converted.layout

    (plate,) = layout.plates
    assert [w.name for w in plate.wells] == ["B02", "B03"]
    assert [(s.well, s.name) for s in plate.sites] == [
        ("B02", "1"), ("B02", "2"), ("B03", "1"), ("B03", "2"),
    ]  # fmt: skip
    assert [c.name for c in layout.channels] == ["DAPI", "FITC"]
    assert (layout.n_tpoints, layout.n_zplanes, layout.n_cycles) == (1, 3, 1)
    assert (plate.n_rows, plate.n_columns) == (8, 12)
    roles = [p["role"] for p in converted.planes]
    assert (roles.count("plane"), roles.count("projection")) == (24, 8)
    assert converted.problems == []
    assert converted.outputs["imextract"]["planes"] == 24


def test_stage_positions_are_those_in_the_files(converted: Converted, plate_3433: Path) -> None:
    layout = converted.layout
    sites = {(s.well, s.name): s for s in layout.plates[0].sites}

    for file in plate_3433.rglob("*_w1.TIF"):
        match = NAME.fullmatch(file.name)
        assert match is not None
        with tifffile.TiffFile(file) as tiff:
            info = tiff.metaseries_metadata["PlaneInfo"]
        site = sites[match[1], match[2]]
        assert site.stage_x_um == pytest.approx(info["stage-position-x"])
        assert site.stage_y_um == pytest.approx(info["stage-position-y"])
        assert layout.pixel_size_um == pytest.approx(info["spatial-calibration-x"])

    first, second = sites["B02", "1"], sites["B02", "2"]
    assert second.x - first.x == round((23300 - 22985) / 1.3672)
    assert second.y == first.y
    assert second.x - first.x < first.width, "the overlap stays"


def test_every_pixel_equals_its_source(converted: Converted, plate_3433: Path) -> None:
    plates, layout = converted.plates, converted.layout
    plate = layout.plates[0]
    sites = {(s.well, s.name): s.index for s in plate.sites}
    compared = 0

    for file in sorted(plate_3433.rglob("*.TIF")):
        match = NAME.fullmatch(file.name)
        assert match is not None
        step = int(file.parent.name.removeprefix("ZStep_"))
        site, channel = sites[match[1], match[2]], int(match[3]) - 1
        if step == 0:
            stored = plates.read(plate.id, site, 0, channel, 0, "max")
        else:
            stored = plates.read(plate.id, site, 0, channel, step - 1)
        expected = tifffile.imread(file)
        assert stored is not None
        assert stored.dtype == expected.dtype
        np.testing.assert_array_equal(stored, expected)
        compared += 1

    assert compared == 32


def test_other_libraries_read_it(converted: Converted, plate_3433: Path) -> None:
    import zarr

    plates = converted.plates
    raw = converted.layout.plates[0].sites[3].raw
    array = zarr.open_array(
        converted.root / plates.manifest.plates[0].path / f"{raw}a0" / "0", mode="r"
    )

    assert array.shape == (1, 2, 3, 256, 256)
    source = plate_3433 / "TimePoint_1/ZStep_2/9987_B03_s2_w1.TIF"
    np.testing.assert_array_equal(array[0, 0, 1], tifffile.imread(source))


def test_a_plate_of_one_plane(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3420"

    result = convert(tmp_path, experiment(folder), images={"projection": "max"})

    layout = result.layout
    assert [(s.well, s.name) for s in layout.plates[0].sites] == [("B02", "1")]
    assert [c.name for c in layout.channels] == ["DAPI"]
    site = layout.plates[0].sites[0]
    assert (site.stage_x_um, site.stage_y_um) == (22985.0, 19885.0)
    expected = tifffile.imread(folder / "TimePoint_1/9987_B02.TIF")
    for projection in (None, "max"):
        stored = result.plates.read(layout.plates[0].id, 0, 0, 0, 0, projection)
        np.testing.assert_array_equal(stored, expected)
    assert result.problems == []


def test_two_plates_lie_in_one_world(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433")

    result = convert(tmp_path, experiment(folder / "9987_Plate_3433", folder / "9987_Plate_3420"))

    first, second = result.layout.plates
    assert first.origin == (0, 0)
    assert second.origin[0] == 0
    assert second.origin[1] >= first.width
    assert result.outputs["imextract"]["planes"] == 25
    assert isinstance(result.plates, Plates)
    assert result.plates.read(second.id, 0, 0, 1, 0) is None
    assert result.plates.read(first.id, 0, 0, 1, 2) is not None


def test_guid_names_without_htd(tmp_path: Path) -> None:
    folder = data_set("imagexpress_guid_layout") / "2023-02-21"

    result = convert(tmp_path, experiment(folder), images={"projection": "max"})

    assert len(result.layout.plates[0].sites) == 4
    assert result.layout.n_zplanes == 2
    assert result.outputs["imextract"]["planes"] == 8
    # Two of the ten planes are in the set, so the microscope's projections can't be those of two.
    assert len(result.files("projection_differs")) == 4
    assert {p["role"] for p in result.planes} == {"plane", "projection"}


def test_inspection(plate_3433: Path) -> None:
    seen = formats.inspect(plate_3433)

    assert seen.reader == "imagexpress"
    assert (seen.n_planes, seen.n_projections, seen.n_absent) == (24, 8, 0)
    assert seen.z == (1, 2, 3)
    assert seen.sites[1].stage_x_um == 23300.0
    assert (seen.shape, seen.dtype, seen.pixel_size_um) == ((256, 256), "uint16", 1.3672)
    assert seen.problems == ()


def test_two_plates_in_one_folder_are_refused() -> None:
    with pytest.raises(ValueError, match="2 plates") as caught:
        formats.inspect(data_set("imagexpress_htd_3420_3433"))

    assert caught.value.code == "several_plates"
