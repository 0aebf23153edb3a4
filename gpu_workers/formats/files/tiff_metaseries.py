"""MetaMorph and MetaXpress: what the XML in a plane's description, and the tags of a stack, say."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final

import numpy as np

from gpu_workers.formats.contents import PlaneContent
from gpu_workers.formats.files.tiff_values import arranged, micrometres, number
from gpu_workers.formats.survey import ChannelFacts

MAX_DESCRIPTION: Final = 2**20
# The XML is flat and machine-made, and there are hundreds of thousands of it: ten times a parser's speed.
_PROP = re.compile(r'<(?:custom-)?prop id="([^"]*)" type="[^"]*" value="([^"]*)"')
# Below this a plane stands where the one before it stood.
_SAME_PLACE_UM: Final = 0.5


def is_metaseries(description: str) -> bool:
    """Return whether a description is MetaMorph's XML."""
    return description.startswith("<MetaData>")


def metaseries(description: str) -> dict[str, Any]:
    """Return stage position, calibration and channel from the XML of a plane; empty if it has entities."""
    text = description[:MAX_DESCRIPTION]
    if "<!" in text:
        return {}
    props = {key: unescape(value) for key, value in _PROP.findall(text)}
    calibrated = props.get("spatial-calibration-state") == "on"
    factor = micrometres(props.get("spatial-calibration-units", ""))
    size = number(props.get("spatial-calibration-x")) if calibrated and factor else None
    name = props.get("_IllumSetting_") or props.get("image-name", "").removeprefix("Copy of ")
    method = props.get("Z Projection Method") or None
    return {
        "stage_x_um": number(props.get("stage-position-x")),
        "stage_y_um": number(props.get("stage-position-y")),
        "z_um": number(props.get("z-position")),
        "pixel_size_um": size * factor if size and factor else None,
        "channels": (
            ChannelFacts(key="", name=name, wavelength_nm=number(props.get("wavelength")) or None),
        ),
        "role": "projection" if method else None,
        "method": method,
    }


def stack(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the arrangement of a stack's planes and what is known of them.

    Parameters
    ----------
    facts
        What tifffile reads from the UIC tags of the first page.

    Notes
    -----
    The planes of a stack are in the order they were taken. Those of one wavelength at one place are
    z planes where the distances between them (or their absolute heights) differ from zero, else time
    points; where several wavelengths take turns, each has its planes.
    """
    n = int(facts.get("NumberPlanes") or 1)
    channels, c = _wavelengths(facts, n)
    positions = _rows(facts.get("StagePosition"), n)
    heights = _column(facts.get("AbsoluteZ"), n)
    distances = _column(facts.get("ZDistance"), n)
    times = _times(facts, n)
    has_z = bool(np.any(distances)) or (heights is not None and np.ptp(heights) > 0)
    order = np.zeros(n, int)
    for channel in range(len(channels)):
        order[c == channel] = np.arange(int(np.sum(c == channel)))
    planes = []
    for i in range(n):
        t, z = (0, int(order[i])) if has_z else (int(order[i]), 0)
        planes.append(
            PlaneContent(
                t, int(c[i]), z, i,
                z_um=None if heights is None or n == 1 else float(heights[i]),
                time_s=None if times is None or has_z or n == 1 else float(times[i]),
            )
        )  # fmt: skip
    factor = micrometres(str(facts.get("CalibrationUnits", "")))
    size = number(facts.get("XCalibration")) if facts.get("SpatialCalibration") else None
    steps = np.abs(distances[1:]) if distances is not None else np.zeros(0)
    return {
        **arranged(planes),
        "channels": channels,
        "stage_x_um": None if positions is None else float(positions[0, 0]),
        "stage_y_um": None if positions is None else float(positions[0, 1]),
        "z_um": None if heights is None else float(heights[0]),
        "z_step_um": float(np.median(steps)) if has_z and steps.size and np.any(steps) else None,
        "pixel_size_um": size * factor if size and factor else None,
        "name": str(facts.get("StageLabel", [""])[0] or "") or None if n else None,
    }


def _wavelengths(facts: dict[str, Any], n: int) -> tuple[tuple[ChannelFacts, ...], np.ndarray]:
    """Return the channels, and for every plane which it is."""
    found = _column(facts.get("Wavelengths"), n)
    name = str(facts.get("Name") or "").strip("\0 ")
    if found is None or not np.any(found):
        return (ChannelFacts(key="", name=name),), np.zeros(n, int)
    values, c = np.unique(found, return_inverse=True)
    # In the order of acquisition, as the planes are.
    first = np.argsort([int(np.argmax(c == i)) for i in range(len(values))])
    rank = np.empty(len(values), int)
    rank[first] = np.arange(len(values))
    if len(values) == 1:
        return (ChannelFacts(key="", name=name, wavelength_nm=_real(values[0])),), np.zeros(n, int)
    channels = tuple(
        ChannelFacts(key=f"{values[i]:g}", name=f"{values[i]:g} nm", wavelength_nm=_real(values[i]))
        for i in first
    )
    return channels, rank[c.reshape(-1)]


def _real(wavelength: float) -> float | None:
    return float(wavelength) if 200 <= wavelength <= 2000 else None


def _times(facts: dict[str, Any], n: int) -> np.ndarray | None:
    """Return the seconds of each plane since the first one."""
    created = facts.get("DatetimeCreated")
    if created is None or len(created) != n:
        return None
    seconds = (np.asarray(created) - np.asarray(created)[0]).astype("timedelta64[ms]").astype(float)
    return np.asarray(seconds / 1000) if np.any(seconds) else None


def _column(values: Any, n: int) -> np.ndarray | None:
    if values is None or np.ndim(values) == 0:
        return None
    found = np.asarray(values, float).reshape(-1)
    return found if found.size == n and bool(np.all(np.isfinite(found))) else None


def _rows(values: Any, n: int) -> np.ndarray | None:
    if values is None:
        return None
    found = np.asarray(values, float)
    return found if found.shape == (n, 2) and bool(np.all(np.isfinite(found))) else None
