"""Values of children gathered for their parents; entry points: `parents_of`, `aggregate` and `align_rows`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Column = NDArray[np.float64]

DESCRIPTIONS = (
    FeatureDescription(
        "Count_{objects}",
        "number of children: objects that have most of their pixels in this one",
        "",
        "TissueMAPS",
        dimensions=(2, 3),
    ),
    FeatureDescription(
        "Mean_{objects}_{feature}",
        "mean of a feature over the children that have a value",
        "as the feature",
        "TissueMAPS",
        dimensions=(2, 3),
    ),
    FeatureDescription(
        "Std_{objects}_{feature}",
        "standard deviation (of the population) of a feature over the children",
        "as the feature",
        "TissueMAPS",
        dimensions=(2, 3),
    ),
    FeatureDescription(
        "Sum_{objects}_{feature}",
        "sum of a feature over the children; 0 without children",
        "as the feature",
        "TissueMAPS",
        dimensions=(2, 3),
    ),
)


@njit(nogil=True, cache=True)
def _runs(children: Labels, parents: Labels) -> tuple[Labels, Labels, NDArray[np.int64]]:
    """Return child, parent and length of each run of pixels that both have, in the order of memory."""
    size = children.size
    count = 0
    for i in range(size):
        if children[i] > 0 and parents[i] > 0:
            is_first = i == 0 or children[i] != children[i - 1] or parents[i] != parents[i - 1]
            count += 1 if is_first else 0
    child = np.empty(count, np.int32)
    parent = np.empty(count, np.int32)
    length = np.zeros(count, np.int64)
    k = -1
    for i in range(size):
        if children[i] > 0 and parents[i] > 0:
            if i == 0 or children[i] != children[i - 1] or parents[i] != parents[i - 1]:
                k += 1
                child[k] = children[i]
                parent[k] = parents[i]
            length[k] += 1
    return child, parent, length


@operation
def parents_of(children: Labels, parents: Labels) -> NDArray[np.int32]:
    """Return the parent of each child: the object that covers most of its pixels.

    Parameters
    ----------
    children, parents : ndarray of int32, same shape of two or three dimensions
        Objects; 0 is background, which is nobody's parent.

    Returns
    -------
    ndarray of int32, shape (n children,)
        Row i belongs to child i + 1; of parents that cover equally many pixels the lower label,
        0 without one.

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> parents_of(np.array([[1, 1, 1, 0, 3]], np.int32), np.array([[2, 4, 4, 4, 0]], np.int32))
    array([4, 0, 0], dtype=int32)
    """
    if children.shape != parents.shape:
        raise ValueError(f"children of {children.shape} in parents of {parents.shape}")
    n = int(children.max()) if children.size else 0
    found = np.zeros(n, np.int32)
    flat = np.ascontiguousarray(children).ravel(), np.ascontiguousarray(parents).ravel()
    child, parent, length = _runs(*flat)
    if not child.size:
        return found
    pairs, of_run = np.unique(
        child.astype(np.int64) << 32 | parent.astype(np.int64), return_inverse=True
    )
    covered = np.bincount(of_run, weights=length)
    child, parent = (pairs >> 32).astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32)
    # the last that is written stays: the one with most pixels, of these the lowest
    order = np.lexsort((-parent, covered))
    found[child[order] - 1] = parent[order]
    return found


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Statistics of a value over the children of each parent; rows by label - 1."""

    mean: Column
    std: Column
    sum: Column


def count_children(parents: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Return how many children each of the parents 1…n has.

    Examples
    --------
    >>> count_children(np.array([2, 0, 2], np.int32), 3)
    array([0, 2, 0])
    """
    return np.bincount(parents, minlength=n + 1)[1 : n + 1]


def aggregate(values: Column, parents: NDArray[np.int32], n: int) -> Aggregate:
    """Gather a value of children for the parents 1…n.

    Parameters
    ----------
    values : ndarray of float64, shape (n children,)
        NaN for a child without a value: it is left out.
    parents : ndarray of int32, same shape
        Label of each child's parent, 0 for none.

    Returns
    -------
    Aggregate
        Mean and standard deviation (of the population) are NaN without values; the sum is 0
        without children and NaN when no child has a value.

    Examples
    --------
    >>> aggregate(np.array([1.0, 3.0, np.nan]), np.array([2, 2, 1], np.int32), 3).sum
    array([nan,  4.,  0.])
    """
    known = ~np.isnan(values) & (parents > 0)
    owner, value = parents[known], values[known]
    count = np.bincount(owner, minlength=n + 1)[1 : n + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.bincount(owner, weights=value, minlength=n + 1)[1 : n + 1]
        mean = total / count
        squares = np.bincount(owner, weights=(value - mean[owner - 1]) ** 2, minlength=n + 1)
        std = np.sqrt(squares[1 : n + 1] / count)
    is_unknown = (count == 0) & (count_children(parents, n) > 0)
    return Aggregate(mean, std, np.where(is_unknown, np.nan, total))


def align_rows(values: Column, n: int, is_present: NDArray[np.bool_]) -> Column:
    """Return a column for labels 1…n: rows by the same label, NaN where there is none.

    Examples
    --------
    >>> align_rows(np.array([5.0, 6.0]), 3, np.array([False, True, True]))
    array([nan,  6., nan])
    """
    aligned = np.full(n, np.nan)
    common = min(n, values.size)
    aligned[:common] = values[:common]
    aligned[~is_present] = np.nan
    return aligned
