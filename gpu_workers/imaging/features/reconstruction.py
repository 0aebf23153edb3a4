"""Erosion by a cross and growing back under an image; entry points: `erode_cross`, `reconstruct`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2

Image = NDArray[np.float64]

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def erode_cross(image: Image) -> Image:
    """Return the least of each pixel and its four neighbours within the image.

    Examples
    --------
    >>> erode_cross(np.array([[3.0, 1.0, 2.0]]))
    array([[1., 1., 1.]])
    """
    return np.asarray(cv2.erode(image, _CROSS), np.float64)


@njit(nogil=True, cache=True)
def _sweep(result: Image, limit: Image) -> None:
    """Carry values down and right, then up and left, as far as the limit lets them."""
    height, width = result.shape
    for y in range(height):
        for x in range(width):
            value = result[y, x]
            if y > 0:
                value = max(value, result[y - 1, x])
            if x > 0:
                value = max(value, result[y, x - 1])
            result[y, x] = min(value, limit[y, x])
    for y in range(height - 1, -1, -1):
        for x in range(width - 1, -1, -1):
            value = result[y, x]
            if y < height - 1:
                value = max(value, result[y + 1, x])
            if x < width - 1:
                value = max(value, result[y, x + 1])
            result[y, x] = min(value, limit[y, x])


@njit(nogil=True, cache=True)
def _can_raise(result: Image, limit: Image, y: int, x: int) -> bool:
    """Return whether a pixel can raise its neighbour below or to the right."""
    value = result[y, x]
    if y < result.shape[0] - 1 and result[y + 1, x] < min(value, limit[y + 1, x]):
        return True
    return x < result.shape[1] - 1 and bool(result[y, x + 1] < min(value, limit[y, x + 1]))


@njit(nogil=True, cache=True)
def _spread(result: Image, limit: Image) -> None:
    """Finish what the sweeps left: follow every pixel that can still raise a neighbour.

    First in, first out; no pixel waits twice, so that the ring never overflows.
    """
    height, width = result.shape
    ring = np.empty(result.size, np.int64)
    waits = np.zeros(result.size, np.bool_)
    first, count = 0, 0
    for y in range(height):
        for x in range(width):
            if _can_raise(result, limit, y, x):
                ring[count] = y * width + x
                waits[y * width + x] = True
                count += 1
    while count > 0:
        position = ring[first]
        first = first + 1 if first + 1 < ring.size else 0
        count -= 1
        waits[position] = False
        y, x = position // width, position % width
        value = result[y, x]
        for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            row, column = y + dy, x + dx
            if not (0 <= row < height and 0 <= column < width):
                continue
            raised = min(value, limit[row, column])
            if result[row, column] < raised:
                result[row, column] = raised
                there = row * width + column
                if not waits[there]:
                    waits[there] = True
                    ring[(first + count) % ring.size] = there
                    count += 1


@njit(nogil=True, cache=True)
def reconstruct(seed: Image, limit: Image) -> Image:
    """Grow an image under another one: the reconstruction by dilation with 4 neighbours.

    Parameters
    ----------
    seed : ndarray of float64, shape (height, width)
        Nowhere above the limit.
    limit : ndarray of float64, same shape
        What the result stays below.

    Returns
    -------
    ndarray of float64, same shape
        Equal to ``skimage.morphology.reconstruction`` with a cross.

    Notes
    -----
    Sweeps over the image, then a queue (L. Vincent, IEEE Trans. Image Proc. 2, 1993).

    Examples
    --------
    >>> reconstruct(np.array([[0.0, 2.0, 0.0]]), np.array([[1.0, 3.0, 0.5]]))
    array([[1. , 2. , 0.5]])
    """
    result = seed.copy()
    for _ in range(2):
        _sweep(result, limit)
    _spread(result, limit)
    return result
