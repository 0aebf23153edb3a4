"""Module: a frame along the image's edges."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.arithmetic import bordered
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class AddBorderArguments(Arguments):
    border_size: int = Field(0, ge=0, le=100_000, title="Width (px)")
    value: float = Field(
        0, title="Value", description="of the frame; of a mask everything but 0 is foreground"
    )


@module(
    title="Add border",
    help="Sets the pixels along the image's edges to one value; the image keeps its size.",
    version=1,
    outputs=("bordered_image",),
    dimensions=(2, 3),
    device=True,
)
def add_border(
    arguments: AddBorderArguments, image: Intensity | Mask | LabelImage
) -> Intensity | Mask | LabelImage:
    """Return the image with a frame; in three dimensions in each plane."""
    return bordered(image, arguments.border_size, arguments.value)
