"""Uneven background under bright objects; entry points: `opening`, `rolling_ball`, `local_median`, `local_minimum`.

Each returns the background, float32; pixels that aren't finite are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.filters import average, gaussian, median, over_missing
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

Image = NDArray[np.float32]


def half_widths(radius: int) -> NDArray[np.int64]:
    """Return how far each row of a disc reaches to the sides."""
    rows = np.arange(-radius, radius + 1)
    return np.sqrt(radius**2 - rows**2).astype(np.int64)


@njit(nogil=True, cache=True)
def _powers(row: Image, pad: int, n: int, table: NDArray[np.float32]) -> None:
    """Fill ``table[k, x]`` with the minimum of 2**k values from x on, of a row padded with infinity."""
    table[0, :] = np.inf
    table[0, pad : pad + row.size] = row
    for k in range(1, n):
        step = 1 << (k - 1)
        for x in range(table.shape[1] - step):
            table[k, x] = min(table[k - 1, x], table[k - 1, x + step])
        table[k, table.shape[1] - step :] = table[k - 1, table.shape[1] - step :]


@njit(nogil=True, cache=True)
def _lower_by_row(out: Image, table: Image, k: int, left: int, right: int) -> None:
    for x in range(out.size):
        out[x] = min(out[x], min(table[k, left + x], table[k, right + x]))


@njit(nogil=True, cache=True)
def _disc_minimum(image: Image, reach: NDArray[np.int64]) -> Image:
    """Minimum over a disc: each of its rows is two overlapping runs whose length is a power of two."""
    height, width = image.shape
    radius = reach.size // 2
    n = 1
    while (1 << n) <= 2 * radius + 1:
        n += 1
    # only the rows that the disc touches are kept, in turn
    tables = np.empty((reach.size, n, width + 2 * radius + 1), np.float32)
    result = np.full((height, width), np.float32(np.inf))
    done = 0
    for y in range(height):
        while done < min(height, y + radius + 1):
            _powers(image[done], radius, n, tables[done % reach.size])
            done += 1
        for d in range(-radius, radius + 1):
            if y + d < 0 or y + d >= height:
                continue
            half = reach[d + radius]
            k = 0
            while (2 << k) <= 2 * half + 1:
                k += 1
            table = tables[(y + d) % reach.size]
            _lower_by_row(result[y], table, k, radius - half, radius + half + 1 - (1 << k))
    return result


def _finite(image: NDArray[Any], other: float) -> Image:
    """Return the image as float32 with `other` in place of what isn't finite."""
    values = np.ascontiguousarray(image, np.float32)
    if image.dtype.kind != "f":
        return values
    return np.where(np.isfinite(values), values, np.float32(other))


@operation
def disc_minimum(image: NDArray[Any], radius: int) -> Image:
    """Return the lowest value within a disc around each pixel.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image; what lies beyond its edge is left out.
    radius
        Of the disc dy² + dx² ≤ radius², px.

    Returns
    -------
    ndarray of float32, same shape
        Equal to ``skimage.morphology.erosion(mode="ignore")`` with that footprint; infinite where
        no pixel in reach is finite.

    Notes
    -----
    Takes about 3 `radius` steps a pixel: running minima over powers of two in each row stand for the
    rows of the disc.

    Examples
    --------
    >>> disc_minimum(np.array([[5, 3, 9, 9, 9]], np.uint16), 1)
    array([[3., 3., 3., 9., 9.]], dtype=float32)
    """
    values = _finite(image, np.inf)
    if radius < 1 or not values.size:
        return values.copy()
    lowest: Image = _disc_minimum(values, half_widths(radius))
    return lowest


@operation
def opening(image: NDArray[Any], radius: int) -> Image:
    """Return the image without what is bright and narrower than a disc.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image.
    radius
        Of the disc, px; larger than that of the objects.

    Returns
    -------
    ndarray of float32, same shape
        Equal to ``skimage.morphology.opening(mode="ignore")``; the image minus it is its white
        top-hat.

    Examples
    --------
    >>> opening(np.array([[1, 1, 9, 1, 5, 5, 5]], np.uint16), 1)
    array([[1., 1., 1., 1., 5., 5., 5.]], dtype=float32)
    """
    lowest = disc_minimum(image, radius)
    return -disc_minimum(-lowest, radius)


@operation
def local_minimum(image: NDArray[Any], radius: int) -> Image:
    """Return the lowest value within a disc, smoothed by a Gaussian of half its radius.

    Examples
    --------
    >>> float(local_minimum(np.full((9, 9), 7, np.uint16), 2).max())
    7.0
    """
    lowest = disc_minimum(image, radius)
    return over_missing(lambda values: gaussian(values, radius / 2), lowest)


@njit(nogil=True, cache=True)
def _touch(image: Image, depths: NDArray[np.float32]) -> Image:
    """Height of the top of a ball that rolls along below the image; depths are those of its surface."""
    height, width = image.shape
    reach = depths.shape[0] // 2
    padded = np.full((height, width + 2 * reach), np.float32(np.inf))
    padded[:, reach : reach + width] = image
    result = np.full((height, width), np.float32(np.inf))
    for y in range(height):
        out = result[y]
        for d in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            row = padded[y + d]
            for e in range(2 * reach + 1):
                depth = depths[d + reach, e]
                if depth == np.inf:
                    continue
                for x in range(width):
                    out[x] = min(out[x], row[e + x] + depth)
    return result


def ball_depths(radius: float, step: int) -> NDArray[np.float32]:
    """Return how far a ball's surface lies below its top, on a grid of `step` px."""
    reach = int(np.ceil(radius / step))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * step
    squared = y * y + x * x
    depths = radius - np.sqrt(np.maximum(radius**2 - squared, 0.0))
    return np.where(squared <= radius**2, depths, np.inf).astype(np.float32)


def _shrink(image: Image, step: int) -> Image:
    """Return the lowest value of each square of `step` px; the last ones may be smaller."""
    height, width = image.shape
    ends = ((0, -height % step), (0, -width % step))
    padded = np.pad(image, ends, constant_values=np.inf)
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    lowest: Image = squares.min(axis=(1, 3))
    return lowest


def _enlarge(image: Image, step: int, shape: tuple[int, ...]) -> Image:
    height, width = image.shape
    size = (width * step, height * step)
    enlarged = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return enlarged[: shape[0], : shape[1]]


def grain(radius: float) -> int:
    """Return by how much an image is made smaller before the ball rolls, as ImageJ's table."""
    if radius <= 10:
        return 1
    return 2 if radius <= 30 else 4 if radius <= 100 else 8


@operation
def rolling_ball(image: NDArray[Any], radius: float, *, exact: bool = False) -> Image:
    """Return the background that a ball rolling below the image touches.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image.
    radius
        Of the ball, px and units of intensity alike; larger than that of the objects.
    exact
        By default, above a radius of 10 px, the ball rolls below a smaller image of the lowest values
        of 2 x 2 (to 30 px), 4 x 4 (to 100 px) or 8 x 8 pixels, and its way is interpolated. This leaves
        out no bright object and costs little where the background is smooth.

    Returns
    -------
    ndarray of float32, same shape
        With `exact` equal to ``skimage.restoration.rolling_ball``; NaN where no pixel in reach is
        finite.

    Notes
    -----
    S. R. Sternberg, Computer 16 (1983) 22, in the form of scikit-image: the height of the ball's top
    with its centre below the pixel.

    Examples
    --------
    >>> rolling_ball(np.array([[0, 0, 0, 0, 10, 0, 0, 0]], np.uint16), 3)[0, 3:6].round(2)
    array([0.  , 0.17, 0.  ], dtype=float32)
    """
    values = _finite(image, np.inf)
    if radius <= 0 or not values.size:
        return values.copy()
    step = 1 if exact else grain(radius)
    found: Image = _touch(_shrink(values, step), ball_depths(radius, step))
    if step > 1:
        found = np.minimum(_enlarge(found, step, values.shape), values)
    return np.where(np.isinf(found), np.float32(np.nan), found)


@operation
def local_median(image: NDArray[Any], radius: int) -> Image:
    """Return the median of the square around each pixel, of ever coarser grain with its size.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image; missing pixels stand for the mean of their surroundings.
    radius
        Half the side of the square, px. More than half of each square should be background.

    Returns
    -------
    ndarray of float32, same shape
        For a radius of less than 16 px the median among 65,536 steps from the lowest to the highest
        value; beyond that of means of squares of ``radius // 8`` px, interpolated.

    Examples
    --------
    >>> float(local_median(np.full((9, 9), 7, np.uint16), 2).max())
    7.0
    """
    values = over_missing(lambda given: average(given, 2 * radius + 1), image)
    values = _finite(np.where(np.isfinite(image), image, values), np.nan)
    if radius < 1 or not values.size:
        return values.copy()
    low, high = float(np.nanmin(values, initial=np.inf)), float(np.nanmax(values, initial=-np.inf))
    if not low < high:
        return values.copy()
    step = max(1, radius // 8)
    size = (-(-values.shape[1] // step), -(-values.shape[0] // step))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if step > 1 else values
    levels = np.nan_to_num((small - low) * (65535 / (high - low))).round().astype(np.uint16)
    middle = median(levels, 2 * round(radius / step) + 1)
    found = (low + middle * ((high - low) / 65535)).astype(np.float32)
    if step == 1:
        return found
    return np.asarray(cv2.resize(found, values.shape[::-1], interpolation=cv2.INTER_LINEAR))
