"""Moments of objects; entry points: `central_moments`, `spatial_moments`, `normalized_moments`, `hu_moments`."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

if TYPE_CHECKING:
    from gpu_workers.imaging.regions import RegionGeometry

Column = NDArray[np.float64]
Moments = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _central(labels: Labels, y: Column, x: Column) -> Moments:
    """Sum dy^p dx^q of each label; runs of a row by closed formulas of their middle and length."""
    height, width = labels.shape
    sums = np.zeros((y.size, 4, 4))
    for row in range(height):
        column = 0
        while column < width:
            label = labels[row, column]
            first = column
            column += 1
            if label <= 0:
                continue
            while column < width and labels[row, column] == label:
                column += 1
            k = label - 1
            run = float(column - first)
            middle = (first + column - 1) * 0.5 - x[k]
            spread = (run * run - 1) / 12
            one = run * middle
            two = run * (middle * middle + spread)
            three = run * middle * (middle * middle + 3 * spread)
            away = row - y[k]
            power = 1.0
            for p in range(4):
                sums[k, p, 0] += power * run
                sums[k, p, 1] += power * one
                sums[k, p, 2] += power * two
                sums[k, p, 3] += power * three
                power *= away
    return sums


@operation
def central_moments(labels: Labels, geometry: RegionGeometry) -> Moments:
    """Return sums of ``(y - mean y)^p (x - mean x)^q`` over each object's pixels.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    geometry
        What `region_geometry` returned for them.

    Returns
    -------
    ndarray of float64, shape (n, 4, 4)
        Entry [k, p, q]; NaN for a label that doesn't occur.

    Notes
    -----
    ``skimage.measure.moments_central``.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> bar = np.ones((1, 3), np.int32)
    >>> central_moments(bar, region_geometry(bar))[0, 0, :3]
    array([3., 0., 2.])
    """
    sums: Moments = _central(np.ascontiguousarray(labels), geometry.y, geometry.x)
    sums[geometry.area == 0] = np.nan
    sums[:, 0, 1] = sums[:, 1, 0] = np.where(geometry.area > 0, 0.0, np.nan)
    return sums


def _powers(distance: Column) -> NDArray[np.float64]:
    """Return the matrix that moves moments of order 0 to 3 by a distance, shape (n, 4, 4)."""
    matrix = np.zeros((distance.size, 4, 4))
    for p in range(4):
        for r in range(p + 1):
            matrix[:, p, r] = comb(p, r) * distance ** (p - r)
    return matrix


def spatial_moments(central: Moments, geometry: RegionGeometry) -> Moments:
    """Return sums of ``(y - y0)^p (x - x0)^q``, from the upper left corner of each object's box.

    Parameters
    ----------
    central : ndarray of float64, shape (n, 4, 4)
        What `central_moments` returned.

    Notes
    -----
    ``skimage.measure.moments`` of an object's own image.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> bar = np.ones((1, 3), np.int32)
    >>> geometry = region_geometry(bar)
    >>> spatial_moments(central_moments(bar, geometry), geometry)[0, 0, :3]
    array([3., 3., 5.])
    """
    rows = _powers(geometry.y - geometry.box[:, 0])
    columns = _powers(geometry.x - geometry.box[:, 1])
    moved: Moments = rows @ central @ columns.transpose(0, 2, 1)
    return moved


def normalized_moments(central: Moments) -> Moments:
    """Return moments that don't change with size: ``mu_pq / mu_00^((p + q) / 2 + 1)``.

    NaN where p + q < 2, as ``skimage.measure.moments_normalized``.

    Examples
    --------
    >>> float(normalized_moments(np.full((1, 4, 4), 4.0))[0, 1, 1])
    0.25
    """
    order = np.add.outer(np.arange(4), np.arange(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        normalized: Moments = central / central[:, :1, :1] ** (order / 2 + 1)
    normalized[:, order < 2] = np.nan
    return normalized


def hu_moments(normalized: Moments) -> NDArray[np.float64]:
    """Return the seven numbers of each object that don't change with place, size and rotation.

    Parameters
    ----------
    normalized : ndarray of float64, shape (n, 4, 4)
        What `normalized_moments` returned.

    Returns
    -------
    ndarray of float64, shape (n, 7)
        The seventh changes its sign in mirrored images.

    Notes
    -----
    M.-K. Hu (1962), in the order of ``skimage.measure.moments_hu``.

    Examples
    --------
    >>> hu_moments(np.ones((1, 4, 4)))[0, :4]
    array([2., 4., 8., 8.])
    """
    n20, n02, n11 = normalized[:, 2, 0], normalized[:, 0, 2], normalized[:, 1, 1]
    n30, n03 = normalized[:, 3, 0], normalized[:, 0, 3]
    n21, n12 = normalized[:, 2, 1], normalized[:, 1, 2]
    a, b = n30 + n12, n21 + n03
    c, d = n30 - 3 * n12, 3 * n21 - n03
    e, f = a * a - 3 * b * b, 3 * a * a - b * b
    return np.stack(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            c * c + d * d,
            a * a + b * b,
            c * a * e + d * b * f,
            (n20 - n02) * (a * a - b * b) + 4 * n11 * a * b,
            d * a * e - c * b * f,
        ],
        axis=1,
    )
