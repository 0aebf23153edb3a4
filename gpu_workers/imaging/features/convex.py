"""Convex hulls and calipers of all objects; entry points: `convex_areas`, `convex_shapes`.

Hulls are found from the first and last pixel of each row of an object, in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

if TYPE_CHECKING:
    from gpu_workers.imaging.regions import RegionGeometry

Column = NDArray[np.float64]
Whole = NDArray[np.int64]


@njit(nogil=True, cache=True)
def _row_ends(
    labels: Labels, boxes: NDArray[np.int32], start: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return first and last column of each label in each row of its box."""
    ends = np.empty((start[-1], 2), np.int32)
    ends[:, 0] = 1 << 30
    ends[:, 1] = -1
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label <= 0:
                continue
            row = start[label - 1] + y - boxes[label - 1, 0]
            ends[row, 0] = min(ends[row, 0], x)
            ends[row, 1] = max(ends[row, 1], x)
    return ends


@njit(nogil=True, cache=True)
def _half_hull(
    rows: NDArray[np.int64], columns: NDArray[np.int64], n: int, hull: NDArray[np.int64]
) -> int:
    """Keep the points of a chain (rising rows) that lie on the hull towards smaller columns."""
    m = 0
    for i in range(n):
        while m >= 2:
            ay, ax = rows[hull[m - 2]], columns[hull[m - 2]]
            by, bx = rows[hull[m - 1]], columns[hull[m - 1]]
            if (by - ay) * (columns[i] - ax) - (bx - ax) * (rows[i] - ay) <= 0:
                m -= 1
            else:
                break
        hull[m] = i
        m += 1
    return m


@njit(nogil=True, cache=True)
def _side(
    ends: NDArray[np.int32], sign: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> int:
    """Points (doubled coordinates) of the left side (sign 1) or, mirrored, the right side (-1)."""
    n = 0
    height = ends.shape[0]
    for half in range(2 * height + 1):
        # even: the middle of an edge above or below a pixel; odd: the middle of its outer side
        best = np.int64(1 << 40)
        if half % 2 == 1:
            row = half // 2
            if ends[row, 1] >= 0:
                best = (
                    np.int64(2 * ends[row, 0] - 1) if sign > 0 else -np.int64(2 * ends[row, 1] + 1)
                )
        else:
            for row in (half // 2 - 1, half // 2):
                if 0 <= row < height and ends[row, 1] >= 0:
                    value = np.int64(2 * ends[row, 0]) if sign > 0 else -np.int64(2 * ends[row, 1])
                    best = min(best, value)
        if best < np.int64(1 << 40):
            rows[n] = half - 1
            columns[n] = best
            n += 1
    return n


@njit(nogil=True, cache=True)
def _limits(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    n: int,
    height: int,
    limit: NDArray[np.int64],
) -> None:
    """First pixel column in the hull for each pixel row (in mirrored columns for the right side)."""
    hull = np.empty(n, np.int64)
    m = _half_hull(rows, columns, n, hull)
    k = 0
    for row in range(height):
        y = np.int64(2 * row)
        while k < m - 2 and rows[hull[k + 1]] < y:
            k += 1
        ay, ax = rows[hull[k]], columns[hull[k]]
        by, bx = rows[hull[k + 1]], columns[hull[k + 1]]
        # column at y, doubled: ax + (bx - ax) (y - ay) / (by - ay); ceil of its half
        numerator = ax * (by - ay) + (bx - ax) * (y - ay)
        limit[row] = -((-numerator) // (2 * (by - ay)))


@njit(nogil=True, cache=True)
def _filled_rows(ends: NDArray[np.int32]) -> NDArray[np.int32]:
    """First and last column of the convex hull's pixels in each row of an object's box."""
    height = ends.shape[0]
    rows = np.empty(2 * height + 1, np.int64)
    columns = np.empty(2 * height + 1, np.int64)
    limit = np.empty(height, np.int64)
    filled = np.empty((height, 2), np.int32)
    _limits(rows, columns, _side(ends, 1, rows, columns), height, limit)
    for row in range(height):
        filled[row, 0] = limit[row]
    _limits(rows, columns, _side(ends, -1, rows, columns), height, limit)
    for row in range(height):
        filled[row, 1] = -limit[row]
    return filled


@njit(nogil=True, cache=True)
def _width_sum(rows: NDArray[np.int32]) -> int:
    total = 0
    for row in range(rows.shape[0]):
        total += rows[row, 1] - rows[row, 0] + 1
    return total


@njit(nogil=True, cache=True)
def _convex_areas(
    ends: NDArray[np.int32], start: Whole, area: NDArray[np.float64]
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full(n, np.nan)
    for k in range(n):
        if area[k] > 0:
            result[k] = _width_sum(_filled_rows(ends[start[k] : start[k + 1]]))
    return result


def _ends(labels: Labels, boxes: NDArray[np.int32]) -> tuple[NDArray[np.int32], Whole]:
    """Return first and last column in each row of each box, and where each box's rows start."""
    start = np.concatenate([[0], np.cumsum(boxes[:, 2] - boxes[:, 0], dtype=np.int64)])
    return _row_ends(np.ascontiguousarray(labels), boxes, start), start


@operation
def convex_areas(labels: Labels, geometry: RegionGeometry) -> Column:
    """Return the number of pixels in each object's convex hull.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    geometry
        What `region_geometry` returned for them.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for a label that doesn't occur.

    Notes
    -----
    The hull is that of the middles of the pixels' sides; pixels whose centre lies in it or on its
    edge count, as in ``skimage.measure.regionprops(...).area_convex``, but in whole numbers.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> corner = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1]], np.int32)
    >>> convex_areas(corner, region_geometry(corner))
    array([6.])
    """
    hulls: Column = _convex_areas(*_ends(labels, geometry.box), geometry.area)
    return hulls


@njit(nogil=True, cache=True)
def _join_sides(
    left: tuple[Whole, Whole, int], right: tuple[Whole, Whole, int], y: Whole, x: Whole
) -> int:
    """Corners of the hull of two chains (rows, columns, number), the right one's columns mirrored."""
    hull = np.empty(max(left[2], right[2]), np.int64)
    count = 0
    m = _half_hull(left[0], left[1], left[2], hull)
    for i in range(m):
        y[count], x[count] = left[0][hull[i]], left[1][hull[i]]
        count += 1
    m = _half_hull(right[0], right[1], right[2], hull)
    for i in range(m - 1, -1, -1):
        row, column = right[0][hull[i]], -right[1][hull[i]]
        is_new = row != y[count - 1] or column != x[count - 1]
        if is_new and (row != y[0] or column != x[0]):
            y[count], x[count] = row, column
            count += 1
    return count


@njit(nogil=True, cache=True)
def _outline_hull(ends: NDArray[np.int32], y: Whole, x: Whole) -> int:
    """Corners, in doubled coordinates, of the hull of the middles of the sides of pixels."""
    size = 2 * ends.shape[0] + 1
    rows_left, columns_left = np.empty(size, np.int64), np.empty(size, np.int64)
    rows_right, columns_right = np.empty(size, np.int64), np.empty(size, np.int64)
    n_left = _side(ends, 1, rows_left, columns_left)
    n_right = _side(ends, -1, rows_right, columns_right)
    left = (rows_left, columns_left, n_left)
    return _join_sides(left, (rows_right, columns_right, n_right), y, x)


@njit(nogil=True, cache=True)
def _centre_hull(ends: NDArray[np.int32], y: Whole, x: Whole) -> int:
    """Corners of the hull of the centres of pixels."""
    size = ends.shape[0]
    rows = np.empty(size, np.int64)
    first = np.empty(size, np.int64)
    last = np.empty(size, np.int64)
    n = 0
    for row in range(size):
        if ends[row, 1] >= 0:
            rows[n] = row
            first[n] = ends[row, 0]
            last[n] = -np.int64(ends[row, 1])
            n += 1
    return _join_sides((rows, first, n), (rows, last, n), y, x)


@njit(nogil=True, cache=True)
def _calipers(y: Whole, x: Whole, n: int) -> tuple[float, float]:
    """Greatest and least distance of parallel lines that hold the polygon between them."""
    greatest = np.int64(0)
    least = np.inf
    for i in range(n):
        j = (i + 1) % n
        dy, dx = y[j] - y[i], x[j] - x[i]
        farthest = np.int64(0)
        for k in range(n):
            ky, kx = y[k] - y[i], x[k] - x[i]
            greatest = max(greatest, ky * ky + kx * kx)
            farthest = max(farthest, abs(dy * kx - dx * ky))
        length = np.sqrt(float(dy * dy + dx * dx))
        if length > 0:
            least = min(least, farthest / length)
    return np.sqrt(float(greatest)), least if least < np.inf else 0.0


@njit(nogil=True, cache=True)
def _ferets(
    ends: NDArray[np.int32], start: Whole, area: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Area of the hull's pixels; greatest and least Feret diameter of outlines, then of centres."""
    n = start.size - 1
    result = np.full((n, 5), np.nan)
    for k in range(n):
        if area[k] == 0:
            continue
        own = ends[start[k] : start[k + 1]]
        y = np.empty(4 * own.shape[0] + 2, np.int64)
        x = np.empty(4 * own.shape[0] + 2, np.int64)
        filled = _filled_rows(own)
        result[k, 0] = _width_sum(filled)
        greatest, least = _calipers(y, x, _outline_hull(filled, y, x))
        result[k, 1], result[k, 2] = greatest / 2, least / 2
        result[k, 3], result[k, 4] = _calipers(y, x, _centre_hull(own, y, x))
    return result


@dataclass(frozen=True, slots=True)
class ConvexShapes:
    """Hull and calipers of each object, px, rows by label - 1; NaN for a label that doesn't occur.

    Attributes
    ----------
    area
        As `convex_areas`.
    max_feret, min_feret
        Greatest and least distance of two parallel lines that touch the outline (the middles of the
        sides of the hull's pixels) from outside.
    max_feret_centres, min_feret_centres
        The same between the centres of pixels: about a pixel less.
    """

    area: Column
    max_feret: Column
    min_feret: Column
    max_feret_centres: Column
    min_feret_centres: Column


@operation
def convex_shapes(labels: Labels, geometry: RegionGeometry) -> ConvexShapes:
    """Measure the convex hull of each object, and its Feret diameters.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    geometry
        What `region_geometry` returned for them.

    Notes
    -----
    The least distance has one of its lines along a side of the hull (Toussaint 1983). `max_feret`
    is scikit-image's ``feret_diameter_max``, the two between centres CellProfiler's.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> bar = np.ones((1, 4), np.int32)
    >>> found = convex_shapes(bar, region_geometry(bar))
    >>> found.max_feret, found.max_feret_centres
    (array([4.]), array([3.]))
    """
    return ConvexShapes(*_ferets(*_ends(labels, geometry.box), geometry.area).T.copy())
