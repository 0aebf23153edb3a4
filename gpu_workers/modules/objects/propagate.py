"""Module: cells around nuclei, as CellProfiler's IdentifySecondaryObjects (Propagation)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.global_thresholds import minimum_cross_entropy
from gpu_workers.imaging.labels import expand_labels
from gpu_workers.imaging.propagation import propagate as shortest_ways
from gpu_workers.imaging.relations import highest
from gpu_workers.imaging.shapes import filled
from gpu_workers.imaging.thresholds import above_background
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class PropagateArguments(Arguments):
    regularization: float = Field(
        0.05,
        ge=0,
        le=1e6,
        title="Regularization",
        description="0: borders follow the image alone; large: they lie in the middle between seeds."
        " In units of the full range of intensities",
    )
    correction_factor: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Correction factor",
        description="on the threshold that is found where no mask is given",
    )
    contrast: float = Field(
        3.0,
        ge=0,
        le=100,
        title="Least contrast",
        description="of that threshold over the background, in standard deviations",
    )
    distance: float | None = Field(
        None, gt=0, le=1000, title="Furthest (px)", description="from the seed; no limit if empty"
    )
    fill_holes: bool = Field(True, title="Fill holes")


def _unit(image: NDArray) -> NDArray[np.float32]:
    """Return intensities as fractions of the type's range, as CellProfiler has them."""
    if image.dtype.kind in "ui":
        return np.asarray(image, np.float32) / np.float32(np.iinfo(image.dtype).max)
    return np.asarray(image, np.float32)


def _bright(arguments: PropagateArguments, image: NDArray) -> Mask:
    threshold = minimum_cross_entropy(image) * arguments.correction_factor
    mask: Mask = image > above_background(image, threshold, arguments.contrast)
    return mask


@module(
    title="Propagate objects",
    help="Grows objects over a mask, or the bright region of an image, along even intensities.",
    version=1,
    outputs=("grown",),
    bytes_per_pixel=64,
)
def propagate(
    arguments: PropagateArguments,
    labels: LabelImage,
    image: Intensity,
    mask: Mask | None = None,
) -> LabelImage:
    """Return the grown objects with their numbers; each holds its seed."""
    if not highest(labels):
        return labels.copy()
    where = _bright(arguments, image) if mask is None else mask
    if arguments.distance is not None:
        where = where & (expand_labels(labels, arguments.distance) > 0)
    grown, _ = shortest_ways(_unit(image), labels, where | (labels > 0), arguments.regularization)
    return filled(grown) if arguments.fill_holes else grown
