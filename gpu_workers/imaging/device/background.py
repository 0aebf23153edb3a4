"""Uneven background on a device; halves of `gpu_workers.imaging.background`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging import background
from gpu_workers.imaging.device.filters import average, gaussian, median
from gpu_workers.imaging.device.launching import each_pixel, plane
from gpu_workers.imaging.filters import over_missing
from gpu_workers.xp import device_half, namespace, ndimage


def _finite(image: Any, other: float) -> Any:
    """Return the image as contiguous float32 with `other` in place of what isn't finite."""
    xp = namespace(image)
    values = xp.ascontiguousarray(image, xp.float32)
    return xp.where(xp.isfinite(values), values, np.float32(other))


@device_half(background.disc_minimum)
def disc_minimum(image: Any, radius: int) -> Any:
    """Return the lowest value within a disc around each pixel, equal to the CPU's."""
    xp = namespace(image)
    values = _finite(image, np.inf)
    if radius < 1 or not values.size:
        return values
    height, width = plane(image)
    reach = background.half_widths(radius).astype(np.int32)
    lowest = xp.empty(values.shape, xp.float32)
    size = (np.int32(height), np.int32(width), np.int32(radius))
    arguments = (values, *size, xp.asarray(reach), lowest)
    each_pixel(xp, "surroundings", "disc_minimum", values.size, arguments)
    return lowest


@device_half(background.opening)
def opening(image: Any, radius: int) -> Any:
    """Return the image without what is bright and narrower than a disc, equal to the CPU's."""
    return -disc_minimum(-disc_minimum(image, radius), radius)


@device_half(background.local_minimum)
def local_minimum(image: Any, radius: int) -> Any:
    """Return the lowest value within a disc, smoothed; within 1e-5 as on the CPU."""
    return over_missing(lambda v: gaussian(v, radius / 2), disc_minimum(image, radius))


def _shrink(image: Any, step: int) -> Any:
    """Return the lowest value of each square of `step` px; the last ones may be smaller."""
    xp = namespace(image)
    height, width = image.shape
    ends = ((0, -height % step), (0, -width % step))
    padded = xp.pad(image, ends, constant_values=np.inf)
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return squares.min(axis=(1, 3))


def _enlarge(image: Any, shape: tuple[int, int]) -> Any:
    """Return an image at another size, linear between the middles of its pixels, as OpenCV does."""
    xp = namespace(image)
    places = [
        xp.clip((xp.arange(n) + 0.5) * (known / n) - 0.5, 0, known - 1)
        for n, known in zip(shape, image.shape, strict=True)
    ]
    grid = xp.stack(xp.meshgrid(*places, indexing="ij"))
    return ndimage(image).map_coordinates(image, grid, order=1, mode="nearest")


@device_half(background.rolling_ball)
def rolling_ball(image: Any, radius: float, *, exact: bool = False) -> Any:
    """Return the background that a ball touches; within 1e-5 as on the CPU."""
    xp = namespace(image)
    values = _finite(image, np.inf)
    if radius <= 0 or not values.size:
        return values
    plane(image)
    step = 1 if exact else background.grain(radius)
    depths = xp.asarray(background.ball_depths(radius, step))
    small = xp.ascontiguousarray(_shrink(values, step))
    found = xp.empty(small.shape, xp.float32)
    size = (*(np.int32(n) for n in small.shape), np.int32(depths.shape[0] // 2))
    each_pixel(xp, "surroundings", "touch", small.size, (small, *size, depths, found))
    if step > 1:
        whole = (small.shape[0] * step, small.shape[1] * step)
        enlarged = _enlarge(found, whole)[: values.shape[0], : values.shape[1]]
        found = xp.minimum(enlarged, values)
    return xp.where(xp.isinf(found), np.float32(np.nan), found)


def _area_weights(n: int, known: int) -> NDArray[np.float64]:
    """Return the share of each of `known` pixels in each of `n` larger ones, (n, known)."""
    ends = np.arange(n + 1) * (known / n)
    pixels = np.arange(known)
    inside = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    shares: NDArray[np.float64] = np.maximum(inside, 0) / (known / n)
    return shares


def _means(image: Any, shape: tuple[int, int]) -> Any:
    """Return an image at a smaller size, each pixel the mean of what it covers."""
    xp = namespace(image)
    rows, columns = (
        xp.asarray(_area_weights(n, known)) for n, known in zip(shape, image.shape, strict=True)
    )
    return xp.matmul(xp.matmul(rows, image.astype(xp.float64)), columns.T).astype(xp.float32)


@device_half(background.local_median)
def local_median(image: Any, radius: int) -> Any:
    """Return the median of the surroundings; within 1e-4 as on the CPU, which is about a step."""
    xp = namespace(image)
    plane(image)
    if image.dtype.kind == "f":
        means = over_missing(lambda v: average(v, 2 * radius + 1), image)
        image = xp.where(xp.isfinite(image), image, means)
    values = _finite(image, np.nan)
    known = values[xp.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if radius < 1 or not low < high:
        return values
    step = max(1, radius // 8)
    shape = (-(-values.shape[0] // step), -(-values.shape[1] // step))
    small = _means(values, shape) if step > 1 else values
    levels = xp.rint(xp.nan_to_num((small - low) * (65535 / (high - low)))).astype(xp.uint16)
    middle = median(levels, 2 * round(radius / step) + 1)
    found = (low + middle * ((high - low) / 65535)).astype(xp.float32)
    return found if step == 1 else _enlarge(found, values.shape)
