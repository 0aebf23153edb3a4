"""How objects lie to each other, on a device; halves of `gpu_workers.imaging.relations`."""

from __future__ import annotations

from typing import Any

from gpu_workers.imaging import relations
from gpu_workers.imaging.device.labels import highest, lookup
from gpu_workers.xp import device_half, namespace


@device_half(relations.overlaps)
def overlaps(first: Any, second: Any) -> relations.Overlaps:
    """Return which objects of two label images overlap, as on the CPU."""
    xp = namespace(first, second)
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(xp.int64), second[both].astype(xp.int64)
    width = highest(second) + 1
    pairs, counts = xp.unique(a * width + b, return_counts=True)
    return relations.Overlaps(pairs // width, pairs % width, counts)


@device_half(relations.centroids)
def centroids(labels: Any) -> Any:
    """Return the mean place of each object's pixels: sums of whole numbers, in any order the same."""
    xp = namespace(labels)
    n = highest(labels)
    pixels = xp.flatnonzero(labels)
    own = labels.ravel()[pixels] - 1
    size = xp.bincount(own, minlength=n)
    index = xp.unravel_index(pixels, labels.shape)
    places = [xp.bincount(own, i.astype(xp.float64), n) / size for i in index]
    return xp.stack(places, axis=1)


@device_half(relations.at_border)
def at_border(labels: Any, distance: int = 0) -> Any:
    """Return which objects have a pixel at the edge, as on the CPU."""
    near = namespace(labels).zeros(highest(labels) + 1, bool)
    depth = distance + 1
    near[labels[..., :depth, :]] = True
    near[labels[..., -depth:, :]] = True
    near[labels[..., :depth]] = True
    near[labels[..., -depth:]] = True
    return near[1:]


@device_half(relations.without)
def without(labels: Any, dropped: Any) -> Any:
    """Return the objects that aren't dropped; the table may lie in either memory."""
    xp = namespace(labels)
    numbers = xp.arange(dropped.size + 1, dtype=xp.int32)
    numbers[1:] *= ~xp.asarray(dropped)
    return lookup(labels, numbers)
