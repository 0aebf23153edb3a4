"""Readers of ND2, CZI and LIF keep what every reader promises; names of split acquisitions; C01 files."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats import reader as readers
from gpu_workers.formats.files import read_contents, read_plane
from gpu_workers.formats.listing import FileEntry, Listing
from tests.conformance.readers import ReaderConformance
from tests.data_sets import data_set
from tests.synthetic import containers

_IMAGE = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)


class _Containers(ReaderConformance):
    def grow(self, folder: Path, n: int) -> bool:
        for i in range(n):
            (folder / f"plate_{'ABCDEFGH'[i % 8]}{i // 8 % 12 + 1:02d}_{i}.{self.reader}").touch()
        return True


class TestNd2(_Containers):
    reader = "nd2"

    def build(self, folder: Path) -> None:
        (folder / "one.nd2").write_bytes(
            containers.nd2(_IMAGE[None, None, None, None], names=["DAPI"])
        )

    def real(self) -> list[Path]:
        return [data_set("single_files") / "nd2"]


class TestCzi(_Containers):
    reader = "czi"

    def build(self, folder: Path) -> None:
        (folder / "one.czi").write_bytes(containers.czi([{"image": _IMAGE, "place": {"C": 0}}]))

    def real(self) -> list[Path]:
        return [data_set("single_files") / "czi"]


class TestLif(_Containers):
    reader = "lif"

    def build(self, folder: Path) -> None:
        series = {"name": "one", "data": _IMAGE, "dims": "YX"}
        (folder / "one.lif").write_bytes(containers.lif([series]))


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["only_B02.czi"], [("", "")]),
        (["p_B02.czi", "p_C11.czi"], [("B02", ""), ("C11", "")]),
        (["p_B02_1.czi", "p_B02_2.czi"], [("B02", "1"), ("B02", "2")]),
        (["p_B02_pos7.czi", "p_B02_pos9.czi"], [("B02", "7"), ("B02", "9")]),
        (["WellA1_x.czi", "WellA2_x.czi"], [("A01", ""), ("A02", "")]),
        (
            ["WellB03_Point0000_ChannelDAPI_Seq1.czi", "WellB03_Point0000_ChannelGFP_Seq1.czi"],
            [("B03", "0000"), ("B03", "0000")],
        ),
        (["B02.czi", "left.czi"], [("", "1"), ("", "2")]),
        (["s2.czi", "s10.czi"], [("", "1"), ("", "2")]),
    ],
)
def test_wells_and_sites_of_split_acquisitions(
    names: list[str], places: list[tuple[str, str]]
) -> None:
    files = sorted((FileEntry(n, 1, 1) for n in names), key=lambda f: f.path)

    found = readers.load("czi").survey(Listing(Path(), tuple(files)))

    by_name = {p.file: (p.well, p.site) for p in found.planes}
    assert [by_name[n] for n in names] == places


def test_other_images_are_named_and_left_out() -> None:
    listing = Listing(
        Path(), (FileEntry("a.czi", 1, 1), FileEntry("b.tif", 1, 1), FileEntry("c.txt", 1, 1))
    )

    found = readers.load("czi").survey(listing)

    assert [f.path for f in found.files or ()] == ["a.czi"]
    assert [(p.code, p.files) for p in found.problems] == [("other_format", ("b.tif",))]


def test_c01_files(tmp_path: Path) -> None:
    (tmp_path / "a.c01").write_bytes(containers.c01(_IMAGE, pixels_per_metre=2_000_000))

    (found,) = read_contents(tmp_path, "a.c01")

    assert (found.height, found.width, found.dtype, found.n_z) == (24, 40, "uint16", 1)
    assert found.pixel_size_um == 0.5
    assert np.array_equal(read_plane(tmp_path, "a.c01"), _IMAGE)


_C01 = containers.c01(_IMAGE)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (_C01[:4], "truncated_file"),
        (b"\0\0\0\x11" + _C01[4:], "not_an_image"),
        (_C01[:20] + b"\xff\xff" + _C01[22:], "truncated_file"),
        (b"\0\0\0\x10" + zlib.compress(b"\x28" + bytes(51)), "truncated_file"),
        (b"\0\0\0\x10" + zlib.compress(b"\x29" + bytes(51)), "unsupported_type"),
    ],
)
def test_damaged_c01_files_are_named(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.c01").write_bytes(data)

    with pytest.raises(FileError, match=re.escape("a.c01")) as caught:
        read_contents(tmp_path, "a.c01")

    assert caught.value.code == code


def test_c01_files_that_end_too_early(tmp_path: Path) -> None:
    (tmp_path / "a.c01").write_bytes(_C01[: len(_C01) // 2])
    assert read_contents(tmp_path, "a.c01")

    with pytest.raises(FileError, match="bytes of pixels") as caught:
        read_plane(tmp_path, "a.c01")

    assert caught.value.files == ("a.c01",)
