"""Module: objects inside or outside a mask."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.relations import areas, without
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class MaskObjectsArguments(Arguments):
    keep: Literal["inside", "outside"] = Field("inside", title="Keep objects")
    min_part: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Least part",
        description="of an object's pixels that must lie there; 0: a single pixel is enough",
    )
    crop: bool = Field(
        False, title="Crop", description="cut off what lies on the other side of the mask's edge"
    )


@module(
    title="Mask objects",
    help="Keeps objects that lie inside (or outside) a mask; numbers stay.",
    version=1,
    outputs=("kept",),
    dimensions=(2, 3),
    device=True,
)
def mask_objects(arguments: MaskObjectsArguments, labels: LabelImage, mask: Mask) -> LabelImage:
    """Return the objects that have enough of their pixels on the side that is kept."""
    side = mask if arguments.keep == "inside" else ~mask
    size = areas(labels)
    inside = np.bincount(labels[side], minlength=size.size + 1)[1:]
    kept = without(labels, (inside < arguments.min_part * size) | (inside == 0))
    return np.where(side, kept, np.int32(0)) if arguments.crop else kept
