"""Headers and pixels of TIFF and PNG files; entry points: `read_header` and `read_plane`.

Nothing that a file claims is believed before it is compared with the file's size: a header of a few
bytes must not make us reserve gigabytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import ParseError

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import open_below, shown

MAX_PLANE_PIXELS: Final = 2**28
MAX_PAGES: Final = 100_000
MAX_DESCRIPTION: Final = 2**20
DTYPES: Final = ("uint8", "uint16", "float32")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What tifffile and the codecs raise for damaged files (their own errors are ValueError and RuntimeError).
_DAMAGE: Final = (
    ValueError, RuntimeError, KeyError, IndexError, TypeError, AttributeError, EOFError,
    OverflowError, struct.error, zlib.error, MemoryError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an image file says.

    Attributes
    ----------
    n_pages
        Grey planes of equal shape and type in the file.
    samples
        1 for grey, 3 for red, green and blue.
    """

    height: int
    width: int
    dtype: str
    n_pages: int = 1
    samples: int = 1
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    z_um: float | None = None
    pixel_size_um: float | None = None
    wavelength_nm: float | None = None
    channel_name: str | None = None
    method: str | None = None


def read_header(folder: Path, file: str) -> Header:
    """Return what one image file says of itself, from a single opening.

    Parameters
    ----------
    folder
        The acquisition's folder.
    file
        Path of the file below it.

    Raises
    ------
    FileError
        It isn't there (`file_missing`), isn't an image of its name's format (`not_an_image`), is
        damaged or shorter than its header says (`truncated_file`), claims an absurd size
        (`too_large`), or has a pixel type that isn't kept (`unsupported_type`).
    """
    with open_below(folder, file) as stream:
        start = _start(stream)
        if start.startswith(_PNG):
            return _checked(_png_header(start, file), file)
        if start[:4] in _TIFF:
            return _checked(_tiff_header(stream, file), file)
    raise _no_image(file)


def read_plane(folder: Path, file: str, page: int = 0, sample: int = 0) -> npt.NDArray[Any]:
    """Return one plane (y, x) in the file's own type: uint8, uint16 or float32.

    Parameters
    ----------
    page
        Index of the plane within the file.
    sample
        Colour component: 0, 1, 2 for red, green, blue.

    Raises
    ------
    FileError
        As for `read_header`; also where the pixels can't be decoded.
    """
    with open_below(folder, file) as stream:
        start = _start(stream)
        if start.startswith(_PNG):
            _checked(_png_header(start, file), file)
            image = _decode_png(stream, file)
        elif start[:4] in _TIFF:
            image = _decode_tiff(stream, file, page)
        else:
            raise _no_image(file)
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., sample])
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _start(stream: BinaryIO) -> bytes:
    start = stream.read(33)
    stream.seek(0)
    return start


def _no_image(file: str) -> FileError:
    name = shown(file)
    return FileError(f"{name} is neither a TIFF nor a PNG file", code="not_an_image", files=(name,))


def _damaged(file: str, error: object, code: str = "truncated_file") -> FileError:
    return FileError(
        f"{shown(file)} is damaged or cut short: {error}", code=code, files=(shown(file),)
    )


def _checked(header: Header, file: str) -> Header:
    if header.height * header.width > MAX_PLANE_PIXELS or header.n_pages > MAX_PAGES:
        raise FileError(
            f"{shown(file)} claims {header.n_pages} planes of {header.height} x {header.width} px, "
            f"more than the {MAX_PLANE_PIXELS} px a plane may have",
            code="too_large", files=(shown(file),),
        )  # fmt: skip
    if header.height < 1 or header.width < 1:
        raise _damaged(file, f"it claims {header.height} x {header.width} px")
    if header.dtype not in DTYPES or header.samples not in (1, 3):
        raise FileError(
            f"{shown(file)} has {header.samples} component(s) of type {header.dtype}; "
            f"1 or 3 of {', '.join(DTYPES)} can be kept",
            code="unsupported_type", files=(shown(file),),
        )  # fmt: skip
    return header


def _png_header(start: bytes, file: str) -> Header:
    if len(start) < 26 or start[12:16] != b"IHDR":
        raise _damaged(file, "it has no PNG header")
    width, height, bits, kind = struct.unpack(">IIBB", start[16:26])
    if bits == 16 and kind == 0:
        return Header(height, width, "uint16")
    dtype = {8: "uint8", 16: "uint16"}.get(bits, f"{bits}-bit")
    samples = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(kind, 0)
    return Header(height, width, dtype if kind != 3 else "palette", samples=samples)


def _decode_png(stream: BinaryIO, file: str) -> npt.NDArray[Any]:
    import imagecodecs

    try:
        image: npt.NDArray[Any] = imagecodecs.png_decode(stream.read())
    except _DAMAGE as error:
        raise _damaged(file, error) from error
    return image


def _tiff_header(stream: BinaryIO, file: str) -> Header:
    import tifffile

    try:
        with tifffile.TiffFile(stream, name=file) as tiff:
            page = tiff.pages.first
            n_pages = len(tiff.pages)
            _fits(tiff, page, file)
            description = page.description[:MAX_DESCRIPTION] if page.is_metaseries else ""
            shape, dtype, samples = _page_shape(page)
    except FileError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, error) from error
    facts = _metaseries(description) if description else {}
    return Header(*shape, dtype, n_pages=n_pages, samples=samples, **facts)


def _page_shape(page: Any) -> tuple[tuple[int, int], str, int]:
    # In microscopy a palette is a look-up table for display: the stored indices are the intensities.
    # `page.dtype` is None for types that tifffile can't map, such as 12 packed bits.
    dtype = str(page.dtype) if page.dtype is not None else f"{page.bitspersample}-bit"
    samples = int(page.samplesperpixel)
    return (int(page.imagelength), int(page.imagewidth)), dtype, samples


def _fits(tiff: Any, page: Any, file: str) -> None:
    """Raise FileError if the pixels of the first page can't lie in the file."""
    size = tiff.filehandle.size
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size:
        end = max(ends, default=0)
        raise _damaged(file, f"it has {size} bytes of the {end} or more its header names")
    plain = page.compression == 1
    claimed = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
    if plain and sum(page.databytecounts) < claimed:
        raise _damaged(file, f"it holds {sum(page.databytecounts)} of {claimed} bytes of pixels")


def _decode_tiff(stream: BinaryIO, file: str, number: int) -> npt.NDArray[Any]:
    import tifffile

    try:
        with tifffile.TiffFile(stream, name=file) as tiff:
            if number >= len(tiff.pages):
                raise FileError(
                    f"{shown(file)} has {len(tiff.pages)} page(s), not {number + 1}",
                    code="missing_page", files=(shown(file),),
                )  # fmt: skip
            page = tiff.pages[number]
            _fits(tiff, page, file)
            shape, dtype, samples = _page_shape(page)
            _checked(Header(*shape, dtype, samples=samples), file)
            image: npt.NDArray[Any] = page.asarray()
    except FileError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, error) from error
    if samples == 3 and image.ndim == 3 and image.shape[0] == 3 and image.shape[-1] != 3:
        image = np.moveaxis(image, 0, -1)
    return image


def _metaseries(description: str) -> dict[str, Any]:
    """Return stage position, calibration and channel from the XML MetaMorph and MetaXpress write."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        root = ElementTree.fromstring(description)
    except (ParseError, DefusedXmlException, ValueError):
        return {}
    props = {p.get("id", ""): p.get("value", "") for p in root.iter("prop")}
    calibrated = props.get("spatial-calibration-state") == "on"
    in_um = props.get("spatial-calibration-units", "").lower() in {
        "um",
        "µm",
        "μm",
        "micron",
        "microns",
    }
    name = props.get("_IllumSetting_") or props.get("image-name", "").removeprefix("Copy of ")
    wavelength = _number(props.get("wavelength"))
    return {
        "stage_x_um": _number(props.get("stage-position-x")),
        "stage_y_um": _number(props.get("stage-position-y")),
        "z_um": _number(props.get("z-position")),
        "pixel_size_um": _number(props.get("spatial-calibration-x"))
        if calibrated and in_um
        else None,
        "wavelength_nm": wavelength or None,
        "channel_name": name or None,
        "method": props.get("Z Projection Method") or None,
    }


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is None or np.isfinite(value) else None
