"""Module: an image within a mask, another intensity outside."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.arithmetic import inside
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class ApplyMaskIntensityArguments(Arguments):
    value: float = Field(0, title="Value", description="of pixels outside the mask")


@module(
    title="Apply mask (intensity)",
    help="Sets pixels outside a mask to an intensity.",
    version=1,
    outputs=("masked_image",),
    dimensions=(2, 3),
    device=True,
)
def apply_mask_intensity(
    arguments: ApplyMaskIntensityArguments, image: Intensity, mask: Mask | LabelImage
) -> Intensity:
    """Return the image where the mask is, else the value, held within the image's type."""
    return inside(image, mask, arguments.value)
