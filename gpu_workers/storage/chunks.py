"""Stored chunks as they are: found through a cached shard index, read with one `pread`.

Entry point: `ShardReader`. Nothing here decodes a chunk or asks zarr, because the web server hands
chunks to browsers verbatim; `decode` is for those who want the pixels.
"""

from __future__ import annotations

import json
import math
import os
import resource
import struct
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import FileError

_ABSENT = 2**64 - 1
_ENTRY = struct.Struct("<QQ")
_scratch = local()
_SIZES = struct.Struct("<I4xI")  # of Blosc's header: decoded and encoded bytes
# Without these flags (not Linux) `read_cached` always answers "would block".
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WouldBlock(Exception):
    """The chunk is not in memory: read it where waiting does no harm."""


class Recent(Generic[K, V]):
    """A bounded, thread-safe map that forgets what was not used for longest."""

    def __init__(self, maxsize: int):
        self._maxsize = maxsize
        self._items: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Return what is kept under `key`, None if nothing is."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> V:
        """Keep `value`; return the one that was there first if another thread was faster."""
        with self._lock:
            value = self._items.setdefault(key, value)
            self._items.move_to_end(key)
            while len(self._items) > self._maxsize:
                self._items.popitem(last=False)
            return value

    def drop(self, key: K) -> None:
        """Forget `key`."""
        with self._lock:
            self._items.pop(key, None)


@dataclass(frozen=True, slots=True)
class StoredArray:
    """What ``zarr.json`` says about where an array's chunks lie.

    Attributes
    ----------
    chunk
        Shape of what is compressed as one piece.
    shard
        Shape of one file; None if every chunk is a file of its own.
    per_shard
        Chunks per shard along each axis (all 1 without shards).
    grid
        Chunks along each axis.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    per_shard: tuple[int, ...]
    grid: tuple[int, ...]
    index_at_end: bool
    index_checked: bool
    separator: str
    compression: str | None

    def file(self, index: tuple[int, ...]) -> tuple[str, int]:
        """Return the file that holds a chunk, and the chunk's number within it."""
        number = 0
        parts = ["c"]
        for i, n in zip(index, self.per_shard, strict=True):
            parts.append(str(i // n))
            number = number * n + i % n
        return f"{self.folder}/{self.separator.join(parts)}", number

    def inside(self, index: tuple[int, ...]) -> bool:
        """Tell whether the array has a chunk of that index."""
        return len(index) == len(self.grid) and all(
            0 <= i < n for i, n in zip(index, self.grid, strict=True)
        )


def _codec(codecs: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((c.get("configuration", {}) for c in codecs if c["name"] == name), None)


def describe_array(folder: Path) -> StoredArray:
    """Read an array's ``zarr.json``.

    Raises
    ------
    FileError
        There is none, or its chunks cannot be found the way `ShardReader` does it.
    """
    try:
        metadata = json.loads((folder / "zarr.json").read_bytes())
        outer = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        codecs = metadata["codecs"]
        sharding = _codec(codecs, "sharding_indexed")
        chunk = outer if sharding is None else tuple(sharding["chunk_shape"])
        inner = codecs if sharding is None else sharding["codecs"]
        shape = tuple(metadata["shape"])
        encoding = metadata["chunk_key_encoding"]
        if encoding["name"] != "default" or (sharding is not None and len(codecs) > 1):
            raise FileError(f"{folder.name}: chunks cannot be read one by one", code="bad_array")
        return StoredArray(
            folder=folder,
            shape=shape,
            dtype=metadata["data_type"],
            chunk=chunk,
            shard=None if sharding is None else outer,
            per_shard=tuple(o // c for o, c in zip(outer, chunk, strict=True)),
            grid=tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True)),
            index_at_end=sharding is None or sharding.get("index_location", "end") == "end",
            index_checked=sharding is not None
            and _codec(sharding["index_codecs"], "crc32c") is not None,
            separator=encoding.get("configuration", {}).get("separator", "/"),
            compression=next(
                (c["name"] for c in inner if c["name"] not in ("bytes", "crc32c")), None
            ),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{folder.name} is not a readable array", code="bad_array") from error


class _Shard:
    """An open file and its index; closes itself when the last reader lets go of it."""

    __slots__ = ("descriptor", "index")

    def __init__(self, descriptor: int, index: bytes | None):
        self.descriptor = descriptor
        self.index = index

    def __del__(self) -> None:
        os.close(self.descriptor)

    def range(self, number: int) -> tuple[int, int] | None:
        if self.index is None:
            return 0, os.fstat(self.descriptor).st_size
        offset, length = _ENTRY.unpack_from(self.index, number * _ENTRY.size)
        return None if offset == _ABSENT else (offset, length)


def _open_shard(array: StoredArray, path: str) -> _Shard | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    shard = _Shard(descriptor, None)
    if array.shard is None:
        return shard
    entries = _ENTRY.size * math.prod(array.per_shard)
    length = entries + (4 if array.index_checked else 0)
    start = os.fstat(descriptor).st_size - length if array.index_at_end else 0
    index = os.pread(descriptor, length, start) if start >= 0 else b""
    if len(index) != length or (array.index_checked and not _intact(index)):
        raise FileError(
            f"the index of {array.folder.name}{path[len(str(array.folder)) :]} is damaged",
            code="bad_shard",
        )
    shard.index = index[:entries]
    return shard


def _intact(index: bytes) -> bool:
    import google_crc32c

    return bool(google_crc32c.value(index[:-4]) == int.from_bytes(index[-4:], "little"))


def affordable_files() -> int:
    """Return how many files a reader may keep open without starving the rest of the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(soft // 4, 64), 1024)


class ShardReader:
    """Reads stored chunks verbatim; for any number of threads.

    Parameters
    ----------
    maxsize
        Files kept open, by default a quarter of what the process may open; a shard's index (1 kB for
        64 chunks) stays in memory as long.
    """

    def __init__(self, maxsize: int | None = None):
        maxsize = maxsize or affordable_files()
        self._arrays: Recent[str, StoredArray] = Recent(8 * maxsize)
        self._shards: Recent[str, _Shard] = Recent(maxsize)

    def array(self, folder: Path) -> StoredArray:
        """Return where the chunks of the array in `folder` lie; raises FileError."""
        name = str(folder)
        return self._arrays.get(name) or self._arrays.put(name, describe_array(folder))

    def read(self, folder: Path, index: tuple[int, ...]) -> bytes | None:
        """Return a chunk as it is stored; None if it is absent or outside the array.

        Raises
        ------
        FileError
            No array there, a damaged index, or a file cut short.
        """
        array = self.array(folder)
        if not array.inside(index):
            return None
        path, number = array.file(index)
        shard = self._shards.get(path)
        if shard is None:
            opened = _open_shard(array, path)
            if opened is None:
                return None
            shard = self._shards.put(path, opened)
        return _fetch(shard, number, path, os.pread)

    def read_cached(self, folder: Path, index: tuple[int, ...]) -> bytes | None:
        """Do as `read`, but only with what needs no waiting for a disk.

        Raises
        ------
        WouldBlock
            The index or the chunk would have to come from the disk.
        """
        array = self._arrays.get(str(folder))
        if array is None or _NOWAIT is None:
            raise WouldBlock
        if not array.inside(index):
            return None
        path, number = array.file(index)
        shard = self._shards.get(path)
        if shard is None:
            raise WouldBlock
        return _fetch(shard, number, path, _pread_nowait)


def _pread_nowait(descriptor: int, length: int, offset: int) -> bytes:
    assert _NOWAIT is not None
    buffer: bytearray = getattr(_scratch, "buffer", bytearray())
    if len(buffer) < length:
        # Kept for the next chunk: fresh pages would cost as much as the reading.
        buffer = _scratch.buffer = bytearray(2 * length)
    view = memoryview(buffer)[:length]
    try:
        count = os.preadv(descriptor, [view], offset, _NOWAIT)
    except OSError as error:
        raise WouldBlock from error
    if count < length:
        raise WouldBlock
    return bytes(view)


def _fetch(
    shard: _Shard, number: int, path: str, pread: Callable[[int, int, int], bytes]
) -> bytes | None:
    place = shard.range(number)
    if place is None:
        return None
    data = pread(shard.descriptor, place[1], place[0])
    if len(data) != place[1]:
        raise FileError(f"the shard …{path[-40:]} is cut short", code="bad_shard")
    return data


def decode(array: StoredArray, data: bytes) -> NDArray[Any]:
    """Return the pixels of a chunk as a 2-D array of its last two axes.

    Raises
    ------
    FileError
        It is compressed with something else than Blosc, or damaged.
    """
    if array.compression not in (None, "blosc"):
        raise FileError(f"{array.compression} chunks are not decoded here", code="bad_array")
    from numcodecs import blosc

    dtype = np.dtype(array.dtype).newbyteorder("<")
    size = dtype.itemsize * math.prod(array.chunk)
    damaged = FileError(f"a chunk of {array.folder.name} is damaged", code="bad_shard")
    if array.compression == "blosc":
        # Blosc trusts its header, so the sizes there are compared with ours first.
        if len(data) < 16 or _SIZES.unpack_from(data, 4) != (size, len(data)):
            raise damaged
        try:
            data = blosc.decompress(data)
        except (RuntimeError, ValueError) as error:
            raise damaged from error
    if len(data) != size:
        raise damaged
    return np.frombuffer(data, dtype).reshape(array.chunk[-2:])
