"""Module: objects of two kinds in one label image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.relations import areas, highest, without
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class CombineObjectsArguments(Arguments):
    overlapping: Literal["cut", "drop"] = Field(
        "cut",
        title="Objects of the second that overlap",
        description="cut: lose the pixels that are taken; drop: are left out",
    )
    max_part: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Largest part",
        description="of an object of the second that may be taken before it is dropped",
    )


@module(
    title="Combine objects",
    help="Adds the objects of a second label image to those of a first, where there is room.",
    version=1,
    outputs=("combined",),
    dimensions=(2, 3),
    device=True,
)
def combine_objects(
    arguments: CombineObjectsArguments, first: LabelImage, second: LabelImage
) -> LabelImage:
    """Return the first's objects with their numbers, and the second's numbered after them."""
    if arguments.overlapping == "drop":
        size = areas(second)
        taken = np.bincount(second[first > 0], minlength=size.size + 1)[1:]
        second = without(second, taken > arguments.max_part * size)
    moved = np.where(second > 0, second + np.int32(highest(first)), np.int32(0))
    return np.where(first > 0, first, moved)
