"""Which file type opens which file; checks that hold for all of them."""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers import registry
from gpu_workers.errors import FileError
from gpu_workers.formats.contents import (
    DTYPES,
    MAX_PAGES,
    MAX_PLANE_PIXELS,
    ImageContent,
    OpenFile,
)
from gpu_workers.formats.files.guarded import GuardedFile
from gpu_workers.formats.listing import open_below, shown

# What libraries raise for damaged files (their own errors are mostly ValueError and RuntimeError).
DAMAGE: Final = (
    ValueError, RuntimeError, KeyError, IndexError, TypeError, AttributeError, EOFError,
    OverflowError, struct.error, zlib.error, MemoryError, AssertionError, RecursionError,
    ArithmeticError,
)  # fmt: skip
# By the first bytes of a file, whatever it is called; a type that is named by suffix alone isn't here.
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"II+\0", "tiff"), (b"MM\0+", "tiff"),
    (b"\xda\xce\xbe\x0a", "nd2"), (b"ZISRAWFILE", "czi"), (b"p\0\0\0", "lif"),
)  # fmt: skip
_BY_SUFFIX: Final = {".ome": "ome_companion", ".c01": "c01", ".zarr": "zarr"}


def damaged(file: str, error: object, code: str = "truncated_file") -> FileError:
    """Return the error for a file that is damaged or cut short."""
    name = shown(file)
    return FileError(f"{name} is damaged or cut short: {error}", code=code, files=(name,))


def _type_of(folder: Path, file: str) -> str:
    """Return the name of the type that opens a file.

    Raises
    ------
    FileError
        It isn't there, can't be opened, or isn't an image (`not_an_image`).
    """
    if (folder / file).is_dir() and not (folder / file).is_symlink():
        return "zarr"
    with open_below(folder, file) as stream:
        start = stream.read(33)
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    name = _BY_SUFFIX.get(Path(file).suffix.lower(), "")
    if name:
        return name
    named = shown(file)
    raise FileError(
        f"{named} is no image of a known format ({', '.join(registry.names('files'))})",
        code="not_an_image", files=(named,),
    )  # fmt: skip


@contextmanager
def blaming(file: str) -> Iterator[None]:
    """Turn what libraries raise for a damaged file into a FileError that names it."""
    try:
        yield
    except FileError:
        raise
    except DAMAGE as error:
        raise damaged(file, error) from error


def known_type(folder: Path, file: str) -> str | None:
    """Return the name of the type that opens a file, by its first bytes; None where there is none."""
    try:
        return _type_of(folder, file)
    except FileError:
        return None


def open_file(folder: Path, file: str) -> OpenFile:
    """Return an image file, opened; the caller closes it.

    Raises
    ------
    FileError
        It isn't there (`file_missing`), isn't an image (`not_an_image`), or is damaged
        (`truncated_file`).
    """
    name = _type_of(folder, file)
    kind = registry.load("files", name)
    if getattr(kind, "guarded", False):
        return GuardedFile(name, folder, file)
    try:
        opened: OpenFile = kind(folder, file)
    except FileError:
        raise
    except DAMAGE as error:
        raise damaged(file, error) from error
    return opened


def read_contents(folder: Path, file: str) -> tuple[ImageContent, ...]:
    """Return what one image file says of itself, from a single opening.

    Raises
    ------
    FileError
        As for `open_file`; also where it claims an absurd size (`too_large`) or has a pixel type
        that isn't kept (`unsupported_type`).
    """
    return ask(folder, file)[0]


def ask(folder: Path, file: str) -> tuple[tuple[ImageContent, ...], bool]:
    """Return what `read_contents` does, and whether that depends on nothing but the file.

    A file type whose objects have `is_alone` = False says that the answer depends on other files, too.
    """
    opened = open_file(folder, file)
    try:
        found = opened.contents()
    except FileError:
        raise
    except DAMAGE as error:
        raise damaged(file, error) from error
    finally:
        opened.close()
    if not found:
        raise damaged(file, "it holds no image", "no_images")
    for image in found:
        check(image, file)
    return found, bool(getattr(opened, "is_alone", True))


def check(image: ImageContent, file: str) -> None:
    """Raise FileError where an image is absurdly large (`too_large`) or of a type that isn't kept."""
    name = shown(file)
    n_pages = len(image.planes) or image.n_t * image.n_c * image.n_z
    if image.height * image.width > MAX_PLANE_PIXELS or n_pages > MAX_PAGES:
        raise FileError(
            f"{name} claims {n_pages} planes of {image.height} x {image.width} px, "
            f"more than the {MAX_PLANE_PIXELS} px a plane may have",
            code="too_large", files=(name,),
        )  # fmt: skip
    if image.height < 1 or image.width < 1 or n_pages < 1:
        raise damaged(file, f"it claims {n_pages} planes of {image.height} x {image.width} px")
    if image.dtype not in DTYPES or image.samples not in (1, 3):
        raise FileError(
            f"{name} has {image.samples} component(s) of type {image.dtype}; "
            f"1 or 3 of {', '.join(DTYPES)} can be kept",
            code="unsupported_type", files=(name,),
        )  # fmt: skip


def read_plane(folder: Path, file: str, page: int = 0, sample: int = 0) -> npt.NDArray[Any]:
    """Return one plane (y, x) in the file's own type: uint8, uint16 or float32.

    Parameters
    ----------
    page
        Number of the plane within the file, as its contents give it.
    sample
        Colour component: 0, 1, 2 for red, green, blue.

    Raises
    ------
    FileError
        As for `read_contents`; also where the pixels can't be decoded.
    """
    with FileCache(folder, size=1) as files:
        return files.read(file, page, sample)


class FileCache:
    """The files of a folder that were read last, kept open: containers hold thousands of planes.

    Parameters
    ----------
    folder
        The acquisition's folder.
    size
        How many files stay open.
    """

    def __init__(self, folder: Path, size: int = 4):
        self._folder = folder
        self._size = size
        self._open: OrderedDict[str, OpenFile] = OrderedDict()

    def read(self, file: str, page: int = 0, sample: int = 0) -> npt.NDArray[Any]:
        """Return one plane as `read_plane` does."""
        opened = self._open.pop(file, None) or open_file(self._folder, file)
        self._open[file] = opened
        while len(self._open) > self._size:
            self._open.popitem(last=False)[1].close()
        try:
            image = opened.read(page, sample)
        except FileError:
            raise
        except DAMAGE as error:
            raise damaged(file, error) from error
        if image.ndim != 2:
            raise damaged(file, f"page {page} has the shape {image.shape}")
        if str(image.dtype.newbyteorder("=")) not in DTYPES:
            check(ImageContent(image.shape[0], image.shape[1], str(image.dtype)), file)
        return np.ascontiguousarray(image, image.dtype.newbyteorder("="))

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> FileCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
