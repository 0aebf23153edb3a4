"""ND2 files: written by `tests.synthetic.containers`, read back by nd2 as well."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import FileCache, read_contents, read_plane
from tests.synthetic import containers

_RNG = np.random.default_rng(3)


def _frames(*shape: int, dtype: str = "uint16") -> npt.NDArray[Any]:
    return _RNG.integers(0, 250, shape).astype(dtype)


def _written(folder: Path, frames: npt.NDArray[Any], **more: Any) -> tuple[ImageContent, ...]:
    names = more.pop("names", [f"channel {c}" for c in range(frames.shape[3])])
    (folder / "a.nd2").write_bytes(containers.nd2(frames, names=names, **more))
    return read_contents(folder, "a.nd2")


def test_positions_time_points_z_planes_and_channels(tmp_path: Path) -> None:
    import nd2

    frames = _frames(2, 3, 4, 2, 11, 13)
    positions = [("", 0, 0), ("", -100, 0), ("", -100, 300)]

    found = _written(
        tmp_path,
        frames,
        names=["DAPI", "GFP"],
        positions=positions,
        period_ms=5000.0,
        z_step_um=0.7,
    )

    # Another library's view of what the test wrote.
    assert np.array_equal(nd2.imread(tmp_path / "a.nd2"), frames)
    assert [(i.n_t, i.n_c, i.n_z, i.height, i.width) for i in found] == [(2, 2, 4, 11, 13)] * 3
    assert [(i.well, i.site) for i in found] == [(None, "1"), (None, "2"), (None, "3")]
    assert [(i.stage_y_um, i.stage_x_um) for i in found] == [(0, 0), (0, -100), (300, -100)]
    with FileCache(tmp_path) as files:
        for p, image in enumerate(found):
            assert len(image.planes) == 16
            for plane in image.planes:
                expected = frames[plane.t, p, plane.z, plane.c]
                assert np.array_equal(files.read("a.nd2", plane.page), expected)


def test_facts_of_the_file(tmp_path: Path) -> None:
    image = _written(
        tmp_path, _frames(3, 1, 2, 1, 8, 9), names=["DAPI"], period_ms=2500.0, z_step_um=0.7
    )[0]

    assert image.pixel_size_um == 0.5
    assert image.z_step_um == 0.7
    assert image.t_step_s == 2.5
    assert (image.objective, image.magnification) == ("Plan 20x", 20)
    assert image.channels[0].wavelength_nm == image.channels[0].excitation_nm == 520
    assert image.channels[0].color == "#ff0000"
    assert (image.stage_y_um, image.stage_x_um) == (22, 11)
    assert image.acquired_at == "2020-05-31T00:00:00+00:00"
    # The test's frames are 0.1 s apart, two z planes for each time point.
    assert {(p.t, p.time_s) for p in image.planes} == {(0, 0.0), (1, 0.2), (2, 0.4)}


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [
        ((-1, 1), [(0, 0), (600, 200)]),
        ((1, 1), [(0, 0), (600, -200)]),
        ((1, -1), [(0, 0), (-600, -200)]),
    ],
)
def test_places_follow_the_files_own_map_of_pixels_to_the_stage(
    tmp_path: Path, orientation: tuple[int, int], corners: list[tuple[int, int]]
) -> None:
    found = _written(
        tmp_path, _frames(1, 2, 1, 1, 8, 9),
        positions=[("", 0, 0), ("", -100, 300)], orientation=orientation,
    )  # fmt: skip

    # 100 um are 200 px.
    assert [(i.y_px, i.x_px) for i in found] == corners
    assert {i.y_sign for i in found} == {orientation[1]}


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["B02_0001", "B02_0002", "C03_0001"], [("B02", "0001"), ("B02", "0002"), ("C03", "0001")]),
        (["A1", "A2", "H12"], [("A01", "1"), ("A02", "1"), ("H12", "1")]),
        (["A1", "A1", "A2"], [("A01", "1"), ("A01", "2"), ("A02", "1")]),
        (["P1", "P2", "P3"], [(None, "P1"), (None, "P2"), (None, "P3")]),
        (["B02_0001", "left", "right"], [(None, "B02_0001"), (None, "left"), (None, "right")]),
        (["#1", "#1", "#1"], [(None, "1"), (None, "2"), (None, "3")]),
        (["Z99", "A1", "A2"], [(None, "Z99"), (None, "A1"), (None, "A2")]),
    ],
)
def test_wells_by_the_names_of_positions(
    tmp_path: Path, names: list[str], places: list[tuple[str | None, str]]
) -> None:
    positions = [(name, 10 * i, 0) for i, name in enumerate(names)]

    found = _written(tmp_path, _frames(1, 3, 1, 1, 8, 9), positions=positions)

    assert [(i.well, i.site) for i in found] == places


def test_colours_are_red_green_and_blue(tmp_path: Path) -> None:
    frames = _frames(1, 1, 1, 8, 9, 3, dtype="uint8")

    (found,) = _written(tmp_path, frames, names=["RGB"], color=True)

    assert (found.samples, found.n_c, found.dtype, found.brightfield) == (3, 1, "uint8", True)
    for sample in range(3):
        assert np.array_equal(
            read_plane(tmp_path, "a.nd2", 0, sample), frames[0, 0, 0, ..., sample]
        )


def test_an_acquisition_that_was_ended_early_has_the_frames_that_were_taken(tmp_path: Path) -> None:
    frames = _frames(3, 2, 1, 1, 8, 9)

    found = _written(tmp_path, frames, positions=[("", 0, 0), ("", 9, 0)], n_frames=3)

    assert [[p.t for p in i.planes] for i in found] == [[0, 1], [0]]
    with pytest.raises(FileError, match=re.escape("a.nd2 has no frame 4")):
        read_plane(tmp_path, "a.nd2", 3)


def test_a_frame_that_is_not_there_is_no_black_image(tmp_path: Path) -> None:
    frames = _frames(2, 1, 1, 1, 8, 9)
    _written(tmp_path, frames)
    data = (tmp_path / "a.nd2").read_bytes()
    table = data.rindex(b"ImageDataSeq|1!")
    (tmp_path / "a.nd2").write_bytes(data[:table] + b"ImageDataSeq|7!" + data[table + 15 :])

    assert np.array_equal(read_plane(tmp_path, "a.nd2", 0), frames[0, 0, 0, 0])
    with pytest.raises(FileError, match=re.escape("a.nd2")) as caught:
        read_plane(tmp_path, "a.nd2", 1)

    assert caught.value.code == "missing_page"


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_files_cut_short_are_named(tmp_path: Path, part: float) -> None:
    _written(tmp_path, _frames(2, 1, 1, 1, 8, 9))
    data = (tmp_path / "a.nd2").read_bytes()
    (tmp_path / "a.nd2").write_bytes(data[: int(len(data) * part)])

    with pytest.raises(FileError, match=re.escape("a.nd2")) as caught:
        read_contents(tmp_path, "a.nd2")

    assert caught.value.files == ("a.nd2",)


def test_metadata_that_grows_a_thousandfold_is_refused(tmp_path: Path) -> None:
    _written(tmp_path, _frames(1, 1, 1, 1, 8, 9))
    data = bytearray((tmp_path / "a.nd2").read_bytes())
    # Compressed metadata, where the attributes were: 2 GiB of nothing in 2 MB.
    packer = zlib.compressobj(9)
    head = packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = b"\x4c" + bytes(11) + head + piece * 128
    entry = data.rindex(b"ImageAttributesLV!") + 18
    data[entry : entry + 16] = struct.pack("<QQ", len(data), len(bomb))
    tail = bytes(data[-40:])
    data += struct.pack("<IIQ", 0x0ABECEDA, 4072, len(bomb)) + b"ImageAttributesLV!".ljust(
        4072, b"\0"
    )
    (tmp_path / "a.nd2").write_bytes(bytes(data) + bomb + tail)

    with pytest.raises(FileError, match="more memory than it may"):
        read_contents(tmp_path, "a.nd2")
