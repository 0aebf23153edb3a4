"""Module: an image within a mask."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.arithmetic import inside
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class ApplyMaskArguments(Arguments):
    plot_type: Literal["objects", "intensity"] = Field(
        "objects", title="Figure", description="of pipelines of old; changes no result"
    )


@module(
    title="Apply mask",
    help="Sets pixels outside a mask to 0.",
    version=1,
    outputs=("masked_image",),
    dimensions=(2, 3),
    device=True,
)
def apply_mask(
    arguments: ApplyMaskArguments,  # noqa: ARG001
    image: Intensity | Mask | LabelImage,
    mask: Mask | LabelImage,
) -> Intensity | Mask | LabelImage:
    """Return the image where the mask (or an object) is, else 0."""
    return inside(image, mask)
