"""OME-Zarr hierarchies written by ngio and zarr-python, and a real one, as our reader sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents, read_plane
from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.omezarr import OmeZarrReader
from gpu_workers.formats.survey import SourcePlane, Survey
from tests.conformance.readers import ReaderConformance, opened_below
from tests.data_sets import data_set
from tests.synthetic.omezarr import AXES, pixels, write_image, write_plate

FIELDS = [("B", 3, "0", None), ("B", 3, "1", None), ("C", 11, "0", None)]


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
        _json(
            folder / "a.zarr/A/1/zarr.json", {"attributes": {"ome": {"well": {"images": images}}}}
        )
        for i in range(n):
            _json(folder / f"a.zarr/A/1/{i}/zarr.json", {})
        return True

    def escape(self, folder: Path) -> bool:
        file = folder / "a.zarr/B/03/zarr.json"
        content = json.loads(file.read_text())
        content["attributes"]["ome"]["well"]["images"][0]["path"] = "../../../../secret.tif"
        _json(file, content)
        return True

    def real(self) -> list[Path]:
        return [data_set("omezarr_cardiomyocyte_nuclei")]


def _json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _edit(file: Path, **changes: Any) -> None:
    """Change the attributes of a group of version 0.4."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _survey(folder: Path) -> Survey:
    return OmeZarrReader().survey(scan(folder))


def _one(folder: Path, file: str = "a.zarr") -> ImageContent:
    (content,) = read_contents(folder, file)
    return content


def _whole(folder: Path, content: ImageContent, file: str = "a.zarr") -> np.ndarray[Any, Any]:
    planes = [read_plane(folder, file, p.page) for p in content.each_plane()]
    size = content.n_t, content.n_c, content.n_z, content.height, content.width
    return np.asarray(planes).reshape(size)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_says_where_its_images_belong(version: str, tmp_path: Path) -> None:
    written = write_plate(tmp_path / "a.zarr", FIELDS, version)

    found = _survey(tmp_path)

    assert [(p.file, p.well, p.site) for p in found.planes] == [
        ("a.zarr/B/03/0", "B03", "0"), ("a.zarr/B/03/1", "B03", "1"), ("a.zarr/C/11/0", "C11", "0"),
    ]  # fmt: skip
    assert found.facts.plate_name == "a plate"
    assert not found.problems
    for path, expected in written.items():
        content = _one(tmp_path, f"a.zarr/{path}")
        np.testing.assert_array_equal(_whole(tmp_path, content, f"a.zarr/{path}"), expected)


def test_acquisitions_are_counted_as_cycles_of_the_same_sites(tmp_path: Path) -> None:
    images = [("A", 1, "0", 0), ("A", 1, "1", 0), ("A", 1, "2", 7), ("A", 1, "3", 7)]
    write_plate(tmp_path / "a.zarr", images)

    found = _survey(tmp_path)

    assert [(p.file[-1], p.site, p.cycle) for p in found.planes] == [
        ("0", "1", 0), ("1", "2", 0), ("2", "1", 1), ("3", "2", 1),
    ]  # fmt: skip


def test_an_entry_of_the_listing_stands_for_all_files_of_an_image(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)

    (first, *_), images = _survey(tmp_path).files or [], tmp_path / "a.zarr/B/03/0"

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

    found = _survey(tmp_path)

    assert len(found.planes) == 2
    assert [(p.code, p.files) for p in found.problems] == [("missing_image", ("a.zarr/B/03/1",))]


def test_a_second_plate_in_the_folder_is_reported(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    write_plate(tmp_path / "a_mip.zarr", FIELDS)

    found = _survey(tmp_path)

    assert {p.file.split("/")[0] for p in found.planes} == {"a.zarr"}
    assert [(p.code, p.files) for p in found.problems] == [("several_plates", ("a_mip.zarr",))]


def test_an_image_may_be_the_folder_itself(tmp_path: Path) -> None:
    array = pixels(1, (2, 20, 30))
    write_image(tmp_path, array, "cyx", ngff_version="0.4")

    found = _survey(tmp_path)

    assert [p.file for p in found.planes] == ["."]
    np.testing.assert_array_equal(_whole(tmp_path, _one(tmp_path, "."), ".")[0, :, 0], array)


def test_series_of_bioformats2raw_are_sites(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for n in (0, 1, 10, 2):
        write_image(
            tmp_path / f"b.zarr/{n}", pixels(n, (1, 1, 1, 8, 9)), "tczyx", ngff_version="0.4"
        )
    _json(tmp_path / "b.zarr/OME/.zgroup", {"zarr_format": 2})

    found = _survey(tmp_path)

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

    found = _survey(tmp_path)

    assert [(p.site, p.stage_y_um, p.stage_x_um) for p in found.planes] == [
        ("1", -2000, 0), ("2", -2000, 10_000), ("3", -2000, 20_000),
    ]  # fmt: skip
    assert not found.problems


def test_series_lie_in_the_wells_that_the_xml_names(tmp_path: Path) -> None:
    _series(tmp_path, 2, WELLS)

    found = _survey(tmp_path)

    assert [(p.file, p.well, p.site) for p in found.planes] == [
        ("b.zarr/0", "B03", "2"), ("b.zarr/1", "B03", "1"),
    ]  # fmt: skip


def test_the_order_of_series_may_be_listed(tmp_path: Path) -> None:
    _series(tmp_path, 2)
    _json(tmp_path / "b.zarr/OME/.zattrs", {"series": ["1", "0"]})

    assert [p.stage_x_um for p in _survey(tmp_path).planes] == [10_000, 0]


def test_damaged_xml_of_series_is_reported(tmp_path: Path) -> None:
    file = _series(tmp_path, 2)
    file.write_text(file.read_text()[:300])

    found = _survey(tmp_path)

    assert len(found.planes) == 2
    assert [p.files for p in found.problems] == [("b.zarr/OME/METADATA.ome.xml",)]


def test_names_of_images_may_tell_their_wells(tmp_path: Path) -> None:
    for name in ("x_B_03_mip", "x_C11"):
        write_image(tmp_path / f"{name}.zarr", pixels(1, (8, 9)), "yx")

    found = _survey(tmp_path)

    assert [(p.well, p.site) for p in found.planes] == [("B03", ""), ("C11", "")]
    assert {p.code for p in found.problems} == {"wells_from_names"}


def test_labels_are_no_images(tmp_path: Path) -> None:
    made = write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx")
    made.derive_label("nuclei")

    assert [p.file for p in _survey(tmp_path).planes] == ["a.zarr"]


@pytest.mark.parametrize("axes", ["yx", "cyx", "zyx", "tyx", "czyx", "tcyx", "tzyx", "tczyx"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_any_axes_are_read(axes: str, version: str, tmp_path: Path) -> None:
    sizes = {"t": 3, "c": 2, "z": 4, "y": 25, "x": 33}
    array = pixels(3, [sizes[a] for a in axes])
    write_image(tmp_path / "a.zarr", array, axes, ngff_version=version)

    content = _one(tmp_path)

    size = [sizes[a] if a in axes else 1 for a in AXES]
    assert [content.n_t, content.n_c, content.n_z, content.height, content.width] == size
    np.testing.assert_array_equal(_whole(tmp_path, content), array.reshape(size))
    assert content.pixel_size_um == pytest.approx(0.325)
    assert content.z_step_um == (pytest.approx(1.5) if "z" in axes else None)
    assert content.t_step_s == (pytest.approx(60.0) if "t" in axes else None)


def test_other_orders_of_axes_are_read(tmp_path: Path) -> None:
    array = pixels(3, (30, 20, 2))
    made = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    made.create_array("s0", shape=array.shape, chunks=(16, 16, 1), dtype="uint16")[:] = array
    made.attrs["multiscales"] = [{"axes": ["x", "y", "c"], "datasets": [{"path": "s0"}]}]

    content = _one(tmp_path)

    np.testing.assert_array_equal(_whole(tmp_path, content)[0, :, 0], array.transpose(2, 1, 0))
    assert content.pixel_size_um is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixel_types_are_kept(dtype: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30), dtype), "yx")

    assert _one(tmp_path).dtype == dtype
    assert read_plane(tmp_path, "a.zarr").dtype == dtype


@pytest.mark.parametrize("dtype", ["int16", "uint32", "float64", "int8"])
def test_other_pixel_types_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30)).astype(dtype), "yx")

    for read in (read_contents, read_plane):
        with pytest.raises(FileError, match=dtype) as caught:
            read(tmp_path, "a.zarr")
        assert caught.value.code == "unsupported_type"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("nanometer", 0.000325), ("millimeter", 325.0), ("micrometer", 0.325), (None, None)],
)
def test_lengths_are_in_micrometres(
    unit: str | None, expected: float | None, tmp_path: Path
) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx", ngff_version="0.4")
    file = tmp_path / "a.zarr/.zattrs"
    image = json.loads(file.read_text())["multiscales"][0]
    image["axes"] = [{"name": a, "type": "space", **({"unit": unit} if unit else {})} for a in "yx"]
    _edit(file, multiscales=[image])

    assert _one(tmp_path).pixel_size_um == (expected and pytest.approx(expected))


def test_pixels_that_are_not_square_have_no_size(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx", pixelsize=(0.3, 0.4))

    assert _one(tmp_path).pixel_size_um is None


def test_transformations_add_up(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx", ngff_version="0.4")
    file = tmp_path / "a.zarr/.zattrs"
    image = json.loads(file.read_text())["multiscales"][0]
    image["datasets"] = [{"path": "0", "coordinateTransformations": [
        {"type": "scale", "scale": [0.5, 0.5]}, {"type": "translation", "translation": [10, 20]},
    ]}]  # fmt: skip
    image["coordinateTransformations"] = [
        {"type": "scale", "scale": [2, 2]}, {"type": "translation", "translation": [1, 1]},
    ]  # fmt: skip
    _edit(file, multiscales=[image])

    content = _one(tmp_path)

    assert content.pixel_size_um == 1.0
    # the first pixel lies at (21, 41), the stage is over the middle of 20 x 30 px
    assert (content.stage_y_um, content.stage_x_um, content.y_sign) == (30.5, 55.5, 1)


def test_without_a_translation_there_is_no_position(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    file = tmp_path / "a.zarr/B/03/0/zarr.json"
    content = json.loads(file.read_text())
    level = content["attributes"]["ome"]["multiscales"][0]["datasets"][0]
    level["coordinateTransformations"] = level["coordinateTransformations"][:1]
    _json(file, content)

    assert _one(tmp_path, "a.zarr/B/03/0").stage_y_um is None


def test_channels_have_names_and_colours(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (3, 20, 30)), "cyx", ngff_version="0.4")
    entries = [
        {"label": "DAPI", "color": "00FFFF"},
        {"label": "x", "color": "#ff0000"},
        {"label": "x"},
    ]
    _edit(tmp_path / "a.zarr/.zattrs", omero={"channels": entries})

    channels = _one(tmp_path).channels

    assert [(c.key, c.name, c.color) for c in channels] == [
        ("DAPI", "DAPI", "#00ffff"), ("x 1", "x", "#ff0000"), ("x 2", "x", None),
    ]  # fmt: skip


def test_large_planes_are_read_as_regions(tmp_path: Path) -> None:
    made = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    array = made.create_array("0", shape=(2, 9000, 8000), chunks=(1, 1000, 1000), dtype="uint8")
    marks = [(0, 0, 0), (0, 3999, 4000), (1, 8999, 7999), (1, 4000, 17)]
    for value, mark in enumerate(marks, start=1):
        array[mark] = value
    made.attrs["multiscales"] = [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]

    contents = read_contents(tmp_path, "a.zarr")

    corners = [(c.y_px or 0, c.x_px or 0, c.height, c.width) for c in contents]
    assert corners == [
        (y, x, 3000, 4000) for y in (0, 3000, 6000) for x in (0, 4000)
    ]  # fmt: skip
    assert [c.site for c in contents] == list("123456")
    assert [(p.c, p.page) for p in contents[3].each_plane()] == [(0, 6), (1, 7)]
    for value, (c, y, x) in enumerate(marks, start=1):
        at = next(i for i, (t, s, h, w) in enumerate(corners) if t <= y < t + h and s <= x < s + w)
        pages = [p.page for p in contents[at].each_plane()]
        plane = read_plane(tmp_path, "a.zarr", pages[c])
        assert plane[y - corners[at][0], x - corners[at][1]] == value
        assert plane.shape == corners[at][2:]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"axes": ["w", "y", "x"]}, "unsupported_axes"),
        ({"axes": ["c", "x"]}, "unsupported_axes"),
        ({"axes": ["y", "x"]}, "bad_metadata"),
        ({"datasets": []}, "bad_metadata"),
        ({"datasets": [{"path": "../other.zarr/0"}]}, "unsafe_name"),
        ({"datasets": [{"path": "https://example.org/x.zarr/0"}]}, "unsafe_name"),
        ({"datasets": [{"path": "/etc"}]}, "unsafe_name"),
        ({"datasets": [{"path": "7"}]}, "file_missing"),
        ({"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1]}]}]},
         "bad_metadata"),
    ],
)  # fmt: skip
def test_impossible_metadata_is_refused(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (2, 20, 30)), "cyx", ngff_version="0.4")
    file = tmp_path / "a.zarr/.zattrs"
    image = json.loads(file.read_text())["multiscales"][0]
    _edit(file, multiscales=[image | change])

    with pytest.raises(FileError) as caught:
        read_contents(tmp_path, "a.zarr")

    assert caught.value.code == code
    assert any("a.zarr" in name for name in caught.value.files)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values within JSON."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [at, *(place for key, v in inner for place in _places(v, (*at, key)))][bool(not at) :]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_plate(folder / "a.zarr", FIELDS[:1], "0.4", shape=(1, 1, 1, 8, 9))
    return folder


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["a.zarr/.zattrs", "a.zarr/B/03/.zattrs", "a.zarr/B/03/0/.zattrs",
                          "a.zarr/B/03/0/0/.zarray"]),
    pick=st.integers(0, 10**6), value=JSON_VALUES,
)  # fmt: skip
def test_any_change_of_metadata_is_read_or_named(
    name: str, pick: int, value: Any, small: Path
) -> None:
    file = small / name
    before = file.read_text()
    content = json.loads(before)
    places = _places(content)
    *above, last = places[pick % len(places)]
    owner = content
    for key in above:
        owner = owner[key]
    owner[last] = value
    file.write_text(json.dumps(content))

    try:
        for plane in _survey(small).planes:
            for image in read_contents(small, plane.file):
                if image.height * image.width < 10**6:
                    read_plane(small, plane.file, next(image.each_plane()).page)
    except FileError as error:
        assert error.files  # noqa: PT017
    finally:
        file.write_text(before)


def test_a_missing_page_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (2, 20, 30)), "cyx")

    with pytest.raises(FileError) as caught:
        read_plane(tmp_path, "a.zarr", 2)

    assert caught.value.code == "missing_page"


def test_a_real_well_image() -> None:
    folder = data_set("omezarr_cardiomyocyte_nuclei")

    found = _survey(folder)

    (plane,) = found.planes
    assert isinstance(plane, SourcePlane)
    assert plane.well == "B03"
    content = _one(folder, plane.file)
    assert (content.n_t, content.n_c, content.n_z) == (1, 3, 1)
    assert (content.height, content.width, content.dtype) == (1080, 1280, "uint16")
    assert content.pixel_size_um == 0.65
    assert [c.name for c in content.channels] == ["DAPI", "nanog", "Lamin B1"]
    assert [c.color for c in content.channels] == ["#00ffff", "#ff00ff", "#ffff00"]
    expected = zarr.open_array(folder / plane.file / "0", mode="r")[:]
    np.testing.assert_array_equal(_whole(folder, content, plane.file)[0], expected)
