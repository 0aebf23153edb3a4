"""Module: keep objects by one measure of their shape."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.labels import lookup, objects_of
from gpu_workers.imaging.regions import convex_areas, region_geometry
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments

ShapeFeature = Literal[
    "area", "eccentricity", "circularity", "convexity", "extent", "elongation", "perimeter",
    "equivalent_diameter",
]  # fmt: skip


class FilterArguments(Arguments):
    feature: ShapeFeature = Field(
        "area",
        title="Feature",
        description="area px; circularity: 4 pi area / perimeter², 1 for a disc; convexity: area over"
        " that of the convex hull",
    )
    lower_threshold: float | None = Field(
        None, title="Lowest value", description="that is kept; no limit if empty"
    )
    upper_threshold: float | None = Field(
        None, title="Highest value", description="that is kept; no limit if empty"
    )


def _measure(labels: LabelImage, feature: ShapeFeature) -> NDArray[np.float64]:
    """Return a feature of each object, row i for label i + 1."""
    geometry = region_geometry(labels)
    if feature == "convexity":
        with np.errstate(invalid="ignore", divide="ignore"):
            return geometry.area / convex_areas(labels, geometry)
    name = "form_factor" if feature == "circularity" else feature
    values: NDArray[np.float64] = getattr(geometry, name)
    return values


@module(
    title="Filter by shape",
    help="Removes objects whose shape lies outside a range; the others keep their numbers.",
    version=1,
    outputs=("filtered_mask",),
)
def filter(  # noqa: A001 - the module's name
    arguments: FilterArguments, mask: Mask | LabelImage
) -> Mask | LabelImage:
    """Return the mask or the labels of what is kept: within both thresholds or equal to one.

    A shape that isn't defined (of single pixels: circularity) lies outside every range.
    """
    labels = objects_of(mask)
    keep = np.ones(int(labels.max(initial=0)) + 1, np.bool_)
    values = _measure(labels, arguments.feature)
    if arguments.lower_threshold is not None:
        keep[1:] &= values >= arguments.lower_threshold
    if arguments.upper_threshold is not None:
        keep[1:] &= values <= arguments.upper_threshold
    return np.where(lookup(labels, keep), mask, np.zeros(1, mask.dtype))
