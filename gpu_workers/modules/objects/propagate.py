"""Module: cells around nuclei, as CellProfiler's IdentifySecondaryObjects (Propagation)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.labels import expand_labels
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.propagation import propagate as shortest_ways
from gpu_workers.imaging.relations import areas, highest
from gpu_workers.imaging.shapes import filled
from gpu_workers.imaging.thresholds import above_background, moved_from_background, otsu
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
        0.65,
        gt=0,
        le=10,
        title="Correction factor",
        description="on the distance of Otsu's threshold from the background, where no mask is given",
    )
    contrast: float = Field(
        3.0,
        ge=0,
        le=100,
        title="Least contrast",
        description="of that threshold over the background, in standard deviations",
    )
    ring: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Least growth",
        description="in diameters of the seeds, wherever there is room: dark cells too have a rim",
    )
    reach: float | None = Field(
        None,
        gt=0,
        le=100,
        title="Greatest growth",
        description="in diameters of the seeds; no limit if empty",
    )
    coarse: bool = Field(
        False,
        title="Coarse",
        description="ways are looked for at half the resolution: four times as fast; where two objects"
        " meet their border may lie a pixel or two off, their other edges stay",
    )
    fill_holes: bool = Field(True, title="Fill holes")


def _unit(image: NDArray) -> NDArray[np.float32]:
    """Return intensities as fractions of the type's range, as CellProfiler has them."""
    if image.dtype.kind in "ui":
        return np.asarray(image, np.float32) / np.float32(np.iinfo(image.dtype).max)
    return np.asarray(image, np.float32)


def _bright(arguments: PropagateArguments, image: NDArray) -> Mask:
    smooth = gaussian(image, 1.0)
    threshold = moved_from_background(smooth, otsu(smooth), arguments.correction_factor)
    mask: Mask = smooth > above_background(smooth, threshold, arguments.contrast)
    return mask


def _diameter(labels: LabelImage) -> float:
    """Return the median diameter of discs of the objects' areas, px."""
    size = areas(labels)
    return float(np.sqrt(4 / np.pi * np.median(size[size > 0])))


def _limited(arguments: PropagateArguments, labels: LabelImage, where: Mask) -> Mask:
    """Return the mask with the seeds and what surely belongs to them, without what is too far."""
    diameter = _diameter(labels)
    if arguments.reach is not None:
        where = where & (expand_labels(labels, arguments.reach * diameter) > 0)
    return where | (expand_labels(labels, arguments.ring * diameter) > 0)


def _coarse(
    image: NDArray[np.float32], labels: LabelImage, where: Mask, regularization: float
) -> LabelImage:
    """Return the grown objects, found on every other row and column."""
    height, width = image.shape
    smaller = cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    seeds, mask = labels[::2, ::2], where[::2, ::2]
    grown, _ = shortest_ways(smaller, seeds, mask, regularization)
    larger = np.repeat(np.repeat(grown, 2, axis=0), 2, axis=1)[:height, :width]
    larger = np.where(labels > 0, labels, np.where(where, larger, np.int32(0)))
    return np.where(where, expand_labels(larger, 2), np.int32(0))


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
    where = _limited(arguments, labels, where)
    if arguments.coarse:
        grown = _coarse(_unit(image), labels, where, arguments.regularization)
    else:
        grown, _ = shortest_ways(_unit(image), labels, where, arguments.regularization)
    return filled(grown) if arguments.fill_holes else grown
