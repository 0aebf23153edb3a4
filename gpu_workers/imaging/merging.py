"""Objects as unions of basins; entry points: `hierarchy` and `cut`.

A mask is first divided into more basins than it has objects. Neighbours are then joined, those with
the highest pass between them first, which makes a tree of ever larger unions. `cut` decides by the
shapes and intensities of a union and of its two halves whether it is one object or several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Basins and their unions; basin i of the labels is node i - 1, unions follow.

    Attributes
    ----------
    children : int32, (n_nodes, 2)
        The halves of a union; -1 for a basin.
    moments : float64, (n_nodes, 6)
        Area and the sums of y, x, y², x² and xy, px.
    light : float64, (n_nodes,)
        Sum of intensities.
    peak, saddle : float64, (n_nodes,)
        Greatest height in a node; height of the pass between a union's halves.
    seam : float64, (n_nodes, 2)
        Number of pixel edges between the halves, and the sum of intensities along them.
    """

    children: NDArray[np.int32]
    moments: Table
    light: Table
    peak: Table
    saddle: Table
    seam: Table


@njit(nogil=True, cache=True)
def _borders(basins: Labels) -> int:
    height, width = basins.shape
    n = 0
    for y in range(height):
        for x in range(width):
            here = basins[y, x]
            if here == 0:
                continue
            if x + 1 < width and basins[y, x + 1] > 0 and basins[y, x + 1] != here:
                n += 1
            if y + 1 < height and basins[y + 1, x] > 0 and basins[y + 1, x] != here:
                n += 1
    return n


@njit(nogil=True, cache=True)
def _edges(
    basins: Labels, heights: NDArray[np.float32], image: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the two basins, the height and the intensity of each pixel edge between basins."""
    n = _borders(basins)
    ends = np.empty((n, 2), np.int32)
    passes = np.empty(n, np.float32)
    light = np.empty(n, np.float32)
    height, width = basins.shape
    i = 0
    for y in range(height):
        for x in range(width):
            here = basins[y, x]
            if here == 0:
                continue
            for down in range(2):
                q, p = y + down, x + 1 - down
                if q >= height or p >= width:
                    continue
                there = basins[q, p]
                if there == 0 or there == here:
                    continue
                ends[i, 0] = here - 1
                ends[i, 1] = there - 1
                passes[i] = min(heights[y, x], heights[q, p])
                light[i] = (image[y, x] + image[q, p]) / 2
                i += 1
    return ends, passes, light


@njit(nogil=True, cache=True)
def _basins(
    basins: Labels, heights: NDArray[np.float32], image: NDArray[np.float32], n: int
) -> tuple[Table, Table, Table]:
    """Return moments, light and peak of basins, with room for n - 1 unions."""
    moments = np.zeros((2 * n, 6))
    light = np.zeros(2 * n)
    peak = np.zeros(2 * n)
    height, width = basins.shape
    for y in range(height):
        for x in range(width):
            i = basins[y, x] - 1
            if i < 0:
                continue
            moments[i, 0] += 1
            moments[i, 1] += y
            moments[i, 2] += x
            moments[i, 3] += y * y
            moments[i, 4] += x * x
            moments[i, 5] += x * y
            light[i] += image[y, x]
            peak[i] = max(peak[i], heights[y, x])
    return moments, light, peak


@njit(nogil=True, cache=True)
def _root(parent: NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def _lists(
    ends: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return a linked list of half edges for each basin: first, next of each, length."""
    first = np.full(n, -1, np.int32)
    size = np.zeros(n, np.int32)
    following = np.full(2 * len(ends), -1, np.int32)
    for half in range(2 * len(ends)):
        i = ends[half // 2, half % 2]
        following[half] = first[i]
        first[i] = half
        size[i] += 1
    return first, following, size


@njit(nogil=True, cache=True)
def _join(
    ends: NDArray[np.int32],
    order: NDArray[np.int64],
    passes: NDArray[np.float32],
    light: NDArray[np.float32],
    n: int,
) -> tuple[NDArray[np.int32], Table, Table, int]:
    """Join basins over the highest passes first; the shorter list of edges is walked each time."""
    children = np.full((2 * n, 2), -1, np.int32)
    saddle = np.zeros(2 * n)
    seam = np.zeros((2 * n, 2))
    parent = np.arange(2 * n).astype(np.int32)
    first, following, size = _lists(ends, 2 * n)
    k = n
    for edge in order:
        a, b = _root(parent, ends[edge, 0]), _root(parent, ends[edge, 1])
        if a == b:
            continue
        if size[a] > size[b]:
            a, b = b, a
        # edges of the smaller side: those to the larger one are the seam, the others go on
        half = first[a]
        while half >= 0:
            after = following[half]
            other = _root(parent, ends[half // 2, 1 - half % 2])
            if other == b:
                seam[k, 0] += 1
                seam[k, 1] += light[half // 2]
            elif other != a:
                following[half] = first[b]
                first[b] = half
                size[b] += 1
            half = after
        children[k, 0], children[k, 1] = a, b
        saddle[k] = passes[edge]
        parent[a] = parent[b] = k
        first[k], size[k] = first[b], size[b]
        k += 1
    return children, saddle, seam, k


def hierarchy(
    basins: Labels, heights: NDArray[np.float32], image: NDArray[np.float32]
) -> Hierarchy:
    """Join neighbouring basins, the highest pass first, until nothing touches any more.

    Parameters
    ----------
    basins : ndarray of int32, shape (height, width)
        Basins 1…n without gaps.
    heights, image : ndarray of float32, same shape
        What the basins are basins of (turned upside down), and intensities above the background.

    Notes
    -----
    Kruskal's algorithm over pixel edges; the walk over the shorter list of edges bounds the whole by
    O(E log E).

    Examples
    --------
    >>> row = np.array([[3, 1, 2]], np.float32)
    >>> tree = hierarchy(np.array([[1, 1, 2]], np.int32), row, row)
    >>> tree.children.tolist(), tree.saddle.tolist()
    ([[-1, -1], [-1, -1], [0, 1]], [0.0, 0.0, 1.0])
    """
    n = int(basins.max()) if basins.size else 0
    ends, passes, edge_light = _edges(basins, heights, image)
    moments, light, peak = _basins(basins, heights, image, n)
    order = np.argsort(-passes, kind="stable")
    children, saddle, seam, k = _join(ends, order, passes, edge_light, n)
    _sum_up(children, k, n, moments, light, peak)
    return Hierarchy(children[:k], moments[:k], light[:k], peak[:k], saddle[:k], seam[:k])


@njit(nogil=True, cache=True)
def _sum_up(
    children: NDArray[np.int32], n_nodes: int, n: int, moments: Table, light: Table, peak: Table
) -> None:
    for k in range(n, n_nodes):
        a, b = children[k]
        moments[k] = moments[a] + moments[b]
        light[k] = light[a] + light[b]
        peak[k] = max(peak[a], peak[b])


def moments_of(labels: Labels) -> Table:
    """Return area and sums of y, x, y², x² and xy of objects 1…n without gaps, one row each.

    Examples
    --------
    >>> moments_of(np.array([[1, 1]], np.int32)).tolist()
    [[2.0, 0.0, 1.0, 0.0, 1.0, 0.0]]
    """
    n = int(labels.max()) if labels.size else 0
    nothing = np.zeros(labels.shape, np.float32)
    return np.asarray(_basins(labels, nothing, nothing, n)[0][:n])


def ellipse_fill(moments: Table) -> Table:
    """Return the area over that of the ellipse with the same second moments: 1 for ellipses, less for clumps.

    Notes
    -----
    An ellipse of covariance C has the area 4 pi sqrt(det C); 1/12 is the variance within a pixel.
    """
    area = moments[:, 0]
    y, x = moments[:, 1] / area, moments[:, 2] / area
    yy = moments[:, 3] / area - y * y + 1 / 12
    xx = moments[:, 4] / area - x * x + 1 / 12
    xy = moments[:, 5] / area - x * y
    return np.asarray(area / (4 * np.pi * np.sqrt(np.maximum(yy * xx - xy * xy, 1e-9))))


def union_descriptors(tree: Hierarchy, diameter: float) -> Table:
    """Return what decides whether unions are cut, one row per union.

    Parameters
    ----------
    diameter
        Typical one of the image's objects, px.

    Returns
    -------
    ndarray of float64, shape (n_unions, 9)
        Logarithms of: ellipse fill of the union, the lower one of its halves, the gain of their mean;
        pass over the lower peak (not a logarithm); length of the seam over the root of the smaller
        half's area; intensity on the seam over that of the dimmer half; areas of the smaller half and
        of the union over the typical one; ratio of the halves' intensities (absolute).
    """
    n = int((tree.children[:, 0] < 0).sum())
    a, b = tree.children[n:, 0], tree.children[n:, 1]
    fill, area = ellipse_fill(tree.moments), tree.moments[:, 0]
    mean = np.maximum(tree.light / area, 1e-6)
    whole, smaller = fill[n:], np.minimum(area[a], area[b])
    halves = (fill[a] * area[a] + fill[b] * area[b]) / area[n:]
    dimmer = np.minimum(mean[a], mean[b])
    length = np.maximum(tree.seam[n:, 0], 1)
    lower = np.maximum(np.minimum(tree.peak[a], tree.peak[b]), 1e-6)
    typical = np.pi * diameter**2 / 4
    return np.column_stack([
        np.log(whole),
        np.log(np.minimum(fill[a], fill[b])),
        np.log(halves / whole),
        tree.saddle[n:] / lower,
        np.log(length / np.sqrt(smaller)),
        np.log(tree.seam[n:, 1] / length / dimmer + 1e-3),
        np.log(smaller / typical),
        np.log(area[n:] / typical),
        np.abs(np.log(mean[a] / mean[b])),
    ])  # fmt: skip


@njit(nogil=True, cache=True)
def _members(children: NDArray[np.int32], cut: NDArray[np.bool_], n: int) -> NDArray[np.int32]:
    """Return the object of each basin; a union that isn't cut is one, with all below it."""
    owner = np.zeros(len(children), np.int32)
    count = 0
    for k in range(len(children) - 1, -1, -1):
        if owner[k] == 0 and (k < n or not cut[k - n]):
            count += 1
            owner[k] = count
        if k >= n and owner[k] > 0:
            owner[children[k, 0]] = owner[k]
            owner[children[k, 1]] = owner[k]
    return owner[:n]


def cut(basins: Labels, tree: Hierarchy, is_cut: NDArray[np.bool_]) -> Labels:
    """Return the objects that are left when unions are cut into their halves, from the largest down.

    Parameters
    ----------
    is_cut : ndarray of bool, shape (n_unions,)
        Looked at only where what contains the union is cut too.
    """
    n = len(tree.children) - len(is_cut)
    table: NDArray[Any] = np.zeros(n + 1, np.int32)
    table[1:] = _members(tree.children, np.asarray(is_cut, np.bool_), n)
    return np.asarray(table[basins], np.int32)
