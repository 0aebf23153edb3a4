"""Leica SCN: a slide's collection of images, described by XML on the first page."""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element

from gpu_workers.formats.contents import PlaneContent
from gpu_workers.formats.files.tiff_values import arranged, number
from gpu_workers.formats.survey import ChannelFacts

MAX_XML: Final = 2**24


def is_scn(description: str) -> bool:
    """Return whether a description is the XML of an SCN file."""
    return "<scn" in description[:512]


def images(description: str) -> list[dict[str, Any]]:
    """Return planes and facts of every image of a slide except its overview.

    The overview is the image that shows the whole collection. Positions are in the pixels of each image.

    Raises
    ------
    ValueError
        It can't be parsed, or lacks numbers that must be there.
    """
    from defusedxml import ElementTree

    start = description.find("?>") + 2 if description.startswith("<?xml") else 0
    root = ElementTree.fromstring(description[start:MAX_XML].strip("\0 \r\n\t"), forbid_dtd=True)
    found = []
    for collection in _named(root, "collection"):
        whole = collection.get("sizeX"), collection.get("sizeY")
        members = list(_named(collection, "image"))
        for image in members:
            view = next(_named(image, "view"), None)
            overview = view is not None and (view.get("sizeX"), view.get("sizeY")) == whole
            if not overview or len(members) == 1:
                found.append(_image(image, view))
    return found


def _named(parent: Element, name: str) -> Any:
    return (e for e in parent.iter() if str(e.tag).rpartition("}")[2] == name)


def _image(image: Element, view: Element | None) -> dict[str, Any]:
    full = [d for d in _named(image, "dimension") if d.get("r", "0") == "0"]
    if not full:
        raise ValueError("an image of the slide has no pixels")
    planes = [PlaneContent(0, _index(d, "c"), _index(d, "z"), _index(d, "ifd")) for d in full]
    n_c = 1 + max(p.c for p in planes)
    found: dict[str, Any] = {
        **arranged(planes), "name": image.get("name"),
        "magnification": number(_text(image, "objective")),
        "acquired_at": _text(image, "creationDate") or None,
        "is_brightfield": "brightfield" in _text(image, "illuminationSource").lower(),
        "channels": tuple(
            ChannelFacts(key=str(c + 1), name=f"Channel{c + 1}") for c in range(n_c)
        ) if n_c > 1 else (),
    }  # fmt: skip
    width = number(view.get("sizeX")) if view is not None else None
    n_pixels = int(full[0].get("sizeX", "0"))
    if view is not None and width and n_pixels > 0:
        # Sizes of views are in nanometres.
        size_nm = width / n_pixels
        found["pixel_size_um"] = size_nm / 1000
        found["y_px"] = round((number(view.get("offsetY")) or 0) / size_nm)
        found["x_px"] = round((number(view.get("offsetX")) or 0) / size_nm)
    return found


def _index(element: Element, name: str) -> int:
    index = int(element.get(name, "0"))
    if not 0 <= index < 2**20:
        raise ValueError(f"{name} is {index}")
    return index


def _text(element: Element, name: str) -> str:
    found = next(_named(element, name), None)
    return (found.text or "").strip() if found is not None else ""
