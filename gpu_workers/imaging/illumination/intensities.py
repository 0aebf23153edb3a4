"""Counts of intensities over many images; entry point: `IntensityHistogram`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_BINS = 65536


def _ordered(image: NDArray[Any]) -> NDArray[np.uint16]:
    """Return 16-bit codes that sort as the values do; for floats the upper half of their bits."""
    if image.dtype.kind in "ui":
        return image.astype(np.uint16)
    bits = np.ascontiguousarray(image, np.float32).view(np.uint32)
    negative = bits >> 31 == 1
    return (np.where(negative, ~bits, bits | np.uint32(1 << 31)) >> 16).astype(np.uint16)


def _value(codes: NDArray[np.int64], *, floating: bool) -> NDArray[np.float64]:
    if not floating:
        return codes.astype(np.float64)
    bits = codes.astype(np.uint32) << 16
    negative = bits >> 31 == 0
    return (
        np.where(negative, ~bits, bits & np.uint32(0x7FFFFFFF))
        .astype(np.uint32)
        .view(np.float32)
        .astype(np.float64)
    )


@dataclass(slots=True)
class IntensityHistogram:
    """Mergeable histogram: exact for 8 and 16 bit, to 0.8 % of the value for float32.

    Examples
    --------
    >>> histogram = IntensityHistogram()
    >>> histogram.update(np.arange(101, dtype=np.uint16))
    >>> histogram.percentile(np.array([0, 50, 100.0]))
    array([  0.,  50., 100.])
    """

    floating: bool = False
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(N_BINS, np.int64))

    def update(self, image: NDArray[Any]) -> None:
        """Count the pixels of an image; NaN is left out."""
        if image.dtype.kind == "f":
            self.floating = True
            image = image[~np.isnan(image)]
        self.counts += np.bincount(_ordered(image).ravel(), minlength=N_BINS)

    def merge(self, other: IntensityHistogram) -> IntensityHistogram:
        """Return the histogram of both."""
        return IntensityHistogram(self.floating or other.floating, self.counts + other.counts)

    def percentile(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the intensities below or at which `q` percent of the pixels lie; NaN without pixels."""
        total = int(self.counts.sum())
        if not total:
            return np.full(np.shape(q), np.nan)
        rank = np.clip(np.ceil(np.asarray(q) / 100 * total), 1, total)
        return _value(np.searchsorted(np.cumsum(self.counts), rank), floating=self.floating)
