"""Module: logic of two masks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class CombineMasksArguments(Arguments):
    logical_operation: Literal["AND", "OR", "EXCLUSIVE_OR"] = Field(
        "AND", title="Operation", description="in both, in one at least, in just one"
    )


@module(
    title="Combine masks",
    help="Joins two masks by AND, OR or EXCLUSIVE_OR.",
    version=1,
    outputs=("combined_mask",),
    dimensions=(2, 3),
    device=True,
)
def combine_masks(
    arguments: CombineMasksArguments, mask_1: Mask | LabelImage, mask_2: Mask | LabelImage
) -> Mask:
    """Return where the operation holds; of labels every object is foreground."""
    first, second = mask_1 > 0, mask_2 > 0
    if arguments.logical_operation == "AND":
        combined: Mask = first & second
    elif arguments.logical_operation == "OR":
        combined = first | second
    else:
        combined = first ^ second
    return combined
