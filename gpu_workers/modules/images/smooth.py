"""Module: remove noise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.filters import gaussian, median
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments


class SmoothArguments(Arguments):
    method: Literal["gaussian", "median"] = Field("gaussian", title="Filter")
    sigma: float = Field(
        1.5, ge=0, le=200, title="Sigma (px)", description="standard deviation of the Gaussian"
    )
    size: int = Field(
        5, ge=1, le=101, title="Size (px)", description="side of the median's square, odd"
    )


@module(
    title="Smooth", help="Removes noise with a Gaussian or a median.", version=1, outputs=("image",)
)
def smooth(arguments: SmoothArguments, image: Intensity) -> Intensity:
    """Return the smoothed image; float32 for the Gaussian, the input's type for the median."""
    if arguments.method == "median":
        return median(image, arguments.size)
    return gaussian(image, arguments.sigma)
