"""Zernike moments of the intensities of all objects at once; entry point: `radial_zernike`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.chrystal import chrystal_circles
from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.features.zernike import zernike_indices, zernike_polynomials
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

_CIRCLE = (
    "the unit circle is the smallest round the pixels' centres; of the pixels on it those are left "
    "out that rounding puts outside"
)
_SOURCE = "CellProfiler's MeasureObjectIntensityDistribution"

DESCRIPTIONS = (
    FeatureDescription(
        "RadialDistribution_ZernikeMagnitude-{n}-{m}",
        f"|sum I V_nm| / number of pixels, V_nm: Zernike polynomial; {_CIRCLE}",
        "intensity",
        _SOURCE,
        peers={"cp_measure": "RadialDistribution_ZernikeMagnitude_{n}_{m}"},
    ),
    FeatureDescription(
        "RadialDistribution_ZernikePhase-{n}-{m}",
        "angle of that sum, from the imaginary axis to the real one as in CellProfiler",
        "rad",
        _SOURCE,
        peers={"cp_measure": "RadialDistribution_ZernikePhase_{n}_{m}"},
    ),
)


@njit(nogil=True, cache=True)
def _moments(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    values: NDArray[np.float64],
    width: int,
    circles: NDArray[np.float64],
    degree: int,
) -> NDArray[np.float64]:
    """Sum I y^a x^b over each object's pixels in its unit circle; a row's powers of x are summed first."""
    n = start.size - 1
    side = degree + 1
    moments = np.zeros((n, side, side))
    row_sums = np.zeros(side)
    for k in range(n):
        cy, cx, radius = circles[k]
        i = start[k]
        while i < start[k + 1] and radius > 0:
            row = np.int64(position[i]) // width
            y = (row - cy) / radius
            row_sums[:] = 0.0
            while i < start[k + 1] and np.int64(position[i]) // width == row:
                x = (np.int64(position[i]) % width - cx) / radius
                if x * x + y * y <= 1:
                    power = float(values[position[i]])
                    for b in range(side):
                        row_sums[b] += power
                        power *= x
                i += 1
            power = 1.0
            for a in range(side):
                for b in range(side - a):
                    moments[k, a, b] += power * row_sums[b]
                power *= y
    return moments


@operation
def radial_zernike(
    labels: Labels,
    image: NDArray[Any],
    degree: int = 9,
    pixels: ObjectPixels | None = None,
    circles: NDArray[np.float64] | None = None,
) -> dict[str, Column]:
    """Return magnitude and phase of the Zernike moments of each object's intensities.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    degree
        Highest n.
    pixels, circles
        What `object_pixels` and `chrystal_circles` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``ZernikeMagnitude-<n>-<m>``, ``ZernikePhase-<n>-<m>``; rows by label - 1. Both are 0 for a
        single pixel, which has no circle, as in CellProfiler.

    Notes
    -----
    Formulas: `DESCRIPTIONS`. A polynomial of y and x needs only the sums of I y^a x^b.

    Examples
    --------
    >>> flat = np.ones((3, 3), np.int32)
    >>> radial_zernike(flat, flat, 1)["ZernikeMagnitude-1-1"].round(6)
    array([0.])
    """
    missing = with_nan(labels, image)
    width = labels.shape[1]
    if pixels is None:
        pixels = object_pixels(labels)
    if circles is None:
        circles = chrystal_circles(pixels, width)
    values = flat_values(image)
    side = degree + 1
    flat = _moments(pixels.start, pixels.position, values, width, circles, degree)
    flat = flat.reshape(-1, side * side)
    polynomials = zernike_polynomials(degree).reshape(-1, side * side)
    real, imaginary = flat @ polynomials.real.T, flat @ polynomials.imag.T
    missing |= pixels.area == 0
    size = np.where(missing, np.nan, pixels.area)[:, None]
    magnitude = np.hypot(real, imaginary) / size
    phase = np.where(missing[:, None], np.nan, np.arctan2(real, imaginary))
    columns: dict[str, Column] = {}
    for i, (n, m) in enumerate(zernike_indices(degree)):
        columns[f"ZernikeMagnitude-{n}-{m}"] = magnitude[:, i]
        columns[f"ZernikePhase-{n}-{m}"] = phase[:, i]
    return columns
