"""Module: grow, shrink, open and close masks and objects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging import shapes
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments

_OPERATIONS = {
    "dilate": shapes.dilate,
    "erode": shapes.erode,
    "open": shapes.opened,
    "close": shapes.closed,
}


class MorphologyArguments(Arguments):
    operation: Literal["dilate", "erode", "open", "close"] = Field(
        "open",
        title="Operation",
        description="open: spurs and thin bridges go; close: gaps and notches are filled",
    )
    radius: float = Field(
        2, ge=0, le=500, title="Radius (px)", description="of the disc, in three dimensions a ball"
    )


@module(
    title="Morphology",
    help="Grows, shrinks, opens or closes a mask or objects, which never merge.",
    version=1,
    outputs=("morphed_mask",),
    dimensions=(2, 3),
    device=True,
)
def morphology(arguments: MorphologyArguments, mask: Mask | LabelImage) -> Mask | LabelImage:
    """Return the mask or the objects with their numbers; nothing changes because of the image's edge."""
    return _OPERATIONS[arguments.operation](mask, arguments.radius)
