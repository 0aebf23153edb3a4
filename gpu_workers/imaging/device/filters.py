"""Smoothing on a device; halves of `gpu_workers.imaging.filters`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_workers.errors import UserError
from gpu_workers.imaging import filters
from gpu_workers.imaging.device.launching import each_pixel
from gpu_workers.xp import device_half, namespace, ndimage


@device_half(filters.gaussian)
def gaussian(image: Any, sigma: float, sigma_z: float | None = None) -> Any:
    """Return the smoothed image; within 1e-5 of its greatest value as on the CPU."""
    if sigma < 0:
        raise UserError(f"sigma must not be negative, it is {sigma}", code="invalid_sigma")
    values = image.astype(namespace(image).float32)
    if not values.size:
        return values
    across = sigma if sigma_z is None else sigma_z
    sigmas = (sigma, sigma) if values.ndim == 2 else (across, sigma, sigma)
    nd = ndimage(image)
    return nd.gaussian_filter(values, sigmas, mode="nearest", truncate=filters.TRUNCATE)


@device_half(filters.median)
def median(image: Any, size: int) -> Any:
    """Return the image of medians, as on the CPU."""
    if size < 1 or size % 2 == 0:
        raise UserError(f"the median's size must be odd, it is {size}", code="invalid_size")
    if size == 1 or not image.size:
        return image.copy()
    return ndimage(image).median_filter(image, size, mode="nearest")


@device_half(filters.average)
def average(image: Any, size: int) -> Any:
    """Return the image of means; within 1e-5 of its greatest value as on the CPU."""
    if size < 1 or size % 2 == 0:
        raise UserError(f"the average's size must be odd, it is {size}", code="invalid_size")
    values = image.astype(namespace(image).float32)
    if size == 1 or not values.size:
        return values
    return ndimage(image).uniform_filter(values, size, mode="nearest")


@device_half(filters.bilateral)
def bilateral(image: Any, sigma: float, sigma_intensity: float) -> Any:
    """Return the image smoothed where it is even; within 1e-4 of its range as on the CPU.

    Raises
    ------
    UserError
        The image is not of two dimensions (``wrong_dimensions``).
    """
    if image.ndim != 2:
        told = "the bilateral filter works on images of two dimensions only"
        raise UserError(told, code="wrong_dimensions")
    xp = namespace(image)
    values = xp.ascontiguousarray(image, xp.float32)
    if sigma <= 0 or sigma_intensity <= 0 or not values.size:
        return values.copy()
    size = (*(np.int32(n) for n in values.shape), np.int32(max(1, round(1.5 * sigma))))
    spreads = (np.float64(-0.5 / sigma**2), np.float64(-0.5 / sigma_intensity**2))
    smoothed = xp.empty(values.shape, xp.float32)
    each_pixel(xp, "surroundings", "bilateral", values.size, (values, *size, *spreads, smoothed))
    return smoothed
