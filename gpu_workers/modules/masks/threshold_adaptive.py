"""Module: foreground by a threshold of the surroundings of each pixel."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.local_thresholds import bernsen, gaussian_mean, niblack, sauvola
from gpu_workers.modules.module import Intensity, Mask, module
from gpu_workers.registry import Arguments


class ThresholdAdaptiveArguments(Arguments):
    method: Literal["crosscorr", "niblack", "sauvola", "bernsen"] = Field(
        "niblack",
        title="Method",
        description="crosscorr: weighted mean of the surroundings less the constant; niblack: mean"
        " plus constant standard deviations; sauvola: the mean, lowered where contrast is low,"
        " for images without empty ground;"
        " bernsen: the middle between darkest and brightest, plus the constant",
    )
    kernel_size: int = Field(
        111,
        ge=3,
        le=2001,
        title="Size of the surroundings (px)",
        description="odd (the next odd number is taken); larger than the objects",
    )
    constant: float = Field(
        0.0, title="Constant", description="in intensities, for niblack in standard deviations"
    )
    min_threshold: float | None = Field(
        None,
        title="Lowest threshold",
        description="what is below is background; without it noise far from objects is halved into"
        " foreground and background",
    )
    max_threshold: float | None = Field(
        None, title="Highest threshold", description="what is above is foreground"
    )


def _local(arguments: ThresholdAdaptiveArguments, image: NDArray) -> NDArray[np.float32]:
    size, constant = arguments.kernel_size | 1, arguments.constant
    if arguments.method == "crosscorr":
        return gaussian_mean(image, size) - np.float32(constant)
    if arguments.method == "niblack":
        return niblack(image, size, constant)
    if arguments.method == "sauvola":
        return sauvola(image, size) + np.float32(constant)
    return bernsen(image, size // 2)[0] + np.float32(constant)


@module(
    title="Threshold (adaptive)",
    help="Separates foreground from background at the intensity of the surroundings.",
    version=1,
    outputs=("mask",),
    bytes_per_pixel=64,
)
def threshold_adaptive(arguments: ThresholdAdaptiveArguments, image: Intensity) -> Mask:
    """Return where the image lies above the threshold around; what isn't finite is background."""
    known = np.isfinite(image)
    if not known.any():
        return np.zeros(image.shape, np.bool_)
    values = image if known.all() else np.where(known, image, image[known].min())
    mask: Mask = (values > _local(arguments, values)) & known
    if arguments.min_threshold is not None:
        mask &= values > arguments.min_threshold
    if arguments.max_threshold is not None:
        mask |= known & (values > arguments.max_threshold)
    return mask
