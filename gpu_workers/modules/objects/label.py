"""Module: number the connected parts of a mask."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.labels import split_parts
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class LabelArguments(Arguments):
    connectivity: Literal[4, 8] = Field(
        8,
        title="Neighbours",
        description="8 also joins pixels that touch at a corner; in three dimensions 26, and 6",
    )


@module(
    title="Label",
    help="Numbers the connected parts of a mask; of labels each part becomes an object of its own.",
    version=1,
    outputs=("label_image",),
    dimensions=(2, 3),
    device=True,
)
def label(arguments: LabelArguments, mask: Mask | LabelImage) -> LabelImage:
    """Return labels 1…n in the order of first pixels."""
    return split_parts(mask, arguments.connectivity)
