"""Module: spots in one plane, as image-based transcriptomics finds them."""  # noqa: N999

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.imaging.deblending import deblend, filter_with, log_kernel, rescale_between
from gpu_workers.imaging.labels import label
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments


class SpotArguments(Arguments):
    spot_size: int = Field(
        5, ge=2, le=99, title="Size of a spot (px)", description="side of the filter"
    )
    rescale_quantiles: tuple[float, float] = Field(
        (0.01, 0.99),
        title="Quantiles",
        description="the intensities that become 0 and 1",
    )
    rescale_thresholds: tuple[float, float, float, float] = Field(
        (0, 120, 500, 0),
        title="Limits of these intensities",
        description="lowest and highest of the lower one, lowest and highest of the upper one;"
        " 0 sets no limit",
    )
    detection_threshold: float = Field(
        0.02, ge=0, title="Threshold", description="of the filtered, rescaled image"
    )


class IdentifySpots2DArguments(SpotArguments):
    deblending_steps: int = Field(
        30,
        ge=0,
        le=1000,
        title="Steps",
        description="between the threshold and the brightest spot; a spot that parts within one"
        " step is not divided; 0 divides none",
    )


@module(
    title="Identify spots (2-D)",
    help="Finds spots by a Laplacian-of-Gaussian filter and divides those that overlap.",
    version=1,
    outputs=("spots", "spots_deblend"),
    bytes_per_pixel=48,
)
def identify_spots_2D(  # noqa: N802
    arguments: IdentifySpots2DArguments, image: Intensity
) -> tuple[LabelImage, LabelImage]:
    """Return connected spots, and those after division.

    Notes
    -----
    N. Battich, T. Stoeger, L. Pelkmans, Nature Methods 10 (2013). The steps are even between the
    threshold and the highest value of the filtered image.
    """
    scaled = rescale_between(image, arguments.rescale_quantiles, arguments.rescale_thresholds)
    response = filter_with(scaled, log_kernel(arguments.spot_size))
    spots = label(response > arguments.detection_threshold)
    if not arguments.deblending_steps or not spots.any():
        return spots, spots.copy()
    step = (float(response.max()) - arguments.detection_threshold) / arguments.deblending_steps
    return spots, np.asarray(deblend(response, spots > 0, 1, step))
