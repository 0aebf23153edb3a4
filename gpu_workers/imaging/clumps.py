"""Clumps of objects, cut and joined; entry points: `cut_repeatedly`, `cut_in_two`, `trim`, `merge_touching`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.deblending import find_root, is_in
from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.imaging.regions import convex_areas, region_geometry
from gpu_workers.imaging.relations import highest, without
from gpu_workers.xp import operation

Column = NDArray[np.float64]
Whole = NDArray[np.int64]

MAX_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class ClumpShapes:
    """Shape of each object, row i for label i + 1; NaN for a label that doesn't occur.

    Attributes
    ----------
    area, perimeter
        px.
    solidity
        Area over that of the convex hull.
    form_factor
        4 pi area / perimeter squared.
    """

    area: Column
    perimeter: Column
    solidity: Column
    form_factor: Column


@operation
def clump_shapes(labels: Labels) -> ClumpShapes:
    """Measure what tells clumps from single objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.

    Examples
    --------
    >>> clump_shapes(np.ones((4, 4), np.int32)).solidity
    array([1.])
    """
    geometry = region_geometry(labels)
    with np.errstate(invalid="ignore", divide="ignore"):
        solidity = geometry.area / convex_areas(labels, geometry)
    area = np.where(geometry.area > 0, geometry.area, np.nan)
    return ClumpShapes(area, geometry.perimeter, solidity, geometry.form_factor)


@njit(nogil=True, cache=True)
def _around(
    y: int,
    x: int,
    heights: NDArray[np.float32],
    labels: Labels,
    owner: NDArray[np.int64],
    parent: NDArray[np.int64],
    found: NDArray[np.int64],
) -> tuple[int, int]:
    """Collect the branches of the same object among the 8 neighbours.

    Return how many there are, and which one the steepest way leads up to.
    """
    height, width = labels.shape
    n, steepest, rise = 0, -1, -np.inf
    for b in range(max(0, y - 1), min(height, y + 2)):
        for a in range(max(0, x - 1), min(width, x + 2)):
            if owner[b, a] >= 0 and labels[b, a] == labels[y, x]:
                root = find_root(parent, owner[b, a])
                if not is_in(found, n, root):
                    found[n] = root
                    n += 1
                # a step to a corner is longer
                slope = heights[b, a] - heights[y, x]
                slope = slope / np.sqrt(2.0) if b != y and a != x else slope * 1.0
                if slope > rise:
                    steepest, rise = root, slope
    return n, steepest


@njit(nogil=True, cache=True)
def _highest_of(found: NDArray[np.int64], n: int, peak: NDArray[np.float32]) -> int:
    best = int(found[0])
    for k in range(1, n):
        if peak[found[k]] > peak[best]:
            best = int(found[k])
    return best


@njit(nogil=True, cache=True)
def _summits(
    heights: NDArray[np.float32], labels: Labels, order: NDArray[np.int64], n: int, least: int
) -> NDArray[np.int64]:
    """Return the flat positions of the two summits of each object that a deep saddle parts, else -1.

    The saddle is the one that the lower summit rises most above; branches smaller than `least` where
    they meet are part of the other one.
    """
    width = labels.shape[1]
    owner = np.full(labels.shape, -1, np.int64)
    parent = np.arange(order.size)
    area = np.zeros(order.size, np.int64)
    peak = np.zeros(order.size, np.float32)
    found = np.empty(8, np.int64)
    summits = np.full((n, 2), -1, np.int64)
    rise = np.zeros(n, np.float32)
    for rank in range(order.size):
        y, x = order[rank] // width, order[rank] % width
        several, _ = _around(y, x, heights, labels, owner, parent, found)
        if several == 0:
            owner[y, x], area[rank], peak[rank] = rank, 1, heights[y, x]
            continue
        best = _highest_of(found, several, peak)
        k = labels[y, x] - 1
        for i in range(several):
            other = found[i]
            if other == best:
                continue
            own = peak[other] - heights[y, x]
            if min(area[other], area[best]) >= least and own > rise[k]:
                rise[k] = own
                summits[k, 0], summits[k, 1] = order[best], order[other]
            parent[other] = best
            area[best] += area[other]
        owner[y, x] = best
        area[best] += 1
    return summits


@njit(nogil=True, cache=True)
def _halves(
    heights: NDArray[np.float32],
    labels: Labels,
    order: NDArray[np.int64],
    side: NDArray[np.int8],
) -> NDArray[np.int8]:
    """Return 1 or 2 for the pixels that belong to either summit (1 and 2 in `side`)."""
    width = labels.shape[1]
    owner = np.full(labels.shape, -1, np.int64)
    parent = np.arange(order.size)
    peak = np.zeros(order.size, np.float32)
    mark = np.zeros(order.size, np.int8)
    found = np.empty(8, np.int64)
    for rank in range(order.size):
        y, x = order[rank] // width, order[rank] % width
        several, steepest = _around(y, x, heights, labels, owner, parent, found)
        if several == 0:
            owner[y, x], peak[rank], mark[rank] = rank, heights[y, x], side[y, x]
            continue
        best = _highest_of(found, several, peak)
        for i in range(several):
            other = found[i]
            if other != best and (mark[other] == 0 or mark[best] == 0):
                parent[other] = best
                mark[best] = max(mark[best], mark[other])
        owner[y, x] = find_root(parent, steepest)
        mark[owner[y, x]] = max(mark[owner[y, x]], side[y, x])
    result = np.zeros(labels.shape, np.int8)
    for pixel in order:
        y, x = pixel // width, pixel % width
        result[y, x] = mark[find_root(parent, owner[y, x])]
    return result


@operation
def cut_in_two(
    labels: Labels, chosen: NDArray[np.bool_], min_area: int = 1, sigma: float = 1.0
) -> tuple[Labels, Whole]:
    """Cut objects at their deepest neck.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    chosen : ndarray of bool, shape (n,)
        Which are to be cut.
    min_area
        An object stays whole if a part would be smaller, px.
    sigma
        Smoothing of the distances, px.

    Returns
    -------
    labels : ndarray of int32, same shape
        The larger part of each object keeps its number, the others have n + 1, n + 2, …
    origins : ndarray of int64
        The object that each of these was cut from.

    Notes
    -----
    The distance to the outside has summits in the parts; the saddle that the lower of two summits
    rises most above is the neck, and the parts are the two floods from these summits (watershed with
    8 neighbours, within each object).

    Examples
    --------
    >>> bar = np.zeros((7, 15), np.int32)
    >>> bar[1:6, 1:6] = bar[1:6, 9:14] = bar[3, 6:9] = 4
    >>> np.unique(cut_in_two(bar, np.ones(4, bool), 5, 0)[0]).tolist()
    [0, 4, 5]
    """
    n = highest(labels)
    some = without(labels, ~chosen) if n else labels
    if not some.any():
        return labels.copy(), np.zeros(0, np.int64)
    heights = gaussian(distance_transform(some, outside=True), sigma)
    pixels = np.flatnonzero(some)
    order = pixels[np.argsort(-heights.ravel()[pixels], kind="stable")]
    summits = _summits(heights, some, order, n, max(1, min_area // 4))
    side = np.zeros(labels.shape, np.int8)
    cut = np.flatnonzero(summits[:, 0] >= 0)
    side.ravel()[summits[cut, 0]] = 1
    side.ravel()[summits[cut, 1]] = 2
    half = _halves(heights, some, order, side)
    return _accepted(labels, half, cut, min_area)


def _accepted(
    labels: Labels, half: NDArray[np.int8], cut: Whole, min_area: int
) -> tuple[Labels, Whole]:
    """Give the smaller halves numbers of their own where both are large enough."""
    n = highest(labels)
    one, two = (np.bincount(labels[half == k], minlength=n + 1)[1:] for k in (1, 2))
    fine = np.zeros(n, np.bool_)
    fine[cut] = np.minimum(one, two)[cut] >= max(1, min_area)
    numbers = np.zeros(n + 1, np.int32)
    numbers[1:][fine] = n + 1 + np.arange(int(fine.sum()))
    smaller = np.zeros(n + 1, np.int8)
    smaller[1:] = np.where(one < two, 1, 2)
    moved = (half > 0) & (half == smaller[labels]) & (numbers[labels] > 0)
    return np.where(moved, numbers[labels], labels), np.flatnonzero(fine) + 1


def cut_repeatedly(
    labels: Labels,
    select: Callable[[Labels], NDArray[np.bool_]],
    cut: Callable[[Labels, NDArray[np.bool_]], tuple[Labels, Whole]],
    rounds: int = MAX_ROUNDS,
) -> tuple[Labels, NDArray[np.bool_]]:
    """Cut objects while they are selected; one that a cut leaves whole is not tried again.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    select
        Returns for labels 1…n which are to be cut.
    cut
        As `cut_in_two`, with the objects that were selected.
    rounds
        At most.

    Returns
    -------
    labels : ndarray of int32, same shape
    was_cut : ndarray of bool
        Whether each object is a part of one that was cut.
    """
    whole = np.zeros(highest(labels), np.bool_)
    was_cut = whole.copy()
    for _ in range(rounds):
        chosen = select(labels) & ~whole
        if not chosen.any():
            break
        labels, origins = cut(labels, chosen)
        whole |= chosen
        whole[origins - 1] = False
        was_cut[origins - 1] = True
        whole = np.concatenate([whole, np.zeros(origins.size, np.bool_)])
        was_cut = np.concatenate([was_cut, np.ones(origins.size, np.bool_)])
    return labels, was_cut


def _same(labels: Labels, dy: int, dx: int) -> NDArray[np.bool_]:
    """Return where the pixel at an offset has the same label; beyond the edge it has."""
    height, width = labels.shape
    y = np.clip(np.arange(height) + dy, 0, height - 1)
    x = np.clip(np.arange(width) + dx, 0, width - 1)
    return np.asarray(labels[y][:, x] == labels)


CROSS = ((-1, 0), (1, 0), (0, -1), (0, 1))


@operation
def trim(labels: Labels, chosen: NDArray[np.bool_]) -> Labels:
    """Open objects with a cross of five pixels, so that threads of one pixel go.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    chosen : ndarray of bool, shape (n,)
        Which are trimmed; one that would vanish stays as it is.

    Examples
    --------
    >>> trim(np.array([[0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], np.int32), np.ones(1, bool))[1]
    array([1, 1, 1, 0], dtype=int32)
    """
    if not labels.size:
        return labels.copy()
    core = labels > 0
    for dy, dx in CROSS:
        core &= _same(labels, dy, dx)
    grown = core.copy()
    height, width = labels.shape
    for dy, dx in CROSS:
        y = np.clip(np.arange(height) + dy, 0, height - 1)
        x = np.clip(np.arange(width) + dx, 0, width - 1)
        grown |= core[y][:, x] & _same(labels, dy, dx)
    some = np.zeros(highest(labels) + 1, np.bool_)
    some[1:] = chosen
    has_core = np.zeros(some.size, np.bool_)
    has_core[labels[core]] = True
    gone = (some & has_core)[labels] & ~grown
    return np.where(gone, np.int32(0), labels)


@dataclass(frozen=True, slots=True)
class Contacts:
    """Pairs of objects that touch: labels, the first lower, and the pixel sides they share."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    length: NDArray[np.int64]


@operation
def contacts(labels: Labels) -> Contacts:
    """Return which objects touch along sides of pixels.

    Examples
    --------
    >>> contacts(np.array([[1, 1, 0], [5, 5, 5]], np.int32)).length
    array([2])
    """
    found = []
    for a, b in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        touch = (a != b) & (a > 0) & (b > 0)
        found.append(np.stack([a[touch], b[touch]]).astype(np.int64))
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    keys, length = np.unique(pairs[0] << 32 | pairs[1], return_counts=True)
    return Contacts(keys >> 32, keys & 0xFFFFFFFF, length)


def _mutual(
    first: NDArray[np.int64], second: NDArray[np.int64], score: Column
) -> NDArray[np.bool_]:
    """Return the pairs that are the best one of both their objects, so that none is in two."""
    order = np.argsort(score, kind="stable")
    best = np.full(int(second.max(initial=0)) + 1, -1, np.int64)
    # the last that is written stays: the one of the highest score
    best[np.stack([first[order], second[order]], axis=1).ravel()] = np.repeat(order, 2)
    index = np.arange(first.size)
    return np.asarray((best[first] == index) & (best[second] == index))


@operation
def merge_touching(
    labels: Labels, min_solidity: float, min_contact: float, max_area: float | None = None
) -> Labels:
    """Join touching objects whose union is convex enough.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    min_solidity
        Of the union.
    min_contact
        Least part of the perimeter of the object with the shorter one along which they touch.
    max_area
        Of the union, px.

    Returns
    -------
    ndarray of int32, same shape
        The union has the lower number.

    Notes
    -----
    In rounds: of the pairs not tried yet those that are each other's best (by contact over
    perimeter) are tried at once; ends when no pair is left.

    Examples
    --------
    >>> merge_touching(np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.int32), 0.9, 0.2).max()
    np.int32(1)
    """
    merged = labels.copy()
    tried = np.zeros(0, np.int64)
    for _ in range(MAX_ROUNDS):
        found = contacts(merged)
        if not found.first.size:
            break
        shapes = clump_shapes(merged)
        a, b = found.first - 1, found.second - 1
        contact = found.length / np.fmax(np.fmin(shapes.perimeter[a], shapes.perimeter[b]), 1)
        keys = found.first << 32 | found.second
        open_ = (contact >= min_contact) & ~np.isin(keys, tried)
        if max_area is not None:
            open_ &= shapes.area[a] + shapes.area[b] <= max_area
        if not open_.any():
            break
        open_[open_] = _mutual(found.first[open_], found.second[open_], contact[open_])
        first, second = found.first[open_], found.second[open_]
        tried = np.concatenate([tried, keys[open_]])
        union = _joined(merged, first, second)
        good = clump_shapes(union).solidity[first - 1] >= min_solidity
        merged = _joined(merged, first[good], second[good])
        # a union has a new shape: its pairs may be tried again
        tried = tried[
            ~np.isin(tried >> 32, first[good]) & ~np.isin(tried & 0xFFFFFFFF, first[good])
        ]
    return merged


def _joined(labels: Labels, first: NDArray[np.int64], second: NDArray[np.int64]) -> Labels:
    numbers = np.arange(highest(labels) + 1, dtype=np.int32)
    numbers[second] = first
    return np.asarray(numbers[labels])
