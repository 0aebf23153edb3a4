"""Places of fields of view from the shifts of neighbours; entry points: `neighbours`, `solve_positions`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEAST_SIDE = 16
"""Nominal overlaps narrower than this (px) are not compared."""

_NOISE = 0.3  # px: how far a good measurement is off
_JITTER = 6.0  # times the usual deviation of distances from their common tilt: beyond it, an error
_ANCHOR = 1e-6  # weight of nominal places: decides only what distances leave open
_ROUNDS = 30
_SCALES = np.geomspace(16, 1, 12)  # px: distances of disbelief, from lenient to strict
_OUTLIER = 3.0  # px; and so many times the usual residual


@dataclass(frozen=True, slots=True)
class Stitched:
    """Places that fit the measured distances best.

    Attributes
    ----------
    positions : ndarray of float64, shape (n, 2)
        Upper left corners (y, x), px.
    used : ndarray of bool, shape (m,)
        Measurements that agree with the rest.
    residual : ndarray of float64, shape (m,)
        How far (px) each measurement is from the distance of the places found; NaN where there is
        none.
    tilt : ndarray of float64, shape (2, 2)
        Measured distances are about ``(1 + tilt) @ nominal``: turn, scale and shear of the stage
        against the camera.
    """

    positions: Numbers
    used: NDArray[np.bool_]
    residual: Numbers
    tilt: Numbers


def neighbours(
    boxes: NDArray[np.integer], groups: NDArray[np.integer], least: int = LEAST_SIDE
) -> NDArray[np.int64]:
    """Return the pairs of fields of a group that share a side's worth of pixels.

    Parameters
    ----------
    boxes : ndarray, shape (n, 4)
        y, x, height, width of each field, px.
    groups : ndarray, shape (n,)
        Only fields of equal groups (wells) are paired.
    least
        Least width of an overlap, px.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Ascending pairs of row numbers. Diagonal neighbours, whose overlap is shorter than a third of
        either side, are left out.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 100, 100], [0, 80, 100, 100], [80, 0, 100, 100]])
    >>> neighbours(boxes, np.zeros(3, int)).tolist()
    [[0, 1], [0, 2]]
    """
    from scipy.spatial import cKDTree

    if len(boxes) < 2:
        return np.empty((0, 2), np.int64)
    corner, size = boxes[:, :2].astype(float), boxes[:, 2:].astype(float)
    tree = cKDTree(corner + size / 2)
    pairs = tree.query_pairs(float(size.max()), p=np.inf, output_type="ndarray").astype(np.int64)
    a, b = pairs[:, 0], pairs[:, 1]
    shared = np.minimum(corner[a] + size[a], corner[b] + size[b]) - np.maximum(corner[a], corner[b])
    beside = (shared / np.minimum(size[a], size[b])).max(axis=1, initial=0) >= 1 / 3
    kept = (groups[a] == groups[b]) & (shared.min(axis=1, initial=np.inf) >= least) & beside
    chosen = np.sort(pairs[kept], axis=1)
    return chosen[np.lexsort((chosen[:, 1], chosen[:, 0]))]


def _tilt(nominal: Numbers, measured: Numbers, weight: Numbers) -> Numbers:
    """Return the matrix by which measured distances differ from nominal ones, whatever a few say.

    Least absolute deviations by reweighting; what the distances don't determine is zero.
    """
    scale = float(np.abs(nominal).max(initial=1.0))
    design, deviation = nominal / scale, measured - nominal
    matrix: Numbers = np.zeros((2, 2))
    robust = np.ones(len(nominal))
    for _ in range(_ROUNDS):
        w = np.sqrt(weight * robust)[:, None]
        matrix = np.asarray(np.linalg.lstsq(design * w, deviation * w, rcond=1e-6)[0])
        residual = np.linalg.norm(deviation - design @ matrix, axis=1)
        robust = 1 / np.maximum(residual, 0.1)
    return np.asarray(matrix.T / scale)


def _solve(
    anchor: Numbers, pairs: NDArray[np.int64], distance: Numbers, weight: Numbers
) -> Numbers:
    """Return the places of least squares: weighted distances of pairs, and weakly the anchors."""
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import splu

    n = len(anchor)
    a, b = pairs.T
    rows, columns = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    values = np.concatenate([weight, weight, -weight, -weight])
    matrix = coo_matrix((values, (rows, columns)), shape=(n, n)).tocsc() + _ANCHOR * identity(n)
    right = _ANCHOR * anchor
    np.add.at(right, b, weight[:, None] * distance)
    np.add.at(right, a, -weight[:, None] * distance)
    return np.asarray(splu(matrix.tocsc()).solve(right))


def solve_positions(
    nominal: Numbers,
    pairs: NDArray[np.int64],
    measured: Numbers,
    confidence: Numbers,
    least_confidence: float = 0.1,
) -> Stitched:
    """Return the places of all fields that agree best with the measured distances of neighbours.

    Parameters
    ----------
    nominal : ndarray, shape (n, 2)
        Places (y, x) by the stage, px.
    pairs : ndarray of int, shape (m, 2)
        Neighbours, also those whose distance could not be measured.
    measured : ndarray, shape (m, 2)
        Place of the second minus place of the first of each pair, px.
    confidence : ndarray, shape (m,)
        0 to 1; below `least_confidence` the measurement is not looked at.

    Returns
    -------
    Stitched
        The centre of gravity of all places stays where it was. Fields without a believed
        measurement keep the place that their neighbours' turn and scale give them; fields without a
        neighbour keep theirs.

    Notes
    -----
    Least squares over all distances, reweighted by Geman and McClure's function, whose scale falls
    from 16 px to the noise of the measurements: wrong ones lose their weight one after the other.
    Every pair has besides a distance that follows from the nominal one and the tilt common to all,
    with a weight, by how far the stage misses it, that matters only where nothing was measured;
    measurements farther from it than six times the usual are not looked at.

    Examples
    --------
    >>> nominal = np.array([[0.0, 0], [0, 90], [0, 180]])
    >>> pairs = np.array([[0, 1], [1, 2]])
    >>> found = solve_positions(nominal, pairs, np.array([[2.0, 91], [2, 91]]), np.ones(2))
    >>> np.diff(found.positions, axis=0).round(3)
    array([[ 2., 91.],
           [ 2., 91.]])
    """
    nominal = np.asarray(nominal, np.float64)
    told = np.asarray(confidence >= least_confidence) & np.isfinite(measured).all(axis=1)
    residual = np.full(len(pairs), np.nan)
    if not told.any():
        return Stitched(nominal.copy(), told, residual, np.zeros((2, 2)))
    between = nominal[pairs[:, 1]] - nominal[pairs[:, 0]]
    tilt = _tilt(between[told], measured[told], confidence[told])
    expected = between + between @ tilt.T
    miss = np.linalg.norm(measured - expected, axis=1)
    jitter = max(float(np.median(miss[told])), _NOISE)
    believed = told & ~(miss > max(_JITTER * jitter, _OUTLIER))
    everything = np.concatenate([pairs, pairs[believed]])
    distance = np.concatenate([expected, measured[believed]])
    prior = np.full(len(pairs), 0.1 * (_NOISE / jitter) ** 2)
    positions = _solve(nominal, pairs, expected, np.ones(len(pairs)))

    def left(places: Numbers) -> Numbers:
        found = places[pairs[believed, 1]] - places[pairs[believed, 0]]
        return np.asarray(np.linalg.norm(found - measured[believed], axis=1))

    trust = np.ones(int(believed.sum()))
    for scale in _SCALES:
        off = left(positions)
        usual = 1.5 * float(np.median(off))
        trust = (1 + (off / max(scale, usual, 0.5)) ** 2) ** -2
        weight = np.concatenate([prior, confidence[believed] * trust])
        positions = _solve(nominal, everything, distance, weight)
    off = left(positions)
    agrees = off <= max(_OUTLIER, 6 * float(np.median(off)))
    weight = np.concatenate([prior, np.where(agrees, confidence[believed] * trust, 0)])
    positions = _solve(nominal, everything, distance, weight)
    used = np.zeros_like(told)
    used[believed] = agrees
    found = positions[pairs[told, 1]] - positions[pairs[told, 0]]
    residual[told] = np.linalg.norm(found - measured[told], axis=1)
    return Stitched(positions, used, residual, tilt)
