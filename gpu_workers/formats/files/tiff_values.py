"""Numbers, units, and the order of planes, as descriptions of TIFF files state them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from gpu_workers.formats.contents import PlaneContent

_MICROMETRES: Final = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "micrometers": 1.0, "nm": 1e-3, "pm": 1e-6,
    "å": 1e-4, "inch": 25400.0, "in": 25400.0,
}  # fmt: skip
_SECONDS: Final = {
    "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "µs": 1e-6, "μs": 1e-6,
    "us": 1e-6, "ns": 1e-9, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0, "d": 86400.0,
}  # fmt: skip
# What a microscope's pixel can be; screens and printers have 72 to 600 dots per inch.
_PIXEL_UM: Final = (0.001, 20.0)
_UNIT_CM, _UNIT_INCH = 3, 2


def number(text: Any) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text) if text not in (None, "") else None
    except (ValueError, TypeError):
        return None
    return value if value is None or math.isfinite(value) else None


def micrometres(unit: str) -> float | None:
    """Return how many micrometres a unit of length is; None for pixels and unknown ones."""
    return _MICROMETRES.get(unit.strip().lower())


def seconds(unit: str) -> float | None:
    """Return how many seconds a unit of time is; None for unknown ones."""
    return _SECONDS.get(unit.strip().lower())


def resolution_um(page: Any) -> float | None:
    """Return the size of a pixel by the resolution tags, where a microscope's pixel can be so small."""
    unit = int(page.tags.valueof(296) or _UNIT_INCH)
    factor = {_UNIT_CM: 1e4, _UNIT_INCH: 25400.0}.get(unit)
    per_unit = per(page.tags.valueof(282))
    size = factor / per_unit if factor and per_unit else None
    return size if size and _PIXEL_UM[0] <= size <= _PIXEL_UM[1] else None


def per(rational: Any) -> float | None:
    """Return a fraction of two numbers, if it is one above 0."""
    try:
        above, below = rational
        value = above / below
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return value if value > 0 and math.isfinite(value) else None


def arranged(
    planes: Sequence[PlaneContent], sizes: tuple[int, int, int] | None = None
) -> dict[str, Any]:
    """Return fields of an `ImageContent`: strides where the planes follow a rule, else all of them.

    Parameters
    ----------
    sizes
        How many t, c and z there should be, where some of them may lack; by default as many as there are.
    """
    n_t, n_c, n_z = sizes or (1 + max(p[i] for p in map(_place, planes)) for i in range(3))
    pages = {_place(p): p.page for p in planes}
    found: dict[str, Any] = {"n_t": n_t, "n_c": n_c, "n_z": n_z}
    first = pages.get((0, 0, 0))
    plain = all(PlaneContent(p.t, p.c, p.z, p.page) == p for p in planes)
    if plain and first is not None and len(pages) == len(planes) == n_t * n_c * n_z:
        t, c, z = (pages.get(i, first) - first for i in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
        if all(page == first + i * t + j * c + k * z for (i, j, k), page in pages.items()):
            return {**found, "first_page": first, "t_stride": t, "c_stride": c, "z_stride": z}
    return {**found, "planes": tuple(planes)}


def _place(plane: PlaneContent) -> tuple[int, int, int]:
    return plane.t, plane.c, plane.z


def ordered(sizes: dict[str, int], order: str) -> list[PlaneContent]:
    """Return planes that lie in pages 0, 1, 2 and so on.

    Parameters
    ----------
    sizes
        How many of each axis, T, C and Z.
    order
        The axes, the one that changes fastest first.
    """
    planes = []
    for page in range(math.prod(sizes.values())):
        place, rest = dict.fromkeys("TCZ", 0), page
        for axis in order:
            rest, place[axis] = divmod(rest, sizes[axis])
        planes.append(PlaneContent(place["T"], place["C"], place["Z"], page))
    return planes
