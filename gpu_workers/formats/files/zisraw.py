"""The segments of a CZI file: directory, subblocks, pixels; entry point: `Segments`.

The layout is public (ZEISS, "CZI (ZISRAW) file format"; libCZI): a file is a chain of segments, each
with a 32-byte header; a directory lists the subblocks, which are 2-D planes with their place in up to
ten dimensions. `docs/decisions/0006-reading-czi.md` says why no library reads them here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.formats.contents import MAX_PAGES, MAX_PLANE_PIXELS
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.listing import shown

MAX_XML: Final = 64 * 2**20
MAX_TAGS: Final = 2**20
MAX_RATIO: Final = 1_000
SMALL: Final = 64 * 2**20
"""Planes that claim more bytes than this must not be packed more than a thousandfold."""
_HEADER: Final = 32
_ENTRY: Final = struct.Struct("<2siqiiB5xi")
_DIMENSION: Final = struct.Struct("<4siifi")
_KNOWN: Final = frozenset("XYTCZSM")
_LETTERS: Final = {f"{k}\0\0\0".encode(): k for k in "XYTCZSMHIVRB"}
_UNCOMPRESSED, _JPEG, _LZW, _JPEG_XR, _ZSTD0, _ZSTD1 = 0, 1, 2, 4, 5, 6
# Pixel type -> dtype, samples as stored (in the order blue, green, red).
PIXEL_TYPES: Final = {
    0: ("uint8", 1), 1: ("uint16", 1), 2: ("float32", 1), 3: ("uint8", 3), 4: ("uint16", 3),
    8: ("float32", 3), 9: ("uint8", 4), 10: ("complex64", 1), 12: ("uint32", 1), 13: ("float64", 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SubBlock:
    """One plane, or one tile of it.

    Attributes
    ----------
    position
        Where its segment starts in the file.
    y, x
        Upper left corner on the canvas that all subblocks share, px.
    scene, tile
        None where the file doesn't have the dimension.
    others
        Place in dimensions that have no meaning here (phase, view, rotation, illumination, block).
    """

    position: int
    pixel_type: int
    compression: int
    height: int
    width: int
    y: int
    x: int
    t: int
    c: int
    z: int
    scene: int | None
    tile: int | None
    others: tuple[tuple[str, int], ...]


def size_of(block: SubBlock) -> int:
    """Return how many bytes the pixels of a subblock claim to have; 0 if their type isn't known."""
    dtype, samples = PIXEL_TYPES.get(block.pixel_type, ("uint8", 0))
    return block.height * block.width * samples * np.dtype(dtype).itemsize


class Segments:
    """The segments of an open CZI file.

    Parameters
    ----------
    stream
        The file, open; it stays the caller's.
    file
        Its name for messages.

    Raises
    ------
    FileError
        It isn't a CZI file, is cut short, or is one part of several.
    """

    def __init__(self, stream: BinaryIO, file: str):
        self._stream = stream
        self._file = file
        self._size = stream.seek(0, 2)
        part, self._directory, self._metadata = struct.unpack("<iqq", self._segment(0, 80)[48:68])
        if part:
            raise damaged(file, f"it is part {part} of a file in several parts", "part_of_file")

    def _at(self, position: int, size: int) -> bytes:
        if position < 0 or size < 0 or position + size > self._size:
            raise damaged(
                self._file, f"it has {self._size} bytes of the {position + size} it names"
            )
        self._stream.seek(position)
        return self._stream.read(size)

    def _segment(self, position: int, size: int, name: bytes = b"ZISRAWFILE") -> bytes:
        """Return the first bytes of a segment's content."""
        data = self._at(position, _HEADER + size)
        if data[:16].rstrip(b"\0") != name:
            raise damaged(self._file, f"there is no {name.decode()} at byte {position}")
        return data[_HEADER:]

    def metadata(self) -> bytes:
        """Return the XML of the file; nothing if it has none."""
        if not self._metadata:
            return b""
        (size,) = struct.unpack("<i", self._segment(self._metadata, 4, b"ZISRAWMETADATA"))
        if size > MAX_XML:
            raise damaged(self._file, f"its metadata claims {size} bytes", "file_too_large")
        return self._at(self._metadata + _HEADER + 256, size)

    def subblocks(self) -> list[SubBlock]:
        """Return the subblocks of full resolution, in the order of the directory.

        Raises
        ------
        FileError
            The directory is missing (the file wasn't closed) or damaged, or a subblock lies
            elsewhere.
        """
        if not self._directory:
            raise damaged(self._file, "it has no directory of its planes")
        (count,) = struct.unpack("<i", self._segment(self._directory, 4, b"ZISRAWDIRECTORY"))
        if not 0 <= count <= MAX_PAGES:
            raise damaged(self._file, f"its directory claims {count} entries", "too_large")
        start = self._directory + _HEADER + 128
        # Entries have a variable length: as much as the longest could need, which the file may not have.
        data = self._at(start, min(count * (_ENTRY.size + 16 * 20), self._size - start))
        found: list[SubBlock] = []
        at = 0
        for _ in range(count):
            block, at = self._entry(data, at)
            if block is not None:
                found.append(block)
        return found

    def _entry(self, data: bytes, at: int) -> tuple[SubBlock | None, int]:
        """Return the subblock whose entry starts at a byte (None: of a pyramid), and its end."""
        if at + _ENTRY.size > len(data):
            raise damaged(self._file, "its directory is cut short")
        _, pixel_type, position, part, compression, pyramid, n = _ENTRY.unpack_from(data, at)
        end = at + _ENTRY.size + n * _DIMENSION.size
        if not 2 <= n <= 16 or end > len(data):
            raise damaged(self._file, f"an entry of its directory claims {n} dimensions")
        if part or not 0 <= position < self._size:
            raise damaged(self._file, "planes of it lie in another file or behind its end")
        place: dict[str, int] = {}
        size: dict[str, int] = {}
        reduced = pyramid != 0
        for name, first, extent, _, stored in _DIMENSION.iter_unpack(data[at + _ENTRY.size : end]):
            key = _LETTERS.get(name) or name.rstrip(b"\0 ").decode("ascii", "replace")
            place[key], size[key] = first, extent
            reduced = reduced or (key in ("X", "Y") and stored not in (0, extent))
        if reduced:
            return None, end
        return self._block(position, pixel_type, compression, place, size), end

    def _block(
        self, position: int, pixel_type: int, compression: int,
        place: dict[str, int], size: dict[str, int],
    ) -> SubBlock:  # fmt: skip
        height, width = size.get("Y", 0), size.get("X", 0)
        if height < 1 or width < 1 or height * width > MAX_PLANE_PIXELS:
            raise damaged(self._file, f"a plane claims {height} x {width} px", "too_large")
        others = tuple(sorted((k, v) for k, v in place.items() if k not in _KNOWN))
        return SubBlock(
            position=position, pixel_type=pixel_type, compression=compression,
            height=height, width=width, y=place["Y"], x=place["X"],
            t=place.get("T", 0), c=place.get("C", 0), z=place.get("Z", 0),
            scene=place.get("S"), tile=place.get("M"), others=others,
        )  # fmt: skip

    def _parts(self, block: SubBlock) -> tuple[int, int, int]:
        """Return where a subblock's tags start, their size, and the size of the data behind them."""
        head = self._segment(block.position, 16 + _ENTRY.size, b"ZISRAWSUBBLOCK")
        tags, _, size = struct.unpack_from("<iiq", head)
        (n,) = struct.unpack_from("<i", head, 16 + 28)
        if tags < 0 or not 0 <= n <= 64:
            raise damaged(self._file, f"the plane at byte {block.position} has no valid head")
        start = block.position + _HEADER + max(256, 16 + _ENTRY.size + n * _DIMENSION.size)
        return start, tags, size

    def tags(self, block: SubBlock) -> bytes:
        """Return the XML a subblock brings along; nothing if there is none, or absurdly much."""
        start, size, _ = self._parts(block)
        return self._at(start, size) if 0 < size <= MAX_TAGS else b""

    def pixels(self, block: SubBlock) -> npt.NDArray[Any]:
        """Return the pixels of a subblock: (y, x), or (y, x, 3) as red, green, blue.

        Raises
        ------
        FileError
            They are damaged, or packed in a way that isn't known.
        """
        start, tags, size = self._parts(block)
        data = self._at(start + tags, size)
        dtype, samples = PIXEL_TYPES.get(block.pixel_type, ("", 0))
        if not samples:
            raise damaged(
                self._file, f"its pixel type {block.pixel_type} is not known", "unsupported_type"
            )
        shape = (block.height, block.width, samples)
        claimed = size_of(block)
        if claimed > max(SMALL, MAX_RATIO * len(data)):
            raise damaged(
                self._file, f"a plane claims {claimed} bytes out of {len(data)}", "too_large"
            )
        if block.compression in (_JPEG, _JPEG_XR):
            image = self._decoded(data, block.compression).reshape(block.height, block.width, -1)
            if image.shape != shape or image.dtype != dtype:
                raise damaged(self._file, f"a plane unpacks to {image.shape} of {image.dtype}")
            # Both decoders give red, green, blue.
        else:
            raw = self._raw(data, block.compression, claimed)
            image = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).reshape(shape)
            image = image[..., 2::-1] if samples > 1 else image
        return image[..., 0] if samples == 1 else image[..., :3]

    def _decoded(self, data: bytes, compression: int) -> npt.NDArray[Any]:
        import imagecodecs

        decode = imagecodecs.jpeg_decode if compression == _JPEG else imagecodecs.jpegxr_decode
        image: npt.NDArray[Any] = decode(data)
        return image

    def _raw(self, data: bytes, compression: int, size: int) -> bytes | npt.NDArray[np.uint8]:
        """Return the bytes of a plane; never more than it claims."""
        import imagecodecs

        high_low = False
        if compression == _ZSTD1:
            head = data[0] if data else 0
            high_low = head >= 3 and data[1] == 1 and bool(data[2] & 1)
            data = data[head:]
        if compression in (_ZSTD0, _ZSTD1):
            raw = imagecodecs.zstd_decode(data, out=size)
        elif compression == _LZW:
            raw = imagecodecs.lzw_decode(data, out=size)
        elif compression == _UNCOMPRESSED:
            raw = data[:size]
        else:
            raise damaged(
                self._file, f"its planes are packed by method {compression}", "unsupported_type"
            )
        if len(raw) != size:
            raise damaged(
                self._file, f"a plane of {shown(self._file)} has {len(raw)} of {size} bytes"
            )
        if high_low:
            # All low bytes, then all high bytes.
            halves = np.frombuffer(raw, np.uint8).reshape(2, -1)
            mixed = np.empty((halves.shape[1], 2), np.uint8)
            mixed[:, 0], mixed[:, 1] = halves
            return mixed.reshape(-1)
        return bytes(raw)
