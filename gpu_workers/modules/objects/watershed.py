"""Module: seeded watershed on intensity, gradient or distance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.watershed import watershed as flood
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class WatershedArguments(Arguments):
    ground: Literal["intensity", "inverted_intensity", "gradient", "distance"] = Field(
        "inverted_intensity",
        title="Ground",
        description="what is flooded, lowest first; distance: from the outline of the mask, deepest"
        " in the middle",
    )
    sigma: float = Field(
        1.0, ge=0, le=50, title="Sigma (px)", description="smoothing of the image before"
    )


def _gradient(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of Scharr's gradient, per px."""
    y = cv2.Scharr(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    x = cv2.Scharr(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.hypot(y, x) / 32, np.float32)


def _ground(
    arguments: WatershedArguments, image: Intensity | None, mask: Mask | None
) -> NDArray[np.float32]:
    if arguments.ground == "distance":
        if mask is None:
            raise UserError("a watershed on distances needs a mask", code="missing_input")
        return -distance_transform(mask)
    if image is None:
        told = f"a watershed on {arguments.ground.replace('_', ' ')} needs an image"
        raise UserError(told, code="missing_input")
    smooth = gaussian(image, arguments.sigma)
    if arguments.ground == "gradient":
        return _gradient(smooth)
    return smooth if arguments.ground == "intensity" else -smooth


@module(
    title="Watershed",
    help="Floods an image from seeds until the floods meet; seeds keep their numbers.",
    version=1,
    outputs=("labels",),
    bytes_per_pixel=32,
)
def watershed(
    arguments: WatershedArguments,
    seeds: LabelImage,
    image: Intensity | None = None,
    mask: Mask | None = None,
) -> LabelImage:
    """Return the floods, within the mask if there is one.

    Raises
    ------
    UserError
        The ground that is asked for needs an image or a mask that isn't there (``missing_input``).
    """
    ground = _ground(arguments, image, mask)
    return flood(ground, seeds, None if mask is None else mask | (seeds > 0))
