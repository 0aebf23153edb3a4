"""Module: objects of a mask, cut apart as CellProfiler's IdentifyPrimaryObjects does."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.declumping import automatic_smoothing, automatic_suppression
from gpu_workers.imaging.declumping import declump as cut_apart
from gpu_workers.imaging.labels import label, relabel
from gpu_workers.imaging.relations import areas, at_border, without
from gpu_workers.imaging.shapes import filled
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments

Way = Literal["intensity", "shape"]


class DeclumpArguments(Arguments):
    method: Literal["intensity", "shape", "none"] = Field(
        "intensity",
        title="Count by",
        description="maxima of the intensity or of the distance inside",
    )
    divide_by: Way = Field(
        "intensity", title="Divide by", description="dark valleys or necks of the outline"
    )
    min_diameter: float = Field(
        10, ge=1, le=5000, title="Smallest diameter (px)", description="of a disc of the same area"
    )
    max_diameter: float = Field(
        40, ge=1, le=5000, title="Largest diameter (px)", description="of a disc of the same area"
    )
    discard_outside: bool = Field(
        True, title="Discard by size", description="objects smaller or larger than that"
    )
    exclude_border: bool = Field(
        True, title="Exclude at the edge", description="objects that the edge of the image cuts off"
    )
    fill_holes: bool = Field(True, title="Fill holes", description="after cutting")
    smoothing: float | None = Field(
        None,
        ge=0,
        le=500,
        title="Smoothing (px)",
        description="size of the filter before maxima are looked for; by the smallest diameter if"
        " empty",
    )
    suppression: float | None = Field(
        None,
        ge=0,
        le=500,
        title="Suppression (px)",
        description="of two maxima nearer than this only the higher counts; by the smallest diameter"
        " if empty",
    )


def _cut(arguments: DeclumpArguments, mask: Mask, image: Intensity | None) -> LabelImage:
    if arguments.method == "none":
        return label(mask)
    if image is None:
        if "intensity" in (arguments.method, arguments.divide_by):
            raise UserError("cutting by intensity needs an image", code="missing_input")
        image = mask
    smoothing, suppression = arguments.smoothing, arguments.suppression
    if smoothing is None:
        smoothing = automatic_smoothing(arguments.min_diameter)
    if suppression is None:
        suppression = automatic_suppression(arguments.min_diameter)
    return cut_apart(
        mask,
        np.nan_to_num(image, nan=0, posinf=0, neginf=0),
        find_by=arguments.method,
        divide_by=arguments.divide_by,
        smoothing=smoothing,
        suppression=suppression,
    )


@module(
    title="Declump",
    help="Numbers the objects of a mask and cuts clumps as CellProfiler's IdentifyPrimaryObjects.",
    version=1,
    outputs=("labels",),
    bytes_per_pixel=64,
)
def declump(arguments: DeclumpArguments, mask: Mask, image: Intensity | None = None) -> LabelImage:
    """Return labels 1…n.

    Raises
    ------
    UserError
        Cutting by intensity without an image (``missing_input``).
    """
    labels = _cut(arguments, mask, image)
    if arguments.fill_holes:
        labels = filled(labels)
    if arguments.exclude_border:
        labels = without(labels, at_border(labels))
    if arguments.discard_outside:
        size = areas(labels)
        smallest, largest = arguments.min_diameter, arguments.max_diameter
        small, large = np.pi * smallest**2 / 4, np.pi * largest**2 / 4
        labels = without(labels, (size < small) | (size > large))
    return relabel(labels)
