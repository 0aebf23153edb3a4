"""Module: take away uneven background."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.arithmetic import float_type, saturated
from gpu_workers.imaging.background import local_median, local_minimum, opening, rolling_ball
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments
from gpu_workers.xp import namespace

_BACKGROUNDS = {
    "top_hat": opening,
    "rolling_ball": rolling_ball,
    "median": local_median,
    "minimum": local_minimum,
}


class SubtractBackgroundArguments(Arguments):
    method: Literal["top_hat", "rolling_ball", "median", "minimum"] = Field(
        "rolling_ball",
        title="Method",
        description="top_hat: what is narrower than a disc stays; rolling_ball: what a ball rolling"
        " below does not touch; median and minimum: above that of the surroundings",
    )
    radius: int = Field(
        50,
        ge=1,
        le=1000,
        title="Radius (px)",
        description="larger than that of the largest object; for the median so large that more than"
        " half of the surroundings is background",
    )
    intensity_per_pixel: float = Field(
        1,
        gt=0,
        title="Intensity of one px",
        description="of the rolling ball, which is as high as it is wide: small for images from 0 to"
        " 1, such as 0.001",
    )


def _above(arguments: SubtractBackgroundArguments, plane: NDArray) -> NDArray:
    xp = namespace(plane)
    unit = arguments.intensity_per_pixel if arguments.method == "rolling_ball" else 1
    values = plane if unit == 1 else plane / unit
    background = _BACKGROUNDS[arguments.method](values, arguments.radius) * xp.float32(unit)
    dtype = float_type(plane) if plane.dtype.kind == "f" else plane.dtype
    with np.errstate(invalid="ignore"):
        above = xp.maximum(plane.astype(np.float32) - background, 0)
    if plane.dtype.kind == "f":
        above = xp.where(xp.isfinite(plane), above, xp.float32(xp.nan))
    return saturated(above, dtype)


@module(
    title="Subtract background",
    help="Takes away uneven background from below bright objects.",
    version=1,
    outputs=("subtracted_image",),
    dimensions=(2, 3),
    bytes_per_pixel=24,
    device=True,
)
def subtract_background(arguments: SubtractBackgroundArguments, image: Intensity) -> Intensity:
    """Return the image above its background in its own type, at least 0; planes one by one."""
    if image.ndim == 2:
        return _above(arguments, image)
    planes: Intensity = namespace(image).stack([_above(arguments, plane) for plane in image])
    return planes
