"""Outlines of all objects along the cracks between pixels; entry point: `trace_outlines`.

Corners of pixels are whole numbers: pixel (y, x) is the square from (y, x) to (y + 1, x + 1). An
outline's area is therefore exactly the number of its object's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation


@dataclass(frozen=True, slots=True)
class Outlines:
    """Rings of objects as nested offsets; rings run with the object on their right (y down).

    So outer rings have a positive and holes a negative shoelace area in (x, y). A ring's first
    point isn't repeated at its end. Every hole follows the outer ring of the part it lies in.

    Attributes
    ----------
    labels
        int32, (n,): the objects, rising.
    rings
        int64, (n + 1,): object i has the rings ``rings[i]:rings[i + 1]``.
    points
        int64, (m + 1,): ring j has the points ``points[j]:points[j + 1]``.
    y, x
        int32: corners at which a ring turns.
    """

    labels: NDArray[np.int32]
    rings: NDArray[np.int64]
    points: NDArray[np.int64]
    y: NDArray[np.int32]
    x: NDArray[np.int32]

    def ring_areas(self) -> NDArray[np.int64]:
        """Return the signed area of each ring, px; negative for holes."""
        return _ring_areas(self.points, self.y, self.x)


@njit(nogil=True, cache=True)
def _ring_areas(
    points: NDArray[np.int64], y: NDArray[np.int32], x: NDArray[np.int32]
) -> NDArray[np.int64]:
    areas = np.zeros(points.size - 1, np.int64)
    for j in range(areas.size):
        first, last = points[j], points[j + 1]
        twice = np.int64(0)
        for i in range(first, last):
            k = i + 1 if i + 1 < last else first
            twice += np.int64(x[i]) * y[k] - np.int64(x[k]) * y[i]
        areas[j] = twice // 2
    return areas


@njit(nogil=True, cache=True)
def _sides(labels: Labels, y: int, x: int, heading: int, label: int) -> tuple[bool, bool]:
    """Whether the pixels left and right ahead of a corner are the object's (0 = right, 1 = down…)."""
    height, width = labels.shape
    if heading == 0:
        ly, lx, ry, rx = y - 1, x, y, x
    elif heading == 1:
        ly, lx, ry, rx = y, x, y, x - 1
    elif heading == 2:
        ly, lx, ry, rx = y, x - 1, y - 1, x - 1
    else:
        ly, lx, ry, rx = y - 1, x - 1, y - 1, x
    left = 0 <= ly < height and 0 <= lx < width and labels[ly, lx] == label
    right = 0 <= ry < height and 0 <= rx < width and labels[ry, rx] == label
    return left, right


@njit(nogil=True, cache=True)
def _follow(
    labels: Labels,
    visited: NDArray[np.bool_],
    start: tuple[int, int],
    out: tuple[NDArray[np.int32], NDArray[np.int32]],
    k: int,
) -> int:
    """Follow one ring from the upper left corner of a pixel whose upper side is a crack.

    Writes the corners from position `k` on and returns the position after the last; -1 if they
    don't fit (the marks are then to be made again).
    """
    sy, sx = start
    label = labels[sy, sx]
    y, x, heading = sy, sx, 0
    while True:
        if heading == 0:
            if visited[y, x]:
                break
            visited[y, x] = True
            x += 1
        elif heading == 1:
            y += 1
        elif heading == 2:
            x -= 1
        else:
            y -= 1
        left, right = _sides(labels, y, x, heading, label)
        if right and not left:
            continue
        # at a corner where two pixels touch diagonally the ring turns left: they are connected
        heading = (heading + 3) % 4 if left else (heading + 1) % 4
        if k >= out[0].size:
            return -1
        out[0][k] = y
        out[1][k] = x
        k += 1
    return k


@njit(nogil=True, cache=True)
def _trace(
    labels: Labels, n_rings: int, n_points: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], bool]:
    """Trace all rings in the order of their first upper crack; False if the space didn't suffice."""
    height, width = labels.shape
    visited = np.zeros((height, width), np.bool_)
    owners = np.empty(n_rings, np.int32)
    points = np.zeros(n_rings + 1, np.int64)
    ys = np.empty(n_points, np.int32)
    xs = np.empty(n_points, np.int32)
    m = 0
    k = 0
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label <= 0 or visited[y, x] or (y > 0 and labels[y - 1, x] == label):
                continue
            if m == n_rings:
                return owners, points, ys, xs, False
            k = _follow(labels, visited, (y, x), (ys, xs), k)
            if k < 0:
                return owners, points, ys, xs, False
            owners[m] = label
            m += 1
            points[m] = k
    return owners[:m], points[: m + 1], ys[:k], xs[:k], True


@njit(nogil=True, cache=True)
def _contains(y: NDArray[np.int32], x: NDArray[np.int32], py: float, px: float) -> bool:
    """Whether a point that lies on no ring lies within one (crossings of the vertical sides)."""
    inside = False
    n = y.size
    for i in range(n):
        k = i + 1 if i + 1 < n else 0
        if (y[i] > py) != (y[k] > py) and x[i] > px:
            inside = not inside
    return inside


@njit(nogil=True, cache=True)
def _parents(
    order: NDArray[np.int64],
    rings: NDArray[np.int64],
    areas: NDArray[np.int64],
    points: NDArray[np.int64],
    corners: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> NDArray[np.int64]:
    """Return for each ring the outer ring of its part (an outer ring is its own)."""
    parents = np.arange(areas.size)
    ys, xs = corners
    for i in range(rings.size - 1):
        for j in range(rings[i], rings[i + 1]):
            hole = order[j]
            if areas[hole] > 0:
                continue
            # a ring ends at its upper left start; the pixel to the lower right is the object's
            at = points[hole + 1] - 1
            py, px = ys[at] + 0.5, xs[at] + 0.5
            best = np.int64(1 << 60)
            for q in range(rings[i], rings[i + 1]):
                outer = order[q]
                if areas[outer] <= 0 or areas[outer] >= best:
                    continue
                first, last = points[outer], points[outer + 1]
                if _contains(ys[first:last], xs[first:last], py, px):
                    best = areas[outer]
                    parents[hole] = outer
    return parents


@njit(nogil=True, cache=True)
def _gather(
    order: NDArray[np.int64],
    points: NDArray[np.int64],
    ys: NDArray[np.int32],
    xs: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    new = np.zeros(points.size, np.int64)
    y, x = np.empty_like(ys), np.empty_like(xs)
    k = 0
    for j in range(order.size):
        first, last = points[order[j]], points[order[j] + 1]
        y[k : k + last - first] = ys[first:last]
        x[k : k + last - first] = xs[first:last]
        k += last - first
        new[j + 1] = k
    return new, y, x


@operation
def trace_outlines(labels: Labels) -> Outlines:
    """Trace the outlines of all objects, with holes and separate parts.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; 8-connected pixels of a label are one part.

    Returns
    -------
    Outlines
        Of every label that occurs. The areas of an object's rings add up to its pixels.

    Examples
    --------
    >>> outlines = trace_outlines(np.array([[0, 3, 3]], np.int32))
    >>> outlines.y.tolist(), outlines.x.tolist()
    ([0, 1, 1, 0], [3, 3, 1, 1])
    """
    values = np.ascontiguousarray(labels, np.int32)
    n_points = max(1024, values.size // 16)
    while True:
        owners, points, ys, xs, complete = _trace(values, max(256, n_points // 4), n_points)
        if complete:
            break
        n_points *= 4
    areas = _ring_areas(points, ys, xs)
    order = np.argsort(owners, kind="stable")
    found, first = np.unique(owners[order], return_index=True)
    rings = np.append(first, owners.size).astype(np.int64)
    if (areas < 0).any():
        parents = _parents(order, rings, areas, points, (ys, xs))
        order = np.lexsort((np.arange(areas.size), areas < 0, parents, owners))
    points, ys, xs = _gather(order, points, ys, xs)
    return Outlines(found.astype(np.int32), rings, points, ys, xs)
