"""Shapes of masks; entry points: `fill_holes`, `distance_transform` and `peaks`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation


@operation
def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill background that no 4-connected way leads out of to the image's edge.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)
        Foreground.

    Returns
    -------
    ndarray of bool, same shape
        Equal to ``scipy.ndimage.binary_fill_holes``.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> bool(fill_holes(ring).all())
    True
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    cv2.floodFill(padded, None, (0, 0), 2)
    filled: NDArray[np.bool_] = padded[1:-1, 1:-1] != 2
    return filled


@njit(nogil=True, cache=True)
def _column_distances(labels: NDArray[Any], outside: bool) -> NDArray[np.int32]:
    """Distance along its column from each labelled pixel to the nearest pixel of another label."""
    height, width = labels.shape
    beyond = np.int32(0 if outside else 1 << 14)
    distance = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0:
                continue
            above = beyond
            if y > 0:
                above = distance[y - 1, x] if labels[y, x] == labels[y - 1, x] else np.int32(0)
            distance[y, x] = above + 1
    for y in range(height - 1, -1, -1):
        for x in range(width):
            if labels[y, x] == 0:
                continue
            below = beyond
            if y < height - 1:
                below = distance[y + 1, x] if labels[y, x] == labels[y + 1, x] else np.int32(0)
            distance[y, x] = min(distance[y, x], below + 1)
    return distance


@njit(nogil=True, cache=True)
def _run_distances(
    columns: NDArray[np.int32],
    y: int,
    first: int,
    last: int,
    ends: tuple[bool, bool],
    centres: NDArray[np.int64],
    heights: NDArray[np.int64],
    reach: NDArray[np.int64],
    result: NDArray[np.float32],
) -> None:
    """Lower envelope of parabolas over one run [first, last] of one label in one row."""
    n = -1
    start = first - 1 if ends[0] else first
    stop = last + 1 if ends[1] else last
    for q in range(start, stop + 1):
        f = np.int64(0) if q < first or q > last else np.int64(columns[y, q]) ** 2
        from_x = np.int64(start)
        while n >= 0:
            p = centres[n]
            # first integer from which the parabola at q lies below the one at p
            cut = (q * q - p * p + f - heights[n]) // (2 * (q - p)) + 1
            if cut > reach[n]:
                from_x = cut
                break
            n -= 1
        if from_x <= stop:
            n += 1
            centres[n] = q
            heights[n] = f
            reach[n] = from_x
    k = 0
    for x in range(first, last + 1):
        while k < n and reach[k + 1] <= x:
            k += 1
        result[y, x] = np.sqrt(np.float64(heights[k] + (x - centres[k]) ** 2))


@njit(nogil=True, cache=True)
def _label_distances(labels: NDArray[Any], outside: bool) -> NDArray[np.float32]:
    height, width = labels.shape
    columns = _column_distances(labels, outside)
    result = np.zeros((height, width), np.float32)
    centres = np.empty(width + 2, np.int64)
    heights = np.empty(width + 2, np.int64)
    reach = np.empty(width + 2, np.int64)
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            if label == 0:
                x += 1
                continue
            first = x
            while x < width and labels[y, x] == label:
                x += 1
            ends = (first > 0 or outside, x < width or outside)
            _run_distances(columns, y, first, x - 1, ends, centres, heights, reach, result)
    return result


@operation
def distance_transform(labels: NDArray[Any], *, outside: bool = False) -> NDArray[np.float32]:
    """Return the exact Euclidean distance of each object pixel to the nearest pixel that isn't its object's.

    Parameters
    ----------
    labels : ndarray, shape (height, width), bool or integer
        A mask, or labels; 0 is background. Touching objects limit each other.
    outside
        Whether what lies beyond the image's edge counts as background.

    Returns
    -------
    ndarray of float32, same shape
        Distances between pixel centres, px; 0 in the background. For a mask equal to
        ``scipy.ndimage.distance_transform_edt``. If nothing else is in the image (and `outside` is
        False) all distances are at least 16,384.

    Notes
    -----
    Distances along columns, then per run of a row the lower envelope of parabolas (A. Meijster,
    J. Roerdink, W. Hesselink, 2000), in integers.

    Examples
    --------
    >>> distance_transform(np.array([[0, 1, 1, 1, 0]]))
    array([[0., 1., 2., 1., 0.]], dtype=float32)
    """
    values = labels.view(np.uint8) if labels.dtype == np.bool_ else labels
    if not values.size:
        return np.zeros(values.shape, np.float32)
    distances: NDArray[np.float32] = _label_distances(np.ascontiguousarray(values), outside)
    return distances


@operation
def peaks(
    image: NDArray[np.float32], min_distance: int, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return the pixels that are the highest within a square of ``2 min_distance + 1`` px.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        Heights.
    min_distance
        Half the side of the square, px.
    mask : ndarray of bool, optional
        Where peaks may lie; by default where the image is positive.

    Returns
    -------
    ndarray of bool, same shape
        A plateau is marked as a whole.

    Examples
    --------
    >>> peaks(np.array([[0, 1, 3, 1, 0, 2, 0]], np.float32), 1)
    array([[False, False,  True, False, False,  True, False]])
    """
    side = 2 * int(min_distance) + 1
    values = np.ascontiguousarray(image, np.float32)
    if not values.size:
        return np.zeros(values.shape, bool)
    highest = cv2.dilate(values, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    found: NDArray[np.bool_] = (values == highest) & (values > 0 if mask is None else mask)
    return found
