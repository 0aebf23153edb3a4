"""Module: ratio of two channels."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.arithmetic import Image, background_level, inside
from gpu_workers.imaging.arithmetic import ratio as divide
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class RatioArguments(Arguments):
    background_numerator: float | None = Field(
        None, title="Background of the numerator", description="measured in the image if empty"
    )
    background_denominator: float | None = Field(
        None, title="Background of the denominator", description="measured in the image if empty"
    )
    percentile: float = Field(
        5,
        ge=0,
        le=100,
        title="Percentile of the background",
        description="of an image without a mask; with a mask its background is the median outside",
    )
    floor: float = Field(
        1,
        gt=0,
        title="Floor",
        description="least value of the denominator above its background, so that noise does not"
        " blow up",
    )
    outside: float = Field(0, title="Outside", description="value of pixels outside the mask")


@module(
    title="Ratio",
    help="Divides one channel by another, both without background: for ratiometric sensors.",
    version=1,
    outputs=("ratio_image",),
    dimensions=(2, 3),
    device=True,
    bytes_per_pixel=32,
)
def ratio(
    arguments: RatioArguments,
    numerator: Intensity,
    denominator: Intensity,
    mask: Mask | LabelImage | None = None,
) -> Intensity:
    """Return the ratio as float32, within the mask if there is one.

    Both channels must be corrected for uneven illumination before: a shading that they do not share
    stays in their ratio.
    """

    def level(image: Image, given: float | None) -> float:
        return background_level(image, arguments.percentile, mask) if given is None else given

    background = (
        level(numerator, arguments.background_numerator),
        level(denominator, arguments.background_denominator),
    )
    divided = divide(numerator, denominator, background, arguments.floor)
    return divided if mask is None else inside(divided, mask, arguments.outside)
