"""Label images; entry points: `label`, `relabel`, `filter_by_area` and `expand_labels`.

Labels are int32, 0 is background. `label` and `relabel` number objects in the order of their first
pixel (top to bottom, left to right), so that equal masks give equal labels on every machine.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.volumes import expand_volume, label_volume
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
    mask : ndarray of bool, shape ([z,] height, width)
        Foreground.
    connectivity
        8 also joins pixels that touch at a corner; in three dimensions 8 stands for all 26
        neighbours and 4 for the 6 that share a side.

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
    if mask.ndim == 3:
        return relabel(label_volume(mask, 6 if connectivity == 4 else 26))
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
    return _renumbered(labels, n, np.ones(n + 1, np.bool_))


def _renumbered(labels: Labels, n: int, keep: NDArray[np.bool_]) -> Labels:
    """Renumber kept labels of an image of any dimensions; planes follow each other."""
    rows = np.ascontiguousarray(labels).reshape(-1, max(1, labels.shape[-1]))
    dense: Labels = _relabel(rows, n, keep)[0].reshape(labels.shape)
    return dense


def objects_of(image: NDArray[Any]) -> Labels:
    """Return labels as they are, and of a mask its numbered parts.

    Examples
    --------
    >>> objects_of(np.array([[True, False, True]]))
    array([[1, 0, 2]], dtype=int32)
    """
    return label(image) if image.dtype == np.bool_ else image


@njit(nogil=True, cache=True)
def _root(parents: NDArray[np.int32], k: int) -> int:
    """Return the number that stands for a set of numbers, and shorten the way to it."""
    root = k
    while parents[root] != root:
        root = parents[root]
    while parents[k] != root:
        parents[k], k = root, parents[k]
    return root


@njit(nogil=True, cache=True)
def _join(parents: NDArray[np.int32], a: int, b: int) -> int:
    """Make one set of two; the lower number stands for it."""
    a, b = _root(parents, a), _root(parents, b)
    low, high = min(a, b), max(a, b)
    parents[high] = low
    return low


@njit(nogil=True, cache=True)
def _split(labels: Labels, diagonal: bool) -> Labels:
    """Give connected parts of equal labels numbers, in the order of their first pixels."""
    height, width = labels.shape
    result = np.zeros((height, width), np.int32)
    parents = np.zeros(4096, np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            own = labels[y, x]
            if own == 0:
                continue
            k = np.int32(0)
            if x > 0 and labels[y, x - 1] == own:
                k = result[y, x - 1]
            if y > 0:
                for q in range(x - 1 if diagonal else x, x + 2 if diagonal else x + 1):
                    if 0 <= q < width and labels[y - 1, q] == own:
                        other = result[y - 1, q]
                        k = other if k == 0 else np.int32(_join(parents, int(k), int(other)))
            if k == 0:
                n += 1
                if n == parents.size:
                    parents = np.append(parents, np.zeros(parents.size, np.int32))
                parents[n] = n
                k = np.int32(n)
            result[y, x] = k
    return _in_order(result, parents)


@njit(nogil=True, cache=True)
def _in_order(parts: Labels, parents: NDArray[np.int32]) -> Labels:
    """Renumber sets of provisional numbers by their first pixels."""
    new = np.zeros(parents.size, np.int32)
    count = 0
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            if parts[y, x] == 0:
                continue
            root = _root(parents, parts[y, x])
            if new[root] == 0:
                count += 1
                new[root] = count
            parts[y, x] = new[root]
    return parts


@operation
def split_parts(labels: NDArray[Any], connectivity: Literal[4, 8] = 8) -> Labels:
    """Give every connected part of a mask or of an object a number of its own.

    Parameters
    ----------
    labels : ndarray of bool or int32, shape ([z,] height, width)
        A mask, or objects; those that touch stay apart.
    connectivity
        As in `label`.

    Examples
    --------
    >>> split_parts(np.array([[3, 3, 2, 0, 3]], np.int32))
    array([[1, 1, 2, 0, 3]], dtype=int32)
    """
    if labels.dtype == np.bool_ or not labels.size:
        return label(labels, connectivity)
    if labels.ndim == 2:
        values = np.ascontiguousarray(labels, np.int32)
        split: Labels = _split(values, connectivity == 8)
        return split
    from skimage.measure import label as by_value

    parts = by_value(labels, background=0, connectivity=1 if connectivity == 4 else labels.ndim)  # type: ignore[no-untyped-call]
    return relabel(parts.astype(np.int32))


@operation
def filter_by_area(labels: Labels, min_area: float = 0, max_area: float | None = None) -> Labels:
    """Remove objects outside a range of areas and renumber the rest.

    Parameters
    ----------
    labels : ndarray of int32, shape ([z,] height, width)
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
    return _renumbered(labels, n, keep)


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


# Costs are squared distance * _ONE + label: of equally near objects the lower label costs least.
_ONE = np.int64(1 << 31)


@njit(nogil=True, cache=True)
def _envelope(
    distance: NDArray[np.int32],
    source: Labels,
    limit: int,
    centres: NDArray[np.int64],
    heights: NDArray[np.int64],
    reach: NDArray[np.int64],
) -> int:
    """Lower envelope over a row of the costs from each column; returns how many parts it has."""
    width = distance.size
    n = 0
    for q in range(width):
        if distance[q] > limit:
            continue
        height = np.int64(distance[q]) ** 2 * _ONE + source[q]
        from_x = np.int64(0)
        while n > 0:
            p = centres[n - 1]
            # first column from which the cost from q is below that from p
            cut = (_ONE * (q * q - p * p) + height - heights[n - 1]) // (2 * _ONE * (q - p)) + 1
            if cut > reach[n - 1]:
                from_x = cut
                break
            n -= 1
        if from_x < width:
            centres[n], heights[n], reach[n] = q, height, from_x
            n += 1
    return n


@njit(nogil=True, cache=True)
def _expand(labels: Labels, limit: int, limit_squared: float) -> Labels:
    height, width = labels.shape
    distance, source = _nearest_in_column(labels, limit)
    result = labels.copy()
    centres = np.empty(width, np.int64)
    heights = np.empty(width, np.int64)
    reach = np.empty(width, np.int64)
    for y in range(height):
        n = _envelope(distance[y], source[y], limit, centres, heights, reach)
        for k in range(n):
            q = centres[k]
            end = reach[k + 1] if k + 1 < n else width
            own = np.int64(distance[y, q]) ** 2
            for x in range(max(reach[k], q - limit), min(end, q + limit + 1)):
                if labels[y, x] == 0 and (x - q) ** 2 + own <= limit_squared:
                    result[y, x] = source[y, q]
    return result


@operation
def expand_labels(labels: Labels, distance: float) -> Labels:
    """Grow objects into the background without overlap.

    Parameters
    ----------
    labels : ndarray of int32, shape ([z,] height, width)
        Objects.
    distance
        How far a pixel may lie from its object's nearest pixel (Euclidean, between centres), px.

    Returns
    -------
    ndarray of int32, same shape
        A background pixel takes the label of the nearest object; of equally near ones the lower
        label. Otherwise as ``skimage.segmentation.expand_labels``.

    Notes
    -----
    Distances along columns, then per row the lower envelope of parabolas (A. Meijster, J. Roerdink,
    W. Hesselink, 2000) of whole numbers that hold distance and label, so that its cost does not grow
    with the distance.

    Examples
    --------
    >>> expand_labels(np.array([[1, 0, 0, 0, 0, 2]], np.int32), 1.5)
    array([[1, 1, 0, 0, 2, 2]], dtype=int32)
    """
    if labels.ndim == 3:
        return expand_volume(labels, distance)
    limit = int(distance)
    if limit < 1 or not labels.size:
        return labels.copy()
    grown: Labels = _expand(np.ascontiguousarray(labels, np.int32), limit, float(distance) ** 2)
    return grown


def as_labels(image: NDArray[Any]) -> Labels:
    """Take the values of an image for numbers of objects.

    Parameters
    ----------
    image : ndarray, any real dtype
        Whole numbers; what isn't finite is background.

    Raises
    ------
    UserError
        A value is negative, no whole number or too large (``no_labels``).

    Examples
    --------
    >>> as_labels(np.array([0.0, 3.0, np.nan]))
    array([0, 3, 0], dtype=int32)
    """
    values = np.nan_to_num(image, nan=0, posinf=0, neginf=0) if image.dtype.kind == "f" else image
    with np.errstate(invalid="ignore"):
        labels: Labels = values.astype(np.int32)
    if not np.array_equal(labels, values) or (labels.size and labels.min() < 0):
        told = "its values are no numbers of objects: those are whole, from 0 to 2,147,483,647"
        raise UserError(told, code="no_labels")
    return labels


@operation
def lookup(labels: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Replace each label by its entry in a table indexed by label; labels beyond its end become 0."""
    if not labels.size:
        return np.zeros(labels.shape, table.dtype)
    missing = int(labels.max()) + 1 - table.size
    if missing > 0:
        table = np.concatenate([table, np.zeros(missing, table.dtype)])
    return np.asarray(table[labels])
