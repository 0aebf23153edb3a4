"""Order statistics within objects: selection in place instead of sorting; entry point: `object_quantiles`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.pixels import ObjectPixels


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
def quantile(values: NDArray[np.float64], fraction: float) -> float:
    """Return a quantile, linear between order statistics as ``numpy.quantile``; reorders `values`."""
    place = (values.size - 1) * fraction
    k = int(place)
    low = select(values, k)
    part = place - k
    if part <= 0:
        return low
    high = float(values[k + 1])
    for value in values[k + 2 :]:
        high = min(high, value)
    return float(low * (1 - part) + high * part)


@njit(nogil=True, cache=True)
def _quantiles(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    image: NDArray[Any],
    fractions: NDArray[np.float64],
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full((fractions.size, n), np.nan)
    buffer = np.empty(max(1, np.diff(start).max()) if n else 1)
    for k in range(n):
        size = start[k + 1] - start[k]
        is_known = size > 0
        for i in range(size):
            buffer[i] = image[position[start[k] + i]]
            is_known &= not np.isnan(buffer[i])
        if is_known:
            for j in range(fractions.size):
                result[j, k] = quantile(buffer[:size], fractions[j])
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
