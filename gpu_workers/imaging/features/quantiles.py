"""Order statistics within objects, found without sorting; entry point: `object_quantiles`.

Values are spread over bins of equal width; a quantile needs the few values of one bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.pixels import ObjectPixels

N_BINS = 1024


@njit(nogil=True, cache=True)
def select(values: NDArray[np.float64], k: int) -> float:
    """Return the k-th smallest value; what is smaller comes before it, what is larger after it.

    Reorders `values` (C. A. R. Hoare's Find, 1961).
    """
    left, right = 0, values.size - 1
    while left < right:
        pivot = values[k]
        i, j = left, right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < k:
            left = i
        if k < i:
            right = j
    return float(values[k])


@njit(nogil=True, cache=True)
def spread(
    values: NDArray[np.float64],
    low: float,
    high: float,
    sorted_values: NDArray[np.float64],
    start: NDArray[np.int32],
) -> int:
    """Sort values roughly, into bins of equal width from `low` to `high`; return the number of bins.

    Bin b has ``sorted_values[start[b] : start[b + 1]]``. Any finite values work; evenly spread ones
    make the bins small, so that order statistics are found in a few values.
    """
    n = min(max(values.size // 2, 1), start.size - 1)
    with_range = high > low and high - low < np.inf
    scale = (n - 1) / (high - low) if with_range else 0.0
    if not scale < np.inf:
        scale = 0.0
    if scale == 0.0:
        n = 1
    start[: n + 1] = 0
    for value in values:
        start[(int((value - low) * scale) if n > 1 else 0) + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
    for i in range(values.size - 1, -1, -1):
        k = int((values[i] - low) * scale) if n > 1 else 0
        # the ends of bins are moved to their starts one by one
        start[k + 1] -= 1
        sorted_values[start[k + 1]] = values[i]
    for i in range(n):
        start[i] = start[i + 1]
    start[n] = values.size
    return n


@njit(nogil=True, cache=True)
def _bin_of(start: NDArray[np.int32], n: int, k: int) -> int:
    """Return the bin that holds the k-th smallest value."""
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        if start[middle] <= k:
            low = middle
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _least(values: NDArray[np.float64], first: int, last: int) -> float:
    least = values[first]
    for i in range(first + 1, last):
        least = min(least, values[i])
    return float(least)


@njit(nogil=True, cache=True)
def value_at(
    sorted_values: NDArray[np.float64], start: NDArray[np.int32], n: int, place: float
) -> float:
    """Return the order statistic at a place between 0 and size - 1, linear between two."""
    k = int(place)
    here = _bin_of(start, n, k)
    first, last = start[here], start[here + 1]
    low = select(sorted_values[first:last], k - first)
    part = place - k
    if part <= 0:
        return float(low)
    if k + 1 == last:
        there = _bin_of(start, n, k + 1)
        high = _least(sorted_values, start[there], start[there + 1])
    else:
        high = _least(sorted_values, k + 1, last)
    return float(low * (1 - part) + high * part)


@njit(nogil=True, cache=True)
def largest_size(start: NDArray[np.int64]) -> int:
    """Return the number of pixels of the largest object, at least 1."""
    size = 1
    for k in range(start.size - 1):
        size = max(size, start[k + 1] - start[k])
    return int(size)


@njit(nogil=True, cache=True)
def _quantiles(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    image: NDArray[Any],
    fractions: NDArray[np.float64],
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full((fractions.size, n), np.nan)
    size = largest_size(start)
    buffer, in_bins = np.empty(size), np.empty(size)
    bins = np.empty(N_BINS + 1, np.int32)
    for k in range(n):
        size = start[k + 1] - start[k]
        values = buffer[:size]
        low, high, is_known = np.inf, -np.inf, size > 0
        for i in range(size):
            values[i] = image[position[start[k] + i]]
            low, high = min(low, values[i]), max(high, values[i])
            is_known &= not np.isnan(values[i])
        if is_known:
            n_bins = spread(values, low, high, in_bins, bins)
            for j in range(fractions.size):
                place = (size - 1) * fractions[j]
                result[j, k] = value_at(in_bins[:size], bins, n_bins, place)
    return result


def object_quantiles(
    pixels: ObjectPixels, image: NDArray[Any], fractions: Sequence[float]
) -> NDArray[np.float64]:
    """Return quantiles of an image's values within each object.

    Parameters
    ----------
    pixels
        Pixels of the objects in an image of this shape.
    image : ndarray, any real dtype
        Values; an object with a NaN has no quantiles.
    fractions
        From 0 to 1.

    Returns
    -------
    ndarray of float64, shape (number of fractions, n)
        As ``numpy.quantile(values, fraction)``; NaN for a label that doesn't occur.

    Examples
    --------
    >>> from gpu_workers.imaging.features.pixels import object_pixels
    >>> labels = np.array([[1, 1, 1, 2]], np.int32)
    >>> object_quantiles(object_pixels(labels), np.array([[5, 9, 1, 7]]), [0.5, 1])
    array([[5., 7.],
           [9., 7.]])
    """
    flat = np.ascontiguousarray(image).reshape(-1)
    found: NDArray[np.float64] = _quantiles(
        pixels.start, pixels.position, flat, np.asarray(fractions, np.float64)
    )
    return found
