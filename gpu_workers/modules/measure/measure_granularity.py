"""Module: granular spectra of objects."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.features.granularity import granularity
from gpu_workers.modules.measure.assignment import (
    Columns,
    MeasureArguments,
    assigned,
    channel_columns,
    n_labels,
)
from gpu_workers.modules.module import (
    Channels,
    Features,
    LabelImage,
    Measurements,
    Setting,
    module,
)


class MeasureGranularityArguments(MeasureArguments):
    subsample: float = Field(
        0.25, gt=0, le=1, title="Subsample", description="by how much the image is made smaller"
    )
    background_subsample: float = Field(
        0.25,
        gt=0,
        le=1,
        title="Background: subsample",
        description="by how much that is made smaller for its background",
    )
    background_radius: int = Field(
        10,
        ge=1,
        le=100,
        title="Background: radius (px)",
        description="of grains that aren't background, in that smaller image",
    )
    spectrum_length: int = Field(
        16, ge=1, le=100, title="Sizes", description="number of steps of a pixel each"
    )


@module(
    title="Measure granularity",
    help="How much of the intensity lies in grains of each size.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
    bytes_per_pixel=24,
)
def measure_granularity(
    arguments: MeasureGranularityArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Granularity_<size>_<channel>`` in %; all missing where a channel's plane is missing."""

    def measure(image: NDArray[Any]) -> Columns:
        return granularity(
            extract_objects,
            image,
            arguments.subsample,
            arguments.background_subsample,
            arguments.background_radius,
            arguments.spectrum_length,
        )

    sizes = [str(size) for size in range(1, arguments.spectrum_length + 1)]
    n = n_labels(extract_objects)
    columns = channel_columns("Granularity", sizes, intensity_image, n, measure)
    return assigned(
        Features(columns, dict.fromkeys(columns, "%")),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
