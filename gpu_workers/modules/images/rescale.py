"""Module: a range of intensities over the whole range of the type."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.arithmetic import finite_limits, rescaled
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments


class RescaleArguments(Arguments):
    min_value: float | None = Field(
        None, title="Lowest value", description="becomes black; the image's lowest if empty"
    )
    max_value: float | None = Field(
        None, title="Highest value", description="becomes white; the image's highest if empty"
    )


@module(
    title="Rescale",
    help="Spreads a range of intensities over the whole range of the image's type.",
    version=1,
    outputs=("rescaled_image",),
    dimensions=(2, 3),
    device=True,
    bytes_per_pixel=24,
)
def rescale(arguments: RescaleArguments, intensity_image: Intensity) -> Intensity:
    """Return the image in its own type, floats from 0 to 1; what lies outside the range is cut off."""
    low, high = finite_limits(intensity_image)
    low = low if arguments.min_value is None else arguments.min_value
    high = high if arguments.max_value is None else arguments.max_value
    return rescaled(intensity_image, low, high)
