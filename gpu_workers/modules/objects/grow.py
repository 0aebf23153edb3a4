"""Module: objects around objects, as cells around nuclei."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.labels import expand_labels
from gpu_workers.imaging.thresholds import above_background, moved_from_background, otsu
from gpu_workers.imaging.watershed import watershed
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments


class GrowArguments(Arguments):
    correction: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Correction",
        description="factor on the distance of the threshold from the background",
    )
    contrast: float = Field(
        3.0,
        ge=0,
        le=100,
        title="Least contrast",
        description="of the threshold over the background, in standard deviations of the background",
    )
    distance: float | None = Field(
        None, gt=0, le=1000, title="Furthest (px)", description="from the seed; no limit if empty"
    )


@module(
    title="Grow objects",
    help="Grows objects over the bright region of an image around them; labels stay.",
    version=1,
    outputs=("labels",),
    device=True,
)
def grow(arguments: GrowArguments, labels: LabelImage, image: Intensity) -> LabelImage:
    """Return the grown objects: each holds its seed, bright regions without a seed are left out."""
    threshold = moved_from_background(image, otsu(image), arguments.correction)
    mask = image > above_background(image, threshold, arguments.contrast)
    if arguments.distance is not None:
        mask &= expand_labels(labels, arguments.distance) > 0
    return watershed(-image.astype("float32", copy=False), labels, mask | (labels > 0))
