"""The pages of a TIFF file: where they are, and what each says of its pixels; entry point: `Pages`.

tifffile parses one page at a time and decodes its segments. The list of pages is walked here: a list
that runs in a circle or has millions of entries must end in an error, and a stack of thousands of
pages is known by a few bytes of each.
"""

from __future__ import annotations

import logging
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import MAX_PAGES
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.listing import shown

# What is wrong with a file is said in a FileError, once; not in the log of the job as well.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
SAMPLES, PAGE_NAME, FORMAT, SUB_IFDS, SUBFILE = 277, 285, 339, 330, 254
MAX_TAGS: Final = 4096
# The longest are lists of tiles, with eight bytes for each of four million, and descriptions.
MAX_TAG_BYTES: Final = 2**25
MAX_TEXT: Final = 2**20
_ALIKE = (WIDTH, HEIGHT, BITS, SAMPLES, FORMAT, PHOTOMETRIC, SUBFILE)
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_KEPT_PAGES = 8
# Pixel types that another one holds without any loss; 64-bit and 32-bit integers have none.
WIDENED: Final = {"bool": "uint8", "int8": "float32", "int16": "float32", "float16": "float32"}
RGB, PALETTE, YCBCR = 2, 3, 6
_GREY = {0, 1, PALETTE, 4, 32803, 34892}


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What the pixels of a page are.

    Attributes
    ----------
    samples
        Components of a pixel that are read: 3 for red, green and blue, else each is a channel.
    is_rgb
        The components are red, green and blue.
    is_reduced
        A smaller copy of another page, or a mask of one.
    has_levels
        Smaller copies hang below this page (SubIFDs).
    """

    height: int
    width: int
    dtype: str
    samples: int
    is_rgb: bool
    is_tiled: bool
    is_reduced: bool
    has_levels: bool
    tile_height: int
    tile_width: int


@dataclass(frozen=True, slots=True)
class _Format:
    """How a file writes numbers: order of bytes, width of offsets."""

    order: str
    n_tags: str
    tag_size: int
    offset: str
    value: str

    @property
    def value_size(self) -> int:
        return struct.calcsize(self.value)


def _format(start: bytes, file: str) -> tuple[_Format, int]:
    """Return how the file writes numbers, and where its first page is."""
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        raise damaged(file, "it has no TIFF header")
    version = struct.unpack_from(f"{order}H", start, 2)[0]
    if version == 43:
        layout = _Format(order, f"{order}Q", 20, f"{order}Q", f"{order}Q")
        return layout, struct.unpack_from(layout.offset, start, 8)[0]
    if file.lower().endswith(".ndpi") and order == "<":
        # Hamamatsu writes offsets of 64 bits into an otherwise classic file.
        layout = _Format(order, "<H", 12, "<Q", "<I")
        return layout, struct.unpack_from("<Q", start, 4)[0]
    layout = _Format(order, f"{order}H", 12, f"{order}I", f"{order}I")
    return layout, struct.unpack_from(layout.offset, start, 4)[0]


class Pages:
    """The pages of an open TIFF file.

    Raises
    ------
    FileError
        The list of pages is damaged, endless, or absurdly long.
    """

    def __init__(self, stream: BinaryIO, file: str):
        import tifffile

        self.stream, self.file = stream, file
        self.size = os.fstat(stream.fileno()).st_size
        stream.seek(0)
        self._layout, first = _format(stream.read(16), file)
        self.offsets = self._walk(first)
        self._require_sane(0)
        stream.seek(0)
        # Nonsense in a tag is divided without a warning, and found when the tag is used.
        with np.errstate(all="ignore"):
            self.tiff = tifffile.TiffFile(stream, name=file, is_lsm=False, is_scanimage=False)
        self.first = self.tiff.pages.first
        self._parsed: OrderedDict[int, Any] = OrderedDict({0: self.first})
        self._facts: dict[tuple[Any, ...], PageFacts] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    def close(self) -> None:
        """Let tifffile's handle go."""
        self.tiff.close()

    def page(self, index: int) -> Any:
        """Return tifffile's page of a number; FileError (`missing_page`) if there is none."""
        import tifffile

        if not 0 <= index < len(self.offsets):
            raise FileError(
                f"{shown(self.file)} has {len(self.offsets)} page(s), not {index + 1}",
                code="missing_page", files=(shown(self.file),),
            )  # fmt: skip
        found = self._parsed.pop(index, None)
        if found is None:
            self._require_sane(index)
            self.tiff.filehandle.seek(self.offsets[index])
            with np.errstate(all="ignore"):
                found = tifffile.TiffPage(self.tiff, index=index)
        self._parsed[index] = found
        while len(self._parsed) > _KEPT_PAGES:
            self._parsed.popitem(last=False)
        return found

    def facts(self, index: int) -> PageFacts:
        """Return what the pixels of a page are; pages alike in a few tags are parsed once."""
        alike = (0,) if len(self.offsets) == 1 else self._alike(index)
        if alike not in self._facts:
            self._facts[alike] = page_facts(self.page(index))
        return self._facts[alike]

    def text(self, index: int, code: int) -> str:
        """Return the text of a tag of a page, empty if it has none or an absurdly long one."""
        tag = self._tags(index).get(code)
        if tag is None or tag[0] != 2 or tag[1] > MAX_TEXT:
            return ""
        return self._bytes(tag, 1).rstrip(b"\0").decode("utf-8", "replace")

    def _walk(self, offset: int) -> list[int]:
        """Return where the pages are."""
        layout, seen = self._layout, dict[int, None]()
        n_size, next_size = struct.calcsize(layout.n_tags), struct.calcsize(layout.offset)
        read, seek = self.stream.read, self.stream.seek
        while offset:
            if offset in seen or len(seen) >= MAX_PAGES:
                why = "runs in a circle" if offset in seen else f"has more than {MAX_PAGES} entries"
                raise damaged(self.file, f"its list of pages {why}")
            seen[offset] = None
            seek(min(offset, self.size))
            head = read(n_size)
            n_tags = struct.unpack(layout.n_tags, head)[0] if len(head) == n_size else 0
            if not 0 < n_tags <= MAX_TAGS:
                raise damaged(self.file, f"page {len(seen)} has no list of tags where it should be")
            seek(n_tags * layout.tag_size, 1)
            tail = read(next_size)
            if len(tail) < next_size:
                raise damaged(self.file, f"the list of tags of page {len(seen)} is cut short")
            offset = struct.unpack(layout.offset, tail)[0]
        if not seen:
            raise damaged(self.file, "it has no page", "no_images")
        return list(seen)

    def _require_sane(self, index: int) -> None:
        """Raise FileError where a tag claims so much that reading it would fill the memory."""
        for code, (kind, count, _) in self._tags(index).items():
            if count * _SIZES.get(kind, 8) > MAX_TAG_BYTES:
                name = shown(self.file)
                raise FileError(
                    f"{name} has a tag ({code}) of {count} values, more than {MAX_TAG_BYTES} bytes",
                    code="too_large", files=(name,),
                )  # fmt: skip

    def _tags(self, index: int) -> dict[int, tuple[int, int, bytes]]:
        """Return type, count and value field of every tag of a page."""
        layout = self._layout
        self.stream.seek(self.offsets[index])
        n_tags = struct.unpack(layout.n_tags, self.stream.read(struct.calcsize(layout.n_tags)))[0]
        size = layout.value_size
        entry = f"{layout.order}HH{layout.value[1]}{size}s"
        data = self.stream.read(n_tags * layout.tag_size)
        return {t[0]: t[1:] for t in struct.iter_unpack(entry, data)}

    def _bytes(self, tag: tuple[int, int, bytes], item: int) -> bytes:
        _, count, value = tag
        n_bytes = count * item
        if n_bytes <= self._layout.value_size:
            return value[:n_bytes]
        place = struct.unpack(self._layout.value, value)[0]
        self.stream.seek(min(place, self.size))
        return self.stream.read(n_bytes)

    def _alike(self, index: int) -> tuple[Any, ...]:
        """Return the values by which pages of the same kind are recognised."""
        tags = self._tags(index)
        found: list[Any] = [SUB_IFDS in tags, 322 in tags]
        for code in _ALIKE:
            tag = tags.get(code)
            letter = _INTEGERS.get(tag[0]) if tag else None
            if tag is None or letter is None or tag[1] > 256:
                found.append(None)
                continue
            data = self._bytes(tag, _SIZES[tag[0]])
            n = len(data) // _SIZES[tag[0]]
            found.append(struct.unpack_from(f"{self._layout.order}{n}{letter}", data))
        return tuple(found)


def page_facts(page: Any) -> PageFacts:
    """Return what the pixels of a page of tifffile are."""
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    is_rgb = photometric in (RGB, YCBCR) and samples in (3, 4)
    extra = page.extrasamples or ()
    if is_rgb:
        samples = 3
    elif samples > 1 and extra and int(extra[-1]) in (1, 2):
        # Transparency is no measurement.
        samples -= 1
    tiled = bool(page.is_tiled)
    return PageFacts(
        int(page.imagelength), int(page.imagewidth), _dtype(page, is_rgb), samples, is_rgb, tiled,
        bool(int(page.subfiletype) & 0b101), page.subifds is not None,
        int(page.tilelength) if tiled else int(page.rowsperstrip),
        int(page.tilewidth) if tiled else int(page.imagewidth),
    )  # fmt: skip


def _dtype(page: Any, is_rgb: bool) -> str:
    """Return the type that pixels have once they are read, or words for one that isn't read."""
    if page.imagedepth != 1 or page.tiledepth != 1:
        return "volume"
    if not is_rgb and int(page.photometric) not in _GREY:
        return f"photometric-{int(page.photometric)}"
    # `dtype` is None for types that tifffile can't map.
    if page.dtype is None or isinstance(page.bitspersample, tuple):
        return f"{page.bitspersample}-bit"
    name = str(page.dtype)
    return WIDENED.get(name, name)
