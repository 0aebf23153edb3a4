"""Module: clumps cut between the hollows of their outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.clumps import clump_shapes, cut_repeatedly
from gpu_workers.imaging.concavities import Hollows, cut_between_hollows
from gpu_workers.imaging.filters import median
from gpu_workers.imaging.labels import label, relabel
from gpu_workers.modules.module import Intensity, LabelImage, Mask, module
from gpu_workers.registry import Arguments


class SeparatePrimaryIterativeArguments(Arguments):
    cutting_passes: int = Field(
        3, ge=0, le=30, title="Passes", description="each cuts an object at most once"
    )
    max_solidity: float = Field(
        0.92, ge=0, le=1, title="Largest solidity", description="of an object that is cut"
    )
    min_form_factor: float = Field(
        0.4, ge=0, title="Smallest form factor", description="of an object that is cut"
    )
    min_area: int = Field(
        5000, ge=0, title="Smallest area (px)", description="of an object that is cut"
    )
    max_area: int = Field(
        500000, ge=0, title="Largest area (px)", description="of an object that is cut"
    )
    min_area_cut: int = Field(
        2000, ge=1, title="Smallest part (px)", description="that a cut may leave"
    )
    sliding_window: int = Field(
        9,
        ge=2,
        le=200,
        title="Window (px)",
        description="of the outline to either side of a point, in which its turn is measured",
    )
    filter_size: int = Field(
        15,
        ge=1,
        le=199,
        title="Filter (px)",
        description="side of the median that smooths the image",
    )
    max_concave_radius: float = Field(
        20, gt=0, title="Largest radius (px)", description="of a circle that fits into a hollow"
    )
    min_concave_circular_segment: float = Field(
        6, ge=0, le=360, title="Least turn (degrees)", description="of the outline within a hollow"
    )
    plot_test_mode: bool = Field(
        False, title="Plot", description="kept from the original; pictures come with previews"
    )
    plot_perimeter_analysis: bool = Field(
        False, title="Plot outlines", description="kept from the original"
    )


@module(
    title="Separate primary objects, iteratively",
    help="Cuts objects that are hollow between two hollows of their outline, along dark seams.",
    version=1,
    outputs=("separated_objects",),
    bytes_per_pixel=40,
)
def separate_primary_iterative(
    arguments: SeparatePrimaryIterativeArguments, primary_objects: Mask, intensity_image: Intensity
) -> LabelImage:
    """Return the objects of a mask, clumps cut, numbered 1…n."""
    labels = label(primary_objects)
    soft = median(np.asarray(intensity_image, np.float32), arguments.filter_size | 1)
    hollows = Hollows(
        arguments.sliding_window,
        arguments.max_concave_radius,
        arguments.min_concave_circular_segment,
    )

    def select(found: LabelImage) -> NDArray[np.bool_]:
        shapes = clump_shapes(found)
        with np.errstate(invalid="ignore"):
            chosen = (shapes.area >= arguments.min_area) & (shapes.area <= arguments.max_area)
            chosen &= shapes.solidity <= arguments.max_solidity
            return chosen & (shapes.form_factor >= arguments.min_form_factor)

    labels, _ = cut_repeatedly(
        labels,
        select,
        lambda found, chosen: cut_between_hollows(
            found, soft, chosen, arguments.min_area_cut, hollows
        ),
        arguments.cutting_passes,
    )
    return relabel(labels)
