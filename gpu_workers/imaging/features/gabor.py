"""Gabor scores of all objects at once; entry point: `gabor`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    boxes_of,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

DESCRIPTIONS = (
    FeatureDescription(
        "Texture_Gabor-frequency-{frequency}",
        "|sum (I - mean I) 1000 / (2 pi s²) exp(-r² / 2 s²) exp(2 pi i u / {frequency})|, with r the "
        "distance from the centroid, u that along the angle and s a third of the radius of the "
        "circle of the object's area; the greatest over angles of 0, 45, 90 and 135°. Despite its "
        "name {frequency} is the wave length in px",
        "intensity",
        "I. Fogel, D. Sagi, Biol. Cybern. 61, 1989; as CellProfiler 2 and jtlib",
    ),
)


@njit(nogil=True, cache=True)
def _waves(
    first: int, centre: float, sigma: float, waves: NDArray[np.float64], real: Any, imaginary: Any
) -> None:
    """Fill tables (angle, place) of a Gaussian times exp(i w d) along one axis."""
    for place in range(real.shape[1]):
        distance = first + place - centre
        weight = np.exp(-distance * distance / (2 * sigma * sigma))
        for a in range(waves.size):
            real[a, place] = weight * np.cos(waves[a] * distance)
            imaginary[a, place] = weight * np.sin(waves[a] * distance)


@njit(nogil=True, cache=True)
def _centre(
    own: NDArray[np.uint32], values: NDArray[np.float64], width: int
) -> tuple[float, float, float]:
    """Return the centroid (y, x) and the mean intensity."""
    down, right, total = 0.0, 0.0, 0.0
    for position in own:
        place = np.int64(position)
        down += place // width
        right += place % width
        total += values[place]
    return down / own.size, right / own.size, total / own.size


@njit(nogil=True, cache=True)
def _best(
    own: NDArray[np.uint32],
    values: NDArray[np.float64],
    width: int,
    box: NDArray[np.int32],
    frequency: float,
    angles: NDArray[np.float64],
) -> float:
    """Return the greatest score over the angles; exp(i (wy dy + wx dx)) is a product of two tables."""
    y, x, mean = _centre(own, values, width)
    sigma = np.sqrt(own.size / np.pi) / 3
    wave = 2 * np.pi / frequency
    n = angles.size
    y_real, y_imaginary = np.empty((n, box[2] - box[0])), np.empty((n, box[2] - box[0]))
    x_real, x_imaginary = np.empty((n, box[3] - box[1])), np.empty((n, box[3] - box[1]))
    _waves(box[0], y, sigma, wave * np.cos(angles), y_real, y_imaginary)
    _waves(box[1], x, sigma, wave * np.sin(angles), x_real, x_imaginary)
    best = 0.0
    for a in range(n):
        real, imaginary = 0.0, 0.0
        for position in own:
            place = np.int64(position)
            row, column = place // width - box[0], place % width - box[1]
            value = values[place] - mean
            p, q = y_real[a, row], y_imaginary[a, row]
            r, s = x_real[a, column], x_imaginary[a, column]
            real += value * (p * r - q * s)
            imaginary += value * (p * s + q * r)
        best = max(best, real * real + imaginary * imaginary)
    return float(1000 / (2 * np.pi * sigma * sigma) * np.sqrt(best))


@njit(nogil=True, cache=True)
def _scores(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    values: NDArray[np.float64],
    width: int,
    boxes: NDArray[np.int32],
    frequencies: NDArray[np.float64],
    angles: NDArray[np.float64],
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full((frequencies.size, n), np.nan)
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        if own.size == 0:
            continue
        for f in range(frequencies.size):
            result[f, k] = _best(own, values, width, boxes[k], frequencies[f], angles)
    return result


@operation
def gabor(
    labels: Labels,
    image: NDArray[Any],
    frequencies: Iterable[float] = (1, 5, 10),
    n_angles: int = 4,
    pixels: ObjectPixels | None = None,
) -> dict[str, Column]:
    """Score all objects with Gabor filters laid over their centroids.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    frequencies
        Wave lengths of the filters, px (called frequencies since CellProfiler 2).
    n_angles
        Number of directions in a half turn.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``Gabor-frequency-<frequency>``; rows by label - 1.

    Notes
    -----
    Formula: `DESCRIPTIONS`. As ``centrosome.filter.gabor`` summed over the object; its subtraction
    of the filter's mean has no effect on the sum, for the mean intensity is subtracted as well.

    Examples
    --------
    >>> gabor(np.ones((4, 4), np.int32), np.full((4, 4), 7), (5,))["Gabor-frequency-5"]
    array([0.])
    """
    missing = with_nan(labels, image)
    wanted = tuple(frequencies)
    if pixels is None:
        pixels = object_pixels(labels)
    width = labels.shape[1]
    angles = np.pi * np.arange(n_angles) / n_angles
    values = flat_values(image)
    scores = _scores(
        pixels.start,
        pixels.position,
        values,
        width,
        boxes_of(pixels, width),
        np.array(wanted, np.float64),
        angles,
    )
    scores[:, missing] = np.nan
    return {f"Gabor-frequency-{f:g}": row for f, row in zip(wanted, scores, strict=True)}
