"""LIF files: written by `tests.synthetic.containers`, read back by liffile as well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import FileCache, read_contents, read_plane
from gpu_workers.formats.files.leica_metadata import places
from tests.synthetic import containers

_RNG = np.random.default_rng(5)


def _data(*shape: int, dtype: str = "uint16") -> npt.NDArray[Any]:
    return _RNG.integers(0, 250, shape).astype(dtype)


def _written(folder: Path, *series: dict[str, Any], version: int = 2) -> tuple[ImageContent, ...]:
    (folder / "a.lif").write_bytes(containers.lif(series, version))
    return read_contents(folder, "a.lif")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("dims", "shape"),
    [("TCZYX", (2, 3, 4, 6, 7)), ("TZCYX", (2, 3, 4, 6, 7)), ("CTYX", (3, 2, 6, 7)), ("YX", (6, 7)),
     ("TZYX", (2, 3, 6, 7)), ("CYX", (2, 6, 7))],
)  # fmt: skip
def test_planes_lie_where_liffile_finds_them(
    tmp_path: Path, dims: str, shape: tuple[int, ...], version: int
) -> None:
    import liffile

    data = _data(*shape)
    other = _data(3, 5, dtype="float32")

    found = _written(
        tmp_path,
        {"name": "one", "data": data, "dims": dims}, {"name": "two", "data": other, "dims": "YX"},
        version=version,
    )  # fmt: skip

    with liffile.LifFile(tmp_path / "a.lif", squeeze=True) as file:
        theirs = file.images[0].asarray()
        sizes = file.images[0].sizes
    assert np.array_equal(theirs, data)
    whole = np.moveaxis(
        theirs.reshape([*theirs.shape, *(1 for d in "TCZ" if d not in sizes)]),
        [
            *(list(sizes).index(d) for d in sizes),
            *range(theirs.ndim, theirs.ndim + 3 - len(sizes) + 2),
        ],
        [*("TCZYX".index(d) for d in sizes), *("TCZYX".index(d) for d in "TCZ" if d not in sizes)],
    )
    assert (found[0].n_t, found[0].n_c, found[0].n_z) == whole.shape[:3]
    with FileCache(tmp_path) as files:
        for plane in found[0].each_plane():
            assert np.array_equal(files.read("a.lif", plane.page), whole[plane.t, plane.c, plane.z])
        assert np.array_equal(files.read("a.lif", found[1].first_page), other)


def test_colour_images(tmp_path: Path) -> None:
    data = _data(6, 7, 3, dtype="uint8")

    (found,) = _written(tmp_path, {"name": "one", "data": data, "dims": "YXS"})

    assert (found.samples, found.n_c, found.dtype, found.brightfield) == (3, 1, "uint8", True)
    for sample in range(3):
        assert np.array_equal(read_plane(tmp_path, "a.lif", 0, sample), data[..., sample])


def test_facts_of_a_series(tmp_path: Path) -> None:
    dye = "<ChannelProperty><Key>DyeName</Key><Value>Hoechst</Value></ChannelProperty>"
    # 100 ns since 1601.
    start = (11_644_473_600 + 1_577_836_800) * 10_000_000
    setting = (
        '<Attachment Name="HardwareSetting"><ATLConfocalSettingDefinition ObjectiveName="HC PL 20x " '
        'Magnification="20" StagePosX="0.001" StagePosY="0.002"/></Attachment>'
        f"<TimeStampList>{start:x} {start + 2_500_000:x}</TimeStampList>"
    )

    (found,) = _written(
        tmp_path,
        {
            "name": "Position 3", "data": _data(2, 2, 3, 5, 9), "dims": "TCZYX",
            "lengths": {"X": 4e-6, "Y": 2e-6, "Z": 3e-6, "T": 12}, "luts": ("Blue", "Green"),
            "properties": (dye, ""), "extra": setting,
        },
    )  # fmt: skip

    assert found.pixel_size_um == pytest.approx(0.5)
    assert found.z_step_um == pytest.approx(1.5)
    assert found.t_step_s == 12
    assert [(c.name, c.color) for c in found.channels] == [
        ("Hoechst", "#0000ff"),
        ("Green", "#00ff00"),
    ]
    assert (found.objective, found.magnification) == ("HC PL 20x", 20)
    assert (found.stage_y_um, found.stage_x_um) == (2000, 1000)
    assert found.acquired_at == "2020-01-01T00:00:00+00:00"
    assert {(p.t, p.time_s) for p in found.planes} == {(0, 0.0), (1, 0.25)}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", [(20, 10), (20, 40)]),
        ('FlipX="1"', [(20, -10), (20, -40)]),
        ('FlipY="1" SwapXY="1"', [(-10, 20), (-40, 20)]),
    ],
)
def test_tiles_of_a_mosaic_are_sites_with_positions(
    tmp_path: Path, flags: str, expected: list[tuple[int, int]]
) -> None:
    data = _data(2, 2, 5, 6)
    info = (
        f'<Attachment Name="TileScanInfo" {flags}><Tile PosX="1e-5" PosY="2e-5"/>'
        '<Tile PosX="4e-5" PosY="2e-5"/></Attachment>'
    )

    found = _written(tmp_path, {"name": "scan", "data": data, "dims": "MCYX", "extra": info})

    assert [i.site for i in found] == ["1", "2"]
    assert [(i.stage_y_um, i.stage_x_um) for i in found] == [pytest.approx(e) for e in expected]
    for tile, image in enumerate(found):
        for plane in image.each_plane():
            assert np.array_equal(read_plane(tmp_path, "a.lif", plane.page), data[tile, plane.c])


def test_the_vendors_own_mosaic_is_left_out(tmp_path: Path) -> None:
    found = _written(
        tmp_path,
        {"name": "TileScan 1/scan", "data": _data(2, 5, 6), "dims": "MYX"},
        {"name": "TileScan 1/scan_Merged", "data": _data(5, 11), "dims": "YX"},
        {"name": "Merged", "data": _data(5, 6), "dims": "YX"},
    )

    assert [i.name for i in found] == ["TileScan 1/scan", "TileScan 1/scan", "Merged"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["TileScan 1/B/3/R1", "TileScan 1/C/11/R1"], [("B03", "R1"), ("C11", "R1")]),
        (["scan/A/1", "scan/A/2"], [("A01", ""), ("A02", "")]),
        (["B2/R1", "B2/R2"], [("B02", "R1"), ("B02", "R2")]),
        (["A1_1", "A1_2", "A2_1"], [("A01", "1"), ("A01", "2"), ("A02", "1")]),
        (["Position 1", "Position 2"], [(None, "Position 1"), (None, "Position 2")]),
        (["R1", "R2"], [(None, "R1"), (None, "R2")]),
        (["B2", "overview"], [(None, "B2"), (None, "overview")]),
        (["a/B2", "b/B2"], [("B02", "1"), ("B02", "2")]),
        (["Series001"], [(None, "")]),
    ],
)
def test_wells_by_the_names_of_series(
    paths: list[str], expected: list[tuple[str | None, str]]
) -> None:
    assert places(paths) == expected


def _small() -> bytes:
    return containers.lif([{"name": "one", "data": _data(2, 5, 6), "dims": "CYX"}])


def _in_xml(old: str, new: str) -> bytes:
    assert len(old) == len(new)
    data = _small()
    assert old.encode("utf-16-le") in data
    return data.replace(old.encode("utf-16-le"), new.encode("utf-16-le"))


@pytest.mark.parametrize(
    "data",
    [
        _small()[:8],
        _small()[:200],
        _small()[:-5],
        _small()[:9] + b"\xff\xff\xff\x7f" + _small()[13:],
        _in_xml('NumberOfElements="6"', 'NumberOfElements="9"'),
        _in_xml('NumberOfElements="6"', 'NumberOfElements="0"'),
        _in_xml('NumberOfElements="6"', "NumberOfElements='x'"),
        _in_xml('BytesInc="12"', 'BytesInc="-9"'),
        _in_xml('BytesInc="12"', 'BytesInc="99"'),
        _in_xml('Resolution="16"', 'Resolution="99"'),
        _in_xml("<LMSDataContainerHeader", "<!DOCTYPE x><ABCDEFGHIJ"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.lif").write_bytes(data)

    def read_all() -> None:
        for image in read_contents(tmp_path, "a.lif"):
            for plane in image.each_plane():
                read_plane(tmp_path, "a.lif", plane.page)

    with pytest.raises(FileError, match=re.escape("a.lif")) as caught:
        read_all()

    assert caught.value.files == ("a.lif",)
