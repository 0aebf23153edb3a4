"""Our reader of Zarr arrays gives what zarr-python wrote, and refuses what cannot be true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
import zarr.codecs as zc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.ngff.arrays import open_array

DTYPES = ["uint8", "uint16", "float32", "int32", "uint32", "int64", "bool"]
COMPRESSORS_2: dict[str, Any] = {
    "none": None,
    "blosc-lz4": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE),
    "blosc-zstd": numcodecs.Blosc("zstd", 1, numcodecs.Blosc.BITSHUFFLE),
    "zstd": numcodecs.Zstd(3),
    "gzip": numcodecs.GZip(1),
    "zlib": numcodecs.Zlib(1),
    "bz2": numcodecs.BZ2(1),
    "lz4": numcodecs.LZ4(),
}
COMPRESSORS_3: dict[str, Any] = {
    "none": None,
    "blosc": zc.BloscCodec(cname="lz4", shuffle="bitshuffle"),
    "zstd": zc.ZstdCodec(level=1, checksum=True),
    "gzip": zc.GzipCodec(level=1),
    "crc": [zc.ZstdCodec(), zc.Crc32cCodec()],
}


def _pixels(dtype: str, shape: tuple[int, ...] = (2, 3, 37, 41)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).integers(0, 200, shape).astype(dtype)


def _equal(folder: Path, expected: np.ndarray[Any, Any]) -> None:
    array = open_array(folder, "a.zarr")
    np.testing.assert_array_equal(array.all(), expected)
    assert array.all().dtype == expected.dtype.newbyteorder("=")
    start = [n // 3 for n in expected.shape]
    stop = [max(s + 1, n - n // 4) for s, n in zip(start, expected.shape, strict=True)]
    window = tuple(map(slice, start, stop))
    np.testing.assert_array_equal(open_array(folder, "a.zarr").read(start, stop), expected[window])


@pytest.mark.parametrize("compressor", COMPRESSORS_2)
@pytest.mark.parametrize(("order", "separator", "endian"), [("C", ".", "<"), ("F", "/", ">")])
def test_version_2_is_read(
    compressor: str, order: Any, separator: Any, endian: str, tmp_path: Path
) -> None:
    pixels = _pixels("uint16").astype(f"{endian}u2")
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(1, 2, 16, 16), dtype=pixels.dtype, order=order,
        zarr_format=2, compressors=COMPRESSORS_2[compressor],
        chunk_key_encoding={"name": "v2", "separator": separator},
    )  # fmt: skip
    made[:] = pixels

    _equal(tmp_path, pixels)


@pytest.mark.parametrize("compressor", COMPRESSORS_3)
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_version_3_is_read(compressor: str, sharded: bool, endian: Any, tmp_path: Path) -> None:
    pixels = _pixels("uint16")
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(1, 1, 8, 16), dtype="uint16", zarr_format=3,
        shards=(1, 3, 16, 32) if sharded else None, serializer=zc.BytesCodec(endian=endian),
        compressors=COMPRESSORS_3[compressor],
    )  # fmt: skip
    made[:] = pixels

    _equal(tmp_path, pixels)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", [2, 3])
def test_types_are_kept(dtype: str, version: Any, tmp_path: Path) -> None:
    pixels = _pixels(dtype)
    zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(1, 2, 16, 16), dtype=dtype, zarr_format=version
    )[:] = pixels  # fmt: skip

    _equal(tmp_path, pixels)


@pytest.mark.parametrize("order", [(3, 1, 0, 2), (0, 1, 3, 2)])
def test_transposed_chunks_are_read(order: tuple[int, ...], tmp_path: Path) -> None:
    pixels = _pixels("uint16")
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(2, 1, 8, 16), dtype="uint16",
        filters=[zc.TransposeCodec(order=order)], zarr_format=3,
    )  # fmt: skip
    made[:] = pixels

    _equal(tmp_path, pixels)


@pytest.mark.parametrize(
    "where", [zc.ShardingCodecIndexLocation.start, zc.ShardingCodecIndexLocation.end]
)
def test_the_index_of_a_shard_may_lie_at_either_end(where: Any, tmp_path: Path) -> None:
    pixels = _pixels("uint16")
    codec = zc.ShardingCodec(
        chunk_shape=(1, 1, 8, 16), codecs=[zc.TransposeCodec(order=(1, 0, 3, 2)), zc.BytesCodec()],
        index_codecs=[zc.BytesCodec()], index_location=where,
    )  # fmt: skip
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(1, 3, 16, 32), dtype="uint16", serializer=codec,
        compressors=None,
    )  # fmt: skip
    made[:] = pixels

    _equal(tmp_path, pixels)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("fill", [0, 7, np.nan, np.inf])
def test_what_is_not_stored_has_the_fill_value(
    version: Any, sharded: bool, fill: float, tmp_path: Path
) -> None:
    shards = (32, 32) if sharded and version == 3 else None
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=(50, 40), chunks=(16, 16), shards=shards, dtype="float32",
        zarr_format=version, fill_value=fill,
    )  # fmt: skip
    made[3:9, 20:30] = 5

    _equal(tmp_path, np.asarray(made[:]))


@pytest.mark.parametrize("version", [2, 3])
def test_strings_are_read(version: Any, tmp_path: Path) -> None:
    words = np.array(["DAPI", "", "µm", "x" * 1000, "Lamin B1"], object)
    kind: Any = {"dtype": "string"} if version == 3 else {"dtype": str}
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=(5,), chunks=(3,), zarr_format=version, **kind
    )
    made[:] = words

    found = open_array(tmp_path, "a.zarr").all()

    assert found.tolist() == words.tolist()


def _written(folder: Path, version: Any = 3, **how: Any) -> Path:
    made = zarr.create_array(
        folder / "a.zarr",
        shape=(64, 64),
        chunks=(32, 32),
        dtype="uint16",
        zarr_format=version,
        **how,
    )
    made[:] = np.arange(4096).reshape(64, 64)
    return folder / "a.zarr" / ("zarr.json" if version == 3 else ".zarray")


def _fails(folder: Path) -> FileError:
    with pytest.raises(FileError) as caught:
        open_array(folder, "a.zarr").all()
    assert any("a.zarr" in name for name in caught.value.files)
    return caught.value


@pytest.mark.parametrize("codec", ["none", "blosc", "zstd", "gzip", "crc"])
@pytest.mark.parametrize("damage", ["short", "empty", "longer", "flipped"])
def test_a_damaged_chunk_is_named(codec: str, damage: str, tmp_path: Path) -> None:
    _written(tmp_path, compressors=COMPRESSORS_3[codec])
    chunk = tmp_path / "a.zarr" / "c" / "1" / "0"
    data = chunk.read_bytes()
    flipped = bytes([data[0] ^ 255, *data[1:]])
    damaged = {"short": data[:-9], "empty": b"", "longer": data + data, "flipped": flipped}[damage]
    if (codec, damage) in {("none", "flipped"), ("gzip", "longer"), ("zstd", "longer")}:
        pytest.skip("nothing in the format tells")
    chunk.write_bytes(damaged)

    error = _fails(tmp_path)

    assert error.code == "truncated_file"
    assert error.files == ("a.zarr/c/1/0",)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "zlib", "bz2", "lz4", "blosc-zstd"])
def test_a_chunk_that_expands_beyond_its_size_is_refused(codec: str, tmp_path: Path) -> None:
    _written(tmp_path, 2, compressors=COMPRESSORS_2[codec])
    bomb = bytes(COMPRESSORS_2[codec].encode(bytes(50_000_000)))
    (tmp_path / "a.zarr" / "0.1").write_bytes(bomb)

    assert _fails(tmp_path).files == ("a.zarr/0.1",)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("shape", [2**40, 2**40], "too_large"),
        ("shape", [-5, 64], "bad_metadata"),
        ("shape", [64], "bad_metadata"),
        ("chunks", [2**30, 2**30], "too_large"),
        ("chunks", [0, 32], "bad_metadata"),
        ("chunks", None, "bad_metadata"),
        ("dtype", "nonsense", "bad_metadata"),
        ("dtype", [["a", "<u2"]], "bad_metadata"),
        ("compressor", {"id": "pickle"}, "unsupported_codec"),
        ("filters", [{"id": "delta", "dtype": "<u2"}], "unsupported_codec"),
        ("dimension_separator", "../", "bad_metadata"),
    ],
)
def test_claims_are_checked(key: str, value: Any, code: str, tmp_path: Path) -> None:
    file = _written(tmp_path, 2)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))

    assert _fails(tmp_path).code == code


def test_a_link_to_other_files_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(2048))
    _written(tmp_path / "folder", compressors=None)
    chunk = tmp_path / "folder" / "a.zarr" / "c" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(secret)

    assert _fails(tmp_path / "folder").files == ("a.zarr/c/0/0",)


def test_a_linked_folder_of_chunks_is_not_followed(tmp_path: Path) -> None:
    _written(tmp_path / "folder", compressors=None)
    chunks = tmp_path / "folder" / "a.zarr" / "c"
    chunks.rename(tmp_path / "elsewhere")
    chunks.symlink_to(tmp_path / "elsewhere")

    assert _fails(tmp_path / "folder").code == "link"


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    file=st.sampled_from(["zarr.json", "c/0/0", "c/1/0"]),
    at=st.integers(0, 2000),
    with_=st.binary(min_size=0, max_size=8),
    cut=st.integers(0, 8),
    sharded=st.booleans(),
)
def test_mutations_are_errors_that_name_a_file(
    file: str,
    at: int,
    with_: bytes,
    cut: int,
    sharded: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    how = {"shards": (64, 32)} if sharded else {}
    _written(folder, **how)
    target = folder / "a.zarr" / file
    if not target.is_file():
        return
    data = target.read_bytes()
    at = at % len(data)
    target.write_bytes(data[:at] + with_ + data[at + cut :])

    try:
        found = open_array(folder, "a.zarr")
        if np.prod(found.shape) < 10**6:
            found.all()
    except FileError as error:
        assert error.files  # noqa: PT017
