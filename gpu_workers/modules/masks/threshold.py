"""Module: foreground by a global threshold found in one of many ways."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.declumping import edge_corrected_gaussian
from gpu_workers.imaging.global_thresholds import minimum_cross_entropy, multi_otsu, triangle
from gpu_workers.imaging.thresholds import otsu
from gpu_workers.modules.module import Intensity, Mask, module
from gpu_workers.registry import Arguments

Method = Literal["minimum_cross_entropy", "otsu", "multi_otsu", "triangle"]


class ThresholdArguments(Arguments):
    method: Method = Field(
        "minimum_cross_entropy",
        title="Method",
        description="minimum_cross_entropy: that of Li, as CellProfiler; otsu: most distinct classes;"
        " multi_otsu: the same for several classes; triangle: for images that are mostly background",
    )
    classes: int = Field(3, ge=2, le=5, title="Classes", description="of multi_otsu")
    foreground_classes: int = Field(
        1,
        ge=1,
        le=4,
        title="Foreground",
        description="how many of the classes, the brightest first",
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        le=50,
        title="Smoothing (px)",
        description="standard deviation of a Gaussian before pixels are compared with the threshold,"
        " which is found before; CellProfiler's scale of 1.3488 is 1 px",
    )
    correction_factor: float = Field(
        1.0, gt=0, le=10, title="Correction factor", description="on the threshold"
    )
    min_threshold: float | None = Field(None, title="Lowest threshold")
    max_threshold: float | None = Field(None, title="Highest threshold")


def _found(arguments: ThresholdArguments, image: NDArray) -> float:
    if arguments.method == "otsu":
        return otsu(image)
    if arguments.method == "triangle":
        return triangle(image)
    if arguments.method == "multi_otsu":
        found = multi_otsu(image, arguments.classes)
        return found[max(0, len(found) - arguments.foreground_classes)]
    return minimum_cross_entropy(image)


@module(
    title="Threshold",
    help="Separates foreground from background at one intensity, found by a method of choice.",
    version=1,
    outputs=("mask",),
    bytes_per_pixel=48,
)
def threshold(arguments: ThresholdArguments, image: Intensity) -> Mask:
    """Return where the (smoothed) image lies above its threshold; what isn't finite is background."""
    value = _found(arguments, image) * arguments.correction_factor
    if arguments.min_threshold is not None:
        value = max(value, arguments.min_threshold)
    if arguments.max_threshold is not None:
        value = min(value, arguments.max_threshold)
    known = np.isfinite(image)
    smoothed = edge_corrected_gaussian(np.where(known, image, 0), arguments.smoothing)
    mask: Mask = (smoothed > value) & known
    return mask
