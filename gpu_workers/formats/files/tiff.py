"""TIFF files: planes as pages, whatever program wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from xml.etree.ElementTree import ParseError

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.opening import check, damaged
from gpu_workers.formats.listing import open_below, shown
from gpu_workers.formats.survey import ChannelFacts

MAX_DESCRIPTION = 2**20


class TiffFile:
    """A TIFF file; its pages are z planes of one image unless its metadata says otherwise."""

    suffixes: ClassVar = (".tif", ".tiff", ".stk", ".btf", ".tf2", ".tf8", ".svs")

    def __init__(self, folder: Path, file: str):
        import tifffile

        self._file = file
        self._stream = open_below(folder, file)
        try:
            self._tiff = tifffile.TiffFile(self._stream, name=file)
        except BaseException:
            self._stream.close()
            raise

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the images that tags and descriptions tell of."""
        page = self._tiff.pages.first
        _fits(self._tiff, page, self._file)
        image = {**_page_shape(page), "n_z": len(self._tiff.pages)}
        if page.is_metaseries:
            image |= _metaseries(page.description[:MAX_DESCRIPTION])
        return (ImageContent(**image),)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return a page, or one colour component of it."""
        pages = self._tiff.pages
        if page >= len(pages):
            raise FileError(
                f"{shown(self._file)} has {len(pages)} page(s), not {page + 1}",
                code="missing_page", files=(shown(self._file),),
            )  # fmt: skip
        found: Any = pages[page]
        _fits(self._tiff, found, self._file)
        content = ImageContent(**_page_shape(found))
        check(content, self._file)
        image: npt.NDArray[Any] = found.asarray()
        if content.samples == 3 and image.ndim == 3 and image.shape[0] == 3 != image.shape[-1]:
            image = np.moveaxis(image, 0, -1)
        return np.ascontiguousarray(image[..., sample]) if image.ndim == 3 else image

    def close(self) -> None:
        """Let the file go."""
        self._tiff.close()
        self._stream.close()


def _page_shape(page: Any) -> dict[str, Any]:
    # In microscopy a palette is a look-up table for display: the stored indices are the intensities.
    # `page.dtype` is None for types that tifffile can't map, such as 12 packed bits.
    return {
        "height": int(page.imagelength),
        "width": int(page.imagewidth),
        "dtype": str(page.dtype) if page.dtype is not None else f"{page.bitspersample}-bit",
        "samples": int(page.samplesperpixel),
    }


def _fits(tiff: Any, page: Any, file: str) -> None:
    """Raise FileError if the pixels of a page can't lie in the file."""
    size = tiff.filehandle.size
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size:
        end = max(ends, default=0)
        raise damaged(file, f"it has {size} bytes of the {end} or more its header names")
    plain = page.compression == 1
    claimed = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
    if plain and sum(page.databytecounts) < claimed:
        raise damaged(file, f"it holds {sum(page.databytecounts)} of {claimed} bytes of pixels")


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
    units = props.get("spatial-calibration-units", "").lower()
    in_um = units in {"um", "µm", "μm", "micron", "microns"}
    name = props.get("_IllumSetting_") or props.get("image-name", "").removeprefix("Copy of ")
    size = _number(props.get("spatial-calibration-x")) if calibrated and in_um else None
    return {
        "stage_x_um": _number(props.get("stage-position-x")),
        "stage_y_um": _number(props.get("stage-position-y")),
        "z_um": _number(props.get("z-position")),
        "pixel_size_um": size,
        "channels": (
            ChannelFacts(key="", name=name, wavelength_nm=_number(props.get("wavelength")) or None),
        ),
        "role": "projection" if props.get("Z Projection Method") else None,
        "method": props.get("Z Projection Method") or None,
    }


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is None or np.isfinite(value) else None
