"""Arrays of Zarr version 2 and 3; entry point: `open_array`."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import open_below, shown
from gpu_workers.formats.ngff import codecs, groups
from gpu_workers.formats.ngff.codecs import MAX_CHUNK_BYTES, Codecs
from gpu_workers.messages import Json

MAX_AXES: Final = 8
MAX_INNER_CHUNKS: Final = 2**20
ABSENT: Final = 2**64 - 1
KEPT_BYTES: Final = 2**27
MAX_READ_BYTES: Final = 2**30
MAX_READ_CHUNKS: Final = 2**18
_DTYPES: Final = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                  "float16", "float32", "float64"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sharding:
    """How the chunks of a shard are found.

    Attributes
    ----------
    shape
        Of a shard, in elements.
    checked
        Whether a CRC-32C follows the index.
    at_start
        Whether the index lies at the start of the file.
    """

    shape: tuple[int, ...]
    checked: bool
    at_start: bool


@dataclass(slots=True)
class ZarrArray:
    """An array of which only what is asked for is read; chunks read last are kept.

    Attributes
    ----------
    path
        Below `folder`.
    chunks
        Shape of what is decoded at once (the inner chunks of shards).
    """

    folder: Path
    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    codecs: Codecs
    fill: Any
    separator: str
    prefix: str
    sharding: Sharding | None = None
    _kept: OrderedDict[tuple[int, ...], npt.NDArray[Any]] = field(default_factory=OrderedDict)
    _index: tuple[str, npt.NDArray[np.uint64] | None] = ("", None)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[Any]:
        """Return the elements from `start` to before `stop`; what no chunk holds is the fill value.

        Raises
        ------
        FileError
            A chunk is damaged, or isn't a file of the folder; too much is asked for (`too_large`).
        """
        size = [b - a for a, b in zip(start, stop, strict=True)]
        self._require_few(size)
        found = np.empty(size, self.dtype)
        places = [
            range(a // c, -(-b // c)) for a, b, c in zip(start, stop, self.chunks, strict=True)
        ]
        for place in itertools.product(*places):
            low = [max(a, p * c) for a, p, c in zip(start, place, self.chunks, strict=True)]
            high = [min(b, (p + 1) * c) for b, p, c in zip(stop, place, self.chunks, strict=True)]
            target = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
            chunk = self._chunk(place)
            if chunk is None:
                found[target] = self.fill
                continue
            corner = [p * c for p, c in zip(place, self.chunks, strict=True)]
            found[target] = chunk[
                tuple(slice(a - o, b - o) for a, b, o in zip(low, high, corner, strict=True))
            ]
        return found

    def all(self) -> npt.NDArray[Any]:
        """Return the whole array."""
        return self.read([0] * len(self.shape), self.shape)

    def _require_few(self, size: Sequence[int]) -> None:
        n_bytes = math.prod(size) * self.dtype.itemsize
        n_chunks = math.prod(-(-n // c) + 1 for n, c in zip(size, self.chunks, strict=True))
        if n_bytes > MAX_READ_BYTES or n_chunks > MAX_READ_CHUNKS:
            name = shown(self.path)
            raise FileError(
                f"{name} would take {n_bytes} bytes in {n_chunks} chunks",
                code="too_large",
                files=(name,),
            )

    def _chunk(self, place: tuple[int, ...]) -> npt.NDArray[Any] | None:
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        data, file = self._bytes(place)
        if data is None:
            return None
        try:
            chunk = self.codecs.decode(data, self.chunks)
        except Exception as error:
            # The libraries' errors have no common base.
            raise _damaged(file, error) from error
        self._kept[place] = chunk
        while len(self._kept) > 1 and sum(c.nbytes for c in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return chunk

    def _bytes(self, place: tuple[int, ...]) -> tuple[bytes | None, str]:
        """Return the stored bytes of a chunk, None if there are none, and the file they lie in."""
        if self.sharding is None:
            file = self._file(place)
            return _content(self.folder, file), file
        per_shard = [s // c for s, c in zip(self.sharding.shape, self.chunks, strict=True)]
        file = self._file([p // n for p, n in zip(place, per_shard, strict=True)])
        index = self._shard_index(file, per_shard)
        if index is None:
            return None, file
        offset, length = index[tuple(p % n for p, n in zip(place, per_shard, strict=True))].tolist()
        if offset == ABSENT:
            return None, file
        return _content(self.folder, file, offset, length), file

    def _file(self, place: Sequence[int]) -> str:
        key = self.separator.join((*([self.prefix] if self.prefix else []), *map(str, place)))
        return f"{self.path}/{key or '0'}"

    def _shard_index(self, file: str, per_shard: list[int]) -> npt.NDArray[np.uint64] | None:
        """Return offset and length of each chunk of a shard; None if there is no such shard."""
        if self._index[0] == file:
            return self._index[1]
        assert self.sharding is not None
        size = 16 * math.prod(per_shard)
        whole = size + 4 * self.sharding.checked
        offset = 0 if self.sharding.at_start else -whole
        data = _content(self.folder, file, offset, whole)
        index = None
        if data is not None:
            if self.sharding.checked:
                try:
                    data = codecs.checked(data)
                except (RuntimeError, ValueError) as error:
                    raise _damaged(file, error) from error
            index = np.frombuffer(data, "<u8").reshape(*per_shard, 2)
        self._index = file, index
        return index


def _damaged(file: str, error: object) -> FileError:
    name = shown(file)
    return FileError(f"{name} is damaged: {error}", code="truncated_file", files=(name,))


def _content(folder: Path, file: str, offset: int = 0, length: int | None = None) -> bytes | None:
    """Return a file's bytes, or a part (from the end if `offset` is negative); None without a file."""
    try:
        stream = open_below(folder, file)
    except FileError as error:
        if error.code == "file_missing":
            return None
        raise
    with stream:
        size = stream.seek(0, 2)
        first = size + offset if offset < 0 else offset
        wanted = size if length is None else length
        if first < 0 or first + wanted > size or wanted > 2 * MAX_CHUNK_BYTES:
            raise _damaged(file, f"it has {size} bytes, not {first + wanted}")
        stream.seek(first)
        return stream.read(wanted)


def open_array(folder: Path, path: str) -> ZarrArray:
    """Return the array at a path below a folder, from its metadata alone.

    Raises
    ------
    FileError
        There is none (`file_missing`), its metadata is damaged (`bad_metadata`), it claims absurd
        sizes (`too_large`), or it is stored in a way that can't be read (`unsupported_codec`).
    """
    metadata, version = groups.node(folder, path)
    name = shown(path)
    try:
        made = (_version_2 if version == 2 else _version_3)(folder, path, metadata, name)
    except FileError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise FileError(
            f"the metadata of the array {name} is damaged: {error!r}",
            code="bad_metadata",
            files=(name,),
        ) from error
    return _plausible(made, name)


def _version_2(folder: Path, path: str, metadata: Json, name: str) -> ZarrArray:
    dtype = np.dtype(str(metadata["dtype"]))
    shape = tuple(int(n) for n in metadata["shape"])
    return ZarrArray(
        folder=folder,
        path=path,
        shape=shape,
        dtype=dtype.newbyteorder("="),
        chunks=tuple(int(n) for n in metadata["chunks"]),
        codecs=codecs.version_2(metadata, dtype, len(shape), name),
        fill=_fill(metadata.get("fill_value"), dtype),
        separator=_separator(metadata.get("dimension_separator", ".")),
        prefix="",
    )


def _version_3(folder: Path, path: str, metadata: Json, name: str) -> ZarrArray:
    dtype = _dtype_3(metadata["data_type"], name)
    shape = tuple(int(n) for n in metadata["shape"])
    keys = metadata["chunk_key_encoding"]
    plain = keys["name"] == "v2"
    separator = (keys.get("configuration") or {}).get("separator", "." if plain else "/")
    chunks = tuple(int(n) for n in metadata["chunk_grid"]["configuration"]["chunk_shape"])
    chain = metadata["codecs"]
    sharding = None
    if chain[0]["name"] == "sharding_indexed":
        options = chain[0]["configuration"]
        index = [codec["name"] for codec in options["index_codecs"]]
        if len(chain) > 1 or index not in (["bytes"], ["bytes", "crc32c"]):
            codecs.compressor(f"sharding_indexed with {index}, {len(chain)} codecs", name)
        sharding = Sharding(chunks, len(index) == 2, options.get("index_location") == "start")
        chunks = tuple(int(n) for n in options["chunk_shape"])
        chain = options["codecs"]
    return ZarrArray(
        folder=folder,
        path=path,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        codecs=codecs.version_3(chain, dtype, len(shape), name),
        fill=_fill(metadata.get("fill_value"), dtype),
        separator=_separator(separator),
        prefix="" if plain else "c",
        sharding=sharding,
    )


def _dtype_3(named: Any, name: str) -> np.dtype[Any]:
    if named == "string":
        return np.dtype(object)
    if not isinstance(named, str) or named not in _DTYPES:
        raise FileError(
            f"{name} has elements of type {str(named)[:60]}, which can't be read",
            code="unsupported_type", files=(name,),
        )  # fmt: skip
    return np.dtype(named)


def _separator(text: Any) -> str:
    if text not in (".", "/"):
        raise ValueError(f"{text!r} separates no chunk's numbers")
    return str(text)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return the fill value, of which version 3 also knows the bits as hexadecimal digits."""
    if dtype == np.dtype(object):
        return value if isinstance(value, str) else ""
    if value is None:
        value = 0
    native = dtype.newbyteorder("=")
    if isinstance(value, str) and value.startswith("0x") and native.kind == "f":
        return np.array(int(value, 16), f"u{native.itemsize}").view(native)[()]
    if native.kind in "SU":
        return native.type()
    return np.array(float(value) if isinstance(value, str) else value).astype(native)[()]


def _plausible(array: ZarrArray, name: str) -> ZarrArray:
    """Return an array whose claims can be true."""
    grid = array.sharding.shape if array.sharding else array.chunks
    whole = (array.shape, array.chunks, grid)
    if len({len(s) for s in whole}) != 1 or len(array.shape) > MAX_AXES:
        raise FileError(
            f"the array {name} has the shape {array.shape} and chunks {grid}",
            code="bad_metadata", files=(name,),
        )  # fmt: skip
    if min((*array.shape, 0)) < 0 or min((*array.chunks, *grid, 1)) < 1:
        raise FileError(f"the array {name} has no size", code="bad_metadata", files=(name,))
    if any(g % c for g, c in zip(grid, array.chunks, strict=True)):
        raise FileError(
            f"the shards of {name} aren't whole chunks", code="bad_metadata", files=(name,)
        )
    n_bytes = math.prod(array.chunks) * array.dtype.itemsize
    n_inner = math.prod(grid) // math.prod(array.chunks)
    if n_bytes > MAX_CHUNK_BYTES or n_inner > MAX_INNER_CHUNKS or max((*array.shape, 0)) > 2**40:
        raise FileError(
            f"{name} claims {array.shape} elements in chunks of {array.chunks}, {n_inner} a shard;"
            f" a chunk may have {MAX_CHUNK_BYTES} bytes",
            code="too_large", files=(name,),
        )  # fmt: skip
    return array
