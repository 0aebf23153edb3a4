"""Module: objects of a mask, touching ones cut apart."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.labels import label, relabel
from gpu_workers.imaging.morphology import distance_transform, peaks
from gpu_workers.imaging.watershed import watershed
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments
from gpu_workers.xp import namespace


class SeparateArguments(Arguments):
    method: Literal["shape", "intensity", "none"] = Field(
        "shape",
        title="Cut by",
        description="shape: at necks of the outline; intensity: at dark seams; none: don't cut",
    )
    sigma: float = Field(
        1.5, ge=0, le=50, title="Sigma (px)", description="smoothing before peaks are looked for"
    )
    min_distance: int = Field(
        7, ge=1, le=200, title="Least distance (px)", description="between centres of two objects"
    )


def _seeds(
    heights: NDArray[np.float32], parts: LabelImage, mask: Mask, min_distance: int
) -> LabelImage:
    """Return one seed per peak; a part in which a larger neighbour hides the peak is one itself."""
    seeds = label(peaks(heights, min_distance, mask))
    seeded = namespace(parts).zeros(int(parts.max()) + 1, np.bool_)
    seeded[parts[seeds > 0]] = True
    if bool(seeded[1:].all()):
        return seeds
    hidden = mask & ~seeded[parts]
    seeds[hidden] = parts[hidden] + int(seeds.max())
    return seeds


@module(
    title="Separate objects",
    help="Numbers the objects of a mask and cuts touching ones apart.",
    version=1,
    outputs=("labels",),
    device=True,
)
def separate(
    arguments: SeparateArguments, mask: Mask, image: Intensity | None = None
) -> LabelImage:
    """Return labels 1…n.

    Raises
    ------
    UserError
        Cutting by intensity without an image (``missing_input``).
    """
    parts = label(mask)
    if arguments.method == "none" or not parts.any():
        return parts
    if arguments.method == "shape":
        heights = distance_transform(mask)
    elif image is not None:
        heights = image
    else:
        raise UserError("to separate by intensity an image is needed", code="missing_input")
    heights = gaussian(heights, arguments.sigma)
    seeds = _seeds(heights, parts, mask, arguments.min_distance)
    return relabel(watershed(-heights, seeds, mask))
