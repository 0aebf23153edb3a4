"""Thresholds; entry points: `otsu`, `moved_from_background`, `above_background`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.xp import operation

N_BINS = 65536


@njit(nogil=True, cache=True)
def _finite_range(values: NDArray[Any]) -> tuple[int, float, float]:
    """Return how many values are finite, the smallest and the largest of them."""
    n, low, high = 0, np.inf, -np.inf
    for value in values:
        if np.isfinite(value):
            n += 1
            low = min(low, float(value))
            high = max(high, float(value))
    return n, low, high


@njit(nogil=True, cache=True)
def _binned(values: NDArray[Any], low: np.float32, scale: np.float32) -> NDArray[np.int64]:
    """Count the finite values in even bins."""
    counts = np.zeros(N_BINS, np.int64)
    for value in values:
        if np.isfinite(value):
            counts[min(int((value - low) * scale), N_BINS - 1)] += 1
    return counts


def _histogram(image: NDArray[Any]) -> tuple[NDArray[np.signedinteger], NDArray[np.floating]]:
    """Return counts and centres of the bins between the smallest and the largest value."""
    if image.dtype.kind in "ub" and image.dtype.itemsize <= 2:
        counts = np.bincount(image.ravel())
        first = int(np.flatnonzero(counts)[0])
        return counts[first:], np.arange(first, counts.size, dtype=np.float64)
    values = image.ravel()
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    n, low, high = _finite_range(values)
    if not n:
        raise UserError("the image has no finite pixel to find a threshold in", code="empty_image")
    if low == high:
        return np.array([n]), np.array([low])
    width = (high - low) / N_BINS
    counts = _binned(values, np.float32(low), np.float32(1 / width))
    return counts, low + (np.arange(N_BINS) + 0.5) * width


@operation
def otsu(image: NDArray[Any]) -> float:
    """Return the threshold that separates the intensities into the two most distinct classes.

    Parameters
    ----------
    image : ndarray, any shape, uint8, uint16 or float
        Intensities; NaN and infinite values are left out.

    Returns
    -------
    float
        Foreground is what lies above it. The value itself for an image of one value, so that
        nothing lies above.

    Raises
    ------
    UserError
        There is no finite pixel (``empty_image``).

    Notes
    -----
    One bin per value for integers, 65,536 bins between minimum and maximum for floats; of equally
    good thresholds the lowest (N. Otsu, IEEE Trans. SMC 9, 1979). Equal to
    ``skimage.filters.threshold_otsu`` with as many bins.

    Examples
    --------
    >>> otsu(np.array([1, 1, 2, 9, 10], np.uint16))
    2.0
    """
    if not image.size:
        raise UserError("the image has no pixel", code="empty_image")
    counts, centres = _histogram(image)
    if counts.size == 1:
        return float(centres[0])
    below = np.cumsum(counts, dtype=np.float64)[:-1]
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    variance = below * above * (mean_below - mean_above) ** 2
    return float(centres[int(np.argmax(variance))])


def _sample(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return finite values of every k-th pixel, so that at least 2**18 stand for a large image."""
    values = image.ravel()
    values = values[:: max(1, values.size >> 18)].astype(np.float32)
    finite: NDArray[np.float32] = values[np.isfinite(values)]
    return finite


@operation
def moved_from_background(image: NDArray[Any], threshold: float, factor: float) -> float:
    """Return a threshold nearer to or farther from the background, whatever the camera's offset.

    Parameters
    ----------
    image : ndarray, any shape
        Intensities.
    threshold
        What lies at or below it is background.
    factor
        On the distance between the background's median and the threshold; 1 changes nothing.

    Examples
    --------
    >>> moved_from_background(np.array([100, 100, 100, 300, 320], np.uint16), 200.0, 0.5)
    150.0
    """
    values = _sample(image)
    background = values[values <= threshold]
    if factor == 1 or not background.size or background.size == values.size:
        return threshold
    level = float(np.median(background))
    return level + factor * (threshold - level)


@operation
def above_background(image: NDArray[Any], threshold: float, contrast: float) -> float:
    """Return `threshold`, raised until it stands clear of the background's noise.

    Otsu halves an empty field of view into brighter and darker noise. Here the pixels below the
    threshold are taken as background; if the threshold isn't `contrast` standard deviations above
    their median it is put there, and the background measured again.

    Parameters
    ----------
    image : ndarray, any shape
        Intensities.
    threshold
        First guess; foreground lies above it.
    contrast
        Least distance, in (robust) standard deviations of the background; 0 changes nothing.

    Returns
    -------
    float
        At least `threshold`; infinite if no pixel is left above.

    Notes
    -----
    The spread is 1.4826 times the median absolute deviation. At most 50 rounds; every k-th pixel, at
    least 2**18 of them, stands for a large image.
    """
    if contrast <= 0:
        return threshold
    values = _sample(image)
    for _ in range(50):
        background = values[values <= threshold]
        if background.size == values.size or not background.size:
            break
        middle = float(np.median(background))
        spread = 1.4826 * float(np.median(np.abs(background - middle)))
        least = middle + contrast * spread
        if least <= threshold:
            break
        threshold = least
    return threshold
