"""Stacks, hyperstacks and pixel types of TIFF files, against tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents, read_plane
from tests.synthetic.stk import write_stk

RNG = np.random.default_rng(0)


def content(folder: Path, name: str = "x.tif") -> ImageContent:
    (found,) = read_contents(folder, name)
    return found


def values(folder: Path, image: ImageContent, name: str = "x.tif") -> np.ndarray:
    """Return all planes as t, c, z, y, x."""
    found = np.zeros((image.n_t, image.n_c, image.n_z, image.height, image.width), image.dtype)
    for p in image.each_plane():
        found[p.t, p.c, p.z] = read_plane(folder, name, p.page)
    return found


def noise(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 200, shape).astype(dtype)


class TestImageJ:
    def test_hyperstack(self, tmp_path: Path) -> None:
        planes = noise(2, 5, 3, 16, 20)
        tifffile.imwrite(
            tmp_path / "x.tif", planes, imagej=True, resolution=(1 / 0.325, 1 / 0.325),
            metadata={"axes": "TZCYX", "spacing": 0.5, "unit": "um", "finterval": 30.0},
        )  # fmt: skip

        found = content(tmp_path)

        assert (found.n_t, found.n_c, found.n_z) == (2, 3, 5)
        assert found.pixel_size_um == pytest.approx(0.325, rel=1e-6)
        assert (found.z_step_um, found.t_step_s) == (0.5, 30.0)
        assert [c.key for c in found.channels] == ["1", "2", "3"]
        np.testing.assert_array_equal(values(tmp_path, found), planes.transpose(0, 2, 1, 3, 4))

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [
            ("nm", 0.002),
            ("mm", 2000.0),
            ("\\u00B5m", 2.0),
            ("micron", 2.0),
            ("pixel", None),
            ("", None),
        ],
    )
    def test_units(self, tmp_path: Path, unit: str, expected: float | None) -> None:
        text = f"ImageJ=1.54f\nimages=1\nunit={unit}\n"
        tifffile.imwrite(
            tmp_path / "x.tif", noise(8, 8), description=text, metadata=None, resolution=(0.5, 0.5)
        )

        found = content(tmp_path).pixel_size_um

        assert found == (expected if expected is None else pytest.approx(expected))

    def test_one_page_for_all_planes(self, tmp_path: Path) -> None:
        planes = noise(6, 10, 12)
        text = "ImageJ=1.54f\nimages=6\nslices=3\nframes=2\nhyperstack=true\n"
        tifffile.imwrite(tmp_path / "x.tif", planes[0], description=text, metadata=None)
        with (tmp_path / "x.tif").open("ab") as file:
            # As ImageJ writes stacks above 4 GB: the pixels of all planes follow the first one's.
            with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
                end = tiff.pages.first.dataoffsets[0] + planes[0].nbytes
            assert file.tell() == end
            file.write(planes[1:].tobytes())

        found = content(tmp_path)

        assert (found.n_t, found.n_z) == (2, 3)
        np.testing.assert_array_equal(values(tmp_path, found)[:, 0], planes.reshape(2, 3, 10, 12))

    def test_planes_that_are_not_there(self, tmp_path: Path) -> None:
        text = "ImageJ=1.54f\nimages=6\nslices=6\n"
        tifffile.imwrite(tmp_path / "x.tif", noise(10, 12), description=text, metadata=None)

        with pytest.raises(FileError, match=r"x\.tif"):
            content(tmp_path)

    @pytest.mark.parametrize(
        "text", ["images=6\nchannels=4", "images=999999999999", "images=x", "images=2\nframes=0"]
    )
    def test_numbers_that_make_no_sense(self, tmp_path: Path, text: str) -> None:
        tifffile.imwrite(
            tmp_path / "x.tif", noise(10, 12), description=f"ImageJ=1.54f\n{text}\n", metadata=None
        )

        with pytest.raises(FileError) as caught:
            content(tmp_path)

        assert caught.value.files == ("x.tif",)

    def test_colours_of_look_up_tables(self, tmp_path: Path) -> None:
        ramp = np.arange(256, dtype="uint8")
        tables = [np.stack([ramp, ramp * 0, ramp]), np.stack([ramp * 0, ramp, ramp * 0])]
        tifffile.imwrite(
            tmp_path / "x.tif",
            noise(2, 8, 8),
            imagej=True,
            metadata={"axes": "CYX", "LUTs": tables},
        )

        assert [c.color for c in content(tmp_path).channels] == ["#ff00ff", "#00ff00"]


class TestStk:
    def test_z_stack(self, tmp_path: Path) -> None:
        planes = noise(5, 10, 12)
        write_stk(
            tmp_path / "x.stk",
            planes,
            z_distance_um=0.75,
            stage_um=(1200.5, -0.0),
            pixel_size_um=0.645,
        )

        found = content(tmp_path, "x.stk")

        assert (found.n_t, found.n_c, found.n_z) == (1, 1, 5)
        assert (found.z_step_um, found.pixel_size_um) == (0.75, 0.645)
        assert (found.stage_x_um, found.stage_y_um) == (1200.5, 0.0)
        assert found.channels[0].name == "GFP"
        np.testing.assert_array_equal(values(tmp_path, found, "x.stk")[0, 0], planes)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.stk"), planes)

    def test_time_series(self, tmp_path: Path) -> None:
        planes = noise(4, 10, 12)
        write_stk(tmp_path / "x.stk", planes, seconds=2.5)

        found = content(tmp_path, "x.stk")

        assert (found.n_t, found.n_z) == (4, 1)
        assert [p.time_s for p in found.each_plane()] == [0, 2.5, 5, 7.5]
        np.testing.assert_array_equal(values(tmp_path, found, "x.stk")[:, 0, 0], planes)

    def test_wavelengths_take_turns(self, tmp_path: Path) -> None:
        planes = noise(6, 10, 12)
        write_stk(tmp_path / "x.stk", planes, z_distance_um=1, wavelengths=[525.0, 460.0] * 3)

        found = content(tmp_path, "x.stk")

        assert (found.n_c, found.n_z) == (2, 3)
        assert [c.wavelength_nm for c in found.channels] == [525, 460]
        np.testing.assert_array_equal(values(tmp_path, found, "x.stk")[0, 1], planes[1::2])

    @pytest.mark.parametrize("part", [0.3, 0.8])
    def test_cut_short(self, tmp_path: Path, part: float) -> None:
        write_stk(tmp_path / "x.stk", noise(5, 10, 12))
        data = (tmp_path / "x.stk").read_bytes()
        (tmp_path / "x.stk").write_bytes(data[: int(len(data) * part)])

        with pytest.raises(FileError, match=r"x\.stk"):
            content(tmp_path, "x.stk")


class TestPlainPages:
    def test_are_z_planes(self, tmp_path: Path) -> None:
        planes = noise(5, 8, 9)
        tifffile.imwrite(tmp_path / "x.tif", planes, metadata=None, photometric="minisblack")

        found = content(tmp_path)

        assert (found.n_c, found.n_z) == (1, 5)
        np.testing.assert_array_equal(values(tmp_path, found)[0, 0], planes)

    def test_of_floats_are_channels(self, tmp_path: Path) -> None:
        planes = noise(5, 8, 9, dtype="float32")
        tifffile.imwrite(tmp_path / "x.tif", planes, metadata=None, photometric="minisblack")

        found = content(tmp_path)

        assert (found.n_c, found.n_z, [c.key for c in found.channels]) == (5, 1, list("12345"))
        np.testing.assert_array_equal(values(tmp_path, found)[0, :, 0], planes)

    @pytest.mark.parametrize(
        ("names", "n_c"), [(("CD3", "CD8"), 2), (("Page 1", "Page 2"), 1), (("CD3", "CD3"), 1)]
    )
    def test_with_names_are_channels(
        self, tmp_path: Path, names: tuple[str, str], n_c: int
    ) -> None:
        with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
            for name in names:
                tiff.write(noise(8, 9), metadata=None, extratags=[(285, "s", 0, name, False)])

        found = content(tmp_path)

        assert found.n_c == n_c
        assert [c.name for c in found.channels] == (list(names) if n_c == 2 else [])

    def test_order_that_tifffile_states(self, tmp_path: Path) -> None:
        planes = noise(2, 3, 4, 8, 9)
        tifffile.imwrite(
            tmp_path / "x.tif", planes, metadata={"axes": "CTZYX"}, photometric="minisblack"
        )

        found = content(tmp_path)

        assert (found.n_t, found.n_c, found.n_z) == (3, 2, 4)
        np.testing.assert_array_equal(values(tmp_path, found), planes.transpose(1, 0, 2, 3, 4))

    def test_of_several_sizes_are_several_images(self, tmp_path: Path) -> None:
        large, small = noise(2, 8, 9), noise(4, 5)
        with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
            tiff.write(large[0], metadata=None)
            tiff.write(small, metadata=None)
            tiff.write(large[1], metadata=None)

        first, second = read_contents(tmp_path, "x.tif")

        assert [p.page for p in first.each_plane()] == [0, 2]
        assert (second.height, second.width, second.n_z) == (4, 5, 1)
        np.testing.assert_array_equal(read_plane(tmp_path, "x.tif", 1), small)

    def test_components_that_are_no_colours_are_channels(self, tmp_path: Path) -> None:
        pixels = noise(8, 9, 4)
        for planar in ("contig", "separate"):
            data = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
            tifffile.imwrite(
                tmp_path / "x.tif", data, photometric="minisblack", planarconfig=planar,
                extrasamples=(0, 0, 0), metadata=None,
            )  # fmt: skip

            found = content(tmp_path)

            assert (found.samples, found.n_c) == (1, 4)
            np.testing.assert_array_equal(
                values(tmp_path, found)[0, :, 0], np.moveaxis(pixels, -1, 0)
            )

    def test_opacity_is_left_out(self, tmp_path: Path) -> None:
        pixels = noise(8, 9, 4, dtype="uint8")
        tifffile.imwrite(
            tmp_path / "x.tif", pixels, photometric="rgb", extrasamples=("unassalpha",)
        )

        assert (content(tmp_path).samples, content(tmp_path).n_c) == (3, 1)
        np.testing.assert_array_equal(read_plane(tmp_path, "x.tif", 0, 2), pixels[..., 2])


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("bool", "uint8"), ("int8", "float32"), ("int16", "float32"), ("float16", "float32")],
)
def test_types_that_another_holds(tmp_path: Path, dtype: str, kept: str) -> None:
    image = RNG.integers(-120, 120, (20, 32)).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", image)

    plane = read_plane(tmp_path, "x.tif")

    assert content(tmp_path).dtype == kept == str(plane.dtype)
    np.testing.assert_array_equal(plane, image)


@pytest.mark.parametrize("dtype", ["uint32", "int32", "uint64", "float64", "complex64"])
def test_types_that_none_holds(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((20, 30), dtype))

    for read in (content, read_plane):
        with pytest.raises(FileError, match=r"x\.tif") as caught:
            read(tmp_path, "x.tif")
        assert caught.value.code == "unsupported_type"


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "zstd"}, {"compression": "lzma"}, {"compression": "packbits"},
        {"compression": "zlib", "predictor": True}, {"compression": "lzw", "rowsperstrip": 7},
        {"compression": "jpeg2000", "tile": (32, 32)}, {"rowsperstrip": 7}, {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">", "compression": "zlib", "predictor": True},
        {"tile": (16, 48), "compression": "zlib"},
    ],
)  # fmt: skip
def test_every_way_to_store_a_plane(tmp_path: Path, how: dict[str, Any]) -> None:
    image = noise(50, 70)
    tifffile.imwrite(tmp_path / "x.tif", image, **how)

    np.testing.assert_array_equal(
        read_plane(tmp_path, "x.tif"), tifffile.imread(tmp_path / "x.tif")
    )
    np.testing.assert_array_equal(read_plane(tmp_path, "x.tif"), image)
