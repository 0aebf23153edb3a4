"""Shrinking, growing and filling on a device; halves of `gpu_workers.imaging.shapes`. All equal the CPU's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_workers.imaging import shapes
from gpu_workers.imaging.device.labels import expand_labels, highest, label, lookup
from gpu_workers.imaging.device.launching import each_pixel, plane
from gpu_workers.imaging.device.morphology import distance_transform, fill_holes
from gpu_workers.xp import device_half, namespace

_LARGEST = int(np.iinfo(np.int32).max)


@device_half(shapes.erode)
def erode(labels: Any, radius: float) -> Any:
    """Return the objects without what lies within a distance of their outside."""
    if radius < 1 or not labels.size:
        return labels.copy()
    xp = namespace(labels)
    return xp.where(distance_transform(labels) > radius, labels, labels.dtype.type(0))


@device_half(shapes.dilate)
def dilate(labels: Any, radius: float) -> Any:
    """Return the objects with the background within a distance."""
    if radius < 1 or not labels.size:
        return labels.copy()
    if labels.dtype == bool:
        return distance_transform(~labels) <= radius
    return expand_labels(labels, radius)


@device_half(shapes.opened)
def opened(labels: Any, radius: float) -> Any:
    """Return what a disc within the objects reaches."""
    grown = dilate(erode(labels, radius), radius)
    return namespace(labels).where(grown == labels, labels, labels.dtype.type(0))


@device_half(shapes.closed)
def closed(labels: Any, radius: float) -> Any:
    """Return the objects with the gaps that no disc outside reaches."""
    shrunk = erode(dilate(labels, radius), radius)
    return namespace(labels).where(labels > 0, labels, shrunk)


def _objects_of(image: Any) -> Any:
    return label(image) if image.dtype == bool else image


@device_half(shapes.without_small)
def without_small(labels: Any, min_area: float) -> Any:
    """Return the objects of no fewer pixels."""
    xp = namespace(labels)
    parts = _objects_of(labels)
    keep = xp.bincount(parts.ravel()) >= min_area
    keep[:1] = False
    return xp.where(lookup(parts, keep), labels, labels.dtype.type(0))


def _owners(labels: Any, gaps: Any, n: int) -> Any:
    """Return for each connected gap 0…n the one object around it, or 0."""
    xp = namespace(labels)
    lowest, most = xp.full(n + 1, _LARGEST, xp.int32), xp.zeros(n + 1, xp.int32)
    values = xp.ascontiguousarray(labels, xp.int32)
    size = (np.int32(plane(labels)[1]), np.int32(labels.size))
    each_pixel(xp, "parts", "beside_gaps", labels.size, (values, gaps, *size, lowest, most))
    return xp.where(lowest == most, most, 0)


@device_half(shapes.filled)
def filled(labels: Any, max_area: float | None = None) -> Any:
    """Return the objects with the background that one of them encloses."""
    if not labels.size:
        return labels.copy()
    if labels.dtype == bool and max_area is None:
        return fill_holes(labels)
    xp = namespace(labels)
    gaps = xp.ascontiguousarray(label(labels == 0, 4), xp.int32)
    owners = _owners(labels, gaps, highest(gaps))
    if max_area is not None:
        owners[xp.bincount(gaps.ravel(), minlength=owners.size) > max_area] = 0
    owners[0] = 0
    return xp.where(labels == 0, owners[gaps].astype(labels.dtype), labels)
