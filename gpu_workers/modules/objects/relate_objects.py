"""Module: which object each object lies in."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.imaging.features.aggregates import parents_of
from gpu_workers.imaging.relations import areas, centroids, overlaps
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module
from gpu_workers.registry import Arguments


class RelateObjectsArguments(Arguments):
    min_overlap: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Least overlap",
        description="part of an object's pixels that must lie in its parent",
    )


@module(
    title="Relate objects",
    help="Says of each object which object of another type it lies in, how far in, and how far from its centre.",
    version=1,
    outputs=("features",),
    measures="children",
    dimensions=(2, 3),
)
def relate_objects(
    arguments: RelateObjectsArguments, children: LabelImage, parents: LabelImage, setting: Setting
) -> Measurements:
    """Return ``Parent_<Type>`` (the parent's label), ``_Overlap`` and ``_Distance`` of the children.

    Notes
    -----
    The parent covers most of the child's pixels. Overlap is the part that it covers, distance that
    of the centroids. A child without a parent has overlap 0, the other two are missing.
    """
    name = f"Parent_{setting.names.get('parents', 'parents')}"
    parent = parents_of(children, parents)
    size = areas(children)
    found = overlaps(children, parents)
    best = parent[found.first - 1] == found.second
    part = np.where(size > 0, 0.0, np.nan)
    part[found.first[best] - 1] = found.n_pixels[best] / size[found.first[best] - 1]
    has = (parent > 0) & (part >= arguments.min_overlap)
    far = np.full(size.size, np.nan)
    there = centroids(parents)[parent[has] - 1]
    far[has] = np.linalg.norm(centroids(children)[has] - there, axis=1)
    columns = {
        name: np.where(has, parent, np.nan),
        f"{name}_Overlap": part,
        f"{name}_Distance": far,
    }
    units = {f"{name}_Distance": "px"}
    if setting.pixel_size_um is not None and children.ndim == 2:
        columns[f"{name}_Distance_um"] = far * setting.pixel_size_um
        units[f"{name}_Distance_um"] = "µm"
    return Features(columns, units)
