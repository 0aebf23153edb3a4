"""How the objects of two label images lie to each other; entry points: `overlaps`, `centroids`, `at_border`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, lookup
from gpu_workers.xp import operation


def highest(labels: Labels) -> int:
    """Return the highest label, 0 without objects."""
    return int(labels.max()) if labels.size else 0


def areas(labels: Labels) -> NDArray[np.int64]:
    """Return the number of pixels of each label, row i for label i + 1."""
    return np.bincount(labels.ravel(), minlength=1)[1:]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of objects that share pixels, sorted by the first, then the second.

    Attributes
    ----------
    first, second
        Labels in either image.
    n_pixels
        How many pixels they share.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n_pixels: NDArray[np.int64]


@operation
def overlaps(first: Labels, second: Labels) -> Overlaps:
    """Return which objects of two label images overlap.

    Parameters
    ----------
    first, second : ndarray of int32, the same shape
        Objects 1…n; 0 is background.

    Examples
    --------
    >>> overlaps(np.array([1, 1, 2, 0], np.int32), np.array([5, 5, 5, 5], np.int32)).n_pixels
    array([2, 1])
    """
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    width = highest(second) + 1
    pairs, counts = _counted(a * width + b, (highest(first) + 1) * width)
    return Overlaps(pairs // width, pairs % width, counts)


def _counted(keys: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the values that occur and how often; a table is faster than sorting while it is small."""
    if n <= 4 * keys.size + 1024:
        counts = np.bincount(keys, minlength=1)
        found = np.flatnonzero(counts)
        return found, counts[found]
    values, counts = np.unique(keys, return_counts=True)
    return values, counts


@operation
def centroids(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean place of each object's pixels.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects 1…n.

    Returns
    -------
    ndarray of float64, shape (n, dimensions)
        px (planes); NaN for a label that doesn't occur.

    Examples
    --------
    >>> centroids(np.array([[1, 1, 0], [0, 0, 3]], np.int32))
    array([[0. , 0.5],
           [nan, nan],
           [1. , 2. ]])
    """
    n = highest(labels)
    pixels = np.flatnonzero(labels)
    own = labels.ravel()[pixels] - 1
    size = np.bincount(own, minlength=n)
    place = np.empty((n, labels.ndim))
    for axis, index in enumerate(np.unravel_index(pixels, labels.shape)):
        with np.errstate(invalid="ignore", divide="ignore"):
            place[:, axis] = np.bincount(own, index, n) / size
    return place


@operation
def at_border(labels: Labels, distance: int = 0) -> NDArray[np.bool_]:
    """Return which objects have a pixel at the edge of the image, or that near to it.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects 1…n. Above and below a stack is no edge.
    distance
        How many pixels may lie between an object and the edge.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> at_border(np.array([[0, 0, 0], [0, 1, 2], [0, 0, 0]], np.int32))
    array([False,  True])
    """
    near = np.zeros(highest(labels) + 1, np.bool_)
    depth = distance + 1
    for edge in (
        labels[..., :depth, :],
        labels[..., -depth:, :],
        labels[..., :depth],
        labels[..., -depth:],
    ):
        near[edge] = True
    return near[1:]


@operation
def without(labels: Labels, dropped: NDArray[np.bool_]) -> Labels:
    """Return the objects that aren't dropped, with their numbers.

    Parameters
    ----------
    labels : ndarray of int32, any shape
        Objects 1…n.
    dropped : ndarray of bool, shape (n,)
        Row i for label i + 1.

    Examples
    --------
    >>> without(np.array([1, 2, 3], np.int32), np.array([True, False, True]))
    array([0, 2, 0], dtype=int32)
    """
    numbers = np.arange(dropped.size + 1, dtype=np.int32)
    numbers[1:][dropped] = 0
    return np.asarray(lookup(labels, numbers))
