"""Cellomics .C01 files: a Windows bitmap's header and pixels, compressed with zlib."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.opening import check, damaged
from gpu_workers.formats.listing import open_below, shown

_MARK: Final = b"\0\0\0\x10"
# BITMAPINFOHEADER (size, width, height, planes, bits, compression, size of the pixels, pixels per
# metre in x and y, colours used, colours that matter), then three masks.
_HEADER: Final = struct.Struct("<IiiHHIIiiII")
_PIXELS_AT: Final = 52
_PIECE: Final = 2**20
_DTYPES: Final = {8: "uint8", 16: "uint16", 32: "uint32"}


class C01File:
    """A Cellomics .C01 file; rows are stored from the top, unlike those of other bitmaps."""

    suffixes: ClassVar = (".c01",)

    def __init__(self, folder: Path, file: str):
        self._file = file
        self._stream = open_below(folder, file)
        try:
            if self._stream.read(4) != _MARK:
                raise FileError(
                    f"{shown(file)} is no .C01 file of Cellomics",
                    code="not_an_image", files=(shown(file),),
                )  # fmt: skip
            self._content = self._header()
        except BaseException:
            self._stream.close()
            raise

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the one image, a page for each plane."""
        return (self._content,)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:  # noqa: ARG002
        """Return one plane."""
        content = self._content
        check(content, self._file)
        if not 0 <= page < content.n_z:
            raise FileError(
                f"{shown(self._file)} has {content.n_z} plane(s), not {page + 1}",
                code="missing_page", files=(shown(self._file),),
            )  # fmt: skip
        dtype = np.dtype(content.dtype).newbyteorder("<")
        size = content.height * content.width * dtype.itemsize
        start = _PIXELS_AT + page * size
        raw = self._unpack(start + size)[start:]
        if len(raw) != size:
            raise damaged(self._file, f"it holds {len(raw)} of {size} bytes of pixels")
        return np.frombuffer(raw, dtype).reshape(content.height, content.width)

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()

    def _header(self) -> ImageContent:
        head = self._unpack(_PIXELS_AT)
        if len(head) < _PIXELS_AT:
            raise damaged(self._file, "it has no header")
        size, width, height, planes, bits, packed, _, _, y_scale, _, _ = _HEADER.unpack_from(head)
        if size != _HEADER.size or packed not in (0, 3):
            raise damaged(
                self._file, f"its header of {size} bytes is not known", "unsupported_type"
            )
        return ImageContent(
            height=abs(height), width=width, dtype=_DTYPES.get(bits, f"{bits}-bit"), n_z=planes,
            pixel_size_um=1e6 / y_scale if y_scale > 0 else None,
        )  # fmt: skip

    def _unpack(self, size: int) -> bytes:
        """Return the first bytes of what is compressed, never more than asked for."""
        self._stream.seek(len(_MARK))
        unpacker = zlib.decompressobj()
        found = bytearray()
        while len(found) < size and not unpacker.eof:
            piece = unpacker.unconsumed_tail or self._stream.read(_PIECE)
            if not piece:
                break
            found += unpacker.decompress(piece, size - len(found))
        return bytes(found)
