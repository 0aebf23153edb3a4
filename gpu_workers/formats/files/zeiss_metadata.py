"""What the XML of a CZI file tells: channels, scenes, scale, objective; entry point: `facts_of`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from gpu_workers.formats.survey import ChannelFacts, well_name, well_position

_COLOR = re.compile(r"#(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})")
# P1, S1 and the like count positions, tissues and scan regions, whatever rows a plate may have.
_COUNTER = re.compile(r"(?:P|S|TR|ScanRegion|Scene|Pos)[-_ ]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene: a position in a well, a region of a slide, a tissue."""

    name: str
    well: str | None
    stage_y_um: float | None = None
    stage_x_um: float | None = None


@dataclass(frozen=True, slots=True)
class CziFacts:
    """What holds for the file as a whole."""

    channels: tuple[ChannelFacts, ...] = ()
    scenes: dict[int, Scene] = field(default_factory=dict)
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    t_step_s: float | None = None
    objective: str | None = None
    magnification: float | None = None
    acquired_at: str | None = None


def parse(xml: bytes) -> Element | None:
    """Return the root of an XML document; None if it is empty or isn't well formed."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        root: Element = ElementTree.fromstring(xml.rstrip(b"\0"))
    except (ParseError, DefusedXmlException, ValueError):
        return None
    return root


def facts_of(xml: bytes) -> CziFacts:
    """Return what the metadata says; what it leaves out, or says in an odd way, is None."""
    root = parse(xml)
    if root is None:
        return CziFacts()
    image = root.find("./Metadata/Information/Image")
    image = Element("Image") if image is None else image
    scale = {
        d.get("Id", ""): number(d.findtext("Value"))
        for d in root.iterfind("./Metadata/Scaling/Items/Distance")
    }
    objective = root.find("./Metadata/Information/Instrument/Objectives/Objective")
    model = "" if objective is None else objective.findtext("./Manufacturer/Model") or ""
    name = model or ("" if objective is None else objective.get("Name") or "")
    return CziFacts(
        channels=_channels(root, image),
        scenes=_scenes(image),
        pixel_size_um=_micrometres(scale.get("X")),
        z_step_um=_micrometres(scale.get("Z")),
        t_step_s=_interval(image.find("./Dimensions/T/Positions")),
        objective=name or None,
        magnification=None
        if objective is None
        else number(objective.findtext("NominalMagnification")),
        acquired_at=image.findtext("AcquisitionDateAndTime") or None,
    )


def number(text: str | None) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _micrometres(metres: float | None) -> float | None:
    return metres * 1e6 if metres and metres > 0 else None


def _interval(positions: Element | None) -> float | None:
    if positions is None:
        return None
    step = number(positions.findtext("./Interval/Increment"))
    if step:
        return step
    offsets = [number(v) for v in (positions.findtext("./List/Offsets") or "").split()[:10_000]]
    steps = sorted(b - a for a, b in pairwise(offsets) if a is not None and b is not None)
    middle = steps[len(steps) // 2] if steps else 0.0
    return middle if middle > 0 else None


def _channels(root: Element, image: Element) -> tuple[ChannelFacts, ...]:
    shown = root.findall("./Metadata/DisplaySetting/Channels/Channel")
    by_id = {c.get("Id", ""): c for c in shown}
    channels = image.findall("./Dimensions/Channels/Channel")
    found: list[ChannelFacts] = []
    names: set[str] = set()
    for i, channel in enumerate(channels):
        # Processed images lose the ids of their display settings but not their order.
        other = shown[i] if len(shown) == len(channels) else Element("Channel")
        display = by_id.get(channel.get("Id", ""), other)
        name = (
            channel.get("Name")
            or display.get("Name")
            or display.findtext("ShortName")
            or display.findtext("DyeName")
            or channel.findtext("Fluor")
            or f"C{i + 1}"
        )
        key = name if name not in names else f"{name} {i + 1}"
        names.add(key)
        color = _COLOR.fullmatch(channel.findtext("Color") or display.findtext("Color") or "")
        exposure = number(channel.findtext("ExposureTime"))
        found.append(
            ChannelFacts(
                key=key, name=name,
                wavelength_nm=_positive(channel, "EmissionWavelength"),
                excitation_nm=_positive(channel, "ExcitationWavelength"),
                exposure_ms=exposure / 1e6 if exposure else None,
                color=f"#{color[1].lower()}" if color else None,
                brightfield=_transmitted(channel),
            )
        )  # fmt: skip
    return tuple(found)


def _positive(channel: Element, tag: str) -> float | None:
    value = number(channel.findtext(tag))
    return value if value and value > 0 else None


def _transmitted(channel: Element) -> bool:
    method = (channel.findtext("ContrastMethod") or "").lower()
    return method in {"brightfield", "phase", "dic", "pgc"} or (
        channel.findtext("IlluminationType") or ""
    ).lower() in {"transmitted", "transmission"}


def _scenes(image: Element) -> dict[int, Scene]:
    scenes: dict[int, Scene] = {}
    for i, scene in enumerate(image.iterfind("./Dimensions/S/Scenes/Scene")):
        index = scene.get("Index", "")
        x, _, y = (scene.findtext("CenterPosition") or "").partition(",")
        scenes[int(index) if index.isdecimal() and len(index) < 8 else i] = Scene(
            name=scene.get("Name") or f"{i + 1}",
            well=_well(scene),
            stage_y_um=number(y),
            stage_x_um=number(x),
        )
    return scenes


def _well(scene: Element) -> str | None:
    """Return the well a scene lies in: by its array, its shape's name or place, or its own name."""
    shape: Any = scene.find("Shape")
    shape = Element("Shape") if shape is None else shape
    for name in (scene.findtext("ArrayName"), shape.get("Name")):
        try:
            return well_name(*well_position((name or "").strip()))
        except ValueError:
            continue
    row, column = (shape.findtext(tag) or "" for tag in ("RowIndex", "ColumnIndex"))
    own = scene.get("Name", "").strip()
    try:
        if row.isdecimal() and column.isdecimal():
            return well_name(int(row[:6]) - 1, int(column[:6]) - 1)
        return None if _COUNTER.fullmatch(own) else well_name(*well_position(own))
    except ValueError:
        return None
