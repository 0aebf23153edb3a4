"""Whole shards of Zarr 3 arrays as bytes; entry points: `encode_shard` and `decode_shard`.

A shard holds one plane (or one square of a mosaic) in inner chunks that are compressed with blosc,
then the index of the chunks and its CRC-32C. Assembling the bytes here saves the time zarr-python
spends per chunk, and says exactly which chunks are stored: a plane of zeros is data, not absence.
The array metadata that goes with these bytes is made by `gpu_workers.storage.ome.array_metadata`.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from numcodecs.checksum32 import CRC32C

from gpu_workers.errors import TissueMapsError

CHUNK: Final = 512
ABSENT: Final = 2**64 - 1

_CHECKSUM = CRC32C(location="end")

# Each worker slot is a process of its own: threads inside blosc would only fight over the cores,
# and its context-free calls take a lock that the reading threads of the web process would share.
blosc.use_threads = False


class BadShard(TissueMapsError, ValueError):
    """A stored shard is damaged."""

    code = "bad_shard"


def padded(length: int, chunk: int = CHUNK) -> int:
    """Return `length` rounded up to a whole number of chunks."""
    return -(-length // chunk) * chunk


def encode_shard(
    image: npt.NDArray[Any],
    *,
    side: tuple[int, int] | None = None,
    chunk: int = CHUNK,
    clevel: int = 1,
    present: npt.NDArray[np.bool_] | None = None,
) -> bytes | None:
    """Return the bytes of the shard that holds a 2-D image.

    Parameters
    ----------
    image
        Pixels (y, x); uint8, uint16, uint32 or float32. It may be smaller than the shard, as at the
        right and lower border of an array; what lies outside is zero.
    side
        Height and width of the shard, px, multiples of `chunk`; by default the image's own size
        rounded up.
    chunk
        Side of the square inner chunks, px.
    clevel
        Level of blosc zstd with bit-shuffling: 1 for what is written once and read by jobs, 3 for
        what is served for ever.
    present
        Which chunks to store (rows, columns of chunks); by default all that touch the image.

    Returns
    -------
    bytes or None
        None if no chunk is present: the shard must then be absent.

    Raises
    ------
    ValueError
        The image isn't 2-D or larger than the shard, or `side` isn't a multiple of `chunk`.
    """
    if image.ndim != 2:
        raise ValueError(f"a shard holds a 2-D image, not {image.ndim}-D")
    height, width = side or (padded(image.shape[0], chunk), padded(image.shape[1], chunk))
    if height % chunk or width % chunk or image.shape[0] > height or image.shape[1] > width:
        raise ValueError(
            f"an image of {image.shape} px doesn't fit a shard of {(height, width)} px"
        )
    rows, columns = height // chunk, width // chunk
    index = np.full((rows, columns, 2), ABSENT, "<u8")
    parts: list[bytes] = []
    offset = 0
    little = image.dtype.newbyteorder("<")
    for row in range(-(-image.shape[0] // chunk)):
        for column in range(-(-image.shape[1] // chunk)):
            if present is not None and not present[row, column]:
                continue
            tile = _tile(image, row * chunk, column * chunk, chunk, little)
            data = blosc.compress(tile, b"zstd", clevel, blosc.BITSHUFFLE, 0)
            index[row, column] = offset, len(data)
            parts.append(data)
            offset += len(data)
    if not parts:
        return None
    parts.append(bytes(_CHECKSUM.encode(index.tobytes())))
    return b"".join(parts)


def _tile(
    image: npt.NDArray[Any], y: int, x: int, chunk: int, dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    tile = image[y : y + chunk, x : x + chunk]
    if tile.shape == (chunk, chunk):
        return np.ascontiguousarray(tile, dtype)
    whole = np.zeros((chunk, chunk), dtype)
    whole[: tile.shape[0], : tile.shape[1]] = tile
    return whole


def shard_index(data: bytes | memoryview, n_chunks: int) -> npt.NDArray[np.uint64]:
    """Return (n_chunks, 2) offsets and lengths in bytes from a shard or from its tail.

    Raises
    ------
    BadShard
        It is too short or its checksum is wrong.
    """
    size = 16 * n_chunks + 4
    if len(data) < size:
        raise BadShard(f"the shard has {len(data)} bytes, its index alone needs {size}")
    tail = bytes(data[len(data) - size :])
    if bytes(_CHECKSUM.encode(tail[:-4]))[-4:] != tail[-4:]:
        raise BadShard("the checksum of the shard's index is wrong")
    return np.frombuffer(tail, "<u8", 2 * n_chunks).reshape(n_chunks, 2)


def require_sound(
    data: bytes, shape: tuple[int, int], dtype: npt.DTypeLike, *, chunk: int = CHUNK
) -> None:
    """Raise BadShard where the index or the header of a chunk is damaged; decodes nothing.

    Libraries reserve as much memory as a chunk's header claims: this comes before they are let loose.
    """
    expected = chunk * chunk * np.dtype(dtype).itemsize
    n_chunks = padded(shape[0], chunk) * padded(shape[1], chunk) // chunk**2
    for offset, length in shard_index(data, n_chunks).tolist():
        if offset != ABSENT:
            _require_chunk(memoryview(data), offset, length, expected)


def decode_shard(
    data: bytes, shape: tuple[int, int], dtype: npt.DTypeLike, *, chunk: int = CHUNK, fill: int = 0
) -> npt.NDArray[Any]:
    """Return the image of `shape` (y, x) that lies in the upper left of a whole shard.

    The shard's own size is `shape` rounded up to whole chunks; absent chunks are
    `fill`.

    Raises
    ------
    BadShard
        The index or a chunk is damaged.
    """
    kind = np.dtype(dtype)
    rows, columns = padded(shape[0], chunk) // chunk, padded(shape[1], chunk) // chunk
    index = shard_index(data, rows * columns)
    image = np.full((rows * chunk, columns * chunk), fill, kind)
    view = memoryview(data)
    for number, (offset, length) in enumerate(index.tolist()):
        if offset == ABSENT:
            continue
        y, x = chunk * (number // columns), chunk * (number % columns)
        image[y : y + chunk, x : x + chunk] = _decompress(view, offset, length, chunk, kind)
    return image[: shape[0], : shape[1]]


def _decompress(
    data: memoryview, offset: int, length: int, chunk: int, dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    _require_chunk(data, offset, length, chunk * chunk * dtype.itemsize)
    try:
        raw = blosc.decompress(data[offset : offset + length])
    except (RuntimeError, ValueError, zlib.error) as error:
        raise BadShard(f"the chunk at byte {offset} of the shard is damaged: {error}") from error
    return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(chunk, chunk)


def _require_chunk(data: memoryview, offset: int, length: int, expected: int) -> None:
    # blosc trusts the sizes in its header, so they are checked against ours first.
    header = bytes(data[offset : offset + 16])
    if (
        offset + length > len(data)
        or len(header) < 16
        or struct.unpack("<III", header[4:])[0::2] != (expected, length)
    ):
        raise BadShard(f"the chunk at byte {offset} of the shard is damaged")
