"""Damaged and hostile TIFF, JPEG and PNG files: an error that names the file, soon and without memory."""

from __future__ import annotations

import logging
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats.files import read_contents, read_plane
from tests.synthetic.stk import write_stk

RNG = np.random.default_rng(0)


def refused(folder: Path, name: str = "x.tif") -> FileError:
    """Return the error of both ways to look at a file; assert that neither takes 100 MB."""
    tracemalloc.start()
    try:
        for read in (read_contents, read_plane):
            with pytest.raises(FileError) as caught:
                read(folder, name)
            assert caught.value.files == (name,)
            assert name in caught.value.message
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    return caught.value


def ifd(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    return (
        struct.pack("<H", len(entries))
        + b"".join(struct.pack("<HHII", *e) for e in entries)
        + struct.pack("<I", following)
    )


def page(offset: int, following: int, width: int = 8, height: int = 8, **more: int) -> bytes:
    tags = {
        256: width,
        257: height,
        258: 8,
        259: 1,
        262: 1,
        273: offset,
        277: 1,
        278: height,
        279: width * height,
    }
    tags |= {int(k[1:]): v for k, v in more.items()}
    tags[279] = min(tags[279], 2**32 - 1)
    return ifd([(code, 4, 1, value) for code, value in sorted(tags.items())], following)


@pytest.mark.parametrize("length", [1, 2, 150])
def test_a_list_of_pages_that_runs_in_a_circle(tmp_path: Path, length: int) -> None:
    size = len(page(8, 0))
    first = 8 + 64
    chain = b"".join(page(8, first + size * ((i + 1) % length)) for i in range(length))
    (tmp_path / "x.tif").write_bytes(struct.pack("<2sHI", b"II", 42, first) + bytes(64) + chain)

    assert "circle" in refused(tmp_path).message


@pytest.mark.parametrize("where", [0, 5, 2**31, 2**32 - 1])
def test_a_list_of_pages_that_leads_nowhere(tmp_path: Path, where: int) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8), "uint8"))
    data = bytearray((tmp_path / "x.tif").read_bytes())
    data[4:8] = struct.pack("<I", where)
    (tmp_path / "x.tif").write_bytes(data)

    refused(tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        {"width": 2**31, "height": 2**31}, {"width": 2**14, "height": 2**14, "t259": 8},
        {"t322": 2**31, "t323": 2**31, "t259": 8}, {"t258": 64}, {"t258": 7}, {"t259": 34712},
        {"t259": 50002}, {"t259": 7}, {"t277": 65535}, {"t284": 2, "t277": 300}, {"t278": 0},
        {"t322": 0, "t323": 0}, {"t273": 2**32 - 1}, {"t32997": 1000}, {"t262": 5, "t277": 4},
        {"width": 0, "t279": 0}, {"t33628": 8}, {"t339": 77}, {"t317": 3},
    ],
    ids=str,
)  # fmt: skip
def test_tags_that_cannot_be_true(tmp_path: Path, more: dict[str, int]) -> None:
    header = struct.pack("<2sHI", b"II", 42, 72) + bytes(64)
    (tmp_path / "x.tif").write_bytes(header + page(8, 0, **more) + bytes(100))

    try:
        assert read_plane(tmp_path, "x.tif").size <= 64 * 300
    except FileError:
        refused_by_any = True
    else:
        refused_by_any = False
    assert refused_by_any or set(more) <= {"t33628", "t258", "t317", "t322", "t323", "t278", "t339"}


def test_deflate_bomb(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(2**28))
    more = {"t259": 8, "t273": 8, "t279": len(bomb)}
    data = struct.pack("<2sHI", b"II", 42, 8 + len(bomb)) + bomb + page(8, 0, **more)
    (tmp_path / "x.tif").write_bytes(data)

    (found,) = read_contents(tmp_path, "x.tif")
    tracemalloc.start()
    with pytest.raises(FileError, match=r"x\.tif"):
        read_plane(tmp_path, "x.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    # What is more than the page has room for is never unpacked.
    assert (found.height, found.width) == (8, 8)
    assert peak < 10 * 2**20


def test_jpeg_in_a_tile_that_claims_more_than_the_tile(tmp_path: Path) -> None:
    image = np.zeros((16, 16), "uint8")
    tifffile.imwrite(tmp_path / "x.tif", image, tile=(16, 16), compression="jpeg")
    np.testing.assert_array_equal(read_plane(tmp_path, "x.tif"), image)
    data = bytearray((tmp_path / "x.tif").read_bytes())
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "x.tif").write_bytes(data)

    tracemalloc.start()
    with pytest.raises(FileError, match=r"x\.tif"):
        read_plane(tmp_path, "x.tif")
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


def png(width: int, height: int, data: bytes, kind: int = 0) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_png_that_claims_more_than_its_bytes_hold(tmp_path: Path, side: int) -> None:
    (tmp_path / "x.png").write_bytes(png(side, side, zlib.compress(bytes(1000))))

    refused(tmp_path, "x.png")


@pytest.mark.parametrize(("shape", "kind"), [((20, 30), 1), ((20, 30, 3), 3), ((21, 33, 3), 3)])
def test_jpeg(tmp_path: Path, shape: tuple[int, ...], kind: int) -> None:
    cv2 = pytest.importorskip("cv2")
    image = np.kron(
        RNG.integers(0, 255, shape, dtype="uint8"), np.ones((8, 8, 1)[: len(shape)], "uint8")
    )
    data = imagecodecs.jpeg8_encode(image, level=90)
    (tmp_path / "x.jpg").write_bytes(data)

    (found,) = read_contents(tmp_path, "x.jpg")

    assert (found.height, found.width, found.samples, found.dtype) == (
        *image.shape[:2],
        kind,
        "uint8",
    )
    reference = cv2.imdecode(np.frombuffer(data, "uint8"), cv2.IMREAD_UNCHANGED).reshape(
        *image.shape[:2], kind
    )
    for s in range(kind):
        plane = read_plane(tmp_path, "x.jpg", 0, s).astype(int)
        # OpenCV's own libjpeg may round differently by one.
        assert np.abs(plane - reference[..., kind - 1 - s]).max() <= 1


def test_jpeg_of_grey_in_three_components(tmp_path: Path) -> None:
    image = np.repeat(RNG.integers(0, 255, (64, 48, 1), dtype="uint8"), 3, axis=2)
    data = imagecodecs.jpeg8_encode(image, level=90)
    (tmp_path / "x.jpg").write_bytes(data)
    image[9:20, 9:20, 0] //= 2
    (tmp_path / "y.jpg").write_bytes(imagecodecs.jpeg8_encode(image, level=90))

    (found,) = read_contents(tmp_path, "x.jpg")
    (other,) = read_contents(tmp_path, "y.jpg")

    assert (found.samples, other.samples) == (1, 3)
    expected = imagecodecs.jpeg8_decode(data)[..., 0]
    for sample in range(3):
        np.testing.assert_array_equal(read_plane(tmp_path, "x.jpg", 0, sample), expected)


def test_jpeg_with_a_long_preview_before_the_frame(tmp_path: Path) -> None:
    data = imagecodecs.jpeg8_encode(np.zeros((20, 30), "uint8"))
    extra = b"".join(b"\xff\xe1\xff\xff" + bytes(65533) for _ in range(4))
    (tmp_path / "x.jpg").write_bytes(data[:2] + extra + data[2:])

    assert read_contents(tmp_path, "x.jpg")[0].width == 30
    assert read_plane(tmp_path, "x.jpg").shape == (20, 30)


def _cmyk(data: bytes) -> bytes:
    return imagecodecs.jpeg8_encode(np.zeros((16, 16, 4), "uint8"))


def _huge(data: bytes) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def _no_end(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _no_frame(data: bytes) -> bytes:
    return data[: data.index(b"\xff\xc0")]


def _twelve_bits(data: bytes) -> bytes:
    at = data.index(b"\xff\xc0") + 4
    return data[:at] + b"\x0c" + data[at + 1 :]


@pytest.mark.parametrize("change", [_cmyk, _huge, _no_frame, _twelve_bits])
def test_jpegs_that_are_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    data = imagecodecs.jpeg8_encode(RNG.integers(0, 255, (64, 64), dtype="uint8"))
    (tmp_path / "x.jpg").write_bytes(change(data))

    refused(tmp_path, "x.jpg")


def test_jpeg_cut_short_is_not_filled_with_grey(tmp_path: Path) -> None:
    data = imagecodecs.jpeg8_encode(RNG.integers(0, 255, (64, 64), dtype="uint8"))
    (tmp_path / "x.jpg").write_bytes(_no_end(data))

    with pytest.raises(FileError, match=r"x\.jpg"):
        read_plane(tmp_path, "x.jpg")


def test_jpeg_of_endless_scans(tmp_path: Path) -> None:
    data = imagecodecs.jpeg8_encode(np.zeros((64, 64), "uint8"))
    scan = data[data.index(b"\xff\xda") : -2]
    (tmp_path / "x.jpg").write_bytes(data[:-2] + scan * 300 + data[-2:])

    with pytest.raises(FileError, match="scans"):
        read_plane(tmp_path, "x.jpg")


def _samples(folder: Path) -> dict[str, bytes]:
    """Return small files of every kind by name."""
    rgb = RNG.integers(0, 255, (48, 48, 3), dtype="uint8")
    stack = RNG.integers(0, 999, (4, 12, 14), dtype="uint16")
    tifffile.imwrite(folder / "ome.ome.tif", stack, metadata={"axes": "CYX", "PhysicalSizeX": 1.0})
    tifffile.imwrite(folder / "imagej.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "lzw.tif", stack[0], compression="lzw", predictor=True)
    tifffile.imwrite(
        folder / "tiles.svs", rgb, tile=(16, 16), compression="jpeg", photometric="rgb"
    )
    tifffile.imwrite(folder / "big.tif", rgb, tile=(16, 16), compression="jpeg2000", bigtiff=True)
    write_stk(folder / "stack.stk", stack, z_distance_um=1, wavelengths=[400.0, 500, 400, 500])
    (folder / "rgb.jpg").write_bytes(imagecodecs.jpeg8_encode(rgb))
    (folder / "rgb.png").write_bytes(imagecodecs.png_encode(rgb))
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_of_every_kind_of_file(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(seed)
    (tmp_path / "good").mkdir()
    with caplog.at_level(logging.DEBUG):
        for name, good in _samples(tmp_path / "good").items():
            for _ in range(60):
                data = bytearray(good)
                for place in rng.integers(0, len(data), rng.integers(1, 6)):
                    data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
                if rng.random() < 0.2:
                    del data[rng.integers(len(data)) :]
                (tmp_path / name).write_bytes(data)
                try:
                    for image in read_contents(tmp_path, name):
                        for plane in list(image.each_plane())[:3]:
                            pixels = read_plane(tmp_path, plane.file or name, plane.page)
                            assert pixels.shape == (image.height, image.width)
                            assert str(pixels.dtype) == image.dtype
                except FileError as error:
                    assert error.files  # noqa: PT017
    assert not [r for r in caplog.records if r.name.startswith("tifffile")]


def test_a_tag_that_claims_gigabytes_of_a_sparse_file(tmp_path: Path) -> None:
    more = {"t270": 100}
    data = struct.pack("<2sHI", b"II", 42, 72) + bytes(64) + page(8, 0, **more)
    at = data.index(struct.pack("<HHI", 270, 4, 1))
    changed = data[:at] + struct.pack("<HHI", 270, 2, 2**31) + data[at + 8 :]
    with (tmp_path / "x.tif").open("wb") as file:
        file.write(changed)
        file.truncate(2**32)

    assert refused(tmp_path).code == "too_large"


def test_a_piece_that_claims_gigabytes_of_a_sparse_file(tmp_path: Path) -> None:
    data = struct.pack("<2sHI", b"II", 42, 72) + bytes(64) + page(8, 0, t259=8, t279=2**31)
    with (tmp_path / "x.tif").open("wb") as file:
        file.write(data)
        file.truncate(2**32)
    read_contents(tmp_path, "x.tif")

    tracemalloc.start()
    with pytest.raises(FileError, match=r"x\.tif"):
        read_plane(tmp_path, "x.tif")
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
