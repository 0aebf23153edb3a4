"""Chunks read through the shard index equal what zarr reads; what is absent is None."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

from gpu_workers.errors import FileError
from gpu_workers.storage.chunks import Recent, ShardReader, WouldBlock, decode

SHAPE = (2, 1, 1, 200, 300)
BLOSC = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


def written(folder: Path, shards: tuple[int, ...] | None, location: str = "end") -> np.ndarray:
    """Write an array with zarr-python, with one chunk and one shard left empty."""
    array = zarr.create_array(
        folder,
        shape=SHAPE,
        dtype="uint16",
        chunks=(1, 1, 1, 32, 32),
        shards=None if shards is None else {"shape": shards, "index_location": location},
        compressors=BLOSC,
        fill_value=0,
        config={"write_empty_chunks": False},
    )
    values = np.random.default_rng(6).integers(1, 60000, SHAPE).astype(np.uint16)
    values[0, ..., :32, 32:64] = 0
    values[1, ..., 64:128, 64:128] = 0
    array[:] = values
    return values


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("shards", [None, (1, 1, 1, 64, 64), (2, 1, 1, 64, 128)])
def test_every_chunk_equals_what_zarr_reads(
    tmp_path: Path, shards: tuple[int, ...] | None, location: str
) -> None:
    values = written(tmp_path / "a", shards, location)
    reader = ShardReader(4)
    array = reader.array(tmp_path / "a")
    padded = np.pad(values, [(0, 0)] * 3 + [(0, 24), (0, 20)])

    for index in np.ndindex(2, 1, 1, 7, 10):
        data = reader.read(tmp_path / "a", index)
        t, _, _, y, x = index
        expected = padded[t, 0, 0, 32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
        if data is None:
            assert not expected.any()
        else:
            assert np.array_equal(decode(array, data), expected)

    assert reader.read(tmp_path / "a", (0, 0, 0, 0, 1)) is None
    assert reader.read(tmp_path / "a", (1, 0, 0, 2, 2)) is None


@pytest.mark.parametrize(
    "index", [(2, 0, 0, 0, 0), (0, 0, 0, 7, 0), (0, 0, 0, 0, 10), (0, 0, 0, -1, 0), (0, 0), ()]
)
def test_outside_is_none(tmp_path: Path, index: tuple[int, ...]) -> None:
    written(tmp_path / "a", (1, 1, 1, 64, 64))

    assert ShardReader().read(tmp_path / "a", index) is None


def test_cached_reads_never_open_files(tmp_path: Path) -> None:
    written(tmp_path / "a", (1, 1, 1, 64, 64))
    reader = ShardReader()

    with pytest.raises(WouldBlock):
        reader.read_cached(tmp_path / "a", (0, 0, 0, 0, 0))
    data = reader.read(tmp_path / "a", (0, 0, 0, 0, 0))

    assert reader.read_cached(tmp_path / "a", (0, 0, 0, 0, 0)) == data
    assert reader.read_cached(tmp_path / "a", (0, 0, 0, 0, 1)) is None
    with pytest.raises(WouldBlock):
        reader.read_cached(tmp_path / "a", (0, 0, 0, 2, 2))


def test_open_files_are_bounded_and_threads_read_right(tmp_path: Path) -> None:
    values = written(tmp_path / "a", (1, 1, 1, 64, 64))
    reader = ShardReader(3)
    array = reader.array(tmp_path / "a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    chunks = [(t, 0, 0, y, x) for t in range(2) for y in range(6) for x in range(9)] * 10
    np.random.default_rng(7).shuffle(chunks)

    def check(index: tuple[int, ...]) -> bool:
        t, _, _, y, x = (int(i) for i in index)
        expected = values[t, 0, 0, 32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
        data = reader.read(tmp_path / "a", (t, 0, 0, y, x))
        return not expected.any() if data is None else np.array_equal(decode(array, data), expected)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, chunks))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


@pytest.mark.parametrize("damage", ["cut", "index", "empty"])
def test_damage_is_named_and_never_served(tmp_path: Path, damage: str) -> None:
    written(tmp_path / "a", (1, 1, 1, 64, 64))
    shard = tmp_path / "a" / "c" / "0" / "0" / "0" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(
        {"cut": content[100:], "index": content[:-8] + b"\1" * 8, "empty": b""}[damage]
    )

    with pytest.raises(FileError, match=r"damaged|cut short"):
        [ShardReader().read(tmp_path / "a", (0, 0, 0, y, x)) for y in range(2) for x in range(2)]


def test_a_damaged_chunk_is_not_decoded(tmp_path: Path) -> None:
    written(tmp_path / "a", (1, 1, 1, 64, 64))
    reader = ShardReader()
    data = reader.read(tmp_path / "a", (0, 0, 0, 0, 0))
    assert data is not None

    for damaged in (data[:-1], b"", data[:4] + b"\xff" * 4 + data[8:]):
        with pytest.raises(FileError, match="damaged"):
            decode(reader.array(tmp_path / "a"), damaged)


def test_not_an_array(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text('{"node_type": "group"}')

    with pytest.raises(FileError, match="not a readable array"):
        ShardReader().read(tmp_path, (0,))
    with pytest.raises(FileError, match="not a readable array"):
        ShardReader().read(tmp_path / "nowhere", (0,))


def test_the_least_recently_used_goes_first() -> None:
    recent: Recent[int, str] = Recent(2)
    recent.put(1, "a")
    recent.put(2, "b")
    recent.get(1)

    recent.put(3, "c")

    assert (recent.get(1), recent.get(2), recent.get(3), len(recent)) == ("a", None, "c", 2)
    assert recent.put(1, "other") == "a"
