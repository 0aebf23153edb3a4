"""Display windows of channels: the 1st and 99.9th percentile of a sample of their pixels.

The sample is counted in bins of a fixed relative width (32 to a doubling of the value), so counts of jobs
add up to the same whatever the jobs were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import isqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.messages import Json
from gpu_workers.storage.layout import ChannelLayout
from gpu_workers.storage.ome import Window

_SAMPLED: Final = 1024
_LOW, _HIGH = 0.01, 0.999
# Of the 23 bits of a float32's fraction 5 are kept.
_SHIFT: Final = 18
_SIGN: Final = np.int32(0x7FFFFFFF)


def _bins(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return the bin of each value; the order of bins is that of values."""
    bits = values.astype(np.float32).view(np.int32)
    return np.where(bits >= 0, bits, -(bits & _SIGN)) >> np.int32(_SHIFT)


def _edge(number: int) -> float:
    """Return the least value of a bin."""
    bits = number << _SHIFT
    value = float(np.array([abs(bits)], np.int32).view(np.float32)[0])
    return value if bits >= 0 else -value


class Sample:
    """About 1,000 pixels of every plane, on a grid, counted."""

    def __init__(self) -> None:
        self._counts: dict[int, Counter[int]] = {}
        self._ends: dict[int, tuple[float, float]] = {}

    def add(self, channel: int, pixels: npt.NDArray[Any]) -> None:
        """Take pixels of a plane; those that aren't finite don't count."""
        step = max(1, isqrt(pixels.size // _SAMPLED))
        values = pixels[step // 2 :: step, step // 2 :: step].ravel()
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not values.size:
            return
        bins, counts = np.unique(_bins(values), return_counts=True)
        self._add(channel, bins.tolist(), counts.tolist(), values.min(), values.max())

    def merge(self, counts: Json) -> None:
        """Take what another sample's `counts` say."""
        for channel, found in counts.items():
            self._add(int(channel), found["bins"], found["counts"], *found["ends"])

    def _add(
        self, channel: int, bins: list[int], counts: list[int], low: float, high: float
    ) -> None:
        own = self._counts.setdefault(channel, Counter())
        own.update(dict(zip(bins, counts, strict=True)))
        ends = self._ends.get(channel, (low, high))
        self._ends[channel] = float(min(low, ends[0])), float(max(high, ends[1]))

    def counts(self) -> Json:
        """Return, of each channel, least and largest value, bins and how many pixels lie in each."""
        return {
            str(channel): {"ends": self._ends[channel], "bins": list(c), "counts": list(c.values())}
            for channel, c in sorted(self._counts.items())
        }


def windows(channels: Iterable[ChannelLayout], samples: Iterable[Json]) -> list[Window | None]:
    """Return the window of each channel from what all jobs saw; None for one without pixels.

    Brightfield is shown whole: black and white mean something there.
    """
    counts: dict[str, Counter[int]] = {}
    ends: dict[str, list[float]] = {}
    for sample in samples:
        for channel, found in sample.items():
            own = dict(zip(found["bins"], found["counts"], strict=True))
            counts.setdefault(channel, Counter()).update(own)
            ends.setdefault(channel, []).extend(found["ends"])
    return [
        _window(c, counts[str(c.index)], ends[str(c.index)]) if str(c.index) in counts else None
        for c in channels
    ]


def _window(channel: ChannelLayout, counts: Counter[int], ends: list[float]) -> Window:
    bins = sorted(counts)
    share = np.cumsum([counts[b] for b in bins]) / counts.total()
    least, most = min(ends), max(ends)
    low = max(_edge(bins[int(np.searchsorted(share, _LOW))]), least)
    high = min(_edge(bins[int(np.searchsorted(share, _HIGH))] + 1), most)
    dtype = np.dtype(channel.dtype)
    if dtype.kind == "u":
        least, most = 0.0, float(np.iinfo(dtype).max)
    if channel.brightfield and dtype.kind == "u":
        return Window(least, most, least, most)
    return Window(least, most, low, high if high > low else max(most, low))
