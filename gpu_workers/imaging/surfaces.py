"""Surfaces of cells from beads that sit on them; entry points: `bead_positions`, `fit_plane`, `surface`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.filters import average
from gpu_workers.imaging.spots import laplacian_of_gaussian, spot_centres

Points = NDArray[np.float64]

_FEWEST = 3


def _depths(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each column of (z, n) is brightest, to fractions of a plane by a parabola."""
    top = profiles.argmax(axis=0)
    inner = (top > 0) & (top < len(profiles) - 1)
    column = np.arange(profiles.shape[1])
    before = profiles[np.where(inner, top - 1, top), column]
    after = profiles[np.where(inner, top + 1, top), column]
    bend = before - 2 * profiles[top, column] + after
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0)
    return np.asarray(top + np.clip(shift, -0.5, 0.5), np.float64)


def bead_positions(
    stack: NDArray[Any], threshold: float, bead_size: float, superpixel_size: int
) -> Points:
    """Find beads and the planes that they lie in.

    Parameters
    ----------
    stack : ndarray, shape (z, height, width)
        Beads, bright.
    threshold
        Least brightness of a bead.
    bead_size
        Usual area of a bead, px.
    superpixel_size
        Side of the square round a bead whose mean is followed through the planes, px.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        z, y, x to fractions of planes and px.

    Examples
    --------
    >>> stack = np.zeros((5, 9, 9), np.uint16)
    >>> stack[3, 4, 4] = 900
    >>> bead_positions(stack, 100, 2, 3)
    array([[3., 4., 4.]])
    """
    if not stack.size:
        return np.zeros((0, 3))
    known = np.nan_to_num(np.asarray(stack, np.float32))
    highest = known.max(axis=0)
    response = laplacian_of_gaussian(highest, max(0.5, math.sqrt(bead_size / (2 * math.pi))))
    centres, _ = spot_centres(response, 0.0, 1, highest >= threshold)
    y, x = np.rint(centres).astype(int).T
    side = superpixel_size | 1
    profiles = np.stack([np.asarray(average(plane, side), np.float64)[y, x] for plane in known])
    return np.column_stack([_depths(profiles), centres])


def fit_plane(points: Points) -> NDArray[np.float64]:
    """Return (a, b, c) of the plane z = a y + b x + c through most of the points.

    Least squares; points farther off than three times the median deviation (and than a plane) are
    left out, until none is. Fewer than three points give a level plane, none the first one.

    Examples
    --------
    >>> fit_plane(np.array([[2.0, 0, 0], [3.0, 1, 0], [2.0, 0, 1], [3.0, 1, 1], [60.0, 1, 1]])).round(6)
    array([1., 0., 2.])
    """
    if len(points) < _FEWEST:
        return np.array([0, 0, points[:, 0].mean() if len(points) else 0.0])
    matrix = np.column_stack([points[:, 1:], np.ones(len(points))])
    level = np.abs(points[:, 0] - np.median(points[:, 0]))
    kept = level <= max(1.0, 3 * float(np.median(level)))
    plane = np.zeros(3)
    for _ in range(20):
        if kept.sum() < _FEWEST:
            break
        plane = np.linalg.lstsq(matrix[kept], points[kept, 0], rcond=None)[0]
        away = np.abs(matrix @ plane - points[:, 0])
        near = away <= max(1.0, 3 * float(np.median(away[kept])))
        if (near == kept).all():
            break
        kept = near
    return plane


def surface(points: Points, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Span a surface over points, within a mask.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Height, y, x.
    mask : ndarray of bool, shape (height, width)
        Where the surface is wanted.

    Returns
    -------
    ndarray of float32, shape (height, width)
        Linear over the triangles between points, as the nearest point beyond them; 0 outside the mask
        and without points.

    Examples
    --------
    >>> corners = np.array([[0.0, 0, 0], [2.0, 0, 2], [0.0, 2, 0], [2.0, 2, 2]])
    >>> surface(corners, np.ones((1, 4), bool))
    array([[0., 1., 2., 2.]], dtype=float32)
    """
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
    from scipy.spatial import QhullError

    heights = np.zeros(mask.shape, np.float32)
    places = np.argwhere(mask)
    if not len(points) or not len(places):
        return heights
    values = NearestNDInterpolator(points[:, 1:], points[:, 0])(places)
    if len(points) >= _FEWEST:
        try:
            linear = LinearNDInterpolator(points[:, 1:], points[:, 0])(places)
        except QhullError:  # all on one line
            linear = np.full(len(places), np.nan)
        values = np.where(np.isnan(linear), values, linear)
    heights[mask] = values
    return heights
