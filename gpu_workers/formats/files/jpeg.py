"""JPEG files: one image, grey or red, green and blue; the size is read from the frame header.

Programs that render fluorescence write grey as three equal components: such an image has one. Whether
it is one is seen at an eighth of the size first, so that of pictures in colour no more is decoded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.listing import open_below, shown

MAX_BYTES: Final = 2**29
# A progressive image is kept as coefficients of 16 bits besides; each scan goes over all of it.
MAX_PROGRESSIVE_BYTES: Final = 2**27
MAX_SCANS: Final = 200
MAX_GREY_BYTES: Final = 2**27
"""Larger images aren't asked whether they are grey."""
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE, _SCAN = b"\xff\xd9", b"\xff\xda"


class JpegHeader(NamedTuple):
    """What the frame header says; `frame` is the marker's second byte, `end` where the header ends."""

    frame: int
    bits: int
    height: int
    width: int
    components: int
    end: int


def jpeg_header(data: bytes) -> JpegHeader:
    """Return the frame header of a JPEG stream, without decoding anything.

    Raises
    ------
    ValueError
        There is none where its markers lead to.
    """
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise ValueError(f"no JPEG marker at byte {place}")
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            frame = data[place + 4 : place + 10]
            if length < 8 or len(frame) < 6:
                break
            height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            return JpegHeader(marker, frame[0], height, width, frame[5], place + 2 + length)
        if marker in (0xD9, 0xDA) or length < 2:
            break
        place += 2 + length
    raise ValueError("it has no JPEG frame header")


class JpegFile:
    """A JPEG file; orientation flags of cameras are left as they are."""

    suffixes: ClassVar = (".jpg", ".jpeg")
    VERSION: ClassVar = 2

    def __init__(self, folder: Path, file: str):
        self._file = file
        self._stream = open_below(folder, file)
        self._pixels: npt.NDArray[Any] | None = None

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the one image that the frame header describes; one component if all are equal."""
        self._stream.seek(0)
        # Previews and colour profiles stand before the frame header: read on only where they do.
        for size in (2**16, 2**24):
            self._stream.seek(0)
            data = self._stream.read(size)
            try:
                header = jpeg_header(data)
                break
            except ValueError:
                if len(data) < size or size == 2**24:
                    raise
        self._require_kept(header)
        samples = 1 if header.components == 3 and self._is_grey(header) else header.components
        return (ImageContent(header.height, header.width, "uint8", samples=samples),)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return the image, or one colour component of it: of a grey image each is the same."""
        if page != 0:
            raise damaged(self._file, f"it has no page {page}", "missing_page")
        if self._pixels is None:
            self._pixels = self._decoded()
        pixels = self._pixels
        if not 0 <= sample < 3:
            raise damaged(self._file, f"it has no component {sample}")
        return np.ascontiguousarray(pixels[..., sample]) if pixels.ndim == 3 else pixels

    def close(self) -> None:
        """Let the file go."""
        self._pixels = None
        self._stream.close()

    def _is_grey(self, header: JpegHeader) -> bool:
        """Return whether red, green and blue are equal in every pixel; damage shows when it is read."""
        import cv2

        if header.height * header.width * 3 > MAX_GREY_BYTES:
            return False
        self._stream.seek(0)
        data = np.frombuffer(self._stream.read(MAX_BYTES), np.uint8)
        try:
            small = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8)
            if small is None or not _equal_components(small):
                return False
            self._pixels = self._decoded()
        except (FileError, ValueError, RuntimeError, cv2.error):
            return False
        return _equal_components(self._pixels)

    def _decoded(self) -> npt.NDArray[Any]:
        import imagecodecs

        self._stream.seek(0)
        data = self._stream.read(min(MAX_BYTES, os.fstat(self._stream.fileno()).st_size))
        header = jpeg_header(data)
        self._require_kept(header)
        # The decoder fills what is missing with grey, without a word.
        if data.find(_END_OF_IMAGE, header.end) < 0:
            raise damaged(self._file, "its last pixels are missing")
        if data.count(_SCAN, header.end) > MAX_SCANS:
            raise damaged(self._file, f"it has more than {MAX_SCANS} scans")
        pixels: npt.NDArray[Any] = imagecodecs.jpeg8_decode(data)
        expected = (header.height, header.width, 3)[: 3 if header.components == 3 else 2]
        if pixels.shape != expected:
            raise damaged(self._file, f"it decodes to the shape {pixels.shape}, not {expected}")
        return pixels

    def _require_kept(self, header: JpegHeader) -> None:
        """Raise FileError for kinds of JPEG that aren't kept, and sizes that aren't believed."""
        name = shown(self._file)
        known = header.frame in (_BASELINE, _EXTENDED, _PROGRESSIVE)
        if not known or header.bits != 8 or header.components not in (1, 3):
            raise FileError(
                f"{name} is a JPEG of kind {header.frame:#x} with {header.components} component(s) of "
                f"{header.bits} bits; baseline or progressive with 1 or 3 of 8 bits can be kept",
                code="unsupported_type", files=(name,),
            )  # fmt: skip
        limit = MAX_PROGRESSIVE_BYTES if header.frame == _PROGRESSIVE else MAX_BYTES
        n_bytes = header.height * header.width * header.components
        if n_bytes > limit:
            raise FileError(
                f"{name} claims {header.height} x {header.width} px: {n_bytes} bytes, more than the "
                f"{limit} that are decoded at once", code="too_large", files=(name,),
            )  # fmt: skip


def _equal_components(image: npt.NDArray[Any]) -> bool:
    first = image[..., :1]
    return image.ndim == 3 and bool((image == first).all())
