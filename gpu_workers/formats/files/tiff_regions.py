"""Large pages, cut into regions that fit into memory; entry points: `regions` and `cut`.

A plane as `OpenFile.read` numbers it is one component of one region of one page (red, green and blue
are one component): page + 2^20 * (region + 2^14 * component), so that a whole page has its own number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files.tiff_pages import PageFacts
from gpu_workers.formats.files.tiff_pixels import Box
from gpu_workers.formats.listing import shown

REGION: Final = 4096
# An image of a camera stays whole up to here.
MAX_WHOLE_PIXELS: Final = 2**26
MAX_REGIONS: Final = 2**14
_PAGES: Final = 2**20


def regions(facts: PageFacts, file: str, *, is_slide: bool) -> list[Box]:
    """Return the regions of a page, row by row; a single one where it stays whole.

    Raises
    ------
    FileError
        There would be absurdly many (`too_large`).
    """
    height, width = facts.height, facts.width
    small = height <= REGION and width <= REGION
    if small or (not is_slide and height * width <= MAX_WHOLE_PIXELS):
        return [Box(0, 0, height, width)]
    tall, wide = (_side(n) for n in (facts.tile_height, facts.tile_width if facts.is_tiled else 1))
    if -(-height // tall) * -(-width // wide) > MAX_REGIONS:
        name = shown(file)
        raise FileError(
            f"{name} claims {height} x {width} px, more than {MAX_REGIONS} regions of {tall} x {wide}",
            code="too_large", files=(name,),
        )  # fmt: skip
    return [
        Box(y, x, min(tall, height - y), min(wide, width - x))
        for y in range(0, height, tall)
        for x in range(0, width, wide)
    ]


def _side(tile: int) -> int:
    """Return a region's side: whole tiles, so that none is decoded twice."""
    return REGION // tile * tile if 0 < tile <= REGION else REGION


def cut(image: ImageContent, facts: PageFacts, boxes: list[Box]) -> list[ImageContent]:
    """Return an image of whole pages as one image per region, its components as channels."""
    n = 1 if facts.is_rgb else facts.samples
    if n == 1 and len(boxes) == 1:
        return [image]
    found = []
    for number, box in enumerate(boxes):
        part = _renumbered(image, n, number)
        if len(boxes) > 1:
            y, x = box.y + (image.y_px or 0), box.x + (image.x_px or 0)
            part = replace(part, y_px=y, x_px=x, height=box.height, width=box.width)
        found.append(part)
    return found


def _renumbered(image: ImageContent, n: int, region: int) -> ImageContent:
    """Return an image whose planes are numbered by component and region."""
    channels = image.channels if len(image.channels) == image.n_c * n else ()
    if not image.planes and (n == 1 or image.n_c == 1):
        return replace(
            image, n_c=image.n_c * n, channels=channels,
            first_page=numbered(image.first_page, 0, region),
            c_stride=image.c_stride if n == 1 else numbered(0, 1, 0),
        )  # fmt: skip
    planes = tuple(
        replace(p, c=p.c * n + s, page=numbered(p.page, s, region))
        for p in image.each_plane()
        for s in range(n)
    )
    return replace(image, n_c=image.n_c * n, channels=channels, planes=planes)


def numbered(page: int, component: int, region: int) -> int:
    """Return the number of a plane; a whole page of one component has the page's."""
    return page + _PAGES * (region + MAX_REGIONS * component)


def located(plane: int) -> tuple[int, int, int]:
    """Return page, component and region of a plane's number."""
    rest, page = divmod(plane, _PAGES)
    component, region = divmod(rest, MAX_REGIONS)
    return page, component, region
