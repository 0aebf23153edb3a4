"""CZI files: pylibCZIrw (libCZI) writes them or reads them back."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import FileCache, read_contents, read_plane
from gpu_workers.formats.files.zeiss_metadata import facts_of
from tests.synthetic import containers

_RNG = np.random.default_rng(7)
_PACKING = {
    "plain": "uncompressed:", "zstd": "zstd0:ExplicitLevel=2",
    "zstd, bytes apart": "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack",
}  # fmt: skip

_RGB24 = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc90d")
_BGR24 = _RGB24[:-1] + b"\x0c"


def _image(dtype: str = "uint16", shape: tuple[int, ...] = (24, 40)) -> npt.NDArray[Any]:
    return _RNG.integers(0, 200, shape).astype(dtype) * np.dtype(dtype).type(1)


def _written(folder: Path, data: bytes) -> tuple[ImageContent, ...]:
    (folder / "a.czi").write_bytes(data)
    return read_contents(folder, "a.czi")


def _scene(index: int, name: str, inner: str = "") -> str:
    return f'<Scene Index="{index}" Name="{name}">{inner}</Scene>'


def _xml(scenes: str = "", more: str = "") -> str:
    return (
        "<ImageDocument><Metadata><Information><Image><Dimensions><S><Scenes>"
        f"{scenes}</Scenes></S>{more}</Dimensions></Image></Information></Metadata></ImageDocument>"
    )


@pytest.mark.parametrize("packing", _PACKING)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "rgb"])
def test_pixels_are_what_libczi_wrote(tmp_path: Path, dtype: str, packing: str) -> None:
    from pylibCZIrw import czi as pyczi

    image = _image("uint8", (24, 40, 3)) if dtype == "rgb" else _image(dtype)[..., None]
    with pyczi.create_czi(str(tmp_path / "a.czi"), compression_options=_PACKING[packing]) as file:
        file.write(image[..., ::-1], plane={"T": 0, "Z": 0, "C": 0}, scene=0, location=(5, 3))
        file.write_metadata("a", channel_names={0: "DAPI"}, scale_x=2e-7, scale_y=2e-7)

    (found,) = read_contents(tmp_path, "a.czi")

    assert (found.height, found.width, found.samples) == (24, 40, image.shape[2])
    assert found.dtype == str(image.dtype)
    assert found.pixel_size_um == pytest.approx(0.2)
    assert [c.name for c in found.channels] == ["DAPI"]
    page = found.planes[0].page
    for sample in range(found.samples):
        assert np.array_equal(read_plane(tmp_path, "a.czi", page, sample), image[..., sample])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "rgb"])
def test_jpeg_xr_is_unpacked_as_libczi_does(tmp_path: Path, dtype: str) -> None:
    import imagecodecs
    from pylibCZIrw import czi as pyczi

    # Smooth, so that packing is worth while; level 1 loses nothing.
    y, x = np.mgrid[:48, :64]
    image = (100 + 50 * np.sin(y / 9) * np.cos(x / 7)).astype("uint8" if dtype == "rgb" else dtype)
    if dtype == "rgb":
        image = np.stack([image, image // 2, image // 3], -1)
    # ZEN says that colours are to be unpacked as blue, green, red; the encoder here says the opposite.
    packed = imagecodecs.jpegxr_encode(image, level=1.0).replace(_RGB24, _BGR24)
    assert (_BGR24 in packed) == (dtype == "rgb")
    block = {
        "data": packed, "compression": 4, "size": (48, 64),
        "pixel_type": {"uint8": 0, "uint16": 1, "rgb": 3}[dtype], "place": {"C": 0},
    }  # fmt: skip

    (found,) = _written(tmp_path, containers.czi([block]))

    own = [read_plane(tmp_path, "a.czi", 0, s) for s in range(found.samples)]
    assert np.array_equal(np.stack(own, -1).squeeze(), image)
    with pyczi.open_czi(str(tmp_path / "a.czi")) as file:
        theirs = file.read(plane={"C": 0})
    # libCZI hands out blue, green, red.
    assert np.array_equal(theirs[..., ::-1].squeeze(), image)


def test_scenes_in_wells_and_tiles_of_a_mosaic(tmp_path: Path) -> None:
    from pylibCZIrw import czi as pyczi

    # Two wells with 2 x 2 tiles that overlap by 4 px, two channels.
    scenes = _scene(0, "P1", "<ArrayName>B2</ArrayName>") + _scene(1, "P2", '<Shape Name="C11"/>')
    blocks, images = [], {}
    for scene in range(2):
        for tile in range(4):
            for channel in range(2):
                image = _image()
                images[scene, tile, channel] = image
                place = {"C": channel, "S": scene, "M": tile}
                at = {"y": -8 + 20 * (tile // 2), "x": 1000 * scene + 36 * (tile % 2)}
                blocks.append({"image": image, "place": place, **at})

    found = _written(tmp_path, containers.czi(blocks, _xml(scenes)))

    assert [(i.well, i.site, i.y_px, i.x_px) for i in found] == [
        ("B02", "1", -8, 0), ("B02", "2", -8, 36), ("B02", "3", 12, 0), ("B02", "4", 12, 36),
        ("C11", "1", -8, 1000), ("C11", "2", -8, 1036), ("C11", "3", 12, 1000), ("C11", "4", 12, 1036),
    ]  # fmt: skip
    with FileCache(tmp_path) as files:
        for number, image in enumerate(found):
            for plane in image.planes:
                own = files.read("a.czi", plane.page)
                assert np.array_equal(own, images[number // 4, number % 4, plane.c])
    with pyczi.open_czi(str(tmp_path / "a.czi")) as file:
        # The tile that lies on top hides the others' borders: compare what it alone covers.
        inside = file.read(roi=(1040, 16, 30, 16), plane={"C": 1}, scene=1)
    assert np.array_equal(inside[..., 0], images[1, 3, 1][4:20, 4:34])


def test_scenes_that_are_no_wells_are_sites(tmp_path: Path) -> None:
    scenes = _scene(0, "P1", "<CenterPosition>10.5,-20</CenterPosition>") + _scene(1, "P2")
    blocks = [{"image": _image(), "place": {"S": s}, "x": 100 * s} for s in range(2)]

    found = _written(tmp_path, containers.czi(blocks, _xml(scenes)))

    assert [(i.well, i.site, i.stage_y_um, i.stage_x_um) for i in found] == [
        (None, "P1", -20.0, 10.5), (None, "P2", None, None),
    ]  # fmt: skip


def test_several_scenes_of_one_well_are_its_sites(tmp_path: Path) -> None:
    inner = "<Shape><RowIndex>4</RowIndex><ColumnIndex>7</ColumnIndex></Shape>"
    scenes = _scene(0, "P1", inner) + _scene(1, "P2", inner)
    blocks = [{"image": _image(), "place": {"S": s}, "x": 100 * s} for s in range(2)]

    found = _written(tmp_path, containers.czi(blocks, _xml(scenes)))

    assert [(i.well, i.site) for i in found] == [("D07", "P1"), ("D07", "P2")]


def test_tiles_without_numbers_are_told_apart_by_their_places(tmp_path: Path) -> None:
    images = [_image() for _ in range(3)]
    blocks = [{"image": im, "place": {"C": 0}, "x": 30 * i} for i, im in enumerate(images)]

    found = _written(tmp_path, containers.czi(blocks))

    assert [(i.site, i.x_px) for i in found] == [("1", 0), ("2", 30), ("3", 60)]
    assert np.array_equal(read_plane(tmp_path, "a.czi", found[2].planes[0].page), images[2])


def test_smaller_copies_are_left_out(tmp_path: Path) -> None:
    whole, half = _image(), _image(shape=(12, 20))
    copy = {
        "data": half.tobytes(), "size": (24, 40), "stored": (12, 20), "pixel_type": 1, "pyramid": 2,
        "place": {"C": 0},
    }  # fmt: skip

    (found,) = _written(tmp_path, containers.czi([copy, {"image": whole, "place": {"C": 0}}]))

    assert len(found.planes) == 1
    assert np.array_equal(read_plane(tmp_path, "a.czi", found.planes[0].page), whole)


def test_planes_that_were_not_taken_are_not_listed(tmp_path: Path) -> None:
    blocks = [
        {"image": _image(), "place": {"C": c, "Z": z, "T": t}}
        for t in (3, 4) for z in (7, 8, 9) for c in (0, 1) if (c, z, t) != (1, 9, 4)
    ]  # fmt: skip

    (found,) = _written(tmp_path, containers.czi(blocks))

    assert (found.n_t, found.n_z, found.n_c) == (2, 3, 2)
    assert len(found.planes) == 11
    assert (1, 1, 2) not in {(p.t, p.c, p.z) for p in found.planes}


def test_times_and_stage_positions_of_subblocks(tmp_path: Path) -> None:
    def tags(second: str) -> str:
        return (
            f"<METADATA><Tags><AcquisitionTime>2020-05-01T10:00:{second}Z</AcquisitionTime>"
            "<StageXPosition>+0012.5</StageXPosition><StageYPosition>-0003.25</StageYPosition>"
            "</Tags></METADATA>"
        )

    blocks = [
        {"image": _image(), "place": {"T": t, "C": c}, "tags": tags(f"{10 + 5 * t}.1234567")}
        for t in range(3) for c in range(2)
    ]  # fmt: skip

    (found,) = _written(tmp_path, containers.czi(blocks))

    assert [p.time_s for p in found.planes] == [0, 0, 5, 5, 10, 10]
    assert (found.stage_y_um, found.stage_x_um) == (-3.25, 12.5)
    # One image says nothing of where others lie.
    assert (found.y_px, found.x_px) == (None, None)


def test_channels_of_two_types_are_kept_apart(tmp_path: Path) -> None:
    blocks = [
        {"image": _image("uint8"), "place": {"C": 0}}, {"image": _image("uint16"), "place": {"C": 1}},
    ]  # fmt: skip

    found = _written(tmp_path, containers.czi(blocks))

    assert [(i.dtype, [p.c for p in i.planes], i.site) for i in found] == [
        ("uint8", [0], None), ("uint16", [1], None),
    ]  # fmt: skip


def test_metadata_that_is_hostile_or_broken_is_not_believed() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ImageDocument>&b;</ImageDocument>'

    assert facts_of(bomb).channels == facts_of(b"<cut").channels == facts_of(b"").channels == ()


def _patched(data: bytes, at: int, form: str, value: int) -> bytes:
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def _small() -> bytes:
    return containers.czi([{"image": _image(), "place": {"C": 0}}])


def _directory(data: bytes) -> int:
    found: int = struct.unpack_from("<q", data, 32 + 52)[0]
    return found


def _wide(data: bytes) -> bytes:
    at = _directory(data) + 32 + 128 + 32 + 8
    return _patched(_patched(data, at, "<i", 2**31 - 1), at + 8, "<i", 2**31 - 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d[: len(d) // 2], "truncated_file"),
        (lambda d: d[:60], "truncated_file"),
        (lambda d: _patched(d, 32 + 52, "<q", 0), "truncated_file"),
        (lambda d: _patched(d, 32 + 52, "<q", 2**62), "truncated_file"),
        (lambda d: _patched(d, 32 + 52, "<q", -1), "truncated_file"),
        (lambda d: _patched(d, 32 + 48, "<i", 1), "part_of_file"),
        (lambda d: _patched(d, _directory(d) + 32, "<i", 2**30), "too_large"),
        (lambda d: _patched(d, _directory(d) + 32, "<i", 900_000), "truncated_file"),
        (lambda d: _patched(d, _directory(d) + 32 + 128 + 28, "<i", 2**31 - 1), "truncated_file"),
        (_wide, "too_large"),
        (lambda d: _patched(d, _directory(d) + 32 + 128 + 2, "<i", 12), "unsupported_type"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, change: Any, code: str) -> None:
    (tmp_path / "a.czi").write_bytes(change(_small()))

    with pytest.raises(FileError, match=re.escape("a.czi")) as caught:
        read_contents(tmp_path, "a.czi")

    assert caught.value.code == code
    assert caught.value.files == ("a.czi",)


@pytest.mark.parametrize(("at", "value"), [(8, 10), (0, -5), (8, 2**40)])
def test_damaged_planes_are_named(tmp_path: Path, at: int, value: int) -> None:
    form = "<q" if at == 8 else "<i"
    (tmp_path / "a.czi").write_bytes(_patched(_small(), 544 + 32 + at, form, value))
    assert read_contents(tmp_path, "a.czi")

    with pytest.raises(FileError, match=re.escape("a.czi")):
        read_plane(tmp_path, "a.czi", 0)
    with pytest.raises(FileError, match="planes, not 6"):
        read_plane(tmp_path, "a.czi", 5)


def test_a_few_bytes_are_no_huge_plane(tmp_path: Path) -> None:
    import imagecodecs

    size = (2**13, 2**14)
    packed = imagecodecs.zstd_encode(bytes(2 * size[0] * size[1]), level=1)
    assert len(packed) < 50_000
    block = {"data": packed, "compression": 5, "size": size, "pixel_type": 1, "place": {"C": 0}}
    (tmp_path / "a.czi").write_bytes(containers.czi([block]))

    with pytest.raises(FileError, match="claims 268435456 bytes out of") as caught:
        read_plane(tmp_path, "a.czi", 0)

    assert caught.value.code == "too_large"
