"""Pixels of a region of a TIFF page, of whose file only what it needs is read; entry point: `read_box`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.files.jpeg import jpeg_header
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.files.tiff_pages import RGB, YCBCR, PageFacts
from gpu_workers.formats.listing import shown

# A strip or tile is decoded at once: more than this isn't reserved because a header says so.
MAX_SEGMENT_BYTES: Final = 2**28
# Room for headers of compressed pieces, which are hardly ever larger than their pixels.
_SPARE_BYTES: Final = 2**20
JPEG: Final = (6, 7, 33007, 34892)
JPEG_2000: Final = (33005, 34712)
# Codecs that stop at the size they are told, and those whose own header is compared before decoding.
BOUNDED: Final = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013, *JPEG, *JPEG_2000)


@dataclass(frozen=True, slots=True)
class Box:
    """A region of a page, px."""

    y: int
    x: int
    height: int
    width: int


def is_plain(page: Any) -> bool:
    """Return whether the pixels of a page lie in the file as they are, row after row."""
    offsets, counts = page.dataoffsets, page.databytecounts
    return bool(
        page.compression == 1
        and page.bitspersample in (8, 16, 32)
        and page.predictor == 1
        and page.fillorder == 1
        and page.sampleformat != 5
        and not page.is_tiled
        and len(offsets) > 0
        and all(
            o + n == after
            for o, n, after in zip(offsets[:-1], counts[:-1], offsets[1:], strict=False)
        )
    )


def plane_bytes(page: Any) -> int:
    """Return how many bytes the pixels of a page are, decoded."""
    n_pixels = page.imagelength * page.imagewidth * page.samplesperpixel
    return int(n_pixels * page.bitspersample // 8)


def require_data(page: Any, file: str, size: int, last_shift: int = 0) -> None:
    """Raise FileError where the pixels of a page can't lie in a file of this size.

    Parameters
    ----------
    last_shift
        Distance in bytes of the last of several planes that follow the page without pages of their own.
    """
    if page.compression not in BOUNDED:
        name = shown(file)
        raise FileError(
            f"{name} is compressed in a way that isn't read ({page.compression!r})",
            code="unsupported_type", files=(name,),
        )  # fmt: skip
    offsets, counts = page.dataoffsets, page.databytecounts
    n_segments = _n_segments(page)
    if not offsets or min(len(offsets), len(counts)) < n_segments:
        raise damaged(file, f"it names {len(offsets)} of {n_segments} pieces of its pixels")
    end = max(o + n for o, n in zip(offsets, counts, strict=False)) + last_shift
    if end > size:
        raise damaged(file, f"it has {size} bytes of the {end} or more its header names")
    plain = page.compression == 1 and isinstance(page.bitspersample, int)
    whole = not page.is_tiled or all(counts)
    if plain and whole and sum(counts) < plane_bytes(page):
        raise damaged(file, f"it holds {sum(counts)} of {plane_bytes(page)} bytes of pixels")
    if not is_plain(page) and _segment_bytes(page) > MAX_SEGMENT_BYTES:
        name = shown(file)
        raise FileError(
            f"{name} claims pieces of {_segment_bytes(page)} bytes, more than are decoded at once "
            f"({MAX_SEGMENT_BYTES})", code="too_large", files=(name,),
        )  # fmt: skip


def read_box(
    stream: BinaryIO,
    file: str,
    page: Any,
    facts: PageFacts,
    box: Box,
    sample: int | None,
    shift: int = 0,
) -> npt.NDArray[Any]:
    """Return a region of a page.

    Parameters
    ----------
    sample
        Which component of a pixel; None: all that `facts` tells of.
    shift
        Distance in bytes of a plane that follows the page without a page of its own.

    Returns
    -------
    ndarray, shape (height, width) or (height, width, samples)
        In the type of the file.

    Raises
    ------
    FileError
        The pixels aren't there, or don't decode to what the page describes.
    """
    planar = page.planarconfig == 2 and page.samplesperpixel > 1
    wanted = range(facts.samples) if sample is None else range(sample, sample + 1)
    read = _read_rows if is_plain(page) else _read_segments
    if not planar:
        pixels = read(stream, file, page, box, 0, shift)
        pixels = pixels.reshape(box.height, box.width, -1)
        return pixels[..., sample] if sample is not None else pixels[..., : facts.samples]
    parts = [read(stream, file, page, box, s, shift)[..., 0] for s in wanted]
    return parts[0] if sample is not None else np.stack(parts, axis=-1)


def _contiguous_samples(page: Any) -> int:
    return 1 if page.planarconfig == 2 else int(page.samplesperpixel)


def _grid(page: Any) -> tuple[int, int, int, int]:
    """Return height and width of a segment, and how many of them lie below and beside each other."""
    height, width = int(page.imagelength), int(page.imagewidth)
    if page.is_tiled:
        h, w = int(page.tilelength), int(page.tilewidth)
    else:
        h, w = int(page.rowsperstrip), width
    if h < 1 or w < 1:
        raise ValueError("its pieces have no size")
    return h, w, -(-height // h), -(-width // w)


def _n_segments(page: Any) -> int:
    _, _, n_y, n_x = _grid(page)
    return n_y * n_x * (int(page.samplesperpixel) if page.planarconfig == 2 else 1)


def _segment_bytes(page: Any) -> int:
    h, w, _, _ = _grid(page)
    if not isinstance(page.bitspersample, int):
        return h * w * _contiguous_samples(page) * 8
    return h * w * _contiguous_samples(page) * max(1, page.bitspersample // 8)


def _read_rows(
    stream: BinaryIO, file: str, page: Any, box: Box, sample: int, shift: int
) -> npt.NDArray[Any]:
    """Return a region of pixels that lie in the file as they are."""
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    n = _contiguous_samples(page)
    row = int(page.imagewidth) * n * dtype.itemsize
    start = page.dataoffsets[0] + shift + (sample * int(page.imagelength) + box.y) * row
    stream.seek(start)
    data = stream.read(box.height * row)
    if len(data) < box.height * row:
        raise damaged(file, f"{box.height * row - len(data)} bytes of its pixels are missing")
    rows = np.frombuffer(data, dtype).reshape(box.height, int(page.imagewidth), n)
    return rows[:, box.x : box.x + box.width]


def _read_segments(
    stream: BinaryIO, file: str, page: Any, box: Box, sample: int, shift: int
) -> npt.NDArray[Any]:
    """Return a region, decoded from the strips or tiles that touch it."""
    if shift:
        raise damaged(file, "several planes lie in one page and are compressed")
    # Where a scanner saw nothing it wrote no tile: bright background, not black tissue.
    empty = 255 if page.photometric in (RGB, YCBCR) and page.dtype == np.uint8 else 0
    pixels = np.full((box.height, box.width, _contiguous_samples(page)), empty, page.dtype)
    for index, y, x in _touched(page, box, sample):
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not offset or not count:
            continue
        if count > 4 * _segment_bytes(page) + _SPARE_BYTES:
            raise damaged(file, f"piece {index} claims {count} bytes")
        stream.seek(offset)
        data = stream.read(count)
        if len(data) < count:
            raise damaged(file, f"{count - len(data)} bytes of its pixels are missing")
        part = _decoded(page, data, index, file)
        top, left = max(box.y - y, 0), max(box.x - x, 0)
        part = part[top : box.y + box.height - y, left : box.x + box.width - x]
        at_y, at_x = y + top - box.y, x + left - box.x
        pixels[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
    return pixels


def _touched(page: Any, box: Box, sample: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, y and x of the segments of a region."""
    h, w, n_y, n_x = _grid(page)
    for ty in range(box.y // h, -(-(box.y + box.height) // h)):
        for tx in range(box.x // w, -(-(box.x + box.width) // w)):
            yield (sample * n_y + ty) * n_x + tx, ty * h, tx * w


def _decoded(page: Any, data: bytes, index: int, file: str) -> npt.NDArray[Any]:
    """Return one strip or tile (y, x, samples); FileError where it isn't what the page says."""
    h, w, _, _ = _grid(page)
    if page.compression in JPEG:
        own = jpeg_header(page.jpegheader + data if page.jpegheader else data)
        if page.jpegheader is None and (own.height > h or own.width > w):
            raise damaged(file, f"piece {index} claims {own.height} x {own.width} px of {h} x {w}")
    elif page.compression in JPEG_2000:
        _require_jpeg_2000(data, h, w, index, file)
    found, _, shape = page.decode(
        data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
    )
    if found is None or found.ndim != 4:
        raise damaged(file, f"piece {index} holds no pixels")
    part: npt.NDArray[Any] = found[0]
    if part.shape[2] != _contiguous_samples(page) or part.dtype.kind != page.dtype.kind:
        raise damaged(file, f"piece {index} has the shape {shape} and type {part.dtype}")
    return part


def _require_jpeg_2000(data: bytes, h: int, w: int, index: int, file: str) -> None:
    """Raise FileError where a JPEG 2000 codestream claims more than its tile holds."""
    place = data.find(b"\xff\x4f\xff\x51", 0, 1024)
    if place < 0 or len(data) < place + 24:
        raise damaged(file, f"piece {index} is no JPEG 2000 codestream")
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, place + 8)
    if x1 - x0 > w or y1 - y0 > h or x1 <= x0 or y1 <= y0:
        raise damaged(file, f"piece {index} claims {y1 - y0} x {x1 - x0} px of {h} x {w}")
