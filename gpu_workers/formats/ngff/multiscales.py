"""What a multiscale image says of itself; entry points: `describe` and `channels_of`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import shown
from gpu_workers.formats.ngff import groups
from gpu_workers.formats.ngff.groups import Attributes
from gpu_workers.formats.survey import ChannelFacts
from gpu_workers.messages import Json

AXES: Final = ("t", "c", "z", "y", "x")
MAX_CHANNELS: Final = 10_000
# Lengths in micrometres and times in seconds, by the names that UDUNITS-2 gives them.
_MICROMETRES: Final = {
    "angstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3, "micrometer": 1.0, "micron": 1.0,
    "um": 1.0, "µm": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "inch": 25_400.0,
}  # fmt: skip
_SECONDS: Final = {
    "nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "s": 1.0,
    "ms": 1e-3, "minute": 60.0, "hour": 3600.0, "day": 86_400.0,
}  # fmt: skip
_COLOR: Final = re.compile(r"#?([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?")


@dataclass(frozen=True, slots=True)
class Multiscale:
    """The finest level of a multiscale image.

    Attributes
    ----------
    path
        Of its array, below the acquisition's folder.
    axes
        Name of each axis of the array: some of t, c, z, y, x.
    scale, offset
        By axis: distance of neighbouring elements and place of the first, in µm or s. An axis isn't
        in `scale` where its unit is unknown, and not in `offset` where no place is given.
    name
        The image's own name.
    """

    path: str
    axes: tuple[str, ...]
    scale: dict[str, float]
    offset: dict[str, float]
    name: str | None = None

    def size(self, shape: Sequence[int], axis: str) -> int:
        """Return the length of an axis of an array of `shape`; 1 where there is none."""
        return shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def pixel_size_um(self) -> float | None:
        """Return the size of a pixel; None where it isn't known or not square (to 1 %)."""
        y, x = self.scale.get("y"), self.scale.get("x")
        if y is None or x is None or abs(y - x) > 0.01 * max(y, x):
            return None
        return x


def is_image(found: Attributes) -> bool:
    """Return whether attributes are those of a multiscale image."""
    return isinstance(found.ome.get("multiscales"), list) and bool(found.ome["multiscales"])


def describe(path: str, found: Attributes) -> Multiscale:
    """Return the first multiscale image of a group.

    Raises
    ------
    FileError
        It is damaged (`bad_metadata`), names a path elsewhere (`unsafe_name`), or has other axes than
        t, c, z, y, x (`unsupported_axes`).
    """
    try:
        image = found.ome["multiscales"][0]
        axes, units = _axes(image.get("axes"), path)
        level = image["datasets"][0]
        array = groups.joined(path, level["path"])
        steps = _transformations(level), _transformations(image)
        scale, offset = _placed(steps, units, len(axes))
    except FileError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise groups.bad(found.file, repr(error)) from error
    name = image.get("name")
    return Multiscale(
        path=array,
        axes=axes,
        scale={a: s for a, s in zip(axes, scale, strict=True) if s is not None and s > 0},
        offset={a: o for a, o in zip(axes, offset, strict=True) if o is not None},
        name=shown(name) if isinstance(name, str) and name not in ("", "/") else None,
    )


def _axes(named: Any, path: str) -> tuple[tuple[str, ...], list[float | None]]:
    """Return the names of the axes and what one of their units is in µm or s."""
    entries = [a if isinstance(a, dict) else {"name": a} for a in (named or AXES)]
    axes = tuple(str(a["name"]).lower() for a in entries)
    if not set(axes) <= set(AXES) or len(set(axes)) < len(axes) or not {"y", "x"} <= set(axes):
        raise FileError(
            f"the image {shown(path)} has the axes {', '.join(axes)[:100]}; some of t, c, z, y, x can be"
            " read",
            code="unsupported_axes", files=(shown(path),),
        )  # fmt: skip
    units: list[float | None] = []
    for axis, entry in zip(axes, entries, strict=True):
        known = _SECONDS if axis == "t" else _MICROMETRES
        units.append(known.get(str(entry.get("unit") or "").lower()))
    return axes, units


Transformations = tuple[list[float] | None, list[float] | None]


def _transformations(owner: Json) -> Transformations:
    """Return the scale and the translation of a level or a whole image."""
    found: dict[str, list[float] | None] = {"scale": None, "translation": None}
    for step in owner.get("coordinateTransformations") or []:
        values = step.get(
            step.get("type")
        )  # numbers may stand in a file of their own, which nobody writes
        if step.get("type") in found and values is not None:
            found[step["type"]] = [float(v) for v in values]
    return found["scale"], found["translation"]


def _placed(
    steps: tuple[Transformations, Transformations], units: list[float | None], n_axes: int
) -> tuple[list[float | None], list[float | None]]:
    """Return the step along each axis and the place of its first element: first level, then image."""
    scale, offset, placed = [1.0] * n_axes, [0.0] * n_axes, False
    for factors, shifts in steps:
        for values in (factors, shifts):
            if values is not None and (
                len(values) != n_axes or not all(map(math.isfinite, values))
            ):
                raise ValueError(f"a transformation has {len(values)} numbers for {n_axes} axes")
        if factors is not None:
            scale = [s * f for s, f in zip(scale, factors, strict=True)]
            offset = [o * f for o, f in zip(offset, factors, strict=True)]
        if shifts is not None:
            offset = [o + s for o, s in zip(offset, shifts, strict=True)]
            placed = True
    return (
        [s * u if u else None for s, u in zip(scale, units, strict=True)],
        [o * u if u and placed else None for o, u in zip(offset, units, strict=True)],
    )


def channels_of(found: Attributes, n_channels: int) -> tuple[ChannelFacts, ...]:
    """Return name and colour of each channel as the ``omero`` attribute gives them; empty without."""
    omero = found.ome.get("omero") or found.plain.get("omero")
    entries = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(entries, list) or len(entries) != n_channels or n_channels > MAX_CHANNELS:
        return ()
    if not all(isinstance(entry, dict) for entry in entries):
        return ()
    labels = [_label(entry) for entry in entries]
    return tuple(
        ChannelFacts(
            key=label if label and labels.count(label) == 1 else f"{label} {number}".strip(),
            name=label or str(number),
            color=_color(entry.get("color")),
        )
        for number, (label, entry) in enumerate(zip(labels, entries, strict=True))
    )


def _label(entry: Json) -> str:
    label = entry.get("label")
    return shown(str(label)).strip()[:64] if isinstance(label, str | int) else ""


def _color(text: Any) -> str | None:
    match = _COLOR.fullmatch(text) if isinstance(text, str) else None
    return f"#{match[1].lower()}" if match else None
