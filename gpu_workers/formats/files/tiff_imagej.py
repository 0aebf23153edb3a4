"""ImageJ and tifffile: the order of a hyperstack's planes, as a page's description states it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import MAX_PAGES
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.files.tiff_values import (
    arranged,
    micrometres,
    number,
    ordered,
    per,
    seconds,
)
from gpu_workers.formats.listing import shown
from gpu_workers.formats.survey import ChannelFacts

_AXES: Final = frozenset("TCZYXSIQ")


def is_imagej(description: str) -> bool:
    """Return whether ImageJ (or a program that writes like it) described the page."""
    return description.startswith("ImageJ=")


def hyperstack(description: str, page: Any, n_pages: int, file: str) -> dict[str, Any]:
    """Return the arrangement of the planes of an ImageJ file, calibration and channels.

    Planes are in the order c, z, t, the first changing fastest.

    Raises
    ------
    FileError
        Its numbers contradict each other, or the number of pages.
    """
    facts = _lines(description)
    n_images = _count(facts, "images", 1, file)
    n_c, n_t = _count(facts, "channels", 1, file), _count(facts, "frames", 1, file)
    n_z = _count(facts, "slices", max(1, n_images // (n_c * n_t)), file)
    if n_c * n_z * n_t != n_images:
        raise damaged(
            file, f"it says {n_images} images of {n_c} channels, {n_z} slices and {n_t} frames",
            "bad_metadata",
        )  # fmt: skip
    if n_pages not in (1, n_images):
        raise damaged(file, f"it has {n_pages} of the {n_images} pages its description names")
    planes = ordered({"C": n_c, "Z": n_z, "T": n_t}, "CZT")
    unit = micrometres(facts.get("unit", ""))
    per_unit = per(page.tags.valueof(282))
    spacing = number(facts.get("spacing"))
    return {
        **arranged(planes),
        "pixel_size_um": unit / per_unit if unit and per_unit else None,
        "z_step_um": abs(spacing) * unit if spacing and unit and n_z > 1 else None,
        "t_step_s": _interval(facts) if n_t > 1 else None,
        "channels": _channels(page, n_c),
    }


def n_images(description: str, file: str) -> int:
    """Return how many planes an ImageJ file says it has."""
    return _count(_lines(description), "images", 1, file)


def shaped(description: str, n_pages: int) -> dict[str, Any] | None:
    """Return the arrangement of planes that tifffile's JSON states, None if it states none."""
    if not description.startswith("{"):
        return None
    try:
        facts = json.loads(description)
        axes, shape = str(facts["axes"]).upper(), [int(n) for n in facts["shape"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sizes = {axis: n for axis, n in zip(axes, shape, strict=False) if axis not in "YXS" and n > 0}
    if len(axes) != len(shape) or not set(axes) <= _AXES or math.prod(sizes.values()) != n_pages:
        return None
    # Axes that microscopy has no name for are planes of a stack.
    order = "".join("Z" if a in "IQ" else a for a in reversed(list(sizes)))
    if len(set(order)) != len(order):
        return None
    known = {**dict.fromkeys("TCZ", 1), **{("Z" if a in "IQ" else a): n for a, n in sizes.items()}}
    return arranged(ordered(known, order + "".join(a for a in "TCZ" if a not in order)))


def _lines(description: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in description[: 2**16].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _count(facts: dict[str, str], key: str, default: int, file: str) -> int:
    text = facts.get(key)
    if text is None:
        return default
    if not text.isdecimal() or not 0 < int(text[:9]) <= MAX_PAGES or len(text) > 9:
        name = shown(file)
        raise FileError(
            f"{name} says {key}={text[:20]!r}, which is no number of planes",
            code="bad_metadata", files=(name,),
        )  # fmt: skip
    return int(text)


def _interval(facts: dict[str, str]) -> float | None:
    interval = number(facts.get("finterval"))
    if interval:
        return interval * (seconds(facts.get("tunit", "s")) or 1.0)
    rate = number(facts.get("fps"))
    return 1 / rate if rate and rate > 0 else None


def _channels(page: Any, n_c: int) -> tuple[ChannelFacts, ...]:
    """Return the channels with the colours of their look-up tables; ImageJ has no names for them."""
    if n_c == 1:
        return ()
    extra = page.tags.valueof(50839)
    tables = extra.get("LUTs") if isinstance(extra, dict) else None
    colors: list[str | None] = [None] * n_c
    for i, table in enumerate((tables or [])[:n_c]):
        if getattr(table, "shape", None) == (3, 256):
            red, green, blue = (int(v) for v in table[:, -1])
            colors[i] = f"#{red:02x}{green:02x}{blue:02x}"
    return tuple(
        ChannelFacts(key=str(i + 1), name=f"Channel{i + 1}", color=colors[i]) for i in range(n_c)
    )
