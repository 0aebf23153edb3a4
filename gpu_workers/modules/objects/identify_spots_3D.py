"""Module: spots in a stack, counted over its planes."""  # noqa: N999

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.deblending import filter_with, log_kernel, rescale_between
from gpu_workers.modules.module import Intensity, Stack, module
from gpu_workers.modules.objects.identify_spots_2D import SpotArguments


class IdentifySpots3DArguments(SpotArguments):
    log_filter_type: Literal["2D", "3D"] = Field(
        "3D", title="Filter", description="of each plane, or of planes together"
    )
    spot_size: int = Field(4, ge=2, le=99, title="Size of a spot (px)")
    n_planes: int = Field(3, ge=1, le=99, title="Planes of a spot")
    detection_threshold: float = Field(
        0.08, ge=0, title="Threshold", description="of the filtered, rescaled stack"
    )


@module(
    title="Identify spots (3-D)",
    help="Finds spots in a stack; how many of its planes hold one is the image.",
    version=1,
    outputs=("occupancy_image",),
    bytes_per_pixel=32,
)
def identify_spots_3D(arguments: IdentifySpots3DArguments, image: Stack) -> Intensity:  # noqa: N802
    """Return, for each pixel, in how many planes of the stack it belongs to a spot (uint16)."""
    scaled = rescale_between(image, arguments.rescale_quantiles, arguments.rescale_thresholds)
    depth = arguments.n_planes if arguments.log_filter_type == "3D" else None
    response = filter_with(scaled, log_kernel(arguments.spot_size, depth))
    bright = response > arguments.detection_threshold
    return np.asarray(bright.sum(axis=0), np.uint16)
