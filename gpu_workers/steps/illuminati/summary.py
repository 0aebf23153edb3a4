"""What is known of a finished mosaic: range, display window and histogram of each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.mosaic import N_VALUES, percentile
from gpu_workers.steps.illuminati.recipe import ValueMap
from gpu_workers.storage.layout import ChannelLayout
from gpu_workers.storage.mosaics import N_BINS, Histogram, MosaicChannel

LOW_PERCENT = 1.0
FULL = (0, 255)


def histogram(counts: NDArray[np.integer], low: int, high: int) -> NDArray[np.int64]:
    """Return pixels in 256 equal bins of [low, high]; what is above falls into the last one.

    Parameters
    ----------
    counts : ndarray of int, shape (65536,)
        ``counts[v]`` pixels have the stored value v.
    """
    values = np.flatnonzero(counts)
    bins = (values - low) * N_BINS // max(high - low, 1)
    weights = np.asarray(counts)[values]
    summed = np.zeros(N_BINS, np.int64)
    np.add.at(summed, np.clip(bins, 0, N_BINS - 1), weights.astype(np.int64))
    return summed


@dataclass(frozen=True, slots=True)
class Clip:
    """Upper end of the window that a channel is first shown with: a percentile, or a value."""

    percent: float = 99.9
    value: float | None = None


def stored_window(
    channel: ChannelLayout, counts: NDArray[np.integer], value_map: ValueMap, clip: Clip
) -> tuple[int, int]:
    """Return the stored values at percentile 1 and at the upper end asked for, a step apart at least.

    8-bit brightfield is shown over its whole range: windows of its own for red, green and blue
    would change the colours.
    """
    if channel.brightfield and channel.dtype == "uint8":
        return FULL
    low, high = (percentile(counts, q) for q in (LOW_PERCENT, clip.percent))
    if clip.value is not None:
        stored = round((clip.value - value_map.offset) / value_map.scale)
        high = min(max(stored, 1), N_VALUES - 1)
        low = min(low, high - 1)
    return (
        (low, high) if low < high else (max(min(low, N_VALUES - 2), 0), min(low, N_VALUES - 2) + 1)
    )


def summarise(
    channel: ChannelLayout,
    counts: NDArray[np.integer],
    value_map: ValueMap,
    correction: str | None,
    clip: Clip,
) -> MosaicChannel:
    """Return the manifest's entry of a channel from the counts of its stored values.

    The histogram reaches from the smallest value to twice the width of the display window, so that
    a single hot pixel does not squeeze everything else into one bin.
    """
    used = np.flatnonzero(counts)
    smallest, largest = (int(used[0]), int(used[-1])) if len(used) else (0, 1)
    window = stored_window(channel, counts, value_map, clip)
    top = max(min(largest, smallest + 2 * (window[1] - smallest)), smallest + 1)

    def original(stored: int) -> float:
        return stored * value_map.scale + value_map.offset

    return MosaicChannel(
        index=channel.index,
        name=channel.name,
        color=channel.color,
        dtype=channel.dtype,
        scale=value_map.scale,
        offset=value_map.offset,
        min=original(smallest),
        max=original(largest),
        window=(original(window[0]), original(window[1])),
        histogram=Histogram(
            low=original(smallest),
            high=original(top),
            counts=tuple(histogram(counts, smallest, top).tolist()),
        ),
        corrected=correction is not None,
        correction=correction,
        brightfield=channel.brightfield,
        n_not_finite=value_map.n_not_finite,
    )
