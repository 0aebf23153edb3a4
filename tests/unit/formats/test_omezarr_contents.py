"""What images of OME-Zarr hierarchies say of themselves: axes, places, channels, regions; and damage."""

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
from gpu_workers.formats.files import read_contents, read_plane
from tests.synthetic.omezarr import (
    AXES,
    FIELDS,
    edit,
    one,
    pixels,
    survey,
    whole,
    write_image,
    write_json,
    write_plate,
)


@pytest.mark.parametrize("axes", ["yx", "cyx", "zyx", "tyx", "czyx", "tcyx", "tzyx", "tczyx"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_any_axes_are_read(axes: str, version: str, tmp_path: Path) -> None:
    sizes = {"t": 3, "c": 2, "z": 4, "y": 25, "x": 33}
    array = pixels(3, [sizes[a] for a in axes])
    write_image(tmp_path / "a.zarr", array, axes, ngff_version=version)

    content = one(tmp_path)

    size = [sizes[a] if a in axes else 1 for a in AXES]
    assert [content.n_t, content.n_c, content.n_z, content.height, content.width] == size
    np.testing.assert_array_equal(whole(tmp_path, content), array.reshape(size))
    assert content.pixel_size_um == pytest.approx(0.325)
    assert content.z_step_um == (pytest.approx(1.5) if "z" in axes else None)
    assert content.t_step_s == (pytest.approx(60.0) if "t" in axes else None)


def test_other_orders_of_axes_are_read(tmp_path: Path) -> None:
    array = pixels(3, (30, 20, 2))
    made = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    made.create_array("s0", shape=array.shape, chunks=(16, 16, 1), dtype="uint16")[:] = array
    made.attrs["multiscales"] = [{"axes": ["x", "y", "c"], "datasets": [{"path": "s0"}]}]

    content = one(tmp_path)

    np.testing.assert_array_equal(whole(tmp_path, content)[0, :, 0], array.transpose(2, 1, 0))
    assert content.pixel_size_um is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixel_types_are_kept(dtype: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30), dtype), "yx")

    assert one(tmp_path).dtype == dtype
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
    edit(file, multiscales=[image])

    assert one(tmp_path).pixel_size_um == (expected and pytest.approx(expected))


def test_pixels_that_are_not_square_have_no_size(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (20, 30)), "yx", pixelsize=(0.3, 0.4))

    assert one(tmp_path).pixel_size_um is None


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
    edit(file, multiscales=[image])

    content = one(tmp_path)

    assert content.pixel_size_um == 1.0
    # the first pixel lies at (21, 41), the stage is over the middle of 20 x 30 px
    assert (content.stage_y_um, content.stage_x_um, content.y_sign) == (30.5, 55.5, 1)


def test_without_a_translation_there_is_no_position(tmp_path: Path) -> None:
    write_plate(tmp_path / "a.zarr", FIELDS)
    file = tmp_path / "a.zarr/B/03/0/zarr.json"
    content = json.loads(file.read_text())
    level = content["attributes"]["ome"]["multiscales"][0]["datasets"][0]
    level["coordinateTransformations"] = level["coordinateTransformations"][:1]
    write_json(file, content)

    assert one(tmp_path, "a.zarr/B/03/0").stage_y_um is None


def test_channels_have_names_and_colours(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (3, 20, 30)), "cyx", ngff_version="0.4")
    entries = [
        {"label": "DAPI", "color": "00FFFF"},
        {"label": "x", "color": "#ff0000"},
        {"label": "x"},
    ]
    edit(tmp_path / "a.zarr/.zattrs", omero={"channels": entries})

    channels = one(tmp_path).channels

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
    edit(file, multiscales=[image | change])

    with pytest.raises(FileError) as caught:
        read_contents(tmp_path, "a.zarr")

    assert caught.value.code == code
    assert any("a.zarr" in name for name in caught.value.files)


def test_a_missing_page_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, (2, 20, 30)), "cyx")

    with pytest.raises(FileError) as caught:
        read_plane(tmp_path, "a.zarr", 2)

    assert caught.value.code == "missing_page"


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
        for plane in survey(small).planes:
            for image in read_contents(small, plane.file):
                if image.height * image.width < 10**6:
                    read_plane(small, plane.file, next(image.each_plane()).page)
    except FileError as error:
        assert error.files  # noqa: PT017
    finally:
        file.write_text(before)
