"""PNG files: one image, grey or red, green and blue."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.opening import check, damaged
from gpu_workers.formats.listing import open_below

_KINDS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}


class PngFile:
    """A PNG file; an alpha channel (opaque or not) is no measurement and left out."""

    suffixes: ClassVar = (".png",)

    def __init__(self, folder: Path, file: str):
        self._file = file
        self._stream = open_below(folder, file)
        self._start = self._stream.read(33)

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the one image that the header describes."""
        start = self._start
        if len(start) < 26 or start[12:16] != b"IHDR":
            raise damaged(self._file, "it has no PNG header")
        width, height, bits, kind = struct.unpack(">IIBB", start[16:26])
        dtype = {8: "uint8", 16: "uint16"}.get(bits, f"{bits}-bit")
        if kind == 3:
            dtype = "palette"
        return (ImageContent(height, width, dtype, samples=_KINDS.get(kind, 0)),)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return the image, or one colour component of it."""
        import imagecodecs

        content = self.contents()[0]
        check(content, self._file)
        if page != 0:
            raise damaged(self._file, f"it has no page {page}")
        self._stream.seek(0)
        image: npt.NDArray[Any] = imagecodecs.png_decode(self._stream.read())
        return np.ascontiguousarray(image[..., sample]) if image.ndim == 3 else image

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()
