"""OME companion files: metadata of image files that have none themselves."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn

import numpy.typing as npt

from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import ome_xml, tiff_ome
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.files.tiff import TiffFile
from gpu_workers.formats.files.tiff_pages import PageFacts
from gpu_workers.formats.files.tiff_regions import REGION, cut
from gpu_workers.formats.listing import open_below


class CompanionFile:
    """A ``.companion.ome`` file; the planes it tells of lie in the files it names."""

    suffixes: ClassVar = (".ome",)
    is_alone: ClassVar = False

    def __init__(self, folder: Path, file: str):
        self._folder, self._file = folder, file
        with open_below(folder, file) as stream:
            data = stream.read(ome_xml.MAX_XML + 1)
        self._ome = ome_xml.parse(data.decode("utf-8-sig", "replace"), file)

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the images the document describes, as far as their files are there."""
        members = tiff_ome.Members(self._ome, self._folder, self._file)
        found = tiff_ome.contents(self._ome, members, self._no_page, 0, self._file)
        if not found:
            raise damaged(self._file, "none of the files it names is there", "no_images")
        return tuple(part for image in found for part in self._parts(image))

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:  # noqa: ARG002
        """Raise FileError: the pixels are in other files."""
        self._no_page(page)

    def close(self) -> None:
        """Nothing is open."""

    def _no_page(self, page: int) -> NoReturn:
        raise damaged(self._file, f"it has no page {page}", "missing_page")

    def _parts(self, image: ImageContent) -> list[ImageContent]:
        """Return the regions of a large image; how it is cut, its own file tells."""
        if max(image.height, image.width) <= REGION:
            return [image]
        first = next(image.each_plane())
        holder = TiffFile(self._folder, str(PurePosixPath(first.file or "")))
        try:
            facts: PageFacts = holder.page_facts(first.page)
            return cut(image, facts, holder.page_regions(facts))
        finally:
            holder.close()
