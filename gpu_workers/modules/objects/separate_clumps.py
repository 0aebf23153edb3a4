"""Module: clumps cut in two, again and again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.clumps import clump_shapes, cut_in_two, cut_repeatedly, trim
from gpu_workers.imaging.labels import label, relabel
from gpu_workers.imaging.relations import without
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class SeparateClumpsArguments(Arguments):
    min_cut_area: int = Field(
        2000, ge=1, title="Smallest part (px)", description="that a cut may leave"
    )
    max_convexity: float = Field(
        0.92,
        ge=0,
        le=1,
        title="Largest convexity",
        description="of a clump: its area over that of its convex hull",
    )
    max_circularity: float = Field(
        0.7, ge=0, title="Largest circularity", description="of a clump: 4 pi area / perimeter²"
    )
    min_area: int = Field(5000, ge=0, title="Smallest area (px)", description="of a clump")
    max_area: int = Field(50000, ge=0, title="Largest area (px)", description="of a clump")
    selection_test_mode: bool = Field(
        False, title="Show the clumps", description="give the clumps that would be cut, uncut"
    )
    selection_test_show_remaining: bool = Field(
        False, title="Show what is left", description="in place of the clumps the other objects"
    )
    trimming: bool = Field(
        True, title="Trim", description="take threads of one pixel off objects that were cut"
    )


def _clumps(arguments: SeparateClumpsArguments, labels: LabelImage) -> NDArray[np.bool_]:
    shapes = clump_shapes(labels)
    with np.errstate(invalid="ignore"):
        chosen = (shapes.area >= arguments.min_area) & (shapes.area <= arguments.max_area)
        chosen &= shapes.solidity <= arguments.max_convexity
        return chosen & (shapes.form_factor <= arguments.max_circularity)


@module(
    title="Separate clumps",
    help="Cuts objects that are large, hollow and not round at their deepest neck, repeatedly.",
    version=1,
    outputs=("separated_label_image",),
    bytes_per_pixel=48,
)
def separate_clumps(
    arguments: SeparateClumpsArguments,
    mask: Mask,
    intensity_image: Intensity | None = None,  # noqa: ARG001 - named in pipelines of the original
) -> LabelImage:
    """Return the objects of a mask, clumps cut; as in the original the image decides nothing."""
    labels = label(mask)
    if arguments.selection_test_mode:
        chosen = _clumps(arguments, labels)
        return without(labels, chosen if arguments.selection_test_show_remaining else ~chosen)
    labels, was_cut = cut_repeatedly(
        labels,
        lambda found: _clumps(arguments, found),
        lambda found, chosen: cut_in_two(found, chosen, arguments.min_cut_area),
    )
    return relabel(trim(labels, was_cut) if arguments.trimming else labels)
