"""Granular spectra of all objects at once; entry point: `granularity`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import Column, flat_values, object_pixels, with_nan
from gpu_workers.imaging.features.reconstruction import erode_cross, reconstruct
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

Image = NDArray[np.float64]

DESCRIPTIONS = (
    FeatureDescription(
        "Granularity_{size}",
        "100 (mean of the object before the step - mean after it) / mean of the raw image; a step: "
        "the image of half-width {size} eroded by a cross once more, then grown back under the "
        "image without background",
        "%",
        "I. Ravkin, V. Temov, SPIE 0901, 1988; as CellProfiler's MeasureGranularity",
        peers={"cp_measure": "Granularity_{size}"},
    ),
)


@njit(nogil=True, cache=True)
def _sample(image: Image, height: int, width: int, step: tuple[float, float]) -> Image:
    """Return the image at multiples of a step, linearly interpolated; 0 beyond its last pixel."""
    result = np.zeros((height, width))
    bottom, right = image.shape[0] - 1, image.shape[1] - 1
    for y in range(height):
        row = y * step[0]
        if not 0 <= row <= bottom:
            continue
        y0 = int(row)
        y1 = min(y0 + 1, bottom)
        down = row - y0
        for x in range(width):
            column = x * step[1]
            if not 0 <= column <= right:
                continue
            x0 = int(column)
            x1 = min(x0 + 1, right)
            across = column - x0
            above = (1 - across) * image[y0, x0] + across * image[y0, x1]
            below = (1 - across) * image[y1, x0] + across * image[y1, x1]
            result[y, x] = (1 - down) * above + down * below
    return result


def _background(image: Image, subsample: float, radius: int) -> Image:
    """Return the opening of a smaller image by a disc, at the image's size."""
    height, width = image.shape
    small, last = image, (height - 1.0, width - 1.0)
    if subsample < 1:
        # the last sample lies where the scaled size ends, which need not be a whole number
        size = (height * subsample, width * subsample)
        last = (size[0] - 1, size[1] - 1)
        step = 1 / subsample
        small = _sample(image, int(np.ceil(size[0])), int(np.ceil(size[1])), (step, step))
    y, x = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    disc = (y * y + x * x <= radius * radius).astype(np.uint8)
    opened = np.asarray(cv2.dilate(cv2.erode(small, disc), disc), np.float64)
    if subsample >= 1:
        return opened
    back = (last[0] / max(height - 1, 1), last[1] / max(width - 1, 1))
    sampled: Image = _sample(opened, height, width, back)
    return sampled


@njit(nogil=True, cache=True)
def _weights(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    shape: tuple[int, int],
    small: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]:
    """Return for each object with which weights the small image's pixels make up its mean.

    Interpolating the small image to full size and averaging over an object is one weighted sum.
    """
    n = start.size - 1
    y_step = (small[0] - 1.0) / (shape[0] - 1.0)
    x_step = (small[1] - 1.0) / (shape[1] - 1.0)
    sums = np.zeros(small[0] * small[1])
    first = np.zeros(n + 1, np.int64)
    cells = np.empty(sums.size, np.uint32)
    place = np.empty(max(1024, position.size // 4), np.uint32)
    weight = np.empty(place.size)
    for k in range(n):
        area = start[k + 1] - start[k]
        touched = 0
        for i in range(start[k], start[k + 1]):
            row = (np.int64(position[i]) // shape[1]) * y_step
            column = (np.int64(position[i]) % shape[1]) * x_step
            if row > small[0] - 1 or column > small[1] - 1:
                continue
            y0, x0 = int(row), int(column)
            down, across = row - y0, column - x0
            for dy in range(2):
                for dx in range(2):
                    share = (down if dy else 1 - down) * (across if dx else 1 - across)
                    if share == 0.0:
                        continue
                    cell = (y0 + dy) * small[1] + x0 + dx
                    if sums[cell] == 0.0:
                        cells[touched] = cell
                        touched += 1
                    sums[cell] += share / area
        first[k + 1] = first[k] + touched
        if first[k + 1] > place.size:
            more = max(first[k + 1], 2 * place.size)
            place = np.concatenate((place, np.empty(more - place.size, np.uint32)))
            weight = np.concatenate((weight, np.empty(more - weight.size)))
        for t in range(touched):
            place[first[k] + t] = cells[t]
            weight[first[k] + t] = sums[cells[t]]
            sums[cells[t]] = 0.0
    return first, place[: first[n]], weight[: first[n]]


@njit(nogil=True, cache=True)
def _means(
    first: NDArray[np.int64], place: NDArray[np.uint32], weight: NDArray[np.float64], image: Image
) -> Column:
    n = first.size - 1
    flat = image.reshape(-1)
    result = np.zeros(n)
    for k in range(n):
        for i in range(first[k], first[k + 1]):
            result[k] += weight[i] * flat[place[i]]
    return result


@njit(nogil=True, cache=True)
def _raw_means(start: NDArray[np.int64], position: NDArray[np.uint32], flat: Image) -> Column:
    n = start.size - 1
    result = np.zeros(n)
    for k in range(n):
        for i in range(start[k], start[k + 1]):
            result[k] += flat[position[i]]
        result[k] /= max(start[k + 1] - start[k], 1)
    return result


@operation
def granularity(
    labels: Labels,
    image: NDArray[Any],
    subsample: float = 0.25,
    background_subsample: float = 0.25,
    background_radius: int = 10,
    n_sizes: int = 16,
) -> dict[str, Column]:
    """Measure the granular spectrum of all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. NaN counts as 0 for others; an object with a NaN pixel gets NaN.
    subsample
        By how much the image is made smaller first.
    background_subsample
        By how much that is made smaller for its background.
    background_radius
        Radius of the disc that opens the background, px of that smaller image.
    n_sizes
        Length of the spectrum.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        "1" to "<n_sizes>"; rows by label - 1. All NaN if the smaller image has less than 2 px.

    Notes
    -----
    Formula: `DESCRIPTIONS`. What a step takes away depends on the whole image, not on objects.
    Where rounding puts a pixel of the last row or column beyond the smaller image it counts as 0,
    as in CellProfiler.

    Examples
    --------
    >>> flat = np.ones((40, 40), np.int32)
    >>> granularity(flat, flat, n_sizes=2)["1"]
    array([100.])
    """
    missing = with_nan(labels, image)
    pixels = object_pixels(labels)
    missing |= pixels.area == 0
    shape = labels.shape
    small = shape
    if subsample < 1:
        small = (int(shape[0] * subsample), int(shape[1] * subsample))
    if min(small) < 2:
        return {str(i + 1): np.full(missing.size, np.nan) for i in range(n_sizes)}
    values = flat_values(image).reshape(shape)
    if image.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0)
    step = 1 / subsample if subsample < 1 else 1.0
    signal = _sample(values, small[0], small[1], (step, step)) if subsample < 1 else values
    signal = np.maximum(signal - _background(signal, background_subsample, background_radius), 0)
    weights = _weights(pixels.start, pixels.position, shape, small)
    before = _raw_means(pixels.start, pixels.position, values.reshape(-1))
    unit = np.maximum(before, np.finfo(np.float64).eps)
    columns: dict[str, Column] = {}
    eroded = signal
    for size in range(1, n_sizes + 1):
        eroded = erode_cross(eroded)
        after = _means(*weights, reconstruct(eroded, signal))
        columns[str(size)] = np.where(missing, np.nan, (before - after) * 100 / unit)
        before = after
    return columns
