"""Thresholds of the surroundings of each pixel; entry points: `niblack`, `sauvola`, `bernsen`, `gaussian_mean`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.opencv import cv2

Thresholds = NDArray[np.float32]


def _odd(size: int) -> int:
    if size < 3 or size % 2 == 0:
        raise UserError(
            f"the window's size must be odd and at least 3, not {size}", code="invalid_size"
        )
    return size


def mean_and_spread(image: NDArray[Any], size: int) -> tuple[Thresholds, Thresholds]:
    """Return mean and standard deviation in the square around each pixel.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        Intensities; mirrored beyond the edge, the edge itself not repeated.
    size
        Side of the square, px; odd, at least 3.

    Raises
    ------
    UserError
        The size is even or too small (``invalid_size``).

    Notes
    -----
    Sums of a box filter in 64 bits, of the image less its mean, so that large offsets do no harm.

    Examples
    --------
    >>> [float(a[1, 1]) for a in mean_and_spread(np.full((3, 3), 7), 3)]
    [7.0, 0.0]
    """
    window = (_odd(size), size)
    values = np.ascontiguousarray(image, np.float64)
    if not values.size:
        return np.zeros(values.shape, np.float32), np.zeros(values.shape, np.float32)
    offset = float(values.mean())
    border = cv2.BORDER_REFLECT_101 if min(values.shape) > 1 else cv2.BORDER_REPLICATE
    above = values - offset
    mean = cv2.boxFilter(above, cv2.CV_64F, window, borderType=border)
    square = cv2.sqrBoxFilter(above, cv2.CV_64F, window, borderType=border)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return (mean + offset).astype(np.float32), spread.astype(np.float32)


def niblack(image: NDArray[Any], size: int, k: float = 0.0) -> Thresholds:
    """Return mean + k standard deviations of the square around each pixel.

    Notes
    -----
    W. Niblack (1986), with the sign of OpenCV's ``niBlackThreshold``; scikit-image subtracts.

    Examples
    --------
    >>> niblack(np.full((3, 3), 7), 3, 0.2)[1, 1].item()
    7.0
    """
    mean, spread = mean_and_spread(image, size)
    return mean + np.float32(k) * spread


def sauvola(
    image: NDArray[Any], size: int, k: float = 0.2, largest: float | None = None
) -> Thresholds:
    """Return mean (1 + k (spread / largest - 1)) of the square around each pixel.

    Parameters
    ----------
    largest
        Spread of full contrast; None: half the range of the type (of floats: of 2, as scikit-image).

    Notes
    -----
    J. Sauvola, M. Pietikäinen (2000); equal to ``skimage.filters.threshold_sauvola``.

    Examples
    --------
    >>> round(sauvola(np.full((3, 3), 100, np.uint8), 3)[1, 1].item(), 3)
    80.0
    """
    mean, spread = mean_and_spread(image, size)
    if largest is None:
        largest = float(np.iinfo(image.dtype).max) / 2 if image.dtype.kind == "u" else 1.0
    return mean * (1 + np.float32(k) * (spread / np.float32(largest) - 1))


def disc(radius: int) -> NDArray[np.uint8]:
    """Return a disc's footprint: pixels whose centre lies within the radius."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius, np.uint8)


def bernsen(image: NDArray[Any], radius: int) -> tuple[Thresholds, Thresholds]:
    """Return the middle between darkest and brightest in the disc around each pixel, and their difference.

    Notes
    -----
    J. Bernsen (1986). Where the difference is small there is no edge and the middle says nothing.

    Examples
    --------
    >>> middle, contrast = bernsen(np.array([[0, 10, 4]], np.uint8), 1)
    >>> middle.tolist(), contrast.tolist()
    ([[5.0, 5.0, 7.0]], [[10.0, 10.0, 6.0]])
    """
    values = np.ascontiguousarray(image, np.float32)
    if not values.size:
        return values, values
    footprint = disc(radius)
    highest = cv2.dilate(values, footprint, borderType=cv2.BORDER_REPLICATE)
    lowest = cv2.erode(values, footprint, borderType=cv2.BORDER_REPLICATE)
    return np.asarray((highest + lowest) / 2), np.asarray(highest - lowest)


def gaussian_mean(image: NDArray[Any], size: int) -> Thresholds:
    """Return the mean around each pixel with Gaussian weights, as OpenCV's ``adaptiveThreshold``.

    Notes
    -----
    Standard deviation 0.3 (size / 2 - 1) + 0.8 px, cut at `size`; the edge is repeated.

    Examples
    --------
    >>> gaussian_mean(np.full((3, 3), 7), 3)[1, 1].item()
    7.0
    """
    values = np.ascontiguousarray(image, np.float32)
    if not values.size:
        return values
    side = (_odd(size), size)
    mean = cv2.GaussianBlur(values, side, 0, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mean, np.float32)
