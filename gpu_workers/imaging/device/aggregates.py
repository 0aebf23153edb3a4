"""Parents of objects on a device; half of `gpu_workers.imaging.features.aggregates`."""

from __future__ import annotations

from typing import Any

from gpu_workers.imaging.device.labels import highest
from gpu_workers.imaging.device.regions import sorted_by
from gpu_workers.imaging.device.relations import overlaps
from gpu_workers.imaging.features import aggregates
from gpu_workers.xp import device_half, namespace


@device_half(aggregates.parents_of)
def parents_of(children: Any, parents: Any) -> Any:
    """Return the parent of each child, equal to the CPU's."""
    if children.shape != parents.shape:
        raise ValueError(f"children of {children.shape} in parents of {parents.shape}")
    xp = namespace(children, parents)
    found = xp.zeros(highest(children), xp.int32)
    pairs = overlaps(children, parents)
    # the last of each child is the one with most pixels, of these the lowest
    order = sorted_by(-pairs.second, pairs.n_pixels, pairs.first)
    child, parent = pairs.first[order], pairs.second[order]
    is_last = xp.ones(child.size, bool)
    is_last[:-1] = child[1:] != child[:-1]
    found[child[is_last] - 1] = parent[is_last].astype(xp.int32)
    return found
