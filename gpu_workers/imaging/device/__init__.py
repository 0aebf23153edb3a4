"""Device halves of the operations of `gpu_workers.imaging`: importing this package registers them all.

`gpu_workers.xp` imports it with the first array of a device. Nothing here imports cupy by itself: a
half takes its namespace from its arrays, so that the same code runs on any that offers the functions.
What cupy lacks are kernels of our own, in ``kernels/*.cu``.
"""

from gpu_workers.imaging.device import (
    aggregates,
    background,
    filters,
    intensity,
    labels,
    morphology,
    regions,
    relations,
    shapes,
    thresholds,
    watershed,
)

__all__ = [
    "aggregates",
    "background",
    "filters",
    "intensity",
    "labels",
    "morphology",
    "regions",
    "relations",
    "shapes",
    "thresholds",
    "watershed",
]
