"""Global thresholds besides Otsu's; entry points: `minimum_cross_entropy`, `triangle`, `multi_otsu`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.thresholds import N_BINS

Column = NDArray[np.float64]
Image = NDArray[Any]
MAX_CLASSES = 5
MULTI_BINS = 256


def _finite(image: Image) -> Image:
    values = image.ravel()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        values = values[np.isfinite(values)]
    if not values.size:
        raise UserError("the image has no finite pixel to find a threshold in", code="empty_image")
    return values


def _binned(image: Image) -> tuple[Column, Column]:
    """Return how many pixels have a value, and the values, ascending.

    Whole numbers of up to 16 bits and images of few values are exact; others are put into 65,536 bins
    between the smallest and the largest, each of which stands for the mean of its pixels.
    """
    values = _finite(image)
    if values.dtype.kind in "ub" and values.dtype.itemsize <= 2:
        counts = np.bincount(values).astype(np.float64)
        present = np.flatnonzero(counts)
        return counts[present], present.astype(np.float64)
    values = values.astype(np.float64, copy=False)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([float(values.size)]), np.array([low])
    bins = ((values - low) * ((N_BINS - 1) / (high - low))).astype(np.int64)
    counts = np.bincount(bins, minlength=N_BINS).astype(np.float64)
    sums = np.bincount(bins, values - low, N_BINS)
    present = np.flatnonzero(counts)
    return counts[present], low + sums[present] / counts[present]


def minimum_cross_entropy(image: Image, tolerance: float | None = None) -> float:
    """Return the threshold with the least cross-entropy between the image and its two classes.

    Parameters
    ----------
    image : ndarray, any shape, uint8, uint16 or float
        Intensities; what isn't finite is left out.
    tolerance
        Iteration ends when the threshold moves by no more than this. None: half the smallest
        distance between two values, but at least 0.5/65536 of the largest possible value (for floats
        of 1), as in CellProfiler.

    Returns
    -------
    float
        Foreground lies above it.

    Notes
    -----
    C. Li, P. Tam (1998), iteratively from the mean, on values above the smallest; equal to
    ``skimage.filters.threshold_li(image, tolerance=…)`` up to the bins of float images.

    Examples
    --------
    >>> round(minimum_cross_entropy(np.array([1, 1, 2, 9, 10], np.uint8)), 3)
    3.522
    """
    counts, values = _binned(image)
    if values.size == 1:
        return float(values[0])
    if tolerance is None:
        scale = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
        tolerance = max(float(np.diff(values).min()) / 2, 0.5 / 65536 * scale)
    low = values[0]
    above = values - low
    pixels = np.concatenate([[0.0], np.cumsum(counts)])
    light = np.concatenate([[0.0], np.cumsum(counts * above)])
    after = light[-1] / pixels[-1]
    before = after - 2 * tolerance - 1
    while abs(after - before) > tolerance:
        before = after
        i = np.searchsorted(above, before, side="right")
        ground, fore = light[i] / pixels[i], (light[-1] - light[i]) / (pixels[-1] - pixels[i])
        if ground == 0:
            break
        after = (ground - fore) / (np.log(ground) - np.log(fore))
    return float(after + low)


def triangle(image: Image) -> float:
    """Return the threshold farthest below the line from the histogram's peak to its far end.

    Parameters
    ----------
    image : ndarray, any shape, uint8, uint16 or float
        Intensities, mostly background; what isn't finite is left out.

    Notes
    -----
    G. Zack, W. Rogers, S. Latt (1977), on 256 even bins; equal to
    ``skimage.filters.threshold_triangle`` on images of more than 256 levels, within a bin on others.

    Examples
    --------
    >>> triangle(np.repeat(np.arange(10, dtype=np.float32), [90, 40, 20, 5, 4, 3, 3, 2, 2, 1])) < 4
    True
    """
    values = _finite(image)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    counts, edges = np.histogram(values, 256, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    present = np.flatnonzero(counts)
    peak, first, last = int(np.argmax(counts)), int(present[0]), int(present[-1])
    flipped = peak - first < last - peak
    if flipped:
        counts = counts[::-1]
        first, peak = counts.size - last - 1, counts.size - peak - 1
    width = peak - first
    if width == 0:
        return float(centres[peak])
    x = np.arange(width)
    height = float(counts[peak])
    length = np.hypot(height, width)
    below = height / length * x - width / length * counts[x + first]
    found = int(np.argmax(below)) + first
    return float(centres[counts.size - found - 1 if flipped else found])


@njit(nogil=True, cache=True)
def _split(pixels: Column, light: Column, n_classes: int) -> NDArray[np.int64]:
    """Return the last bin of each class but the highest: the greatest variance between classes."""
    n = pixels.size - 1
    best = np.zeros((n_classes, n + 1))
    last = np.zeros((n_classes, n + 1), np.int64)
    for c in range(n_classes):
        for j in range(c + 1, n + 1):
            best[c, j] = -1.0
            for i in range(c, j):
                if c == 0 and i > 0:
                    break
                p = pixels[j] - pixels[i]
                s = light[j] - light[i]
                value = (s * s / p if p > 0 else 0.0) + (best[c - 1, i] if c > 0 else 0.0)
                if value > best[c, j]:
                    best[c, j] = value
                    last[c, j] = i
    found = np.empty(n_classes - 1, np.int64)
    j = n
    for c in range(n_classes - 1, 0, -1):
        j = last[c, j]
        found[c - 1] = j - 1
    return found


def multi_otsu(image: Image, classes: int = 3) -> tuple[float, ...]:
    """Return the thresholds that separate the intensities into several classes most distinctly.

    Parameters
    ----------
    image : ndarray, any shape, uint8, uint16 or float
        Intensities; what isn't finite is left out.
    classes
        2 to 5.

    Returns
    -------
    tuple of float
        One fewer than classes, ascending; a class lies above its threshold. All the value itself for
        an image of one value.

    Raises
    ------
    UserError
        No finite pixel (``empty_image``), too few or many classes (``invalid_classes``).

    Notes
    -----
    P. Liao, T. Chen, P. Chung (2001), by dynamic programming over 256 even bins between the smallest
    and the largest value; equal to ``skimage.filters.threshold_multiotsu`` up to its bins' centres.

    Examples
    --------
    >>> [round(t) for t in multi_otsu(np.repeat([0.0, 100, 255], 50))]
    [0, 100]
    """
    if not 2 <= classes <= MAX_CLASSES:
        raise UserError(f"2 to {MAX_CLASSES} classes, not {classes}", code="invalid_classes")
    values = _finite(image)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return (low,) * (classes - 1)
    counts, edges = np.histogram(values, MULTI_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    pixels = np.concatenate([[0.0], np.cumsum(counts)])
    light = np.concatenate([[0.0], np.cumsum(counts * (centres - low))])
    return tuple(float(centres[i]) for i in _split(pixels, light, classes))
