"""Module: blobs of about one size, overlapping ones told apart."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from gpu_workers.imaging.deblending import deblend
from gpu_workers.imaging.labels import filter_by_area
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.imaging.spots import laplacian_of_gaussian, robust_spread
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments

CLIP = 99.999


class DetectBlobsArguments(Arguments):
    threshold: float = Field(
        5,
        ge=0,
        le=10000,
        title="Threshold",
        description="of the filtered image, in standard deviations of its background",
    )
    min_area: int = Field(5, ge=1, title="Smallest area (px)")
    mean_area: float = Field(
        5, gt=0, title="Usual area (px)", description="sets the width of the filter"
    )
    max_area: int = Field(100, ge=1, title="Largest area (px)")
    min_rise: float = Field(
        2,
        ge=0,
        le=10000,
        title="Least rise",
        description="of each of two blobs above where they meet, in standard deviations of the background",
    )


def _centres(blobs: LabelImage) -> LabelImage:
    """Return one pixel per blob, with its label: the one of its pixels nearest to its centroid."""
    geometry = region_geometry(blobs)
    pixels = np.flatnonzero(blobs)
    own = blobs.ravel()[pixels]
    y, x = np.divmod(pixels, blobs.shape[1])
    far = (y - geometry.y[own - 1]) ** 2 + (x - geometry.x[own - 1]) ** 2
    order = np.lexsort((pixels, far, own))
    _, first = np.unique(own[order], return_index=True)
    nearest = order[first]
    centres = np.zeros(blobs.shape, np.int32)
    centres.ravel()[pixels[nearest]] = own[nearest]
    return centres


@module(
    title="Detect blobs",
    help="Finds blobs of about one size and tells overlapping ones apart.",
    version=1,
    outputs=("centroids", "blobs"),
    bytes_per_pixel=48,
)
def detect_blobs(
    arguments: DetectBlobsArguments, image: Intensity, mask: Mask | None = None
) -> tuple[LabelImage, LabelImage]:
    """Return the centroids (one pixel each) and the blobs, with the same labels.

    Notes
    -----
    The brightest 0.001 % are clipped, the image is filtered with the negative Laplacian of a
    Gaussian whose zero crossing is a circle of the usual area, what lies above the threshold is cut
    into blobs, and those of the wrong size are left out.
    """
    if not image.size:
        return np.zeros(image.shape, np.int32), np.zeros(image.shape, np.int32)
    known = np.nan_to_num(np.asarray(image, np.float32))
    clipped = np.minimum(known, np.float32(np.percentile(known, CLIP)))
    # the zero crossing lies at sqrt(2) sigma
    response = laplacian_of_gaussian(clipped, math.sqrt(arguments.mean_area / (2 * math.pi)))
    noise = max(robust_spread(response), 1e-5 * float(np.abs(known).max()))
    bright = response > arguments.threshold * noise
    if mask is not None:
        bright &= mask
    found = deblend(response, bright, arguments.min_area, arguments.min_rise * noise)
    blobs = filter_by_area(found, arguments.min_area, arguments.max_area)
    return _centres(blobs), blobs
