"""Module: secondary objects (cells) around primary ones (nuclei)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.local_thresholds import bernsen
from gpu_workers.imaging.relations import highest
from gpu_workers.imaging.shapes import filled
from gpu_workers.imaging.thresholds import above_background, moved_from_background, otsu
from gpu_workers.imaging.watershed import watershed
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments

RADIUS = 5


class SegmentSecondaryArguments(Arguments):
    contrast_threshold: float = Field(
        5,
        ge=0,
        title="Contrast threshold",
        description="difference of intensities within 5 px from which on there is an edge and the"
        " middle between darkest and brightest separates cells from background",
    )
    min_threshold: float | None = Field(
        None,
        title="Lower threshold",
        description="what is below is background; found in the image if empty",
    )
    max_threshold: float | None = Field(
        None,
        title="Upper threshold",
        description="what is above is foreground; found in the image if empty",
    )


def _limits(arguments: SegmentSecondaryArguments, image: NDArray) -> tuple[float, float]:
    low, high = arguments.min_threshold, arguments.max_threshold
    if low is None or high is None:
        found = otsu(image)
        if low is None:
            low = above_background(image, moved_from_background(image, found, 0.3), 3.0)
        if high is None:
            high = max(low, above_background(image, found, 3.0))
    return low, high


def _foreground(arguments: SegmentSecondaryArguments, image: Intensity) -> Mask:
    low, high = _limits(arguments, image)
    middle, contrast = bernsen(image, RADIUS)
    bright = np.where(contrast >= arguments.contrast_threshold, image >= middle, image > low)
    mask: Mask = (bright & (image >= low)) | (image > high)
    return mask


@module(
    title="Segment secondary objects",
    help="Grows primary objects over the bright region of an image; what has no primary is left out.",
    version=1,
    outputs=("secondary_label_image",),
    bytes_per_pixel=48,
)
def segment_secondary(
    arguments: SegmentSecondaryArguments,
    primary_label_image: LabelImage,
    intensity_image: Intensity,
) -> LabelImage:
    """Return the secondary objects with the numbers of the primary ones that they hold."""
    if not highest(primary_label_image):
        return primary_label_image.copy()
    image = np.nan_to_num(intensity_image, nan=0, posinf=0, neginf=0)
    mask = _foreground(arguments, image) | (primary_label_image > 0)
    return filled(watershed(-gaussian(image, 1.0), primary_label_image, mask))
