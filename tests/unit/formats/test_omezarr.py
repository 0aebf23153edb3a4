"""OME-Zarr hierarchies written by ngio and zarr-python, and a real one, as our reader sees them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.omezarr import OmeZarrReader
from gpu_workers.formats.survey import SourcePlane
from tests.conformance.readers import ReaderConformance, opened_below
from tests.data_sets import data_set
from tests.synthetic.omezarr import (
    FIELDS,
    one,
    pixels,
    survey,
    whole,
    write_image,
    write_json,
    write_plate,
)


class TestConformance(ReaderConformance):
    reader = "ome_zarr"
    metadata = ("a.zarr/zarr.json", "a.zarr/B/03/zarr.json")

    def build(self, folder: Path) -> None:
        write_plate(folder / "a.zarr", FIELDS)

    def grow(self, folder: Path, n: int) -> bool:
        made = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=3)
        images = [{"path": str(i)} for i in range(n)]
        made.attrs["ome"] = {"plate": {
            "rows": [{"name": "A"}], "columns": [{"name": "1"}],
            "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}],
        }}  # fmt: skip
        write_json(
            folder / "a.zarr/A/1/zarr.json", {"attributes": {"ome": {"well": {"images": images}}}}
        )
        for i in range(n):
            write_json(folder / f"a.zarr/A/1/{i}/zarr.json", {})
        return True

    def escape(self, folder: Path) -> bool:
        file = folder / "a.zarr/B/03/zarr.json"
        content = json.loads(file.read_text())
        content["attributes"]["ome"]["well"]["images"][0]["path"] = "../../../../secret.tif"
        write_json(file, content)
        return True

    def real(self) -> list[Path]:
        return [data_set("omezarr_cardiomyocyte_nuclei")]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_says_where_its_images_belong(version: str, tmp_path: Path) -> None:
    written = write_plate(tmp_path / "a.zarr", FIELDS, version)

    found = survey(tmp_path)

    assert [(p.file, p.well, p.site) for p in found.planes] == [
        ("a.zarr/B/03/0", "B03", "0"), ("a.zarr/B/03/1", "B03", "1"), ("a.zarr/C/11/0", "C11", "0"),
    ]  # fmt: skip
    assert found.facts.plate_name == "a plate"
    assert not found.problems
    for path, expected in written.items():
        content = one(tmp_path, f"a.zarr/{path}")
        np.testing.assert_array_equal(whole(tmp_path, content, f"a.zarr/{path}"), expected)


def test_acquisitions_are_counted_as_cycles_of_the_same_sites(tmp_path: Path) -> None:
    images = [("A", 1, "0", 0), ("A", 1, "1", 0), ("A", 1, "2", 7), ("A", 1, "3", 7)]
    write_plate(tmp_path / "a.zarr", images)

    found = survey(tmp_path)

    assert [(p.file[-1], p.site, p.cycle) for p in found.planes] == [
        ("0", "1", 0), ("1", "2", 0), ("2", "1", 1), ("3", "2", 1),
    ]  # fmt: skip


def test_an_entry_of_the_listing_stands_for_all_files_of_an_image(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)

    (first, *_), images = survey(tmp_path).files or [], tmp_path / "a.zarr/B/03/0"

    files = [p for p in images.rglob("*") if p.is_file()]
    assert first.path == "a.zarr/B/03/0"
    assert first.size == sum(p.stat().st_size for p in files)
    assert first.mtime_ns == max(p.stat().st_mtime_ns for p in files)


def test_chunks_stay_closed_however_many_there_are(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    before = scan(tmp_path)
    chunks = tuple(FileEntry(f"a.zarr/B/03/0/0/c/0/0/0/{n}/0", 1, 1) for n in range(100_000))
    listing = Listing(tmp_path, tuple(sorted((*before.files, *chunks), key=lambda f: f.path)))

    with opened_below(tmp_path) as opened:
        OmeZarrReader().survey(listing)

    assert sorted(p for p in opened if p.endswith("zarr.json")) == [
        "a.zarr/B/03/zarr.json", "a.zarr/C/11/zarr.json", "a.zarr/zarr.json",
    ]  # fmt: skip
    assert len(opened) < 10


def test_images_that_a_plate_names_but_lacks_are_reported(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    (tmp_path / "a.zarr/B/03/1/zarr.json").unlink()

    found = survey(tmp_path)

    assert len(found.planes) == 2
    assert [(p.code, p.files) for p in found.problems] == [("missing_image", ("a.zarr/B/03/1",))]


def test_a_second_plate_in_the_folder_is_reported(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    write_plate(tmp_path / "a_mip.zarr", FIELDS)

    found = survey(tmp_path)

    assert {p.file.split("/")[0] for p in found.planes} == {"a.zarr"}
    assert [(p.code, p.files) for p in found.problems] == [("several_plates", ("a_mip.zarr",))]


def test_an_image_may_be_the_folder_itself(tmp_path: Path) -> None:
    array = pixels(1, (2, 20, 30))
    write_image(tmp_path, array, "cyx", ngff_version="0.4")

    found = survey(tmp_path)

    assert [p.file for p in found.planes] == ["."]
    np.testing.assert_array_equal(whole(tmp_path, one(tmp_path, "."), ".")[0, :, 0], array)


def test_series_of_bioformats2raw_are_sites(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for n in (0, 1, 10, 2):
        write_image(
            tmp_path / f"b.zarr/{n}", pixels(n, (1, 1, 1, 8, 9)), "tczyx", ngff_version="0.4"
        )
    write_json(tmp_path / "b.zarr/OME/.zgroup", {"zarr_format": 2})

    found = survey(tmp_path)

    assert [(p.file, p.site) for p in found.planes] == [
        ("b.zarr/0", "1"), ("b.zarr/1", "2"), ("b.zarr/2", "3"), ("b.zarr/10", "4"),
    ]  # fmt: skip


OME_XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{plates}
{images}</OME>"""
IMAGE = """<Image ID="Image:{n}" Name="series {n}"><Pixels ID="Pixels:{n}" DimensionOrder="XYZCT"
 Type="uint16" SizeX="9" SizeY="8" SizeZ="1" SizeC="1" SizeT="1"><Channel ID="Channel:{n}:0"/>
<Plane TheZ="0" TheT="0" TheC="0" PositionX="{x}" PositionXUnit="mm" PositionY="-2" PositionYUnit="mm"/>
</Pixels></Image>"""
WELLS = """<Plate ID="Plate:0"><Well ID="Well:0" Row="1" Column="2">
<WellSample ID="WellSample:0" Index="0"><ImageRef ID="Image:1"/></WellSample>
<WellSample ID="WellSample:1" Index="1"><ImageRef ID="Image:0"/></WellSample></Well></Plate>"""


def _series(folder: Path, n: int, plates: str = "") -> Path:
    made = zarr.open_group(folder / "b.zarr", mode="w", zarr_format=2)
    made.attrs["bioformats2raw.layout"] = 3
    for i in range(n):
        array = pixels(i, (1, 1, 1, 8, 9))
        write_image(folder / f"b.zarr/{i}", array, "tczyx", ngff_version="0.4")
    images = "".join(IMAGE.format(n=i, x=10 * i) for i in range(n))
    file = folder / "b.zarr/OME/METADATA.ome.xml"
    file.parent.mkdir()
    file.write_text(OME_XML.format(plates=plates, images=images))
    return file


def test_series_lie_where_the_stage_was(tmp_path: Path) -> None:
    _series(tmp_path, 3)

    found = survey(tmp_path)

    assert [(p.site, p.stage_y_um, p.stage_x_um) for p in found.planes] == [
        ("1", -2000, 0), ("2", -2000, 10_000), ("3", -2000, 20_000),
    ]  # fmt: skip
    assert not found.problems


def test_series_lie_in_the_wells_that_the_xml_names(tmp_path: Path) -> None:
    _series(tmp_path, 2, WELLS)

    found = survey(tmp_path)

    assert [(p.file, p.well, p.site) for p in found.planes] == [
        ("b.zarr/0", "B03", "2"), ("b.zarr/1", "B03", "1"),
    ]  # fmt: skip


def test_the_order_of_series_may_be_listed(tmp_path: Path) -> None:
    _series(tmp_path, 2)
    write_json(tmp_path / "b.zarr/OME/.zattrs", {"series": ["1", "0"]})

    assert [p.stage_x_um for p in survey(tmp_path).planes] == [10_000, 0]


def test_damaged_xml_of_series_is_reported(tmp_path: Path) -> None:
    file = _series(tmp_path, 2)
    file.write_text(file.read_text()[:300])

    found = survey(tmp_path)

    assert len(found.planes) == 2
    assert [p.files for p in found.problems] == [("b.zarr/OME/METADATA.ome.xml",)]


def test_names_of_images_may_tell_their_wells(tmp_path: Path) -> None:
    for name in ("x_B_03_mip", "x_C11"):
        write_image(tmp_path / f"{name}.zarr", pixels(1, (8, 9)), "yx")

    found = survey(tmp_path)

    assert [(p.well, p.site) for p in found.planes] == [("B03", ""), ("C11", "")]
    assert {p.code for p in found.problems} == {"wells_from_names"}


def test_labels_are_no_images(tmp_path: Path) -> None:
    made = write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx")
    made.derive_label("nuclei")

    assert [p.file for p in survey(tmp_path).planes] == ["a.zarr"]


def test_a_real_well_image() -> None:
    folder = data_set("omezarr_cardiomyocyte_nuclei")

    found = survey(folder)

    (plane,) = found.planes
    assert isinstance(plane, SourcePlane)
    assert plane.well == "B03"
    content = one(folder, plane.file)
    assert (content.n_t, content.n_c, content.n_z) == (1, 3, 1)
    assert (content.height, content.width, content.dtype) == (1080, 1280, "uint16")
    assert content.pixel_size_um == 0.65
    assert [c.name for c in content.channels] == ["DAPI", "nanog", "Lamin B1"]
    assert [c.color for c in content.channels] == ["#00ffff", "#ff00ff", "#ffff00"]
    expected = zarr.open_array(folder / plane.file / "0", mode="r")[:]
    np.testing.assert_array_equal(whole(folder, content, plane.file)[0], expected)
