"""Module: one image of two channels."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.arithmetic import sum_of_stretched, weighted_sum
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments


class CombineChannelsArguments(Arguments):
    weight_1: float = Field(0.5, title="Weight of the first", description="may be negative")
    weight_2: float = Field(0.5, title="Weight of the second", description="may be negative")
    stretch: bool = Field(
        False,
        title="Stretch",
        description="stretch both images from 0 to 1 before, and the sum over its type's range",
    )


@module(
    title="Combine channels",
    help="Adds two images with weights.",
    version=1,
    outputs=("combined_image",),
    dimensions=(2, 3),
    device=True,
    bytes_per_pixel=32,
)
def combine_channels(
    arguments: CombineChannelsArguments, image_1: Intensity, image_2: Intensity
) -> Intensity:
    """Return the weighted sum, rounded and held within the type of whole numbers that holds both."""
    add = sum_of_stretched if arguments.stretch else weighted_sum
    return add(image_1, image_2, arguments.weight_1, arguments.weight_2)
