"""The OME data model as far as images need it; entry point: `parse`.

ome-types reads all of the model, at 1,000 times the cost for files of many planes (977 ms against 46
for 10,000 planes), and is imported in 1.3 s; a plate has thousands of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from gpu_workers.errors import FileError
from gpu_workers.formats.files.tiff_pages import WIDENED
from gpu_workers.formats.files.tiff_values import micrometres, number, seconds
from gpu_workers.formats.listing import shown

MAX_XML: Final = 32 * 2**20
# An element takes a hundred times the memory of the four characters it can be written with.
MAX_MARKUP: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OmeBlock:
    """A TiffData element: which planes lie where; `n_planes` None: as many as there are pages."""

    t: int
    c: int
    z: int
    page: int
    n_planes: int | None
    uuid: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class OmePlane:
    """A Plane element."""

    t: int
    c: int
    z: int
    time_s: float | None
    y_um: float | None
    x_um: float | None
    z_um: float | None
    exposure_ms: float | None


@dataclass(frozen=True, slots=True)
class OmeChannel:
    """A Channel element; `samples` components of a pixel belong to it."""

    name: str
    samples: int
    emission_nm: float | None
    excitation_nm: float | None
    color: str | None
    is_brightfield: bool


@dataclass(frozen=True, slots=True)
class OmeImage:
    """An Image element with its Pixels."""

    id: str
    name: str | None
    acquired_at: str | None
    width: int
    height: int
    n_z: int
    n_c: int
    n_t: int
    order: str
    dtype: str
    pixel_size_um: float | None
    z_step_um: float | None
    t_step_s: float | None
    channels: tuple[OmeChannel, ...]
    blocks: tuple[OmeBlock, ...]
    planes: tuple[OmePlane, ...]
    objective: str | None
    magnification: float | None
    y_um: float | None
    x_um: float | None


@dataclass(frozen=True, slots=True)
class OmeField:
    """Where a plate has an image: well by row and column from 0, number of the field in it from 1."""

    plate: str
    row: int
    column: int
    field: int
    y_um: float | None
    x_um: float | None


@dataclass(frozen=True, slots=True)
class Ome:
    """The document: its own UUID, its images, the plates' fields by image, and who has the rest."""

    uuid: str | None
    images: tuple[OmeImage, ...]
    fields: dict[str, OmeField] = field(default_factory=dict)
    metadata_file: str | None = None


def parse(text: str, file: str) -> Ome:
    """Return what an OME-XML document says.

    Raises
    ------
    FileError
        It isn't well-formed, has entities, is too large, or lacks numbers that must be there.
    """
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    name = shown(file)
    if len(text) > MAX_XML or text.count("<") > MAX_MARKUP:
        raise FileError(
            f"{name} has an OME-XML of {len(text)} characters", code="too_large", files=(name,)
        )
    # A text needs no declaration of its encoding, and a wrong one would be believed.
    start = text.find("?>") + 2 if text.startswith("<?xml") else 0
    try:
        root = ElementTree.fromstring(text[start:].strip("\0 \r\n\t"), forbid_dtd=True)
        return _document(root)
    except (ParseError, DefusedXmlException, ValueError, KeyError, OverflowError) as error:
        raise FileError(
            f"{name} has an OME-XML that can't be read: {error}", code="bad_metadata", files=(name,)
        ) from error


def _document(root: Element) -> Ome:
    lenses: dict[str, tuple[str | None, float | None]] = {}
    for lens in _all(root, "Objective"):
        known = lens.get("Model") or lens.get("Manufacturer")
        lenses[lens.get("ID", "")] = (known, number(lens.get("NominalMagnification")))
    binary = next(_children(root, "BinaryOnly"), None)
    return Ome(
        uuid=root.get("UUID"),
        images=tuple(_image(i, lenses) for i in _children(root, "Image") if _pixels(i) is not None),
        fields=_fields(root),
        metadata_file=None if binary is None else binary.get("MetadataFile"),
    )


def _pixels(image: Element) -> Element | None:
    return next(_children(image, "Pixels"), None)


def _image(image: Element, lenses: dict[str, tuple[str | None, float | None]]) -> OmeImage:
    pixels = _pixels(image)
    if pixels is None:
        raise ValueError("an image has no pixels")
    used = next(_children(image, "ObjectiveSettings"), None)
    objective, magnification = lenses.get(
        used.get("ID", "") if used is not None else "", (None, None)
    )
    stage = next(_children(image, "StageLabel"), None)
    date = next(_children(image, "AcquisitionDate"), None)
    channels = tuple(_channel(c) for c in _children(pixels, "Channel", "LogicalChannel"))
    size_c = _size(pixels, "SizeC")
    # A channel of several components counts as many times in SizeC.
    n_c = len(channels) if channels and sum(c.samples for c in channels) == size_c else size_c
    order = pixels.get("DimensionOrder", "XYZCT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        raise ValueError(f"an unknown order of dimensions {order[:20]!r}")
    return OmeImage(
        image.get("ID", ""), image.get("Name"), (date.text or None) if date is not None else None,
        _size(pixels, "SizeX"), _size(pixels, "SizeY"), _size(pixels, "SizeZ"), n_c,
        _size(pixels, "SizeT"), order, _dtype(pixels.get("Type") or pixels.get("PixelType") or ""),
        _length(pixels, "PhysicalSizeX"), _length(pixels, "PhysicalSizeZ"),
        _time(pixels, "TimeIncrement"), channels,
        tuple(_block(b) for b in _children(pixels, "TiffData")),
        tuple(_plane(p) for p in _children(pixels, "Plane")),
        objective, magnification,
        _length(stage, "Y") if stage is not None else None,
        _length(stage, "X") if stage is not None else None,
    )  # fmt: skip


def _dtype(name: str) -> str:
    name = {"float": "float32", "double": "float64", "bit": "bool"}.get(name.lower(), name.lower())
    return WIDENED.get(name, name)


def _channel(channel: Element) -> OmeChannel:
    light = f"{channel.get('ContrastMethod', '')} {channel.get('IlluminationType', '')}".lower()
    value = channel.get("Color")
    color = None
    if value is not None and value.lstrip("-").isdecimal() and len(value) < 12:
        # Red, green, blue and opacity, one byte each, in a signed number.
        color = f"#{(int(value) & 0xFFFFFFFF) >> 8:06x}"
    samples = channel.get("SamplesPerPixel", "1")
    return OmeChannel(
        (channel.get("Name") or "").strip(), int(samples) if samples.isdecimal() else 1,
        _wavelength(channel, "EmissionWavelength"), _wavelength(channel, "ExcitationWavelength"),
        color, "brightfield" in light or "transmitted" in light,
    )  # fmt: skip


def _block(block: Element) -> OmeBlock:
    uuid = next(_children(block, "UUID"), None)
    count, page = block.get("PlaneCount"), block.get("IFD")
    n_planes = int(count) if count is not None else 1 if page is not None else None
    t, c, z = (_index(block, f"First{axis}") for axis in "TCZ")
    text = (uuid.text or "").strip() if uuid is not None else None
    name = uuid.get("FileName") if uuid is not None else None
    return OmeBlock(t, c, z, _index(block, "IFD"), n_planes, text, name)


def _plane(plane: Element) -> OmePlane:
    exposure = _time(plane, "ExposureTime")
    t, c, z = (_index(plane, f"The{axis}") for axis in "TCZ")
    y_um, x_um, z_um = (_length(plane, f"Position{axis}") for axis in "YXZ")
    time_s, exposure_ms = _time(plane, "DeltaT"), None if exposure is None else exposure * 1000
    return OmePlane(t, c, z, time_s, y_um, x_um, z_um, exposure_ms)


def _fields(root: Element) -> dict[str, OmeField]:
    """Return the field of every image that lies in a well."""
    found: dict[str, OmeField] = {}
    for plate in _children(root, "Plate"):
        name = plate.get("Name") or plate.get("ExternalIdentifier") or ""
        for well in _children(plate, "Well"):
            row, column = _index(well, "Row"), _index(well, "Column")
            for n, sample in enumerate(_children(well, "WellSample"), 1):
                reference = next(_children(sample, "ImageRef"), None)
                if reference is not None:
                    place = _length(sample, "PositionY"), _length(sample, "PositionX")
                    found[reference.get("ID", "")] = OmeField(name, row, column, n, *place)
    return found


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(parent: Element, *names: str) -> Iterator[Element]:
    return (e for e in parent if _local(e) in names)


def _all(parent: Element, name: str) -> Iterator[Element]:
    return (e for e in parent.iter() if _local(e) == name)


def _size(element: Element, name: str) -> int:
    size = int(element.attrib[name])
    if not 0 < size < 2**31:
        raise ValueError(f"{name} is {size}")
    return size


def _index(element: Element, name: str) -> int:
    index = int(element.get(name, "0"))
    if not 0 <= index < 2**31:
        raise ValueError(f"{name} is {index}")
    return index


def _length(element: Element, name: str) -> float | None:
    """Return micrometres; older documents and unnamed reference frames mean them as well."""
    value, unit = number(element.get(name)), element.get(f"{name}Unit", "µm")
    factor = 1.0 if unit == "reference frame" else micrometres(unit)
    return value * factor if value is not None and factor else None


def _time(element: Element, name: str) -> float | None:
    value, factor = number(element.get(name)), seconds(element.get(f"{name}Unit", "s"))
    return value * factor if value is not None and factor else None


def _wavelength(element: Element, name: str) -> float | None:
    value, factor = number(element.get(name)), micrometres(element.get(f"{name}Unit", "nm"))
    return value * factor * 1000 if value and value > 0 and factor else None
