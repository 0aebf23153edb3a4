"""Measurements of all objects on a device; halves of `gpu_workers.imaging.regions`.

Whole numbers are added with atomics, which no order changes; fractions are added in an order that the
labels alone decide. So a result is the same whenever it is made again. Tables stay on the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_workers.imaging import regions
from gpu_workers.imaging.device.labels import first_pixels, highest
from gpu_workers.imaging.device.launching import each_block, each_pixel, plane
from gpu_workers.imaging.device.morphology import distance_transform
from gpu_workers.imaging.regions import IntensityStatistics, RadiusStatistics, RegionGeometry
from gpu_workers.xp import device_half, namespace

BLOCK = 128


def _size(labels: Any) -> tuple[np.int32, np.int32]:
    """Return what kernels are told of an image: its width and its number of pixels."""
    return np.int32(plane(labels)[1]), np.int32(labels.size)


@device_half(regions.region_geometry)
def region_geometry(labels: Any) -> RegionGeometry:
    """Return size, place and shape of all objects; within 1e-12 as on the CPU."""
    xp = namespace(labels)
    width = plane(labels)[1]
    n = highest(labels)
    values = xp.ascontiguousarray(labels, xp.int32)
    first = first_pixels(values, n)
    sums, counts = xp.zeros((n, 6), xp.int64), xp.zeros((n, 3), xp.int32)
    boxes = xp.zeros((n, 4), xp.int32)
    boxes[:, :2] = max(labels.shape)
    size, many = _size(labels), labels.size
    each_pixel(xp, "regions", "moments", many, (values, *size, first, sums, boxes))
    each_pixel(xp, "regions", "perimeters", many, (values, *size, counts))
    area = sums[:, 0].astype(xp.float64)
    present = area > 0
    mean = sums[:, 1:6] / area[:, None]
    y, x = mean[:, 0], mean[:, 1]
    yy, xx, xy = mean[:, 2] - y * y, mean[:, 3] - x * x, mean[:, 4] - x * y
    middle = (yy + xx) / 2
    spread = xp.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    root = np.sqrt(2.0)
    perimeter = counts[:, 0] + root * counts[:, 1] + (1 + root) / 2 * counts[:, 2]
    return RegionGeometry(
        area=area,
        y=y + first[1:] // width,
        x=x + first[1:] % width,
        box=xp.where(present[:, None], boxes, 0).astype(xp.int32),
        perimeter=xp.where(present, perimeter, np.nan),
        major_axis=4 * xp.sqrt(xp.maximum(middle + spread, 0)),
        minor_axis=4 * xp.sqrt(xp.maximum(middle - spread, 0)),
    )


def by_label(labels: Any, n: int) -> tuple[Any, Any]:
    """Return the flat positions of labelled pixels, label by label in the order of pixels, and starts.

    The pixels of label k are ``places[starts[k - 1] : starts[k]]``.
    """
    xp = namespace(labels)
    flat = labels.ravel()
    places = xp.flatnonzero(flat > 0)
    order = xp.argsort(flat[places], kind="stable")
    places = places[order]
    starts = xp.searchsorted(flat[places], xp.arange(1, n + 2, dtype=flat.dtype))
    return places, starts.astype(xp.int64)


def sorted_by(*keys: Any) -> Any:
    """Return the order that sorts rows by the last key, those alike by the key before, and so on."""
    xp = namespace(*keys)
    dtype = xp.result_type(*keys)
    if not keys[0].size:
        return xp.zeros(0, xp.int64)
    return xp.lexsort(xp.stack([key.astype(dtype) for key in keys]))


def value_table(values: Any, starts: Any) -> tuple[Any, ...]:
    """Return count, sum and sum of squares about the first value, min, max and first value of runs."""
    xp = namespace(values)
    n = int(starts.size) - 1
    table = xp.zeros((n, 6), xp.float64)
    each_block(xp, "segments", "statistics", (n, BLOCK), (values, starts, table))
    return tuple(table[:, i] for i in range(6))


@device_half(regions.intensity_statistics)
def intensity_statistics(labels: Any, image: Any) -> IntensityStatistics:
    """Return the intensities within all objects; sums within 1e-12 as on the CPU, min and max equal."""
    if labels.shape != image.shape:
        raise ValueError(f"labels of {labels.shape} on an image of {image.shape}")
    xp = namespace(labels, image)
    n = highest(labels)
    places, starts = by_label(labels, n)
    values = image.ravel()[places].astype(xp.float64)
    count, shifted, squares, low, high, first = value_table(values, starts)
    offset = shifted / count
    variance = squares / count - offset**2
    mean = first + offset
    missing = (count == 0) | xp.isnan(shifted)
    return IntensityStatistics(
        mean=xp.where(missing, np.nan, mean),
        sum=xp.where(missing, np.nan, mean * count),
        min=xp.where(missing, np.nan, low),
        max=xp.where(missing, np.nan, high),
        std=xp.where(missing, np.nan, xp.sqrt(xp.maximum(variance, 0))),
    )


@device_half(regions.radius_statistics)
def radius_statistics(labels: Any) -> RadiusStatistics:
    """Return the greatest and mean distance to what isn't the object."""
    found = intensity_statistics(labels, distance_transform(labels, outside=True))
    return RadiusStatistics(found.max, found.mean)


@device_half(regions.convex_areas)
def convex_areas(labels: Any, geometry: RegionGeometry) -> Any:
    """Return the number of pixels in each object's convex hull, equal to the CPU's."""
    xp = namespace(labels)
    values = xp.ascontiguousarray(labels, xp.int32)
    heights = geometry.box[:, 2] - geometry.box[:, 0]
    n = heights.size
    start = xp.concatenate([xp.zeros(1, xp.int64), xp.cumsum(heights, dtype=xp.int64)])
    rows = int(start[-1])
    ends = xp.empty((rows, 2), xp.int32)
    ends[:, 0], ends[:, 1] = 1 << 30, -1
    boxes = xp.ascontiguousarray(geometry.box)
    each_pixel(xp, "regions", "row_ends", labels.size, (values, *_size(labels), boxes, start, ends))
    chain_y, chain_x = (xp.empty(2 * rows + n, xp.int64) for _ in range(2))
    areas = xp.zeros(n, xp.int64)
    each_pixel(xp, "regions", "convex", n, (ends, start, np.int32(n), chain_y, chain_x, areas))
    return xp.where(geometry.area > 0, areas.astype(xp.float64), np.nan)
