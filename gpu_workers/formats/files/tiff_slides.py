"""Slides of whole-slide scanners: which pages are the image, and what descriptions say of it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from gpu_workers.formats.contents import PlaneContent
from gpu_workers.formats.files import tiff_scn
from gpu_workers.formats.files.tiff_pages import PageFacts, Pages
from gpu_workers.formats.files.tiff_values import arranged, number, resolution_um
from gpu_workers.formats.survey import ChannelFacts

MAX_LEVELS: Final = 64
_NDPI_MAGNIFICATION: Final = 65421


def is_slide(pages: Pages) -> bool:
    """Return whether the pages are a slide: a scanner's own format, or an image with smaller copies."""
    first, page = pages.facts(0), pages.first
    if (
        tiff_scn.is_scn(page.description)
        or page.is_svs
        or page.is_ndpi
        or page.is_qpi
        or page.is_bif
        or page.is_philips
    ):
        return True
    if not first.is_tiled:
        return False
    others = range(1, min(len(pages), MAX_LEVELS))
    return first.has_levels or any(is_level(first, pages.facts(i)) for i in others)


def is_level(first: PageFacts, other: PageFacts) -> bool:
    """Return whether a page is a smaller copy of the first one."""
    if (other.dtype, other.samples) != (first.dtype, first.samples) or not other.is_tiled:
        return False
    y, x = first.height / max(1, other.height), first.width / max(1, other.width)
    # Scanners round the sides of small levels up to whole pixels or tiles.
    return x > 1.4 and abs(y - x) <= 0.05 * x


def slide(pages: Pages) -> dict[str, Any]:
    """Return the planes of the full image and what is known of it.

    Labels, macro images and thumbnails aren't measurements, and smaller copies add nothing. Further
    pages as large as the first are focal planes, or channels where the scanner says so.
    """
    facts, page = pages.facts(0), pages.first
    same = [
        i
        for i in range(len(pages))
        if i == 0 or (_alike(facts, pages.facts(i)) and not _is_map(pages, i))
    ]
    channels: tuple[ChannelFacts, ...] = ()
    if page.is_qpi:
        channels = tuple(_qpi_channel(pages.text(i, 270), n) for n, i in enumerate(same))
        planes = [PlaneContent(0, n, 0, i) for n, i in enumerate(same)]
    else:
        planes = [PlaneContent(0, 0, z, i) for z, i in enumerate(same)]
    found = {
        **arranged(planes),
        "pixel_size_um": resolution_um(page),
        "brightfield": facts.is_rgb,
        "channels": () if facts.is_rgb else channels,
    }
    if page.is_svs:
        found |= aperio(page.description)
    elif page.is_ndpi:
        magnification = number(page.tags.valueof(_NDPI_MAGNIFICATION))
        found["magnification"] = magnification if magnification and magnification > 0 else None
    elif page.is_qpi:
        power = number(_element(page.description, "Objective").rstrip("xX"))
        found |= {
            "magnification": power,
            "objective": _element(page.description, "Objective") or None,
        }
    return found


def aperio(description: str) -> dict[str, Any]:
    """Return pixel size, magnification and time from the list ``… |AppMag = 20|MPP = 0.4990|…``."""
    pairs = (part.partition("=") for part in description[: 2**16].split("|")[1:])
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    found: dict[str, Any] = {"magnification": number(facts.get("AppMag"))}
    size = number(facts.get("MPP"))
    if size and size > 0:
        found["pixel_size_um"] = size
    for form in ("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S"):
        try:
            taken = datetime.strptime(f"{facts['Date']} {facts['Time']}", form)  # noqa: DTZ007
        except (KeyError, ValueError):
            continue
        found["acquired_at"] = taken.isoformat()
        break
    return found


def _alike(first: PageFacts, other: PageFacts) -> bool:
    names = ("height", "width", "dtype", "samples", "is_rgb", "is_tiled")
    return not other.is_reduced and all(getattr(first, n) == getattr(other, n) for n in names)


def _is_map(pages: Pages, index: int) -> bool:
    """Return whether a page is NDPI's macro image (-1) or map (-2)."""
    if not pages.first.is_ndpi:
        return False
    magnification = number(pages.page(index).tags.valueof(_NDPI_MAGNIFICATION))
    return magnification is not None and magnification < 0


def _qpi_channel(description: str, index: int) -> ChannelFacts:
    """Return what the XML of a page by Vectra and PhenoImager says of its channel."""
    name = _element(description, "Name") or f"Channel{index + 1}"
    levels = [int(v) for v in re.findall(r"\d+", _element(description, "Color"))[:3]]
    color = (
        "#{:02x}{:02x}{:02x}".format(*levels) if len(levels) == 3 and max(levels) < 256 else None
    )
    return ChannelFacts(key=name, name=name, color=color)


def _element(text: str, name: str) -> str:
    """Return the text of the first element of a name, without its markup."""
    found = re.search(rf"<{name}>([^<]{{0,200}})</{name}>", text[: 2**20])
    return found[1].strip() if found else ""
