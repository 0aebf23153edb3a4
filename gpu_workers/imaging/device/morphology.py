"""Shapes of masks on a device; halves of `gpu_workers.imaging.morphology`. All equal the CPU's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_workers.imaging import morphology
from gpu_workers.imaging.device.launching import each_pixel, plane
from gpu_workers.xp import device_half, namespace, ndimage


@device_half(morphology.fill_holes)
def fill_holes(mask: Any) -> Any:
    """Return the mask and every part of its background that does not reach the image's edge."""
    xp = namespace(mask)
    around = xp.pad(~mask, 1, constant_values=True)
    parts, _ = ndimage(mask).label(around)
    return parts[1:-1, 1:-1] != parts[0, 0]


@device_half(morphology.distance_transform)
def distance_transform(labels: Any, *, outside: bool = False) -> Any:
    """Return each object pixel's distance to the nearest pixel that isn't its object's."""
    xp = namespace(labels)
    result = xp.empty(labels.shape, xp.float32)
    if not labels.size:
        return result
    height, width = plane(labels)
    values = xp.ascontiguousarray(labels, xp.int32)
    columns = xp.empty(labels.shape, xp.int32)
    wide, many, out = np.int32(width), np.int32(labels.size), np.int32(outside)
    first = (values, np.int32(height), wide, out, columns)
    each_pixel(xp, "distances", "inner_columns", width, first)
    second = (values, columns, wide, many, out, result)
    each_pixel(xp, "distances", "inner_rows", labels.size, second)
    return result


@device_half(morphology.peaks)
def peaks(image: Any, min_distance: int, mask: Any | None = None) -> Any:
    """Return the pixels that are the highest within a square."""
    xp = namespace(image)
    values = image.astype(xp.float32)
    if not values.size:
        return xp.zeros(values.shape, bool)
    side = 2 * int(min_distance) + 1
    highest = ndimage(image).maximum_filter(values, size=side, mode="nearest")
    return (values == highest) & (values > 0 if mask is None else mask)
