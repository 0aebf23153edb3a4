"""Module: grow or shrink objects by a distance."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.shapes import dilate, erode
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class ExpandOrShrinkArguments(Arguments):
    n: float = Field(
        5,
        ge=-500,
        le=500,
        title="Distance (px)",
        description="positive: objects grow; negative: they shrink, the smallest vanish",
    )


@module(
    title="Expand or shrink objects",
    help="Grows or shrinks objects by a number of pixels; they do not merge and keep their numbers.",
    version=1,
    outputs=("expanded_image",),
    dimensions=(2, 3),
    device=True,
)
def expand_or_shrink(arguments: ExpandOrShrinkArguments, image: LabelImage) -> LabelImage:
    """Return the objects after all pixels within `n` of them are added, or of their outside removed."""
    if arguments.n < 0:
        return erode(image, -arguments.n)
    return dilate(image, arguments.n)
