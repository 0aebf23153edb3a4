"""Holes and outlines of objects by counting squares of 2 x 2 pixels; entry points: `square_counts`, `filled_areas`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

if TYPE_CHECKING:
    from gpu_workers.imaging.regions import RegionGeometry

Column = NDArray[np.float64]

# What a square adds; its number has bits 1, 2, 4, 8 for lower right, upper right, lower left, upper left.
_EULER = np.zeros(16)
_EULER[[6, 14]] = -1
_EULER[8] = 1

_DIAGONAL = np.pi / (4 * np.sqrt(2))
_CROFTON = np.zeros(16)
_CROFTON[[1, 5]] = np.pi / 4 + _DIAGONAL
_CROFTON[[2, 7, 10, 11]] = _DIAGONAL
_CROFTON[3] = 2 * _DIAGONAL
_CROFTON[[8, 12]] = np.pi / 4
_CROFTON[[9, 13]] = np.pi / 2


@njit(nogil=True, cache=True)
def _squares(labels: Labels, n: int) -> NDArray[np.int64]:
    height, width = labels.shape
    counts = np.zeros((n, 16), np.int64)
    for y in range(height + 1):
        a, c = np.int32(0), np.int32(0)
        for x in range(width + 1):
            b = labels[y - 1, x] if y > 0 and x < width else np.int32(0)
            d = labels[y, x] if y < height and x < width else np.int32(0)
            if not (a == b and b == c and c == d):
                for turn in range(4):
                    one = (a, b, c, d)[turn]
                    is_first = (turn < 1 or a != one) and (turn < 2 or b != one)
                    if one > 0 and is_first and (turn < 3 or c != one):
                        code = 8 * (a == one) + 2 * (b == one) + 4 * (c == one) + (d == one)
                        counts[one - 1, code] += 1
            a, c = b, d
    return counts


@operation
def square_counts(labels: Labels) -> NDArray[np.int64]:
    """Count how often each pattern of 2 x 2 pixels lies on the outline of each object.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; outside the image there is nothing.

    Returns
    -------
    ndarray of int64, shape (n, 16)
        Column: which of the four pixels are the object's (bits 1, 2, 4, 8 for lower right, upper
        right, lower left, upper left); full squares aren't counted.

    Examples
    --------
    >>> square_counts(np.ones((1, 1), np.int32))[0].nonzero()[0].tolist()
    [1, 2, 4, 8]
    """
    n = int(labels.max()) if labels.size else 0
    counts: NDArray[np.int64] = _squares(np.ascontiguousarray(labels), n)
    return counts


def euler_numbers(squares: NDArray[np.int64], area: Column) -> Column:
    """Return parts minus holes of each object (8-connected, holes 4-connected).

    ``skimage.measure.euler_number`` with connectivity 2 (J. Ohser et al., 2002).

    Examples
    --------
    >>> ring = np.ones((3, 3), np.int32)
    >>> ring[1, 1] = 0
    >>> euler_numbers(square_counts(ring), np.array([8.0]))
    array([0.])
    """
    return np.where(area > 0, squares @ _EULER, np.nan)


def crofton_perimeters(squares: NDArray[np.int64], area: Column) -> Column:
    """Return the length of each outline, from how often lines of four directions cross it.

    ``skimage.measure.perimeter_crofton`` with four directions.

    Examples
    --------
    >>> crofton_perimeters(square_counts(np.ones((1, 1), np.int32)), np.array([1.0])).round(6)
    array([2.681517])
    """
    return np.where(area > 0, squares @ _CROFTON, np.nan)


@njit(nogil=True, cache=True)
def _outside(free: NDArray[np.bool_], stack: NDArray[np.int64]) -> int:
    """Count the free pixels that an 8-connected way joins to the first one; they become taken."""
    height, width = free.shape
    free[0, 0] = False
    stack[0] = 0
    n, count = 1, 0
    while n > 0:
        n -= 1
        count += 1
        y, x = stack[n] // width, stack[n] % width
        for v in range(max(0, y - 1), min(height, y + 2)):
            for u in range(max(0, x - 1), min(width, x + 2)):
                if free[v, u]:
                    free[v, u] = False
                    stack[n] = v * width + u
                    n += 1
    return count


@njit(nogil=True, cache=True)
def _run_counts(labels: Labels, n: int) -> NDArray[np.int64]:
    """Count the runs of each object: as many as its box has rows if none of them has a gap."""
    counts = np.zeros(n, np.int64)
    for y in range(labels.shape[0]):
        before = np.int32(0)
        for x in range(labels.shape[1]):
            if labels[y, x] != before:
                before = labels[y, x]
                if before > 0:
                    counts[before - 1] += 1
    return counts


@njit(nogil=True, cache=True)
def _filled(labels: Labels, boxes: NDArray[np.int32], area: Column) -> Column:
    runs = _run_counts(labels, area.size)
    result = area.copy()
    for k in range(area.size):
        y0, x0, y1, x1 = boxes[k]
        # without gaps there are no holes
        if runs[k] == y1 - y0:
            continue
        free = np.ones((y1 - y0 + 2, x1 - x0 + 2), np.bool_)
        for y in range(y0, y1):
            for x in range(x0, x1):
                free[y - y0 + 1, x - x0 + 1] = labels[y, x] != k + 1
        size = free.size
        result[k] = size - _outside(free, np.empty(size, np.int64))
    return result


@operation
def filled_areas(labels: Labels, geometry: RegionGeometry) -> Column:
    """Return the area of each object with its holes.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n. What lies in an object's hole counts, whoever's it is.
    geometry
        What `region_geometry` returned for them.

    Notes
    -----
    ``area_filled`` of scikit-image: no 8-connected way leads out of a hole.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> ring = np.ones((3, 3), np.int32)
    >>> ring[1, 1] = 2
    >>> filled_areas(ring, region_geometry(ring))
    array([9., 1.])
    """
    areas: Column = _filled(np.ascontiguousarray(labels), geometry.box, geometry.area)
    return np.where(geometry.area > 0, areas, np.nan)


@njit(nogil=True, cache=True)
def _outline_pixels(labels: Labels, n: int) -> Column:
    height, width = labels.shape
    counts = np.zeros(n)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0 and (
                y == 0
                or x == 0
                or y == height - 1
                or x == width - 1
                or labels[y - 1, x] != label
                or labels[y + 1, x] != label
                or labels[y, x - 1] != label
                or labels[y, x + 1] != label
            ):
                counts[label - 1] += 1
    return counts


@operation
def outline_pixels(labels: Labels) -> Column:
    """Count the pixels of each object with a direct neighbour that isn't the object's.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; outside the image there is nothing.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 for a label that doesn't occur; the sum of ``mahotas.bwperim``.

    Examples
    --------
    >>> outline_pixels(np.ones((3, 3), np.int32))
    array([8.])
    """
    n = int(labels.max()) if labels.size else 0
    counts: Column = _outline_pixels(np.ascontiguousarray(labels), n)
    return counts
