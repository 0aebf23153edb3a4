"""Module: how many objects lie in each object."""

from __future__ import annotations

import numpy as np

from gpu_workers.imaging.features.aggregates import aggregate, parents_of
from gpu_workers.imaging.features.aggregates import count_children as count
from gpu_workers.imaging.relations import areas, centroids
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module
from gpu_workers.registry import Arguments


class CountChildrenArguments(Arguments):
    pass


@module(
    title="Count children",
    help="Counts the objects of another type that lie in each object, their area and distance.",
    version=1,
    outputs=("features",),
    measures="parents",
    dimensions=(2, 3),
)
def count_children(
    arguments: CountChildrenArguments,  # noqa: ARG001
    parents: LabelImage,
    children: LabelImage,
    setting: Setting,
) -> Measurements:
    """Return ``Children_<Type>_Count``, ``_Fraction`` and ``_Mean_Distance`` of the parents.

    Notes
    -----
    A child belongs to the object that covers most of its pixels. Fraction is the part of the
    parent's pixels that any object of the type covers, distance that of the centroids.
    """
    name = f"Children_{setting.names.get('children', 'children')}"
    size = areas(parents)
    parent = parents_of(children, parents)
    place = centroids(children)
    far = np.full(parent.size, np.nan)
    far[parent > 0] = np.linalg.norm(
        place[parent > 0] - centroids(parents)[parent[parent > 0] - 1], axis=1
    )
    covered = np.bincount(parents[children > 0], minlength=size.size + 1)[1:]
    present = size > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            f"{name}_Count": np.where(present, count(parent, size.size), np.nan),
            f"{name}_Fraction": covered / np.where(present, size, np.nan),
            f"{name}_Mean_Distance": aggregate(far, parent, size.size).mean,
        }
    units = {f"{name}_Mean_Distance": "px"}
    if setting.pixel_size_um is not None and parents.ndim == 2:
        columns[f"{name}_Mean_Distance_um"] = (
            columns[f"{name}_Mean_Distance"] * setting.pixel_size_um
        )
        units[f"{name}_Mean_Distance_um"] = "µm"
    return Features(columns, units)
