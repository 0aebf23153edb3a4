"""Module: small objects go."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.shapes import without_small
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class RemoveSmallObjectsArguments(Arguments):
    min_area: float = Field(
        30, ge=0, title="Smallest area (px)", description="in three dimensions voxels"
    )


@module(
    title="Remove small objects",
    help="Removes objects, or connected parts of a mask, that are too small; numbers stay.",
    version=1,
    outputs=("cleaned_mask",),
    dimensions=(2, 3),
    device=True,
)
def remove_small_objects(
    arguments: RemoveSmallObjectsArguments, mask: Mask | LabelImage
) -> Mask | LabelImage:
    """Return what has at least the smallest area."""
    return without_small(mask, arguments.min_area)
