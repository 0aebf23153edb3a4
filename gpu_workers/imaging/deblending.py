"""Blobs that overlap, told apart; entry points: `deblend`, `log_kernel`, `filter_with`, `rescale_between`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, relabel
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation


@njit(nogil=True, cache=True)
def find_root(parent: NDArray[np.int64], i: int) -> int:
    """Return the branch that a branch was joined to, and shorten the way there."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def is_in(values: NDArray[np.int64], n: int, value: int) -> bool:
    """Whether one of the first n values is this one."""
    found = False
    for k in range(n):
        found = found or values[k] == value
    return found


@njit(nogil=True, cache=True)
def _meets(
    parent: NDArray[np.int64],
    area: NDArray[np.int64],
    peak: NDArray[np.float64],
    around: NDArray[np.int64],
    n: int,
    level: float,
    least: tuple[int, float],
) -> None:
    """Join the branches that meet here and don't stand out to the highest one."""
    best = int(around[0])
    for k in range(1, n):
        if peak[around[k]] > peak[best]:
            best = int(around[k])
    for k in range(n):
        own = around[k]
        if own != best and (area[own] < least[0] or peak[own] - level < least[1]):
            parent[own] = best
            area[best] += area[own]


@njit(nogil=True, cache=True)
def _branches(
    image: NDArray[np.float64],
    order: NDArray[np.int64],
    min_area: int,
    min_rise: float,
) -> NDArray[np.int32]:
    """Climb down from the highest pixel; each takes the branch that it touches (8 neighbours)."""
    height, width = image.shape
    owner = np.full((height, width), -1, np.int64)
    parent = np.arange(order.size)
    area = np.zeros(order.size, np.int64)
    peak = np.zeros(order.size)
    around = np.empty(8, np.int64)
    for rank in range(order.size):
        y, x = order[rank] // width, order[rank] % width
        level = image[y, x]
        n, steepest, rise = 0, -1, -np.inf
        for b in range(max(0, y - 1), min(height, y + 2)):
            for a in range(max(0, x - 1), min(width, x + 2)):
                if owner[b, a] < 0:
                    continue
                root = find_root(parent, owner[b, a])
                # a step to a corner is longer
                slope = (image[b, a] - level) / (np.sqrt(2.0) if b != y and a != x else 1.0)
                if slope > rise:
                    steepest, rise = root, slope
                if not is_in(around, n, root):
                    around[n] = root
                    n += 1
        if n == 0:
            owner[y, x], area[rank], peak[rank] = rank, 1, level
            continue
        _meets(parent, area, peak, around, n, level, (min_area, min_rise))
        own = find_root(parent, steepest)
        owner[y, x] = own
        area[own] += 1
    labels = np.zeros((height, width), np.int32)
    for pixel in order:
        y, x = pixel // width, pixel % width
        labels[y, x] = find_root(parent, owner[y, x]) + 1
    return labels


@operation
def deblend(
    image: NDArray[Any], mask: NDArray[np.bool_], min_area: int = 1, min_rise: float = 0.0
) -> Labels:
    """Cut the parts of a mask into the blobs of brightness that they hold.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Brightness; NaN is no blob.
    mask : ndarray of bool, same shape
        Where blobs are.
    min_area
        A branch that is smaller where it meets another one is no blob of its own, px.
    min_rise
        Nor is one whose peak rises less above where they meet.

    Returns
    -------
    ndarray of int32, same shape
        Blobs 1…n in the order of first pixels; every pixel of the mask belongs to one.

    Notes
    -----
    As the multi-threshold tree of SExtractor (E. Bertin, S. Arnouts, 1996) with a threshold at every
    brightness: pixels are taken from the brightest down, branches grow, and where two meet (8
    neighbours) they stay apart if both are large and high enough; what lies below a meeting point
    goes to the branch that the steepest way leads up to.

    Examples
    --------
    >>> deblend(np.array([[3, 9, 4, 8, 2]]), np.ones((1, 5), bool), 1, 2.0)
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    if not image.size:
        return np.zeros(image.shape, np.int32)
    values = np.ascontiguousarray(image, np.float64)
    pixels = np.flatnonzero(mask & np.isfinite(values))
    order = pixels[np.argsort(-values.ravel()[pixels], kind="stable")]
    found: Labels = relabel(_branches(values, order, int(min_area), float(min_rise)))
    return found


def log_kernel(size: int, depth: int | None = None) -> NDArray[np.float64]:
    """Return a negative Laplacian of a Gaussian, as spot detection by fixed kernels uses it.

    Parameters
    ----------
    size
        Side of the kernel, px; an even one is made odd by one more. Its sigma is (size - 1) / 3.
    depth
        Planes of a kernel of three dimensions, its sigma across planes is (depth - 1) / 3.

    Returns
    -------
    ndarray of float64, shape (side, side) or (planes, side, side)
        Of sum 0.

    Notes
    -----
    ``-g / sum(g) * sum over axes of (a**2 / sigma_a**4 - 1 / sigma_a**2)``, g the Gaussian, less its
    mean; "2D LoG" of N. Battich, T. Stoeger, L. Pelkmans, Nature Methods 10 (2013).

    Examples
    --------
    >>> kernel = log_kernel(5)
    >>> kernel.shape, bool(abs(kernel.sum()) < 1e-12), bool(kernel[2, 2] == kernel.max())
    ((5, 5), True, True)
    """
    sizes = (size, size) if depth is None else (depth, size, size)
    total: Any = 0.0
    weight: Any = 1.0
    for axis, length in enumerate(sizes):
        radius = length // 2
        sigma = max((length - 1) / 3, 1 / 3)
        shape = np.ones(len(sizes), int)
        shape[axis] = 2 * radius + 1
        a = np.arange(-radius, radius + 1, dtype=np.float64).reshape(shape)
        weight = weight * np.exp(-(a**2) / (2 * sigma**2))
        total = total + a**2 / sigma**4 - 1 / sigma**2
    kernel = -weight / weight.sum() * total
    return np.asarray(kernel - kernel.mean())


@operation
def filter_with(image: NDArray[Any], kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    """Correlate with a kernel; the edge is repeated.

    Parameters
    ----------
    image : ndarray, shape (height, width) or (z, height, width)
        Intensities.
    kernel : ndarray of float64, of the same or fewer dimensions
        A kernel of two dimensions filters every plane by itself.

    Returns
    -------
    ndarray of float32, shape of `image`
        Equal to ``scipy.ndimage.correlate(mode="nearest")`` to single precision.

    Examples
    --------
    >>> filter_with(np.array([[0, 3, 0]], np.uint8), np.full((1, 3), 1 / 3))
    array([[1., 1., 1.]], dtype=float32)
    """
    values = np.ascontiguousarray(image, np.float32)
    if not values.size:
        return values.copy()
    if values.ndim == 2:
        return _plane(values, kernel)
    if kernel.ndim == 2:
        return np.stack([_plane(plane, kernel) for plane in values])
    reach = kernel.shape[0] // 2
    total = np.zeros(values.shape, np.float32)
    for offset, part in enumerate(kernel):
        filtered = np.stack([_plane(plane, part) for plane in values])
        total += filtered[np.clip(np.arange(len(values)) + offset - reach, 0, len(values) - 1)]
    return total


def _plane(plane: NDArray[np.float32], kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    filtered = cv2.filter2D(plane, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(filtered, np.float32)


@operation
def rescale_between(
    image: NDArray[Any], quantiles: Sequence[float], limits: Sequence[float]
) -> NDArray[np.float32]:
    """Put the intensities of two quantiles to 0 and 1, without cutting off.

    Parameters
    ----------
    image : ndarray, any shape
        Intensities; NaN becomes 0.
    quantiles
        Lower and upper, 0 to 1.
    limits
        Lowest and highest allowed intensity for the lower one, then for the upper one; a limit of 0
        (for the first: also no limit) or NaN is none.

    Returns
    -------
    ndarray of float32, same shape

    Notes
    -----
    The limits keep noise of empty images from being stretched (Battich et al. 2013).

    Examples
    --------
    >>> rescale_between(np.array([0, 50, 100], np.uint8), (0, 1), (0, 0, 200, 0))
    array([0.  , 0.25, 0.5 ], dtype=float32)
    """
    values = np.asarray(image, np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.float32)
    low, high = (float(v) for v in np.quantile(finite, list(quantiles)))
    free = [limit == 0 or np.isnan(limit) for limit in limits]
    low = low if free[0] else max(low, limits[0])
    low = low if free[1] else min(low, limits[1])
    high = high if free[2] else max(high, limits[2])
    high = high if free[3] else min(high, limits[3])
    if high <= low:
        return np.zeros(values.shape, np.float32)
    known = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    return (known - np.float32(low)) / np.float32(high - low)
