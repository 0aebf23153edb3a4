"""Module: masks and labels as intensities."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.arithmetic import saturated
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments

_TYPES = {"8-bit": np.uint8, "16-bit": np.uint16, "float": np.float32}


class ConvertToIntensityArguments(Arguments):
    output_type: Literal["8-bit", "16-bit", "float"] = Field(
        "float",
        title="Type",
        description="8 and 16 bit hold numbers to 255 and 65,535, larger ones become these",
    )


@module(
    title="Convert to intensity",
    help="Makes an intensity image of labels (their numbers) or a mask (1 in it), values unchanged.",
    version=1,
    outputs=("intensity_image",),
    dimensions=(2, 3),
    device=True,
)
def convert_to_intensity(
    arguments: ConvertToIntensityArguments, image: LabelImage | Mask | Intensity
) -> Intensity:
    """Return the same values in another type."""
    if image.dtype == np.bool_:
        image = image.astype(np.uint8)
    return saturated(image, np.dtype(_TYPES[arguments.output_type]))
