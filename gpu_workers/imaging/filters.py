"""Smoothing; entry points: `gaussian` and `median`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

TRUNCATE = 4.0


@operation
def gaussian(image: NDArray[Any], sigma: float) -> NDArray[np.float32]:
    """Smooth an image with a Gaussian.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        The image; its values are not rescaled.
    sigma
        Standard deviation, px; 0 returns the image as float32.

    Returns
    -------
    ndarray of float32, shape (height, width)

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
    if not sigma or not values.size:
        return values.copy() if values is image else values
    side = 2 * int(TRUNCATE * sigma + 0.5) + 1
    if side == 1:
        return values.copy() if values is image else values
    border = cv2.BORDER_REPLICATE
    smoothed = cv2.GaussianBlur(values, (side, side), sigma, borderType=border)
    return np.asarray(smoothed, np.float32)


@operation
def median(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Replace every pixel by the median of the square around it.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8, uint16 or float32
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
    if size <= 5 or image.dtype == np.uint8:
        filtered: NDArray[Any] = cv2.medianBlur(np.ascontiguousarray(image), size)
        return filtered
    from scipy import ndimage

    exact: NDArray[Any] = ndimage.median_filter(image, size, mode="nearest")
    return exact
