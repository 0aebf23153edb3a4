"""Seeded watershed on a device; half of `gpu_workers.imaging.watershed`, equal to the CPU's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_workers.imaging import watershed as host
from gpu_workers.imaging.device.launching import each_block, plane
from gpu_workers.imaging.watershed import N_LEVELS
from gpu_workers.xp import device_half, namespace, ndimage

MANY_PARTS = 512


def _levels(image: Any, mask: Any) -> Any:
    """Return the image in whole levels from 0, int32."""
    xp = namespace(image)
    if image.dtype.kind == "u" and image.dtype.itemsize <= 2:
        return image.astype(xp.int32)
    values = image[mask]
    values = values[xp.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low == high:
        return xp.zeros(image.shape, xp.int32)
    known = image
    if image.dtype.kind == "f":
        known = xp.nan_to_num(image, nan=high, posinf=high, neginf=low)
    scaled = (known - low) * np.float32((N_LEVELS - 1) / (high - low))
    return xp.clip(xp.rint(scaled), 0, N_LEVELS - 1).astype(xp.int32)


def _waiting(parts: Any, seeds: Any, n_parts: int) -> tuple[Any, Any, Any]:
    """Return where each part's piece of a list starts, its number of seeds, and a list with the seeds."""
    xp = namespace(parts)
    flat = parts.ravel()
    sizes = xp.bincount(flat, minlength=n_parts + 1)[1:]
    start = xp.cumsum(sizes) - sizes
    places = xp.flatnonzero((seeds != 0) & (parts != 0))
    places = places[xp.argsort(flat[places], kind="stable")]
    owner = flat[places] - 1
    counts = xp.bincount(owner, minlength=n_parts)
    rank = xp.arange(places.size) - (xp.cumsum(counts) - counts)[owner]
    waiting = xp.empty(parts.size, xp.int32)
    waiting[start[owner] + rank] = places.astype(xp.int32)
    return start.astype(xp.int32), counts.astype(xp.int32), waiting


@device_half(host.watershed)
def watershed(image: Any, seeds: Any, mask: Any | None = None) -> Any:
    """Return the flooded image.

    Notes
    -----
    A block floods one 4-connected part of the mask: many parts fill a card, a mask of one piece is
    flooded by a single block.
    """
    xp = namespace(image, seeds)
    width = plane(image)[1]
    if not image.size:
        return xp.zeros(image.shape, xp.int32)
    where = xp.ones(image.shape, bool) if mask is None else mask
    parts, n_parts = ndimage(image).label(where)
    parts = xp.ascontiguousarray(parts, xp.int32)
    n_parts = int(n_parts)
    result = xp.where(where, seeds, 0).astype(xp.int32)
    start, counts, waiting = _waiting(parts, seeds, n_parts)
    lists = (waiting, *(xp.empty(image.size, xp.int32) for _ in range(3)))
    claim = xp.full(image.size, np.iinfo(np.int32).max, xp.int32)
    size = (np.int32(width), np.int32(image.size))
    threads = 64 if n_parts > MANY_PARTS else 512
    shape = (n_parts, threads)
    levels = xp.ascontiguousarray(_levels(image, where))
    arguments = (levels, parts, *size, start, counts, *lists, claim, result)
    each_block(xp, "watershed", "flood", shape, arguments)
    return result
