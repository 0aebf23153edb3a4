"""Patterns of small objects within larger ones; entry point: `point_pattern`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.aggregates import parents_of
from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.xp import operation

Column = NDArray[np.float64]

_RELATIVE = "that over the area of the reference object"
_FORMULAS = {
    "distance-to-border": "distance of the centroid's pixel from what isn't the reference object",
    "distance-to-nearest-neighbor": "distance of the nearest centroid in the same reference object",
    "mean-{}distance-to-neighbors": "mean distance of the other centroids in the reference object",
    "std-{}distance-to-neighbors": "standard deviation (of the population) of these distances",
}


def _descriptions() -> tuple[FeatureDescription, ...]:
    found = []
    squared = {"TissueMAPS before 2020": "the square of the distance"}
    for name, formula in _FORMULAS.items():
        differs = squared if name.endswith("border") else {}
        for kind in ("absolute-", "relative-"):
            full = name.format(kind) if "{}" in name else f"{kind}{name}"
            is_absolute = kind == "absolute-"
            text = f"{formula}; also in µm" if is_absolute else f"{formula}: {_RELATIVE}"
            unit = "px" if is_absolute else "px⁻¹"
            found.append(
                FeatureDescription(
                    f"PointPattern_{full}", text, unit, "TissueMAPS", differs=differs
                )
            )
    return tuple(found)


DESCRIPTIONS = _descriptions()
NAMES = tuple(d.name.removeprefix("PointPattern_") for d in DESCRIPTIONS)


@njit(nogil=True, cache=True)
def _among(y: Column, x: Column, start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return nearest, mean and standard deviation of distances within groups of points."""
    result = np.full((3, y.size), np.nan)
    for group in range(start.size - 1):
        first, last = start[group], start[group + 1]
        n = last - first - 1
        if n < 1:
            continue
        for i in range(first, last):
            nearest, total = np.inf, 0.0
            for j in range(first, last):
                away = np.hypot(y[i] - y[j], x[i] - x[j])
                total += away
                if j != i:
                    nearest = min(nearest, away)
            mean, squares = total / n, 0.0
            for j in range(first, last):
                if j != i:
                    squares += (np.hypot(y[i] - y[j], x[i] - x[j]) - mean) ** 2
            result[0, i] = nearest
            result[1, i] = mean
            result[2, i] = np.sqrt(squares / n)
    return result


@operation
def point_pattern(labels: Labels, reference: Labels) -> dict[str, Column]:
    """Measure where objects lie in the larger objects that hold them.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects, taken as points at their centroids.
    reference : ndarray of int32, same shape
        Objects that hold them: each belongs to the one that covers most of its pixels.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Names without class (see ``DESCRIPTIONS``), rows by label - 1, px. NaN outside the reference
        objects, and where there is no other point in the same one. A centroid that doesn't lie in
        the reference object has the distance 0 to its border.

    Examples
    --------
    >>> cell = np.ones((3, 9), np.int32)
    >>> spots = np.zeros((3, 9), np.int32)
    >>> spots[1, 1], spots[1, 4] = 1, 2
    >>> point_pattern(spots, cell)["absolute-distance-to-nearest-neighbor"]
    array([3., 3.])
    """
    geometry = region_geometry(labels)
    parent = parents_of(labels, reference)
    n = parent.size
    columns = {name: np.full(n, np.nan) for name in NAMES}
    inside = np.flatnonzero(parent > 0)
    if not inside.size:
        return columns
    order = inside[np.argsort(parent[inside], kind="stable")]
    owner, y, x = parent[order], geometry.y[order], geometry.x[order]
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    depth = distance_transform(reference, outside=True)[row, column].astype(np.float64)
    border = np.where(reference[row, column] == owner, depth, 0.0)
    start = np.concatenate([[0], np.flatnonzero(np.diff(owner)) + 1, [owner.size]])
    nearest, mean, std = _among(y, x, start)
    area = np.bincount(reference.ravel())[owner]
    # in the order of the names: absolute, then relative
    for k, values in enumerate((border, nearest, mean, std)):
        columns[NAMES[2 * k]][order] = values
        columns[NAMES[2 * k + 1]][order] = values / area
    return columns
