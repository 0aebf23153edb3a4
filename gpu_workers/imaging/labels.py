"""Label images; entry points: `label`, `relabel`, `filter_by_area` and `expand_labels`.

Labels are int32, 0 is background. `label` and `relabel` number objects in the order of their first
pixel (top to bottom, left to right), so that equal masks give equal labels on every machine.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

Labels = NDArray[np.int32]


@njit(nogil=True, cache=True)
def _relabel(labels: Labels, n: int, keep: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Renumber kept labels by first appearance; the others become 0."""
    height, width = labels.shape
    new = np.zeros(n + 1, np.int32)
    result = np.zeros((height, width), np.int32)
    count = 0
    for y in range(height):
        for x in range(width):
            old = labels[y, x]
            if old == 0 or not keep[old]:
                continue
            if new[old] == 0:
                count += 1
                new[old] = count
            result[y, x] = new[old]
    return result, count


def _highest(labels: Labels) -> int:
    return int(labels.max()) if labels.size else 0


@operation
def label(mask: NDArray[np.bool_], connectivity: Literal[4, 8] = 8) -> Labels:
    """Give the connected parts of a mask numbers.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)
        Foreground.
    connectivity
        8 also joins pixels that touch at a corner.

    Returns
    -------
    ndarray of int32, same shape
        1…n in the order of first pixels, as ``skimage.measure.label``.

    Examples
    --------
    >>> label(np.array([[1, 0, 1], [0, 1, 0]], bool))
    array([[1, 0, 1],
           [0, 1, 0]], dtype=int32)
    """
    if not mask.size:
        return np.zeros(mask.shape, np.int32)
    n, raw = cv2.connectedComponents(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    ordered: Labels = _relabel(np.asarray(raw, np.int32), n, np.ones(n + 1, np.bool_))[0]
    return ordered


@operation
def relabel(labels: Labels) -> Labels:
    """Renumber labels 1…n without gaps, in the order of first pixels.

    Examples
    --------
    >>> relabel(np.array([[0, 7, 3]], np.int32))
    array([[0, 1, 2]], dtype=int32)
    """
    n = _highest(labels)
    dense: Labels = _relabel(labels, n, np.ones(n + 1, np.bool_))[0]
    return dense


@operation
def filter_by_area(labels: Labels, min_area: float = 0, max_area: float | None = None) -> Labels:
    """Remove objects outside a range of areas and renumber the rest.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects.
    min_area, max_area
        Smallest and largest area that is kept, px; None: no upper limit.

    Returns
    -------
    ndarray of int32, same shape
        Labels 1…n in the order of first pixels.

    Examples
    --------
    >>> filter_by_area(np.array([[1, 0, 2, 2]], np.int32), min_area=2)
    array([[0, 0, 1, 1]], dtype=int32)
    """
    n = _highest(labels)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    keep = areas >= min_area
    if max_area is not None:
        keep &= areas <= max_area
    kept: Labels = _relabel(labels, n, keep)[0]
    return kept


@njit(nogil=True, cache=True)
def _nearest_in_column(labels: Labels, limit: int) -> tuple[NDArray[np.int32], Labels]:
    """Distance along the column to the nearest labelled pixel, and its label."""
    height, width = labels.shape
    far = np.int32(limit + 1)
    distance = np.empty((height, width), np.int32)
    source = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] != 0:
                distance[y, x] = 0
                source[y, x] = labels[y, x]
            elif y > 0 and distance[y - 1, x] < limit:
                distance[y, x] = distance[y - 1, x] + 1
                source[y, x] = source[y - 1, x]
            else:
                distance[y, x] = far
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = distance[y + 1, x] + 1
            if below < distance[y, x] or (
                below == distance[y, x] and below <= limit and source[y + 1, x] < source[y, x]
            ):
                distance[y, x] = below
                source[y, x] = source[y + 1, x]
    return distance, source


@njit(nogil=True, cache=True)
def _expand(labels: Labels, limit: int, limit_squared: float) -> Labels:
    height, width = labels.shape
    distance, source = _nearest_in_column(labels, limit)
    result = labels.copy()
    near = np.empty(width + 1, np.int32)
    for y in range(height):
        # how many columns up to x hold a candidate: empty windows cost nothing
        near[0] = 0
        for x in range(width):
            near[x + 1] = near[x] + (1 if distance[y, x] <= limit else 0)
        for x in range(width):
            if labels[y, x] != 0:
                continue
            first, last = max(0, x - limit), min(width - 1, x + limit)
            if near[last + 1] == near[first]:
                continue
            best = np.int64(1 << 60)
            owner = np.int32(0)
            for q in range(first, last + 1):
                if distance[y, q] > limit:
                    continue
                squared = np.int64(q - x) ** 2 + np.int64(distance[y, q]) ** 2
                if squared < best or (squared == best and source[y, q] < owner):
                    best = squared
                    owner = source[y, q]
            if best <= limit_squared:
                result[y, x] = owner
    return result


@operation
def expand_labels(labels: Labels, distance: float) -> Labels:
    """Grow objects into the background without overlap.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects.
    distance
        How far a pixel may lie from its object's nearest pixel (Euclidean, between centres), px.

    Returns
    -------
    ndarray of int32, same shape
        A background pixel takes the label of the nearest object; of equally near ones the lower
        label. Otherwise as ``skimage.segmentation.expand_labels``.

    Examples
    --------
    >>> expand_labels(np.array([[1, 0, 0, 0, 0, 2]], np.int32), 1.5)
    array([[1, 1, 0, 0, 2, 2]], dtype=int32)
    """
    limit = int(distance)
    if limit < 1 or not labels.size:
        return labels.copy()
    grown: Labels = _expand(np.ascontiguousarray(labels, np.int32), limit, float(distance) ** 2)
    return grown


@operation
def lookup(labels: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Replace each label by its entry in a table indexed by label; labels beyond its end become 0."""
    if not labels.size:
        return np.zeros(labels.shape, table.dtype)
    missing = int(labels.max()) + 1 - table.size
    if missing > 0:
        table = np.concatenate([table, np.zeros(missing, table.dtype)])
    return np.asarray(table[labels])
