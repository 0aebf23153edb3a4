"""Clumps cut apart as CellProfiler does; entry point: `declump`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, label, relabel
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.watershed import watershed_8

FWHM = 2.35  # of a Gaussian, in standard deviations, as CellProfiler rounds it
Method = Literal["intensity", "shape"]


def automatic_smoothing(min_diameter: float) -> float:
    """Return the size of CellProfiler's smoothing filter for objects of at least this diameter, px."""
    return FWHM * min_diameter / 3.5


def automatic_suppression(min_diameter: float) -> float:
    """Return how near to each other two maxima may be, px: CellProfiler's automatic value."""
    return min_diameter / 1.5


def smoothed(image: NDArray[Any], filter_size: float) -> NDArray[np.float64]:
    """Smooth with a Gaussian that ends at half the filter's size; what lies beyond the edge has no weight.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        Intensities.
    filter_size
        Full width at half maximum, px; 0 changes nothing.

    Examples
    --------
    >>> smoothed(np.ones((3, 3)), 4).round(6).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    values = np.ascontiguousarray(image, np.float64)
    if filter_size <= 0 or not values.size:
        return values
    reach = max(int(filter_size / 2), 1)
    sigma = filter_size / FWHM
    kernel = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / sigma**2)
    return _weighted(values, kernel)


def edge_corrected_gaussian(image: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Smooth with a Gaussian; what lies beyond the edge has no weight.

    Notes
    -----
    The kernel ends at 4 sigma, as in CellProfiler's smoothing before a threshold.

    Examples
    --------
    >>> edge_corrected_gaussian(np.ones((3, 3)), 1).round(6).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    if not sigma or not image.size:
        return image
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / sigma**2)
    return _weighted(np.ascontiguousarray(image, np.float64), kernel)


def _weighted(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean with the weights of a kernel in both directions, over what is in the image."""
    sums = [
        cv2.sepFilter2D(source, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
        for source in (values, np.ones_like(values))
    ]
    return np.asarray(sums[0] / sums[1])


def _disc(radius: float) -> NDArray[np.int64]:
    """Return the offsets (y, x) within a radius, the centre left out."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    near = (y * y + x * x <= radius * radius) & ((y != 0) | (x != 0))
    return np.stack([y[near], x[near]], axis=1).astype(np.int64)


@njit(nogil=True, cache=True)
def _maxima(
    heights: NDArray[np.float64], labels: Labels, offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    height, width = labels.shape
    found = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            if here == 0 or not heights[y, x] > 0:
                continue
            highest = True
            for i in range(len(offsets)):
                q, p = y + offsets[i, 0], x + offsets[i, 1]
                if q < 0 or p < 0 or q >= height or p >= width or labels[q, p] != here:
                    continue
                if heights[q, p] > heights[y, x]:
                    highest = False
                    break
            found[y, x] = highest
    return found


def local_maxima(
    heights: NDArray[np.float64], labels: Labels, distance: float
) -> NDArray[np.bool_]:
    """Return where nothing of the same object within a distance is higher; plateaus as a whole.

    Examples
    --------
    >>> local_maxima(np.array([[1.0, 3, 2, 4]]), np.array([[1, 1, 1, 2]], np.int32), 1)
    array([[False,  True, False,  True]])
    """
    offsets = _disc(max(1.0, distance - 0.5))
    return np.asarray(_maxima(np.ascontiguousarray(heights), labels, offsets))


def _points(mask: NDArray[np.bool_]) -> Labels:
    """Return one numbered pixel for each connected part of a mask: that nearest to its centre."""
    parts = label(mask)
    y, x = np.nonzero(parts)
    number = parts[y, x]
    n = int(number.max()) if number.size else 0
    counts = np.maximum(np.bincount(number, minlength=n + 1), 1)
    centre_y = (np.bincount(number, y, n + 1) / counts)[number]
    centre_x = (np.bincount(number, x, n + 1) / counts)[number]
    order = np.lexsort(((y - centre_y) ** 2 + (x - centre_x) ** 2, number))
    first = order[np.append(True, number[order][1:] != number[order][:-1])] if n else order
    points = np.zeros(mask.shape, np.int32)
    points[y[first], x[first]] = number[first]
    return points


def declump(
    mask: NDArray[np.bool_],
    image: NDArray[Any],
    *,
    find_by: Method = "intensity",
    divide_by: Method = "intensity",
    smoothing: float = 0.0,
    suppression: float = 7.0,
) -> Labels:
    """Cut the objects of a mask apart between their maxima.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)
        Foreground; parts that touch at a corner are one.
    image : ndarray, same shape
        Intensities.
    find_by
        Objects are counted by maxima of the smoothed intensity, or of the distance from the outline.
    divide_by
        The cut follows dark valleys, or necks of the outline.
    smoothing
        Size of the smoothing filter, px (`automatic_smoothing`).
    suppression
        Of maxima of one part that are nearer than this to each other only the highest stays, px
        (`automatic_suppression`).

    Returns
    -------
    ndarray of int32, same shape
        Objects 1…n in the order of first pixels; together they are the mask.

    Notes
    -----
    CellProfiler 4, IdentifyPrimaryObjects, without its low-resolution search for maxima. A plateau
    counts once, at the pixel nearest to its centre (CellProfiler thins it to a point). By shape it
    breaks ties with random numbers, here the first pixel wins.

    Examples
    --------
    >>> image = np.array([[9, 5, 1, 5, 9]])
    >>> declump(image > 0, image, suppression=2)
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    parts = label(mask)
    if not mask.any():
        return parts
    by_shape = "shape" in (find_by, divide_by)
    distance = distance_transform(mask) if by_shape else np.zeros((0, 0), np.float32)
    heights = smoothed(image, smoothing) if find_by == "intensity" else distance.astype(np.float64)
    found = local_maxima(heights, parts, suppression)
    ground = -_whole(image) if divide_by == "intensity" else -distance
    return relabel(watershed_8(ground, _points(found), mask))


def _whole(image: NDArray[Any]) -> NDArray[Any]:
    """Return intensities in a type whose negative exists."""
    return image.astype(np.float32) if image.dtype.kind in "ub" else image
