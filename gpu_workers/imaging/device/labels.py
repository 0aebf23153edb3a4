"""Label images on a device; halves of `gpu_workers.imaging.labels`. All are equal to the CPU's."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gpu_workers.imaging import labels as host
from gpu_workers.imaging.device.launching import each_pixel, plane
from gpu_workers.xp import device_half, namespace, ndimage

PLANE = {4: [[0, 1, 0], [1, 1, 1], [0, 1, 0]], 8: [[1, 1, 1], [1, 1, 1], [1, 1, 1]]}
ALONE = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
VOLUME = {4: [ALONE, PLANE[4], ALONE], 8: [PLANE[8]] * 3}


def highest(labels: Any) -> int:
    """Return the highest label, 0 without pixels; waits for the device."""
    return int(labels.max()) if labels.size else 0


def first_pixels(labels: Any, n: int) -> Any:
    """Return the flat position of the first pixel of each label 0…n; the image's size where none is."""
    xp = namespace(labels)
    first = xp.full(n + 1, labels.size, xp.int32)
    values = xp.ascontiguousarray(labels, xp.int32)
    each_pixel(xp, "regions", "first_pixels", labels.size, (values, np.int32(labels.size), first))
    return first


def _numbered(labels: Any, n: int, keep: Any | None = None) -> Any:
    """Renumber kept labels 0…n by first appearance; the others become 0."""
    xp = namespace(labels)
    first = first_pixels(labels, n)
    if keep is not None:
        first = xp.where(keep, first, labels.size)
    new = xp.zeros(n + 1, xp.int32)
    new[1 + xp.argsort(first[1:])] = xp.arange(1, n + 1, dtype=xp.int32)
    new = xp.where(first < labels.size, new, 0).astype(xp.int32)
    new[0] = 0
    return new[labels]


@device_half(host.label)
def label(mask: Any, connectivity: Literal[4, 8] = 8) -> Any:
    """Return the numbered parts of a mask."""
    structure = (PLANE if mask.ndim == 2 else VOLUME)[connectivity]
    found, n = ndimage(mask).label(mask, structure=structure)
    return _numbered(found, int(n))


@device_half(host.split_parts)
def split_parts(labels: Any, connectivity: Literal[4, 8] = 8) -> Any:
    """Return a number for every connected part of a mask or of an object."""
    if labels.dtype == bool or not labels.size:
        return label(labels, connectivity)
    xp = namespace(labels)
    size = (np.int32(plane(labels)[1]), np.int32(labels.size))
    values = xp.ascontiguousarray(labels, xp.int32)
    up, roots = xp.arange(labels.size, dtype=xp.int32), xp.empty(labels.size, xp.int32)
    corners = np.int32(connectivity == 8)
    each_pixel(xp, "parts", "join_parts", labels.size, (values, *size, corners, up))
    each_pixel(xp, "parts", "find_roots", labels.size, (up, size[1], roots))
    firsts = xp.flatnonzero((roots == xp.arange(labels.size)) & (values.ravel() != 0))
    numbers = xp.zeros(labels.size, xp.int32)
    numbers[firsts] = xp.arange(1, firsts.size + 1, dtype=xp.int32)
    return numbers[roots].reshape(labels.shape)


@device_half(host.relabel)
def relabel(labels: Any) -> Any:
    """Return the labels without gaps."""
    return _numbered(labels, highest(labels))


@device_half(host.filter_by_area)
def filter_by_area(labels: Any, min_area: float = 0, max_area: float | None = None) -> Any:
    """Return the objects within a range of areas, renumbered."""
    xp = namespace(labels)
    n = highest(labels)
    areas = xp.bincount(labels.ravel(), minlength=n + 1)
    keep = areas >= min_area
    if max_area is not None:
        keep &= areas <= max_area
    return _numbered(labels, n, keep)


@device_half(host.expand_labels)
def expand_labels(labels: Any, distance: float) -> Any:
    """Return the objects grown into the background."""
    limit = int(distance)
    if limit < 1 or not labels.size:
        return labels.copy()
    xp = namespace(labels)
    height, width = plane(labels)
    values = xp.ascontiguousarray(labels, xp.int32)
    column, source, grown = (xp.empty(labels.shape, xp.int32) for _ in range(3))
    size = (np.int32(height), np.int32(width), np.int32(limit))
    each_pixel(xp, "distances", "outer_columns", width, (values, *size, column, source))
    ends = (np.int32(width), np.int32(labels.size), np.int32(limit), np.float64(distance) ** 2)
    each_pixel(xp, "distances", "outer_rows", labels.size, (values, column, source, *ends, grown))
    return grown


@device_half(host.lookup)
def lookup(labels: Any, table: Any) -> Any:
    """Return each label's entry in a table of the same device."""
    xp = namespace(labels, table)
    missing = highest(labels) + 1 - table.size
    if missing > 0:
        table = xp.concatenate([table, xp.zeros(missing, table.dtype)])
    return table[labels]
