"""What the XML of a LIF file tells of a series: dimensions, channels, positions, names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from gpu_workers.formats.survey import ChannelFacts, natural, well_name, well_position

_UNITS: Final = {"m": 1e6, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "inch": 25_400.0}
_COLORS: Final = {
    "red": "#ff0000", "green": "#00ff00", "blue": "#0000ff", "cyan": "#00ffff", "yellow": "#ffff00",
    "magenta": "#ff00ff", "gray": "#ffffff", "grey": "#ffffff",
}  # fmt: skip
_WELL: Final = re.compile(r"([A-Za-z]{1,2}-?[0-9]{1,2})(?:[ _-].*)?")
_SETTINGS: Final = ("ATLConfocalSettingDefinition", "ATLCameraSettingDefinition")


@dataclass(frozen=True, slots=True)
class Dimension:
    """An axis of a series: its number in LIF files, length, step in bytes, and extent."""

    kind: int
    n: int
    step: int
    length: float
    unit: str

    @property
    def spacing_um(self) -> float | None:
        factor = _UNITS.get(self.unit.lower())
        # The length reaches from the first element to the last.
        spacing = abs(self.length) * (factor or 0) / (self.n - 1) if self.n > 1 else 0
        return spacing if spacing > 0 and math.isfinite(spacing) else None

    @property
    def spacing_s(self) -> float | None:
        spacing = self.length / (self.n - 1) if self.n > 1 and self.unit.lower() == "s" else 0
        return spacing if spacing > 0 and math.isfinite(spacing) else None


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a series: type, offset in bytes, and colour component (1, 2, 3: red, green, blue)."""

    dtype: str
    step: int
    tag: int
    lut: str
    dye: str


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of the microscope; positions of the stage in µm, turned as the image is."""

    objective: str | None = None
    magnification: float | None = None
    stage_y_um: float | None = None
    stage_x_um: float | None = None


def dimensions_of(element: Any) -> list[Dimension]:
    """Return the dimensions of a series, the outermost first; ValueError where one makes no sense."""
    found = [
        Dimension(
            int(d.attrib["DimID"]), int(d.attrib["NumberOfElements"]), int(d.attrib["BytesInc"]),
            float(d.get("Length") or 0), d.get("Unit") or "",
        )
        for d in element.iterfind("./Data/Image/ImageDescription/Dimensions/DimensionDescription")
    ]  # fmt: skip
    kinds = [d.kind for d in found]
    if len(set(kinds)) != len(kinds):
        raise ValueError(f"the dimensions {kinds} of a series are not unique")
    return sorted(found, key=lambda d: d.step, reverse=True)


def channels_of(element: Any) -> list[Channel]:
    """Return the channels of a series in the order of their pixels."""
    found = []
    for c in element.iterfind("./Data/Image/ImageDescription/Channels/ChannelDescription"):
        bits, kind = int(c.attrib["Resolution"]), "float" if c.get("DataType") == "1" else "uint"
        size = next((n for n in (8, 16, 32, 64) if 0 < bits <= n), 0)
        properties = {
            p.findtext("Key"): p.findtext("Value") or "" for p in c.iterfind("ChannelProperty")
        }
        if not size or (kind, size) == ("float", 8):
            raise ValueError(f"a channel of {bits} bits")
        found.append(
            Channel(
                f"{kind}{size}", int(c.attrib["BytesInc"]), int(c.get("ChannelTag") or 0),
                c.get("LUTName") or "", properties.get("DyeName", ""),
            )
        )  # fmt: skip
    return sorted(found, key=lambda c: c.step)


def channel_facts(channels: tuple[Channel, ...]) -> tuple[ChannelFacts, ...]:
    """Return names and colours of channels: by dye, else by look-up table where that is unique."""
    tables = [c.lut for c in channels]
    found: list[ChannelFacts] = []
    names: set[str] = set()
    for i, channel in enumerate(channels):
        lut = channel.lut.lower()
        unique = lut not in ("", "gray", "grey") and tables.count(channel.lut) == 1
        name = channel.dye or (channel.lut if unique else f"C{i + 1}")
        key = name if name not in names else f"{name} {i + 1}"
        names.add(key)
        color = lut if re.fullmatch("#[0-9a-f]{6}", lut) else _COLORS.get(lut)
        found.append(ChannelFacts(key=key, name=name, color=color))
    return tuple(found)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _turned(element: Any, y: float | None, x: float | None) -> tuple[float | None, float | None]:
    """Return a position in µm along the image's axes (LIF files say how the camera is turned)."""
    if y is None or x is None:
        return None, None
    if element.get("SwapXY") == "1":
        y, x = x, y
    return (
        y * 1e6 * (-1 if element.get("FlipY") == "1" else 1),
        x * 1e6 * (-1 if element.get("FlipX") == "1" else 1),
    )


def setting_of(element: Any) -> Setting:
    """Return objective and stage position of a series."""
    found = next((s for name in _SETTINGS for s in element.iter(name)), None)
    if found is None:
        return Setting()
    y, x = _turned(found, _number(found.get("StagePosY")), _number(found.get("StagePosX")))
    magnification = _number(found.get("Magnification"))
    return Setting((found.get("ObjectiveName") or "").strip() or None, magnification or None, y, x)


def tiles_of(image: Any, count: int) -> list[tuple[float | None, float | None]]:
    """Return the stage position (y, x) of each tile of a series, µm."""
    info = image.xml_element.find("./Data/Image/Attachment[@Name='TileScanInfo']")
    tiles: list[Element] = [] if info is None else info.findall("./Tile")
    if len(tiles) == count > 1 or (count == 1 and len(tiles) == 1):
        return [_turned(info, _number(t.get("PosY")), _number(t.get("PosX"))) for t in tiles]
    setting = setting_of(image.xml_element)
    alone = (setting.stage_y_um, setting.stage_x_um) if count == 1 else (None, None)
    return [alone] * count


def places(paths: list[str]) -> list[tuple[str | None, str]]:
    """Return well and site of each series by its path, such as ``TileScan 1/B/3/R1``.

    Wells are only believed where every series has one.
    """
    found = [_place(path) for path in paths]
    rows = {f[0][0] for f in found if f is not None}
    # P1, R1 and S1 count positions, regions and scans.
    if not all(found) or (len(rows) == 1 and rows <= set("PRS")):
        return [(None, path if len(paths) > 1 else "") for path in paths]
    known = [f for f in found if f is not None]
    if len(set(known)) != len(known):
        ranks: dict[str, int] = {}
        for at, (well, site) in sorted(enumerate(known), key=lambda f: natural(paths[f[0]])):
            ranks[well] = ranks.get(well, 0) + 1
            known[at] = (well, f"{site} {ranks[well]}".strip())
    return [(well, site) for well, site in known]


def _place(path: str) -> tuple[str, str] | None:
    parts = path.split("/")
    for i, part in enumerate(parts):
        following = parts[i + 1] if i + 1 < len(parts) else ""
        pair = part + following if part.isalpha() and following.isdecimal() else ""
        match = _WELL.fullmatch(part)
        try:
            if pair:
                return well_name(*well_position(pair)), "/".join(parts[i + 2 :])
            if match is not None:
                rest = part[len(match[1]) :].strip(" _-")
                return well_name(*well_position(match[1])), "/".join(
                    filter(None, [rest, *parts[i + 1 :]])
                )
        except ValueError:
            continue
    return None
