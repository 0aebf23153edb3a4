"""What bioformats2raw writes: numbered series and the OME-XML of their source; entry point: `located`.

Layout: https://ngff.openmicroscopy.org/0.5/index.html#bf2raw. Series n is the n-th image of the XML,
unless the attributes of the group ``OME`` list the series in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gpu_workers.errors import FileError
from gpu_workers.formats.files.ome_xml import Ome, parse
from gpu_workers.formats.listing import Listing, shown
from gpu_workers.formats.ngff import groups
from gpu_workers.formats.survey import SourcePlane, well_name

XML: Final = "OME/METADATA.ome.xml"


def located(listing: Listing, root: str, planes: Sequence[SourcePlane]) -> list[SourcePlane]:
    """Return the images of a hierarchy with wells, fields and positions as the OME-XML says them.

    Raises
    ------
    FileError
        The XML or the attributes of its group are damaged.
    """
    entry = listing.get(groups.joined(root, XML))
    if entry is None:
        return list(planes)
    text = listing.read_metadata(entry).decode(errors="replace")
    ome = parse(text, entry.path)
    listed = groups.attributes(listing.folder, groups.joined(root, "OME")).ome.get("series")
    order = [str(name) for name in listed] if isinstance(listed, list) else None
    return [_located(plane, _number(plane.file, root, order), ome) for plane in planes]


def _number(file: str, root: str, order: list[str] | None) -> int | None:
    """Return which image of the XML a series is."""
    name = file if root == "." else file[len(root) + 1 :]
    if order is not None:
        return order.index(name) if name in order else None
    return int(name) if name.isdecimal() and len(name) < 8 else None


def _located(plane: SourcePlane, number: int | None, ome: Ome) -> SourcePlane:
    if number is None or number >= len(ome.images):
        return plane
    image = ome.images[number]
    places = [(p.y_um, p.x_um) for p in image.planes if p.y_um is not None and p.x_um is not None]
    y, x = places[0] if places else (image.y_um, image.x_um)
    field = ome.fields.get(image.id)
    if field is None:
        return plane._replace(stage_y_um=y, stage_x_um=x)
    try:
        well = well_name(field.row, field.column)
    except ValueError as error:
        name = shown(plane.file)
        raise FileError(
            f"{name} lies in no well: {error}", code="bad_metadata", files=(name,)
        ) from error
    if y is None or x is None:
        y, x = field.y_um, field.x_um
    return plane._replace(well=well, site=str(field.field), stage_y_um=y, stage_x_um=x)
