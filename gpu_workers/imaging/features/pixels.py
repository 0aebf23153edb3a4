"""The pixels of each object; entry points: `object_pixels`, `flat_values`, `with_nan`, `boxes_of`.

Families that need an object's pixels more than once go through these lists instead of through boxes:
objects may touch, lie in each other's boxes or consist of parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ObjectPixels:
    """Pixels sorted by object: 4 bytes a pixel and 8 an object.

    Attributes
    ----------
    start : ndarray of int64, shape (n + 1,)
        Pixels of label k are ``position[start[k - 1] : start[k]]``; none for a missing label.
    position : ndarray of uint32
        Place in the raveled image; rising within an object.
    """

    start: NDArray[np.int64]
    position: NDArray[np.uint32]

    @property
    def area(self) -> NDArray[np.int64]:
        """Number of pixels of each label."""
        return np.diff(self.start)


@njit(nogil=True, cache=True)
def _sorted_pixels(labels: Labels, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    start = np.zeros(n + 1, np.int64)
    for label in labels:
        if label > 0:
            start[label] += 1
    for k in range(n):
        start[k + 1] += start[k]
    fill = start[:n].copy()
    position = np.empty(start[n], np.uint32)
    for i in range(labels.size):
        if labels[i] > 0:
            k = labels[i] - 1
            position[fill[k]] = i
            fill[k] += 1
    return start, position


@operation
def object_pixels(labels: Labels) -> ObjectPixels:
    """Return the pixels of every object.

    Parameters
    ----------
    labels : ndarray of int32, two or three dimensions
        Objects; 0 is background, numbers may be missing.

    Examples
    --------
    >>> object_pixels(np.array([[3, 1, 1]], np.int32)).start
    array([0, 2, 2, 3])
    """
    n = int(labels.max()) if labels.size else 0
    return ObjectPixels(*_sorted_pixels(np.ascontiguousarray(labels).reshape(-1), n))


def flat_values(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the raveled image as float64: kernels are compiled for one type of pixels only.

    Examples
    --------
    >>> flat_values(np.array([[1, 2]], np.uint8))
    array([1., 2.])
    """
    return np.ascontiguousarray(image, np.float64).reshape(-1)


def with_nan(labels: Labels, *images: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each label whether one of its pixels is NaN in one of the images.

    Raises
    ------
    ValueError
        An image has another shape than the labels.

    Examples
    --------
    >>> with_nan(np.array([[1, 2]], np.int32), np.array([[np.nan, 1.0]]))
    array([ True, False])
    """
    n = int(labels.max()) if labels.size else 0
    found = np.zeros(n + 1, np.bool_)
    for image in images:
        if image.shape != labels.shape:
            raise ValueError(f"labels of {labels.shape} on an image of {image.shape}")
        if image.dtype.kind == "f":
            found[labels[np.isnan(image)]] = True
    return found[1:]


@njit(nogil=True, cache=True)
def _boxes(start: NDArray[np.int64], position: NDArray[np.uint32], width: int) -> NDArray[np.int32]:
    n = start.size - 1
    boxes = np.zeros((n, 4), np.int32)
    for k in range(n):
        if start[k] == start[k + 1]:
            continue
        left, right = np.int64(width), np.int64(0)
        for i in range(start[k], start[k + 1]):
            x = np.int64(position[i]) % width
            left = min(left, x)
            right = max(right, x + 1)
        boxes[k, 0] = np.int64(position[start[k]]) // width
        boxes[k, 1] = left
        boxes[k, 2] = np.int64(position[start[k + 1] - 1]) // width + 1
        boxes[k, 3] = right
    return boxes


def boxes_of(pixels: ObjectPixels, width: int) -> NDArray[np.int32]:
    """Return the box (y0, x0, y1, x1) of every object in an image of two dimensions; 0 for none.

    Examples
    --------
    >>> boxes_of(object_pixels(np.array([[0, 1, 1], [0, 0, 1]], np.int32)), 3)
    array([[0, 1, 2, 3]], dtype=int32)
    """
    found: NDArray[np.int32] = _boxes(pixels.start, pixels.position, width)
    return found
