"""Module: foreground by a given threshold."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.modules.module import Intensity, Mask, module
from gpu_workers.registry import Arguments


class ThresholdManualArguments(Arguments):
    threshold: float = Field(
        title="Threshold", description="foreground lies above it; no value fits all images"
    )
    upper_threshold: float | None = Field(
        None,
        title="Upper threshold",
        description="foreground lies below or at it; no limit if empty",
    )


@module(
    title="Threshold (manual)",
    help="Separates foreground from background at a given intensity.",
    version=1,
    outputs=("mask",),
    dimensions=(2, 3),
    device=True,
)
def threshold_manual(arguments: ThresholdManualArguments, image: Intensity) -> Mask:
    """Return where the image lies above the threshold; what is NaN is background."""
    mask: Mask = image > arguments.threshold
    if arguments.upper_threshold is not None:
        mask &= image <= arguments.upper_threshold
    return mask
