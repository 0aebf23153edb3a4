"""Spots; entry points: `laplacian_of_gaussian`, `difference_of_gaussians`, `spot_centres`, `paint_spots`.

Everything works on images (height, width) and stacks (z, height, width).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

Image = NDArray[np.float32]

TRUNCATE = 4.0


def _gaussian_kernel(sigma: float, order: int = 0) -> NDArray[np.float64]:
    """Return samples of a Gaussian of sum 1, or of its second derivative (order 2)."""
    radius = int(TRUNCATE * sigma + 0.5)
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    kernel: NDArray[np.float64] = np.exp(-(x**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    return kernel * (x**2 / sigma**4 - 1 / sigma**2) if order == 2 else kernel


def _along(image: Image, kernel: NDArray[np.float64], axis: int) -> Image:
    """Correlate along one axis; the edge is repeated."""
    one = np.ones(1)
    border = cv2.BORDER_REPLICATE
    if axis == image.ndim - 1:
        flat = image.reshape(-1, image.shape[-1])
        out = cv2.sepFilter2D(flat, cv2.CV_32F, kernel, one, borderType=border)
    elif axis == 0:
        flat = image.reshape(image.shape[0], -1)
        out = cv2.sepFilter2D(flat, cv2.CV_32F, one, kernel, borderType=border)
    else:
        planes = [_along(plane, kernel, axis - 1) for plane in image]
        out = np.stack(planes)
    return np.asarray(out, np.float32).reshape(image.shape)


def _checked(image: NDArray[Any], sigma: float) -> Image:
    if sigma <= 0:
        raise UserError(f"sigma must be positive, it is {sigma}", code="invalid_sigma")
    values = np.ascontiguousarray(image, np.float32)
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0, neginf=0)


def _stacked(response: NDArray[Any]) -> Image:
    """Return an image as a stack of one plane, a stack as it is."""
    values = np.ascontiguousarray(response, np.float32)
    return values[None] if values.ndim == 2 else values


def _sigmas(sigma: float, sigma_z: float | None, ndim: int) -> tuple[float, ...]:
    return (sigma, sigma) if ndim == 2 else (sigma if sigma_z is None else sigma_z, sigma, sigma)


@operation
def laplacian_of_gaussian(
    image: NDArray[Any], sigma: float, sigma_z: float | None = None
) -> NDArray[np.float32]:
    """Filter with the negative, scale-normalised Laplacian of a Gaussian: bright spots become peaks.

    Parameters
    ----------
    image : ndarray, shape (height, width) or (z, height, width), any real dtype
        Intensities; NaN counts as 0.
    sigma
        Standard deviation of the spots that answer most, px.
    sigma_z
        The same across planes, in planes; by default `sigma`.

    Returns
    -------
    ndarray of float32, same shape

    Raises
    ------
    UserError
        `sigma` is not positive (``invalid_sigma``).

    Notes
    -----
    Sum over the axes of ``-sigma_a**2 * d^2/da^2 (G * image)`` (T. Lindeberg, Int. J. Computer
    Vision 30, 1998). A Gaussian spot of height A and the same sigmas answers with A/2 in two
    dimensions and 3A / 2^2.5 in three. Kernels end at 4 sigma and the edge is repeated, as in
    ``-sigma**2 * scipy.ndimage.gaussian_laplace(image, sigma, mode="nearest")``.

    Examples
    --------
    >>> image = np.zeros((9, 9), np.uint8)
    >>> image[4, 4] = 100
    >>> bool(laplacian_of_gaussian(image, 1.0)[4, 4] > 25)
    True
    """
    values = _checked(image, sigma)
    sigmas = _sigmas(sigma, sigma_z, values.ndim)
    total = np.zeros(values.shape, np.float32)
    if not values.size:
        return total
    for second in range(values.ndim):
        part = values
        for axis, own in enumerate(sigmas):
            part = _along(part, _gaussian_kernel(own, 2 if axis == second else 0), axis)
        total -= np.float32(sigmas[second] ** 2) * part
    return total


@operation
def difference_of_gaussians(
    image: NDArray[Any], sigma: float, sigma_z: float | None = None, ratio: float = 1.6
) -> NDArray[np.float32]:
    """Filter with a narrow minus a wide Gaussian, scaled to stand for the Laplacian of Gaussian.

    Parameters
    ----------
    image : ndarray, shape (height, width) or (z, height, width), any real dtype
        Intensities; NaN counts as 0.
    sigma, sigma_z
        Standard deviation of the narrow Gaussian, px and planes.
    ratio
        Of the wide to the narrow standard deviation.

    Returns
    -------
    ndarray of float32, same shape
        ``(G(sigma) - G(ratio sigma)) * image / (ratio - 1)``, which nears
        `laplacian_of_gaussian` as the ratio nears 1 (D. Lowe, Int. J. Computer Vision 60, 2004).

    Examples
    --------
    >>> image = np.zeros((9, 9), np.uint8)
    >>> image[4, 4] = 100
    >>> bool(difference_of_gaussians(image, 1.0)[4, 4] > 10)
    True
    """
    values = _checked(image, sigma)
    if not values.size:
        return np.zeros(values.shape, np.float32)
    narrow = wide = values
    for axis, own in enumerate(_sigmas(sigma, sigma_z, values.ndim)):
        narrow = _along(narrow, _gaussian_kernel(own), axis)
        wide = _along(wide, _gaussian_kernel(own * ratio), axis)
    return (narrow - wide) / np.float32(ratio - 1)


@njit(nogil=True, cache=True)
def _is_peak(values: Image, z: int, y: int, x: int, reach: int) -> bool:
    """Whether no pixel of the box around is higher, nor as high and earlier."""
    depth, height, width = values.shape
    own = values[z, y, x]
    for c in range(max(0, z - reach), min(depth, z + reach + 1)):
        for b in range(max(0, y - reach), min(height, y + reach + 1)):
            for a in range(max(0, x - reach), min(width, x + reach + 1)):
                other = values[c, b, a]
                earlier = c < z or (c == z and (b < y or (b == y and a < x)))
                if other > own or (other == own and earlier):
                    return False
    return True


@njit(nogil=True, cache=True)
def _peaks(
    values: Image, threshold: float, mask: NDArray[np.bool_], reach: int
) -> NDArray[np.int32]:
    depth, height, width = values.shape
    found = np.empty((64, 3), np.int32)
    n = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if not values[z, y, x] > threshold or not mask[z, y, x]:
                    continue
                if not _is_peak(values, z, y, x, reach):
                    continue
                if n == found.shape[0]:
                    more = np.empty((2 * n, 3), np.int32)
                    more[:n] = found
                    found = more
                found[n, 0], found[n, 1], found[n, 2] = z, y, x
                n += 1
    return found[:n]


def _tops(
    values: Image, peaks: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return place and height of the parabolas through the peaks and their neighbours, per axis."""
    centres = peaks.astype(np.float64)
    own = values[tuple(peaks.T)].astype(np.float64)
    heights = own.copy()
    for axis, length in enumerate(values.shape):
        step = np.zeros(3, np.int32)
        step[axis] = 1
        inner = (peaks[:, axis] > 0) & (peaks[:, axis] < length - 1)
        before = values[tuple(np.where(inner[:, None], peaks - step, peaks).T)]
        after = values[tuple(np.where(inner[:, None], peaks + step, peaks).T)]
        bend = before - 2 * own + after
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0)
        # below a half, so that two neighbours never lie in the same pixel
        shift = np.clip(shift, -0.49, 0.49)
        centres[:, axis] += shift
        heights -= 0.25 * (before - after) * shift
    return centres, heights


@operation
def spot_centres(
    response: NDArray[np.float32],
    threshold: float,
    min_distance: int = 1,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the peaks of a filtered image, to fractions of a pixel.

    Parameters
    ----------
    response : ndarray of float32, shape (height, width) or (z, height, width)
        What a spot filter gave.
    threshold
        Peaks lie above it.
    min_distance
        A peak is the highest of the square (cube) that reaches so many px to each side.
    mask : ndarray of bool, same shape, optional
        Where peaks may lie.

    Returns
    -------
    centres : ndarray of float64, shape (n, dimensions)
        In the order of rows, to fractions of px.
    heights : ndarray of float64, shape (n,)
        Of the response there.

    Notes
    -----
    The pixels are those of ``skimage.feature.peak_local_max`` (of equal neighbours the first one
    counts). Place and height are those of the tops of the parabolas through the pixel and its two
    neighbours along each axis.

    Examples
    --------
    >>> spot_centres(np.array([[0, 2, 3, 2, 0]], np.float32), 1)[0]
    array([[0., 2.]])
    """
    three = _stacked(response)
    where = np.ones(three.shape, np.bool_)
    if mask is not None:
        where = np.ascontiguousarray(mask, np.bool_).reshape(three.shape)
    peaks = _peaks(three, float(threshold), where, max(1, int(min_distance)))
    centres, heights = _tops(three, peaks)
    return centres[:, 3 - response.ndim :], heights


@njit(nogil=True, cache=True)
def _paint(
    response: Image, centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.int32]:
    depth, height, width = response.shape
    labels = np.zeros(response.shape, np.int32)
    nearest = np.full(response.shape, np.float32(np.inf))
    for k in range(centres.shape[0]):
        z0, y0, x0 = centres[k]
        rz, ry, rx = radii
        for z in range(max(0, int(np.ceil(z0 - rz))), min(depth, int(z0 + rz) + 1)):
            for y in range(max(0, int(np.ceil(y0 - ry))), min(height, int(y0 + ry) + 1)):
                for x in range(max(0, int(np.ceil(x0 - rx))), min(width, int(x0 + rx) + 1)):
                    far = ((z - z0) / rz) ** 2 + ((y - y0) / ry) ** 2 + ((x - x0) / rx) ** 2
                    if far <= 1 and response[z, y, x] > 0 and far < nearest[z, y, x]:
                        nearest[z, y, x] = far
                        labels[z, y, x] = k + 1
    return labels


@operation
def paint_spots(
    response: NDArray[np.float32],
    centres: NDArray[np.float64],
    radius: float,
    radius_z: float | None = None,
) -> Labels:
    """Give the pixels around each centre its number.

    Parameters
    ----------
    response : ndarray of float32, shape (height, width) or (z, height, width)
        Only pixels where it is positive are taken.
    centres : ndarray of float64, shape (n, dimensions)
        What `spot_centres` returned.
    radius, radius_z
        How far a spot reaches, px and planes.

    Returns
    -------
    ndarray of int32, same shape as `response`
        1…n in the order of the centres; a pixel belongs to the nearest one. The pixel nearest to a
        centre always does, so that every spot is there.

    Examples
    --------
    >>> paint_spots(np.ones((1, 5), np.float32), np.array([[0.0, 1.0]]), 1)
    array([[1, 1, 1, 0, 0]], dtype=int32)
    """
    three = _stacked(response)
    points = np.zeros((len(centres), 3))
    points[:, 3 - response.ndim :] = centres
    radii = np.array([radius if radius_z is None else radius_z, radius, radius], np.float64)
    labels = _paint(three, points, np.maximum(radii, 0.5))
    pixels = np.rint(points).astype(np.intp)
    labels[tuple(pixels.T)] = np.arange(1, len(points) + 1, dtype=np.int32)
    painted: Labels = labels.reshape(response.shape)
    return painted


@operation
def robust_spread(image: NDArray[Any]) -> float:
    """Return 1.4826 times the median absolute deviation: the standard deviation of the background.

    Parameters
    ----------
    image : ndarray, any shape
        Values; NaN is left out. Every k-th, at least 2**18 of them, stand for a large image.

    Examples
    --------
    >>> robust_spread(np.array([1.0, 2.0, 3.0, 4.0, 1000.0]))
    1.4826
    """
    values = image.ravel()
    values = values[:: max(1, values.size >> 18)]
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
