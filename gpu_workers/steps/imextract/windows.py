"""Display windows of channels: the 1st and 99.9th percentile of a sample of their pixels."""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.messages import Json
from gpu_workers.storage.layout import ChannelLayout
from gpu_workers.storage.ome import Window

_SAMPLED: Final = 1024
_LEVELS: Final = np.unique(np.append(np.linspace(0, 1, 101), [0.001, 0.995, 0.998, 0.999, 0.9995]))
_LOW, _HIGH = 0.01, 0.999


class Sample:
    """About 1,000 pixels of every plane, on a grid; only their percentiles leave a job."""

    def __init__(self) -> None:
        self._found: dict[int, list[npt.NDArray[Any]]] = {}

    def add(self, channel: int, pixels: npt.NDArray[Any]) -> None:
        """Take pixels of a plane; those that aren't finite don't count."""
        step = max(1, isqrt(pixels.size // _SAMPLED))
        values = pixels[step // 2 :: step, step // 2 :: step].ravel()
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        self._found.setdefault(channel, []).append(values.copy())

    def percentiles(self) -> Json:
        """Return how many pixels were seen of each channel, and their percentiles."""
        found: Json = {}
        for channel, parts in sorted(self._found.items()):
            values = np.concatenate(parts)
            if values.size:
                quantiles = np.quantile(values, _LEVELS).astype(float).tolist()
                found[str(channel)] = {"n": int(values.size), "quantiles": quantiles}
        return found


def windows(channels: Iterable[ChannelLayout], samples: Iterable[Json]) -> list[Window | None]:
    """Return the window of each channel from what all jobs saw; None for one without pixels.

    Brightfield is shown whole: black and white mean something there.
    """
    seen: dict[str, list[Json]] = {}
    for sample in samples:
        for channel, found in sample.items():
            seen.setdefault(channel, []).append(found)
    return [_window(c, seen.get(str(c.index), [])) for c in channels]


def _window(channel: ChannelLayout, found: list[Json]) -> Window | None:
    if not found:
        return None
    values = np.concatenate([f["quantiles"] for f in found])
    mass = np.gradient(_LEVELS)
    weights = np.concatenate([f["n"] * mass for f in found])
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    low, high = (
        float(values[order][np.searchsorted(share, share[-1] * level).clip(max=len(share) - 1)])
        for level in (_LOW, _HIGH)
    )
    dtype = np.dtype(channel.dtype)
    if dtype.kind == "u":
        least, most = 0.0, float(np.iinfo(dtype).max)
    else:
        least, most = float(values.min()), float(values.max())
    if channel.brightfield and dtype.kind == "u":
        return Window(least, most, least, most)
    return Window(least, most, low, high if high > low else max(most, low))
