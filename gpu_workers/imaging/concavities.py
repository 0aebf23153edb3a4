"""Cuts between hollows of outlines; entry point: `cut_between_hollows`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.imaging.relations import highest
from gpu_workers.xp import operation

Points = NDArray[np.int32]

# Clockwise from the left, in rows and columns.
_DY = np.array([0, -1, -1, -1, 0, 1, 1, 1], np.int32)
_DX = np.array([-1, -1, 0, 1, 1, 1, 0, -1], np.int32)
_MAX_HOLLOWS = 16
# A cut between two discs that overlap is shorter than this part of the shorter outline beside it; the
# diameter of a disc is 0.64 of half its outline.
_LONGEST_CUT = 0.62
# What a step costs where the image is darkest; it costs 1 more where it is brightest.
_DARK_STEP = 0.25


@dataclass(frozen=True, slots=True)
class Hollows:
    """What counts as a hollow of an outline.

    Attributes
    ----------
    window
        Points to either side between which the outline's turn is measured.
    max_radius
        Of the circle that fits into the hollow, px.
    min_turn
        Of the outline within the hollow, degrees.
    """

    window: int = 9
    max_radius: float = 20
    min_turn: float = 6


@njit(nogil=True, cache=True)
def _trace(inside: NDArray[np.bool_], y: int, x: int) -> Points:
    """Follow the outer outline clockwise from its first pixel (Moore's neighbours)."""
    n = 0
    points = np.empty((4 * inside.size + 8, 2), np.int32)
    y0, x0, first, direction = y, x, -1, 2
    while n < points.shape[0]:
        found = -1
        for k in range(8):
            d = (direction + 6 + k) % 8
            if inside[y + _DY[d], x + _DX[d]]:
                found = d
                break
        if found < 0 or (y == y0 and x == x0 and found == first):
            break
        if first < 0:
            first = found
        points[n, 0], points[n, 1] = y, x
        n += 1
        y, x, direction = y + _DY[found], x + _DX[found], found
    return points[:n]


@njit(nogil=True, cache=True)
def _turns(points: Points, window: int) -> NDArray[np.float64]:
    """Turn of the outline at each point, radians; negative in hollows (the way is clockwise)."""
    n = points.shape[0]
    turn = np.zeros(n)
    for i in range(n):
        before, after = points[(i - window) % n], points[(i + window) % n]
        ay, ax = points[i, 0] - before[0], points[i, 1] - before[1]
        by, bx = after[0] - points[i, 0], after[1] - points[i, 1]
        turn[i] = np.arctan2(float(ax * by - ay * bx), float(ax * bx + ay * by))
    return turn


@njit(nogil=True, cache=True)
def _hollows(turn: NDArray[np.float64], window: int, max_radius: float, min_turn: float) -> Points:
    """Return the deepest point of each hollow in their order, at most `_MAX_HOLLOWS`."""
    n = turn.size
    # the turn between two chords of `window` points is that of so many points of the outline
    sharp = turn <= -window / max_radius
    found = np.empty(_MAX_HOLLOWS, np.int32)
    count = 0
    start = 0
    while start < n and sharp[start]:
        start += 1
    i = start
    while i < start + n and count < _MAX_HOLLOWS:
        if not sharp[i % n]:
            i += 1
            continue
        total, deepest = 0.0, i % n
        while sharp[i % n] and i < start + n:
            total -= turn[i % n] / window
            if turn[i % n] < turn[deepest]:
                deepest = i % n
            i += 1
        if total >= min_turn:
            place = count
            while place > 0 and found[place - 1] > deepest:
                found[place] = found[place - 1]
                place -= 1
            found[place] = deepest
            count += 1
    return found[:count]


@njit(nogil=True, cache=True)
def _sift_down(heap: NDArray[np.int64], n: int, far: NDArray[np.float64]) -> int:
    """Take the first of a heap that is ordered by `far`; the heap has n entries before."""
    first = heap[0]
    last = heap[n - 1]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n - 1:
            break
        if child + 1 < n - 1 and far[heap[child + 1]] < far[heap[child]]:
            child += 1
        if far[heap[child]] >= far[last]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = last
    return int(first)


@njit(nogil=True, cache=True)
def _ways(
    inside: NDArray[np.bool_], cost: NDArray[np.float64], source: int, steps: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cheapest ways from a pixel to all others of an object (E. Dijkstra, 1959): cost, pixel before."""
    height, width = inside.shape
    size = height * width
    far = np.full(size, np.inf)
    before = np.full(size, -1, np.int64)
    done = np.zeros(size, np.bool_)
    heap = np.empty(8 * size + 1, np.int64)
    n = 1
    heap[0] = source
    far[source] = 0.0
    flat, each = inside.ravel(), cost.ravel()
    while n > 0:
        pixel = _sift_down(heap, n, far)
        n -= 1
        if done[pixel]:
            continue
        done[pixel] = True
        for d in range(8):
            other = pixel + steps[d]
            if not flat[other] or done[other]:
                continue
            length = 1.0 if d % 2 == 0 else np.sqrt(2.0)
            new = far[pixel] + length * (each[pixel] + each[other]) / 2
            if new < far[other]:
                far[other] = new
                before[other] = pixel
                i = n
                n += 1
                while i > 0 and far[heap[(i - 1) // 2]] > new:
                    heap[i] = heap[(i - 1) // 2]
                    i = (i - 1) // 2
                heap[i] = other
    return far, before


@njit(nogil=True, cache=True)
def _area_beside(points: Points, i: int, j: int) -> float:
    """Area between the outline from point i to j and the straight line back (shoelace formula)."""
    n = points.shape[0]
    total = 0.0
    k = i
    while k != j:
        m = (k + 1) % n
        total += float(points[k, 1]) * points[m, 0] - float(points[m, 1]) * points[k, 0]
        k = m
    total += float(points[j, 1]) * points[i, 0] - float(points[i, 1]) * points[j, 0]
    return float(abs(total) / 2)


@njit(nogil=True, cache=True)
def _length(before: NDArray[np.int64], target: int, width: int) -> float:
    total = 0.0
    while before[target] >= 0:
        step = abs(target - before[target])
        total += 1.0 if step == 1 or step == width else np.sqrt(2.0)
        target = before[target]
    return float(total)


@njit(nogil=True, cache=True)
def _best_cut(
    inside: NDArray[np.bool_],
    cost: NDArray[np.float64],
    points: Points,
    hollows: Points,
    min_area: float,
    steps: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int, int]:
    """Return the pixels of the best cut and the two hollows that it joins; no pixel if there is none."""
    width = inside.shape[1]
    n = points.shape[0]
    best, best_score = (-1, -1), np.inf
    way = np.empty(0, np.int64)
    whole = _area_beside(points, 0, n - 1)
    for a in range(hollows.size - 1):
        i = hollows[a]
        far, before = _ways(inside, cost, points[i, 0] * width + points[i, 1], steps)
        for b in range(a + 1, hollows.size):
            j = hollows[b]
            target = points[j, 0] * width + points[j, 1]
            side = _area_beside(points, i, j)
            arc = min(j - i, n - (j - i))
            if arc == 0 or min(side, whole - side) < min_area or not np.isfinite(far[target]):
                continue
            score = far[target] / arc
            if score < best_score and _length(before, target, width) <= _LONGEST_CUT * arc:
                best, best_score = (i, j), score
                way = _pixels(before, target)
    return way, best[0], best[1]


@njit(nogil=True, cache=True)
def _pixels(before: NDArray[np.int64], target: int) -> NDArray[np.int64]:
    n = 1
    pixel = target
    while before[pixel] >= 0:
        pixel = before[pixel]
        n += 1
    way = np.empty(n, np.int64)
    for k in range(n):
        way[k] = target
        target = before[target]
    return way


@njit(nogil=True, cache=True)
def _side(
    inside: NDArray[np.bool_], way: NDArray[np.int64], points: Points, i: int, j: int
) -> tuple[NDArray[np.bool_], int]:
    """Fill the side of a cut that the outline from point i to j bounds (4-connected); count it."""
    width = inside.shape[1]
    free = inside.copy().ravel()
    for pixel in way:
        free[pixel] = False
    count = 0
    filled = np.zeros(free.size, np.bool_)
    stack = np.empty(free.size, np.int64)
    n = 0
    for k in range(i + 1, j):
        pixel = points[k, 0] * width + points[k, 1]
        if free[pixel]:
            free[pixel] = False
            filled[pixel] = True
            stack[n] = pixel
            n += 1
    while n > 0:
        n -= 1
        count += 1
        pixel = stack[n]
        for other in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            if free[other]:
                free[other] = False
                filled[other] = True
                stack[n] = other
                n += 1
    return filled.reshape(inside.shape), count


@njit(nogil=True, cache=True)
def _cropped(
    labels: Labels, image: NDArray[np.float32], label: int, box: NDArray[np.int32]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return where an object is, with a pixel around its box, and what a step through it costs.

    That is little where the object is dark.
    """
    height, width = box[2] - box[0], box[3] - box[1]
    inside = np.zeros((height + 2, width + 2), np.bool_)
    cost = np.empty((height + 2, width + 2))
    low, high = np.inf, -np.inf
    for y in range(height):
        for x in range(width):
            if labels[box[0] + y, box[1] + x] == label:
                inside[y + 1, x + 1] = True
                low = min(low, image[box[0] + y, box[1] + x])
                high = max(high, image[box[0] + y, box[1] + x])
    for y in range(height):
        for x in range(width):
            part = 0.5
            if inside[y + 1, x + 1] and high > low:
                part = (image[box[0] + y, box[1] + x] - low) / (high - low)
            cost[y + 1, x + 1] = _DARK_STEP + part
    return inside, cost


@njit(nogil=True, cache=True)
def _cut(
    labels: Labels,
    image: NDArray[np.float32],
    boxes: NDArray[np.int32],
    areas: NDArray[np.float64],
    chosen: NDArray[np.int64],
    limits: tuple[int, float, float, float],
) -> tuple[Labels, NDArray[np.int64]]:
    """Cut each chosen object once, if a cut is good enough; return origins of the new ones, too."""
    window, max_radius, min_turn, min_area = limits
    result = labels.copy()
    origins = np.empty(chosen.size, np.int64)
    n = 0
    for k in chosen:
        y0, x0, y1, x1 = boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3]
        inside, cost = _cropped(labels, image, k + 1, boxes[k])
        start = 1
        while not inside[1, start]:
            start += 1
        points = _trace(inside, 1, start)
        if points.shape[0] < 4 * window:
            continue
        hollows = _hollows(_turns(points, window), window, max_radius, min_turn)
        steps = np.empty(8, np.int64)
        for d in range(8):
            steps[d] = _DY[d] * inside.shape[1] + _DX[d]
        way, i, j = _best_cut(inside, cost, points, hollows, min_area, steps)
        if i < 0:
            continue
        side, n_side = _side(inside, way, points, i, j)
        if min(n_side, areas[k] - n_side) < min_area:
            continue
        origins[n] = k + 1
        n += 1
        for y in range(y0, y1):
            for x in range(x0, x1):
                if side[y - y0 + 1, x - x0 + 1]:
                    result[y, x] = boxes.shape[0] + n
    return result, origins[:n]


@operation
def cut_between_hollows(
    labels: Labels,
    image: NDArray[Any],
    chosen: NDArray[np.bool_],
    min_area: float,
    hollows: Hollows | None = None,
) -> tuple[Labels, NDArray[np.int64]]:
    """Cut objects once between two hollows of their outline, along a dark seam.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n, each one connected part.
    image : ndarray, same shape
        Intensities, smoothed; where they are low cutting is cheap.
    chosen : ndarray of bool, shape (n,)
        Which are to be cut.
    min_area
        Of either part, px.
    hollows
        What counts as a hollow.

    Returns
    -------
    labels : ndarray of int32, same shape
        The part that is cut off has a new number from n + 1 on.
    origins : ndarray of int64
        The object that each of these was cut from.

    Notes
    -----
    After CellProfiler's IdentifyPrimaryIterative of the Pelkmans lab: the outline's turn between
    chords of `window` points tells hollows; between each two of them the cheapest way over the pixels
    (cost 0.25 to 1.25 by intensity) is a candidate. The best has the least cost over the length of
    the shorter outline beside it, and is no longer than 0.62 of that.

    Examples
    --------
    >>> y, x = np.indices((30, 50))
    >>> pair = ((y - 15) ** 2 + (x - 15) ** 2 < 110) | ((y - 15) ** 2 + (x - 33) ** 2 < 110)
    >>> flat = np.ones(pair.shape)
    >>> cut, _ = cut_between_hollows(pair.astype(np.int32), flat, np.ones(1, bool), 50, Hollows(4))
    >>> np.unique(cut).tolist()
    [0, 1, 2]
    """
    n = highest(labels)
    if not n or not chosen.any():
        return labels.copy(), np.zeros(0, np.int64)
    rules = hollows or Hollows()
    known = np.nan_to_num(np.ascontiguousarray(image, np.float32), posinf=0, neginf=0)
    geometry = region_geometry(labels)
    boxes = np.ascontiguousarray(geometry.box, np.int32)
    which = np.flatnonzero(chosen & (geometry.area > 0))
    limits = (
        rules.window,
        float(rules.max_radius),
        float(np.deg2rad(rules.min_turn)),
        float(min_area),
    )
    cut, origins = _cut(np.ascontiguousarray(labels), known, boxes, geometry.area, which, limits)
    return cut, origins
