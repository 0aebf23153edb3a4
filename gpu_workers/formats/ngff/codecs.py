"""What stands between an array and the bytes of its chunks; entry point: `Codecs`.

Only what a chunk may hold is ever allocated: every decoder is told the size it must produce, and a
chunk that holds more or less is damaged.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.messages import Json

MAX_CHUNK_BYTES: Final = 2**29
MAX_TEXT_BYTES: Final = 2**26
# What the numcodecs and the Zarr 3 extensions call alike.
SUPPORTED: Final = ("blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "crc32c")


@dataclass(frozen=True, slots=True)
class Codecs:
    """How one chunk is stored.

    Attributes
    ----------
    dtype
        Of the stored numbers, with their byte order; `object` for strings.
    order
        The axes of the chunk as they follow each other in its bytes, slowest first.
    compressors
        Names of what the bytes went through, in the order of writing.
    """

    dtype: np.dtype[Any]
    order: tuple[int, ...]
    compressors: tuple[str, ...] = ()

    def decode(self, data: bytes, shape: Sequence[int]) -> npt.NDArray[Any]:
        """Return the chunk of `shape` that the bytes hold; ValueError or RuntimeError if they don't."""
        count = int(np.prod(shape, dtype=np.int64))
        text = self.dtype == np.dtype(object)
        size = MAX_TEXT_BYTES if text else count * self.dtype.itemsize
        for name in reversed(self.compressors):
            data = _decoded(name, data, size, exact=not text)
        if text:
            return _strings(data, count).reshape(tuple(shape))
        if len(data) != size:
            raise ValueError(f"a chunk holds {len(data)} bytes, not {size}")
        stored = [shape[axis] for axis in self.order]
        array = np.frombuffer(data, self.dtype).reshape(stored)
        return array.transpose(np.argsort(self.order))


def _decoded(name: str, data: bytes, size: int, *, exact: bool) -> bytes:
    """Return what one compressor was given, at most `size` bytes (and 4 of a checksum within)."""
    if name == "crc32c":
        return checked(data)
    if name == "blosc":
        return _blosc(data, size, exact=exact)
    found = _stream(name, data, size)
    if len(found) > size:
        raise ValueError(f"a chunk holds more than {size} bytes")
    return found


def _stream(name: str, data: bytes, size: int) -> bytes:
    import imagecodecs

    if name == "zstd":
        return bytes(imagecodecs.zstd_decode(data, out=size))
    if name == "lz4":
        if len(data) < 4 or struct.unpack("<I", data[:4])[0] > size:
            raise ValueError("the header of a lz4 chunk is wrong")
        return bytes(imagecodecs.lz4_decode(data[4:], out=size))
    # gzip and zlib tell each other apart
    stream = bz2.BZ2Decompressor() if name == "bz2" else zlib.decompressobj(wbits=47)
    found = stream.decompress(data, size + 1)
    if len(found) <= size and not stream.eof:
        raise ValueError("a chunk is cut short")
    return bytes(found)


def _blosc(data: bytes, size: int, *, exact: bool) -> bytes:
    from numcodecs import blosc

    # blosc believes the sizes in its header, so they are compared with ours first.
    if len(data) < 16:
        raise ValueError(f"a blosc chunk has {len(data)} bytes")
    holds, _, stored = struct.unpack("<III", data[4:16])
    if stored != len(data) or holds > size or (exact and holds != size):
        raise ValueError(f"a chunk says that it holds {holds} bytes in {stored}")
    blosc.use_threads = False
    found: bytes = blosc.decompress(data)
    return found


def checked(data: bytes) -> bytes:
    """Return the bytes before a CRC-32C that ends them; RuntimeError if it is wrong."""
    from numcodecs.checksum32 import CRC32C

    found = CRC32C(location="end").decode(data)
    return bytes(found)


def _strings(data: bytes, count: int) -> npt.NDArray[Any]:
    """Return the strings of a chunk: their number, then the length and the UTF-8 bytes of each."""
    if len(data) < 4 + 4 * count or struct.unpack_from("<I", data)[0] != count:
        raise ValueError("a chunk of strings is damaged")
    found = np.empty(count, object)
    at = 4
    for number in range(count):  # each string's place is known only from the one before
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            raise ValueError("a chunk of strings is cut short")
        found[number] = data[at + 4 : at + 4 + length].decode()
        at += 4 + length
    return found


def compressor(name: object, file: str) -> str:
    """Return the name of a supported compressor; FileError (`unsupported_codec`) for another."""
    if name not in SUPPORTED:
        raise FileError(
            f"{file} is stored with the codec {str(name)[:40]!r}; {', '.join(SUPPORTED)} can be read",
            code="unsupported_codec", files=(file,),
        )  # fmt: skip
    return str(name)


def version_2(metadata: Json, dtype: np.dtype[Any], n_axes: int, file: str) -> Codecs:
    """Return the codecs of a ``.zarray``."""
    filters = [str(f.get("id")) for f in metadata.get("filters") or []]
    if filters not in ([], ["vlen-utf8"]) or (filters == []) == (dtype == np.dtype(object)):
        compressor(filters[0] if filters else "object", file)
    packed = metadata.get("compressor")
    names = (compressor(packed.get("id"), file),) if packed else ()
    order = tuple(range(n_axes))
    return Codecs(dtype, order[::-1] if metadata.get("order") == "F" else order, names)


def version_3(chain: list[Json], dtype: np.dtype[Any], n_axes: int, file: str) -> Codecs:
    """Return the codecs of a ``zarr.json``, or of the inner chunks of its shards."""
    order = tuple(range(n_axes))
    names: list[str] = []
    for codec in chain:
        name, options = codec["name"], codec.get("configuration") or {}
        if name == "transpose":
            order = tuple(order[axis] for axis in _permutation(options["order"], n_axes))
        elif name == "bytes":
            if options.get("endian") == "big":
                dtype = dtype.newbyteorder(">")
        elif name != "vlen-utf8" or dtype != np.dtype(object):
            names.append(compressor(name, file))
    return Codecs(dtype, order, tuple(names))


def _permutation(order: Any, n_axes: int) -> list[int]:
    named = {"C": range(n_axes), "F": range(n_axes)[::-1]}
    axes = list(named[order] if isinstance(order, str) else order)
    if sorted(axes) != list(range(n_axes)):
        raise ValueError(f"{axes} is no order of {n_axes} axes")
    return axes
