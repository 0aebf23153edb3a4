"""What ``metadata.ome.xml`` of newer ScanR software says of the images beside it; entry point: `described`.

The document has an image for each well and position; a TiffData element names the file of each plane,
a Plane element has the place of the stage, whose y grows upwards in the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.files.ome_xml import Ome, OmeImage, OmePlane, parse
from gpu_workers.formats.files.tiff_ome import channel_facts
from gpu_workers.formats.listing import FileEntry, Listing
from gpu_workers.formats.survey import ChannelFacts
from gpu_workers.messages import Problem

NAME: Final = "metadata.ome.xml"


@dataclass(frozen=True, slots=True)
class Described:
    """What the documents say.

    Attributes
    ----------
    places
        Fields of `SourcePlane` by file.
    channels
        The channel of each file, as the document has it.
    facts
        Fields of `VendorFacts`.
    """

    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: dict[str, ChannelFacts] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def documents(listing: Listing) -> list[FileEntry]:
    """Return the documents of a folder."""
    return [f for f in listing.with_suffix(".xml") if f.name.lower() == NAME]


def described(listing: Listing) -> Described:
    """Return what the documents of a folder say of their files; one too large for that is reported.

    Raises
    ------
    FileError
        A document can't be parsed.
    """
    found = Described()
    for entry in documents(listing):
        try:
            ome = parse(listing.read_metadata(entry).decode("utf-8-sig", "replace"), entry.path)
        except FileError as error:
            if error.code not in ("too_large", "file_too_large"):
                raise
            message = f"{error.message}: places of sites and sizes of pixels are left out"
            found.problems.append(Problem(code=error.code, message=message, files=error.files))
        else:
            _add(found, ome, PurePosixPath(entry.path).parent)
    return found


def _add(found: Described, ome: Ome, folder: PurePosixPath) -> None:
    for image in ome.images:
        channels = channel_facts(image)
        planes = {(p.t, p.c, p.z): p for p in image.planes}
        for name, value in _facts(image).items():
            if found.facts.get(name) is None:
                found.facts[name] = value
        for block in image.blocks:
            if block.file is None:
                continue
            path = str(folder / block.file)
            found.places[path] = _place(image, planes.get((block.t, block.c, block.z)))
            if block.c < len(channels):
                found.channels[path] = channels[block.c]


def _facts(image: OmeImage) -> Mapping[str, Any]:
    return {
        "pixel_size_um": image.pixel_size_um,
        "z_step_um": image.z_step_um,
        "t_step_s": image.t_step_s,
        "shape": (image.height, image.width),
        "objective": image.objective,
        "magnification": image.magnification,
        "acquired_at": image.acquired_at,
        "y_sign": -1,
    }


def _place(image: OmeImage, plane: OmePlane | None) -> dict[str, Any]:
    """Return the place of a plane, else of its image."""
    known = plane is not None and plane.y_um is not None and plane.x_um is not None
    return {
        "stage_y_um": plane.y_um if plane and known else image.y_um,
        "stage_x_um": plane.x_um if plane and known else image.x_um,
        "z_um": plane.z_um if plane else None,
        "time_s": plane.time_s if plane else None,
    }
