"""Module: keep objects of a range of sizes."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.labels import filter_by_area
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class FilterAreaArguments(Arguments):
    min_area: float = Field(0, ge=0, title="Smallest area (px)")
    max_area: float | None = Field(None, gt=0, title="Largest area (px)")


@module(
    title="Filter by area",
    help="Removes objects that are too small or too large.",
    version=1,
    outputs=("labels",),
    dimensions=(2, 3),
    device=True,
)
def filter_area(arguments: FilterAreaArguments, labels: LabelImage) -> LabelImage:
    """Return the objects that remain, renumbered."""
    return filter_by_area(labels, arguments.min_area, arguments.max_area)
