"""Smoothing; entry points: `gaussian`, `median`, `average`, `bilateral` and `over_missing`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import namespace, operation

TRUNCATE = 4.0
_BY_OPENCV = (np.uint16, np.float32)


@operation
def gaussian(
    image: NDArray[Any], sigma: float, sigma_z: float | None = None
) -> NDArray[np.float32]:
    """Smooth an image with a Gaussian.

    Parameters
    ----------
    image : ndarray, shape ([z,] height, width), any real dtype
        The image; its values are not rescaled.
    sigma
        Standard deviation, px; 0 returns the image as float32.
    sigma_z
        Standard deviation across the planes of a stack, planes; `sigma` if None.

    Returns
    -------
    ndarray of float32, same shape

    Raises
    ------
    UserError
        `sigma` is negative (``invalid_sigma``).

    Notes
    -----
    The kernel ends at 4 sigma and the image's edge is repeated beyond it, as
    ``skimage.filters.gaussian(mode="nearest", preserve_range=True)``; equal to it within 1e-5.

    Examples
    --------
    >>> gaussian(np.array([[0, 0, 8, 0, 0]], np.uint16), 0.5).round(2)
    array([[0.  , 0.85, 6.29, 0.85, 0.  ]], dtype=float32)
    """
    if sigma < 0:
        raise UserError(f"sigma must not be negative, it is {sigma}", code="invalid_sigma")
    values = np.ascontiguousarray(image, np.float32)
    if values.ndim == 3:
        return _gaussian_volume(values, sigma, sigma if sigma_z is None else sigma_z)
    if not sigma or not values.size:
        return values.copy() if values is image else values
    side = 2 * int(TRUNCATE * sigma + 0.5) + 1
    if side == 1:
        return values.copy() if values is image else values
    border = cv2.BORDER_REPLICATE
    smoothed = cv2.GaussianBlur(values, (side, side), sigma, borderType=border)
    return np.asarray(smoothed, np.float32)


def _gaussian_volume(
    values: NDArray[np.float32], sigma: float, sigma_z: float
) -> NDArray[np.float32]:
    from scipy import ndimage

    if not values.size:
        return values.copy()
    planes = np.stack([gaussian(plane, sigma) for plane in values])
    if not sigma_z:
        return planes
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter1d(
        planes, sigma_z, axis=0, mode="nearest", truncate=TRUNCATE
    )
    return smoothed


@operation
def median(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Replace every pixel by the median of the square (in three dimensions the cube) around it.

    Parameters
    ----------
    image : ndarray, shape ([z,] height, width), any real dtype
        The image.
    size
        Side of the square, px; odd.

    Returns
    -------
    ndarray, same shape and dtype
        Equal to ``scipy.ndimage.median_filter(mode="nearest")``.

    Raises
    ------
    UserError
        `size` is even or below 1 (``invalid_size``).

    Notes
    -----
    16 bit images in two dimensions take time in proportion to `size`: a histogram moves along (T. S.
    Huang, G. J. Yang and G. Y. Tang, IEEE Trans. ASSP 27 (1979) 13), in levels of 256, 4,096 and 65,536
    bins.

    Examples
    --------
    >>> spike = np.zeros((5, 5), np.uint16)
    >>> spike[2, 2] = 9
    >>> int(median(spike, 3).max())
    0
    """
    if size < 1 or size % 2 == 0:
        raise UserError(f"the median's size must be odd, it is {size}", code="invalid_size")
    if size == 1 or not image.size:
        return image.copy()
    if image.ndim == 2 and (image.dtype == np.uint8 or (size <= 5 and image.dtype in _BY_OPENCV)):
        filtered: NDArray[Any] = cv2.medianBlur(np.ascontiguousarray(image), size)
        return filtered
    if image.ndim == 2 and image.dtype == np.uint16:
        return np.asarray(_median_16(np.pad(image, size // 2, mode="edge"), size))
    from scipy import ndimage

    exact: NDArray[Any] = ndimage.median_filter(image, size, mode="nearest")
    return exact


@njit(nogil=True, cache=True)
def _count(
    padded: NDArray[np.uint16],
    rows: tuple[int, int],
    columns: tuple[int, int],
    by: int,
    levels: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    block: int,
) -> int:
    """Add (or with -1 take away) a rectangle's pixels; returns how many lie in blocks below `block`."""
    coarse, middle, fine = levels
    below = 0
    for y in range(rows[0], rows[1]):
        for x in range(columns[0], columns[1]):
            value = padded[y, x]
            coarse[value >> 8] += by
            middle[value >> 4] += by
            fine[value] += by
            below += by if (value >> 8) < block else 0
    return below


@njit(nogil=True, cache=True)
def _value_at(
    levels: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    block: int,
    below: int,
    rank: int,
) -> int:
    """Return the value of a rank that lies in a block."""
    _, middle, fine = levels
    part = block << 4
    while below + middle[part] <= rank:
        below += middle[part]
        part += 1
    value = part << 4
    while below + fine[value] <= rank:
        below += fine[value]
        value += 1
    return value


@njit(nogil=True, cache=True)
def _median_16(padded: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    height, width = padded.shape[0] - size + 1, padded.shape[1] - size + 1
    result = np.empty((height, width), np.uint16)
    levels = (np.zeros(256, np.int32), np.zeros(4096, np.int32), np.zeros(65536, np.int32))
    coarse = levels[0]
    rank = size * size // 2
    block = 0
    below = _count(padded, (0, size), (0, size), 1, levels, block)
    for y in range(height):
        # to and fro, so that the histogram never starts anew
        rightwards = y % 2 == 0
        for step in range(width):
            x = step if rightwards else width - 1 - step
            if step > 0:
                gone, come = (x - 1, x + size - 1) if rightwards else (x + size, x)
                below += _count(padded, (y, y + size), (gone, gone + 1), -1, levels, block)
                below += _count(padded, (y, y + size), (come, come + 1), 1, levels, block)
            while below > rank:
                block -= 1
                below -= coarse[block]
            while below + coarse[block] <= rank:
                below += coarse[block]
                block += 1
            result[y, x] = _value_at(levels, block, below, rank)
        if y + 1 < height:
            x = width - 1 if rightwards else 0
            below += _count(padded, (y, y + 1), (x, x + size), -1, levels, block)
            below += _count(padded, (y + size, y + size + 1), (x, x + size), 1, levels, block)
    return result


@operation
def average(image: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Replace every pixel by the mean of the square (in three dimensions the cube) around it.

    Parameters
    ----------
    image : ndarray, shape ([z,] height, width), any real dtype
        The image.
    size
        Side of the square, px; odd.

    Returns
    -------
    ndarray of float32, same shape
        Equal to ``scipy.ndimage.uniform_filter(mode="nearest")`` within the digits of float32.

    Raises
    ------
    UserError
        `size` is even or below 1 (``invalid_size``).

    Examples
    --------
    >>> average(np.array([[0, 0, 9, 0, 0]], np.uint16), 3)
    array([[0., 3., 3., 3., 0.]], dtype=float32)
    """
    if size < 1 or size % 2 == 0:
        raise UserError(f"the average's size must be odd, it is {size}", code="invalid_size")
    values = np.ascontiguousarray(image, np.float32)
    if size == 1 or not values.size:
        return values.copy()
    if values.ndim == 2:
        border = cv2.BORDER_REPLICATE
        return np.asarray(cv2.blur(values, (size, size), borderType=border), np.float32)
    from scipy import ndimage

    mean: NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="nearest")
    return mean


@operation
def bilateral(image: NDArray[Any], sigma: float, sigma_intensity: float) -> NDArray[np.float32]:
    """Smooth an image where it is even, and keep its edges.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image; only finite values.
    sigma
        Standard deviation of the weights by distance, px.
    sigma_intensity
        Standard deviation of the weights by difference of intensity.

    Returns
    -------
    ndarray of float32, same shape
        Every pixel is the mean of those within 1.5 `sigma`, weighted by both Gaussians; weights come
        from a table of 4,096 steps per channel range, right within 1e-4 of the image's range.

    Raises
    ------
    UserError
        The image is not of two dimensions (``wrong_dimensions``).

    Notes
    -----
    C. Tomasi and R. Manduchi, Proc. ICCV (1998) 839.

    Examples
    --------
    >>> edge = np.repeat(np.float32([[0, 100]]), 4, axis=1)
    >>> bool((bilateral(edge, 2, 5).round(3) == edge).all())
    True
    """
    if image.ndim != 2:
        told = "the bilateral filter works on images of two dimensions only"
        raise UserError(told, code="wrong_dimensions")
    values = np.ascontiguousarray(image, np.float32)
    if sigma <= 0 or sigma_intensity <= 0 or not values.size:
        return values.copy()
    border = cv2.BORDER_REPLICATE
    filtered = cv2.bilateralFilter(values, 0, sigma_intensity, sigma, borderType=border)
    return np.asarray(filtered, np.float32)


def over_missing(
    smooth: Callable[[NDArray[Any]], NDArray[np.float32]], image: NDArray[Any]
) -> NDArray[np.float32]:
    """Apply a filter that takes means, leaving out pixels that aren't finite.

    Parameters
    ----------
    smooth
        A filter with weights that add up to 1.
    image : ndarray, any shape
        NaN and infinite values are missing.

    Returns
    -------
    ndarray of float32, same shape
        The mean of what there is; NaN where nothing is in reach.

    Notes
    -----
    Normalised convolution: the smoothed image over the smoothed mask of finite pixels (H. Knutsson and
    C.-F. Westin, Proc. CVPR (1993) 515).

    Examples
    --------
    >>> over_missing(lambda image: average(image, 3), np.array([[2.0, np.nan, 4.0]]))
    array([[2., 3., 4.]], dtype=float32)
    """
    xp = namespace(image)
    finite = xp.isfinite(image)
    if finite.all():
        return smooth(image)
    share = smooth(finite.astype(np.float32))
    values = smooth(xp.where(finite, image, xp.zeros(1, image.dtype)).astype(np.float32))
    known = share > 1e-6
    mean: NDArray[np.float32] = values / xp.where(known, share, xp.ones(1, np.float32))
    mean[~known] = np.nan
    return mean
