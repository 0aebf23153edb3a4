"""PNG files: one image, grey or red, green and blue."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.opening import check, damaged
from gpu_workers.formats.listing import open_below, shown

MAX_BYTES: Final = 2**29
# zlib makes at most 1,032 bytes of one: what claims more isn't there.
_MAX_RATIO: Final = 1100
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_COMPONENTS: Final = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_KEPT: Final = {_GREY: 1, _RGB: 3, _PALETTE: 3, _GREY_ALPHA: 1, _RGB_ALPHA: 3}


class PngFile:
    """A PNG file; an alpha channel (opaque or not) is no measurement and left out."""

    suffixes: ClassVar = (".png",)

    def __init__(self, folder: Path, file: str):
        self._file = file
        self._stream = open_below(folder, file)
        self._start = self._stream.read(33)
        self._pixels: npt.NDArray[Any] | None = None

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the one image that the header describes."""
        start = self._start
        if len(start) < 26 or start[12:16] != b"IHDR":
            raise damaged(self._file, "it has no PNG header")
        width, height, bits, kind = struct.unpack(">IIBB", start[16:26])
        dtype = {8: "uint8", 16: "uint16"}.get(bits, f"{bits}-bit")
        if kind == _PALETTE:
            dtype = "palette"
        n_bytes = height * width * _COMPONENTS.get(kind, 4) * max(1, bits // 8)
        self._require_sane(height, width, n_bytes, bits)
        return (ImageContent(height, width, dtype, samples=_KEPT.get(kind, 0)),)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return the image, or one colour component of it."""
        content = self.contents()[0]
        check(content, self._file)
        if page != 0:
            raise damaged(self._file, f"it has no page {page}", "missing_page")
        if sample >= content.samples:
            raise damaged(self._file, f"it has no component {sample}")
        if self._pixels is None:
            self._pixels = self._decoded(content)
        pixels = self._pixels
        return np.ascontiguousarray(pixels[..., sample]) if pixels.ndim == 3 else pixels

    def close(self) -> None:
        """Let the file go."""
        self._pixels = None
        self._stream.close()

    def _decoded(self, content: ImageContent) -> npt.NDArray[Any]:
        import imagecodecs

        self._stream.seek(0)
        size = min(MAX_BYTES, os.fstat(self._stream.fileno()).st_size)
        pixels: npt.NDArray[Any] = imagecodecs.png_decode(self._stream.read(size))
        if pixels.shape[:2] != (content.height, content.width):
            raise damaged(self._file, f"it decodes to the shape {pixels.shape}")
        return pixels

    def _require_sane(self, height: int, width: int, n_bytes: int, bits: int) -> None:
        """Raise FileError for a size that is too large, or that the file can't hold."""
        size = os.fstat(self._stream.fileno()).st_size
        if n_bytes * min(bits, 8) // 8 > size * _MAX_RATIO:
            raise damaged(self._file, f"its {size} bytes cannot hold {height} x {width} px")
        if n_bytes > MAX_BYTES:
            name = shown(self._file)
            raise FileError(
                f"{name} claims {height} x {width} px: {n_bytes} bytes, more than the {MAX_BYTES} "
                "that are decoded at once", code="too_large", files=(name,),
            )  # fmt: skip
