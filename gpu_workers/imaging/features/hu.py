"""Hu's moments of the intensities of all objects at once; entry point: `intensity_hu`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.moments import hu_moments, normalized_moments
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

DESCRIPTIONS = (
    FeatureDescription(
        "Texture_Hu-{i}",
        "number {i} of Hu's seven, of central moments weighted by intensity",
        "",
        "M.-K. Hu, IRE Trans. Inf. Theory 8, 1962",
        peers={"scikit-image": "moments_weighted_hu-{i}"},
        differs={"scikit-image": "moments_hu-{i} is that of the shape without intensities"},
    ),
)


@njit(nogil=True, cache=True)
def _moments(
    start: NDArray[np.int64], position: NDArray[np.uint32], values: NDArray[np.float64], width: int
) -> NDArray[np.float64]:
    """Sum I (y - mean y)^p (x - mean x)^q, with means weighted by intensity, too."""
    n = start.size - 1
    sums = np.full((n, 4, 4), np.nan)
    for k in range(n):
        if start[k] == start[k + 1]:
            continue
        y0 = np.int64(position[start[k]]) // width
        total, down, right = 0.0, 0.0, 0.0
        for i in range(start[k], start[k + 1]):
            place = np.int64(position[i])
            total += values[place]
            down += values[place] * float(place // width - y0)
            right += values[place] * float(place % width)
        if total == 0.0:
            continue
        sums[k] = 0.0
        for i in range(start[k], start[k + 1]):
            place = np.int64(position[i])
            y, x = place // width - y0 - down / total, place % width - right / total
            one = float(values[place])
            for p in range(4):
                both = one
                for q in range(4):
                    sums[k, p, q] += both
                    both *= x
                one *= y
    return sums


@operation
def intensity_hu(
    labels: Labels, image: NDArray[Any], pixels: ObjectPixels | None = None
) -> dict[str, Column]:
    """Return Hu's seven moments of the intensities of all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel, or of zeros, gets NaN.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``Hu-0`` to ``Hu-6``; rows by label - 1.

    Notes
    -----
    ``skimage.measure.regionprops(...).moments_weighted_hu``. They change with the unit of
    intensity: the first goes with its inverse, the second with the square of that, and so on.

    Examples
    --------
    >>> flat = np.ones((3, 3), np.int32)
    >>> intensity_hu(flat, flat)["Hu-0"].round(4)
    array([0.1481])
    """
    missing = with_nan(labels, image)
    if pixels is None:
        pixels = object_pixels(labels)
    values = flat_values(image)
    with np.errstate(invalid="ignore", divide="ignore"):
        moments = _moments(pixels.start, pixels.position, values, labels.shape[1])
        moments[missing] = np.nan
        found = hu_moments(normalized_moments(moments))
    return {f"Hu-{i}": found[:, i] for i in range(7)}
