"""Headers and pixels of image files, against tifffile and imagecodecs."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents, read_plane


def read_header(folder: Path, file: str) -> ImageContent:
    return read_contents(folder, file)[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "how",
    [{}, {"compression": "zlib"}, {"compression": "lzw"}, {"byteorder": ">"}, {"tile": (32, 32)}],
)
def test_tiff_of_every_kept_type(tmp_path: Path, dtype: str, how: dict[str, object]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 70)).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", image, **how)

    header, plane = read_header(tmp_path, "x.tif"), read_plane(tmp_path, "x.tif")

    assert (header.height, header.width, header.dtype, header.n_z) == (50, 70, dtype, 1)
    assert plane.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(plane, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png(tmp_path: Path, dtype: str) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (50, 70)).astype(dtype)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(image))

    header = read_header(tmp_path, "x.png")

    assert (header.height, header.width, header.dtype) == (50, 70, dtype)
    np.testing.assert_array_equal(read_plane(tmp_path, "x.png"), image)


def test_pages_and_colours(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype="uint16")
    rgb = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype="uint8")
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "planar.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate"
    )

    assert read_header(tmp_path, "stack.tif").n_z == 3
    np.testing.assert_array_equal(read_plane(tmp_path, "stack.tif", 2), stack[2])
    for name in ("rgb.tif", "planar.tif"):
        assert read_header(tmp_path, name).samples == 3
        np.testing.assert_array_equal(read_plane(tmp_path, name, sample=1), rgb[..., 1])


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_way_to_cut_a_file(tmp_path: Path, part: float, compression: str | None) -> None:
    tifffile.imwrite(
        tmp_path / "x.tif",
        np.random.default_rng(0).integers(0, 65535, (200, 200), dtype="uint16"),
        compression=compression,
    )
    data = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(data[: int(len(data) * part)])

    for read in (read_header, read_plane):
        with pytest.raises(FileError, match=r"x\.tif") as caught:
            read(tmp_path, "x.tif")
        assert caught.value.files == ("x.tif",)


def test_random_damage_never_raises_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tifffile.imwrite(
        tmp_path / "x.tif", rng.integers(0, 999, (64, 64), dtype="uint16"), compression="zlib"
    )
    good = bytearray((tmp_path / "x.tif").read_bytes())
    for _ in range(300):
        data = bytearray(good)
        for place in rng.integers(0, min(300, len(data)), 4):
            data[place] = rng.integers(256)
        (tmp_path / "y.tif").write_bytes(data)
        for read in (read_header, read_plane):
            try:
                read(tmp_path, "y.tif")
            except FileError as error:
                assert error.files == ("y.tif",)  # noqa: PT017


def test_metaseries_xml_with_entities_is_not_believed(tmp_path: Path) -> None:
    text = '<MetaData><!DOCTYPE x [<!ENTITY a "b">]><PlaneInfo><prop id="z-position" value="1"/></PlaneInfo></MetaData>'
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8), "uint8"), description=text, metadata=None)

    assert read_header(tmp_path, "x.tif").z_um is None


def test_a_missing_page(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8), "uint8"))

    with pytest.raises(FileError) as caught:
        read_plane(tmp_path, "x.tif", 3)

    assert caught.value.code == "missing_page"
