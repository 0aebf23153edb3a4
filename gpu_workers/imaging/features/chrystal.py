"""Smallest enclosing circles to the last digit as CellProfiler has them; entry point: `chrystal_circles`.

The circle goes through two or three pixel centres, and rounding decides whether these lie within it.
CellProfiler's Zernike moments leave out those that don't. Who wants its values has to round as it
does: the same corners of the hull in the same order, the same steps, the same formulas.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.pixels import ObjectPixels

Points = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _ends(
    own: NDArray[np.uint32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the columns that have pixels, with their first and last rows."""
    left, right = np.int64(width), np.int64(-1)
    for position in own:
        x = np.int64(position) % width
        left, right = min(left, x), max(right, x)
    top = np.full(right - left + 1, np.int64(1) << 40)
    bottom = np.full(right - left + 1, np.int64(-1))
    for position in own:
        x, y = np.int64(position) % width - left, np.int64(position) // width
        top[x], bottom[x] = min(top[x], y), max(bottom[x], y)
    columns = np.flatnonzero(bottom >= 0)
    return columns + left, top[columns], bottom[columns]


@njit(nogil=True, cache=True)
def _emit(hull: Points, n: int, y: float, x: float, first: int) -> int:
    """Append a point to a chain that began at `first`, without corners that it makes superfluous."""
    while n - first >= 2:
        along = hull[n - 1, 1] - hull[n - 2, 1], hull[n - 1, 0] - hull[n - 2, 0]
        if along[0] * (y - hull[n - 1, 0]) - (x - hull[n - 1, 1]) * along[1] > 0:
            break
        n -= 1
    hull[n, 0], hull[n, 1] = y, x
    return n + 1


@njit(nogil=True, cache=True)
def _hull(own: NDArray[np.uint32], width: int) -> Points:
    """Return the corners (y, x): from the first row of the leftmost column over the top to the right."""
    columns, top, bottom = _ends(own, width)
    hull = np.empty((2 * columns.size, 2))
    n = 0
    for i in range(columns.size):
        n = _emit(hull, n, float(top[i]), float(columns[i]), 0)
    last = columns.size - 1
    turn = n if bottom[last] != top[last] else n - 1
    n = turn
    for i in range(last, -1, -1):
        n = _emit(hull, n, float(bottom[i]), float(columns[i]), turn)
    if n > 1 and bottom[0] == top[0]:
        n -= 1
    return hull[: max(n, 1)]


@njit(nogil=True, cache=True)
def _angle(u: Points, v: Points) -> float:
    """Return the angle between two directions."""
    dot = u[0] * v[0] + u[1] * v[1]
    squares = (u[0] * u[0] + u[1] * u[1]) * (v[0] * v[0] + v[1] * v[1])
    return float(abs(np.arccos(dot / np.sqrt(squares))))


@njit(nogil=True, cache=True)
def _through_three(a: Points, b: Points, c: Points) -> tuple[float, float, float]:
    twice = 2 * (a[1] * (b[0] - c[0]) + b[1] * (c[0] - a[0]) + c[1] * (a[0] - b[0]))
    aa, bb, cc = (
        a[0] * a[0] + a[1] * a[1],
        b[0] * b[0] + b[1] * b[1],
        c[0] * c[0] + c[1] * c[1],
    )
    x = (aa * (b[0] - c[0]) + bb * (c[0] - a[0]) + cc * (a[0] - b[0])) / twice
    y = (aa * (c[1] - b[1]) + bb * (a[1] - c[1]) + cc * (b[1] - a[1])) / twice
    return y, x, np.sqrt((a[0] - y) * (a[0] - y) + (a[1] - x) * (a[1] - x))


@njit(nogil=True, cache=True)
def _through_two(a: Points, b: Points) -> tuple[float, float, float]:
    dy, dx = a[0] - b[0], a[1] - b[1]
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, np.sqrt(dy * dy + dx * dx) / 2


@njit(nogil=True, cache=True)
def _circle(hull: Points) -> tuple[float, float, float]:
    """Return (y, x, radius) by Chrystal's steps from the first side of the hull."""
    if hull.shape[0] == 1:
        return hull[0, 0], hull[0, 1], 0.0
    if hull.shape[0] == 2:
        y, x = (hull[0, 0] + hull[1, 0]) / 2, (hull[0, 1] + hull[1, 1]) / 2
        return y, x, np.sqrt((y - hull[0, 0]) ** 2 + (x - hull[0, 1]) ** 2)
    half = np.pi / 2
    first, second = 0, 1
    # more steps than there are sides would mean that rounding leads in circles
    for _ in range(hull.shape[0] ** 2):
        a, b = hull[first], hull[second]
        best, at_first, at_second, least = -1, 0.0, 0.0, np.inf
        for i in range(hull.shape[0]):
            if i in (first, second):
                continue
            to_second = _angle(a - b, hull[i] - b)
            to_first = _angle(b - a, hull[i] - a)
            here = np.pi - to_second - to_first
            if here < least:
                best, at_first, at_second, least = i, to_first, to_second, here
        if least >= half:
            return _through_two(a, b)
        if at_first <= half and at_second <= half:
            return _through_three(a, b, hull[best])
        if at_first > half:
            first = best
        else:
            second = best
    return _through_two(hull[first], hull[second])


@njit(nogil=True, cache=True)
def _circles(
    start: NDArray[np.int64], position: NDArray[np.uint32], width: int
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full((n, 3), np.nan)
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        if own.size > 0:
            result[k] = _circle(_hull(own, width))
    return result


def chrystal_circles(pixels: ObjectPixels, width: int) -> NDArray[np.float64]:
    """Return the smallest circle round the pixel centres of every object.

    Parameters
    ----------
    pixels
        Of objects in an image of two dimensions.
    width
        Of that image.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Centre (y, x) and radius, px; NaN for a label that doesn't occur. Equal to
        ``centrosome.cpmorphology.minimum_enclosing_circle`` in all digits.

    Notes
    -----
    From a side of the hull the corner that sees it under the least angle: if that is obtuse the
    side is a diameter; if the triangle has no obtuse angle its circle is the one; else the corner
    takes the place of the end with the obtuse angle (G. Chrystal, Proc. Edinb. Math. Soc. 3, 1885).

    Examples
    --------
    >>> from gpu_workers.imaging.features.pixels import object_pixels
    >>> chrystal_circles(object_pixels(np.ones((3, 3), np.int32)), 3).round(3)
    array([[1.   , 1.   , 1.414]])
    """
    circles: NDArray[np.float64] = _circles(pixels.start, pixels.position, width)
    return circles
