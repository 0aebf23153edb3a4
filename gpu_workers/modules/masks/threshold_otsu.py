"""Module: foreground by Otsu's threshold."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.thresholds import above_background, moved_from_background, otsu
from gpu_workers.modules.module import Intensity, Mask, module
from gpu_workers.registry import Arguments


class ThresholdOtsuArguments(Arguments):
    correction_factor: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Correction factor",
        description="factor on the distance of the threshold from the background",
    )
    contrast: float = Field(
        3.0,
        ge=0,
        le=100,
        title="Least contrast",
        description="how far above the background's median the threshold stands at least, in"
        " standard deviations of the background: keeps noise of empty images out; 0 switches it off",
    )
    min_threshold: float | None = Field(None, title="Lowest threshold")
    max_threshold: float | None = Field(None, title="Highest threshold")


@module(
    title="Threshold (Otsu)",
    help="Separates foreground from background where the two differ most.",
    version=2,
    outputs=("mask",),
    device=True,
)
def threshold_otsu(arguments: ThresholdOtsuArguments, image: Intensity) -> Mask:
    """Return where the image lies above its threshold."""
    threshold = moved_from_background(image, otsu(image), arguments.correction_factor)
    threshold = above_background(image, threshold, arguments.contrast)
    if arguments.min_threshold is not None:
        threshold = max(threshold, arguments.min_threshold)
    if arguments.max_threshold is not None:
        threshold = min(threshold, arguments.max_threshold)
    mask: Mask = image > threshold
    return mask
