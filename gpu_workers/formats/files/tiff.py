"""TIFF files: planes as pages, whatever program wrote them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.formats.contents import ImageContent, PlaneContent
from gpu_workers.formats.files import (
    ome_xml,
    tiff_imagej,
    tiff_metaseries,
    tiff_ome,
    tiff_scn,
    tiff_slides,
)
from gpu_workers.formats.files.opening import check, damaged
from gpu_workers.formats.files.tiff_pages import PAGE_NAME, WIDENED, PageFacts, Pages
from gpu_workers.formats.files.tiff_pixels import Box, plane_bytes, read_box, require_data
from gpu_workers.formats.files.tiff_regions import REGION, cut, located, regions
from gpu_workers.formats.files.tiff_values import arranged, resolution_um
from gpu_workers.formats.listing import open_below
from gpu_workers.formats.survey import ChannelFacts

# As many markers as a multiplexed image may have; a stack of more pages is one of z planes.
MAX_CHANNEL_PAGES: Final = 64
# A page of this size is kept decoded for its other components.
_KEPT_BYTES: Final = 2**26
_COUNTED = re.compile(
    r"(?i)\W*(page|plane|slice|image|frame|z|t|time|slide)?\W*\d+(\W*(/|of)\W*\d+)?\W*"
)


class TiffFile:
    """A TIFF file; its pages are z planes of one image unless its metadata says otherwise.

    Without any description, pages of floating-point numbers and pages with names of their own are
    channels: that is how images of many markers are written. Types that have no counterpart here
    are widened where nothing is lost (bool to uint8; int8, int16 and float16 to float32).
    """

    suffixes: ClassVar = (".tif", ".tiff", ".stk", ".btf", ".tf2", ".tf8", ".svs", ".ndpi", ".scn")
    VERSION: ClassVar = 2

    def __init__(self, folder: Path, file: str):
        self._folder, self._file = folder, file
        self._stream = open_below(folder, file)
        try:
            self.pages = Pages(self._stream, file)
            self.description = str(self.pages.first.description or "")
            self._n_virtual = self._planes_of_first_page()
        except BaseException:
            self._stream.close()
            raise
        self.is_alone = True
        self._is_slide: bool | None = None
        self._last: tuple[int, npt.NDArray[Any]] | None = None

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the images that tags and descriptions tell of."""
        pages, first = self.pages, self.pages.first
        shift = (self._n_virtual - 1) * plane_bytes(first) if self._n_virtual > 1 else 0
        require_data(first, self._file, pages.size, shift)
        if len(pages) > 1:
            require_data(pages.page(len(pages) - 1), self._file, pages.size)
        found: list[ImageContent] = []
        for image in self._whole_images():
            page = self._page_of(image)
            self._require_alike(image, page)
            if page.is_rgb and page.has_levels and not image.brightfield:
                # Colour images with smaller copies are slides in transmitted light.
                image = replace(image, brightfield=True)
            found += cut(image, page, self.page_regions(page))
        return tuple(found)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return a plane, or one colour component of it."""
        index, box, component, facts = self._located(page)
        check(_of_page(facts, box), self._file)
        if component is None and sample not in range(3):
            raise damaged(self._file, f"it has no component {sample}")
        if component is None and self._last is not None and self._last[0] == page:
            return np.ascontiguousarray(self._last[1][..., sample])
        shift = 0
        if self._n_virtual > 1:
            shift, index = index * plane_bytes(self.pages.first), 0
        found = self.pages.page(index)
        require_data(found, self._file, self.pages.size, shift)
        pixels = read_box(self._stream, self._file, found, facts, box, component, shift)
        kind = WIDENED.get(str(pixels.dtype.newbyteorder("=")))
        pixels = pixels.astype(kind) if kind else pixels
        if component is not None:
            return pixels
        self._last = (page, pixels) if pixels.nbytes <= _KEPT_BYTES else None
        return np.ascontiguousarray(pixels[..., sample])

    def close(self) -> None:
        """Let the file go."""
        self._last = None
        self.pages.close()
        self._stream.close()

    def is_slide(self) -> bool:
        """Return whether the file holds a slide: a scanner's format, or smaller copies of its image."""
        if self._is_slide is None:
            self._is_slide = tiff_slides.is_slide(self.pages)
        return self._is_slide

    def page_facts(self, page: int) -> PageFacts:
        """Return what the pixels of a page are."""
        return self.pages.facts(0 if self._n_virtual > 1 else page)

    def _planes_of_first_page(self) -> int:
        """Return how many planes lie behind the first page's offset: MetaMorph's and ImageJ's stacks."""
        if self.pages.first.is_stk:
            tag = self.pages.first.tags.get(33629)
            return int(tag.count) if tag is not None else 1
        if len(self.pages) == 1 and tiff_imagej.is_imagej(self.description):
            return tiff_imagej.n_images(self.description, self._file)
        return 1

    def _whole_images(self) -> list[ImageContent]:
        """Return the images in planes of whole pages."""
        pages, text = self.pages, self.description
        if tiff_ome.is_ome(text):
            ome = ome_xml.parse(text, self._file)
            if ome.images:
                members = tiff_ome.Members(ome, self._folder, self._file)
                self.is_alone = members.is_alone
                found = tiff_ome.contents(ome, members, self.page_facts, len(pages), self._file)
                if not found:
                    raise damaged(self._file, "its OME-XML names none of its pages", "no_images")
                return found
        if tiff_scn.is_scn(text):
            return self._collection()
        facts: dict[str, Any] | None = None
        if pages.first.is_stk:
            facts = tiff_metaseries.stack(pages.tiff.stk_metadata or {})
        elif tiff_imagej.is_imagej(text):
            n = 1 if self._n_virtual > 1 else len(pages)
            facts = tiff_imagej.hyperstack(text, pages.first, n, self._file)
        elif len(pages) > 1 and self.is_slide():
            facts = tiff_slides.slide(pages)
        else:
            facts = tiff_imagej.shaped(text, len(pages))
        if facts is None:
            return self._plain()
        if self.is_slide():
            facts = {**tiff_slides.slide(pages), **facts}
        return [ImageContent(**{**_whole(self.page_facts(0)), **facts})]

    def _collection(self) -> list[ImageContent]:
        """Return the images of a Leica slide."""
        found = []
        for image in tiff_scn.images(self.description):
            first = next(ImageContent(1, 1, "", **_known(image)).each_plane()).page
            facts = self.page_facts(first)
            bright = facts.is_rgb and image["is_brightfield"]
            known = {**_known(image), "brightfield": bright}
            if facts.is_rgb:
                known["channels"] = ()
            found.append(ImageContent(**{**_whole(facts), **known}))
        return found

    def _plain(self) -> list[ImageContent]:
        """Return one image for each size and type of pages that nothing describes."""
        groups: dict[PageFacts, list[int]] = {}
        for i in range(len(self.pages)):
            facts = self.pages.facts(i)
            if i == 0 or not facts.is_reduced:
                groups.setdefault(facts, []).append(i)
        found = []
        for facts, members in groups.items():
            channels = self._channels(facts, members)
            planes = [
                PlaneContent(0, n, 0, i) if channels else PlaneContent(0, 0, n, i)
                for n, i in enumerate(members)
            ]
            image = {**_whole(facts), **arranged(planes), "channels": channels}
            image["pixel_size_um"] = resolution_um(self.pages.page(members[0]))
            found.append(image)
        if tiff_metaseries.is_metaseries(self.description):
            found[0] |= tiff_metaseries.metaseries(self.description)
        return [ImageContent(**image) for image in found]

    def _channels(self, facts: PageFacts, members: list[int]) -> tuple[ChannelFacts, ...]:
        """Return a channel for each page where names or the type of pixels say that they are some."""
        if facts.samples > 1 or not 2 <= len(members) <= MAX_CHANNEL_PAGES:
            return ()
        names = [self.pages.text(i, PAGE_NAME).strip() for i in members]
        named = len({*names}) == len(names) and all(n and not _COUNTED.fullmatch(n) for n in names)
        if named:
            return tuple(ChannelFacts(key=n, name=n) for n in names)
        if facts.dtype != "float32" or self.description.startswith("<MetaData>"):
            return ()
        numbers = range(1, len(members) + 1)
        return tuple(ChannelFacts(key=str(n), name=f"Channel{n}") for n in numbers)

    def _require_alike(self, image: ImageContent, facts: PageFacts) -> None:
        """Raise FileError where a page of an image isn't what its first one is."""
        if self._n_virtual > 1 or len(self.pages) == 1:
            return
        like = facts.height, facts.width, facts.dtype, facts.samples, facts.is_rgb
        for plane in image.each_plane():
            if plane.file is not None or plane.page >= len(self.pages):
                continue
            page = self.pages.facts(plane.page)
            if (page.height, page.width, page.dtype, page.samples, page.is_rgb) != like:
                raise damaged(
                    self._file, f"page {plane.page + 1} has {page.height} x {page.width} px of "
                    f"{page.dtype}, others of its image {facts.height} x {facts.width} of {facts.dtype}",
                )  # fmt: skip

    def _page_of(self, image: ImageContent) -> PageFacts:
        """Return what the pages of an image are."""
        own = image.first_page if not image.planes else next(
            (p.page for p in image.planes if p.file is None), None
        )  # fmt: skip
        if own is not None and (self._n_virtual > 1 or own < len(self.pages)):
            return self.page_facts(own)
        first = self.page_facts(0)
        if (first.height, first.width) == (image.height, image.width):
            return first
        return PageFacts(
            image.height, image.width, image.dtype, image.samples, image.samples == 3,
            False, False, False, 0, 0,
        )  # fmt: skip

    def page_regions(self, facts: PageFacts) -> list[Box]:
        """Return the regions that a page is cut into; one where it stays whole."""
        large = max(facts.height, facts.width) > REGION
        return regions(facts, self._file, is_slide=large and (facts.has_levels or self.is_slide()))

    def _located(self, plane: int) -> tuple[int, Box, int | None, PageFacts]:
        """Return page, region and component (None: all) of a plane's number, and what the page is."""
        index, component, region = located(plane)
        if self._n_virtual <= index or self._n_virtual == 1:
            self.pages.page(index)
        facts = self.page_facts(index)
        boxes = self.page_regions(facts)
        if region >= len(boxes) or component >= (1 if facts.is_rgb else facts.samples):
            raise damaged(self._file, f"it has no plane {plane}", "missing_page")
        return index, boxes[region], None if facts.is_rgb else component, facts


def _of_page(facts: PageFacts, box: Box) -> ImageContent:
    return ImageContent(box.height, box.width, facts.dtype, samples=3 if facts.is_rgb else 1)


def _known(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image.items() if name != "is_brightfield"}


def _whole(facts: PageFacts) -> dict[str, Any]:
    return {
        "height": facts.height, "width": facts.width, "dtype": facts.dtype,
        "samples": 3 if facts.is_rgb else 1,
    }  # fmt: skip
