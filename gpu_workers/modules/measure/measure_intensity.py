"""Module: intensities of objects in all channels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from gpu_workers.imaging.regions import intensity_statistics
from gpu_workers.modules.measure.assignment import (
    Column,
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

_NAMES = ("max", "mean", "min", "sum", "std")


class MeasureIntensityArguments(MeasureArguments):
    pass


@module(
    title="Measure intensity",
    help="Mean, sum, minimum, maximum and standard deviation of every channel.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
)
def measure_intensity(
    arguments: MeasureIntensityArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Intensity_<statistic>_<channel>``; all missing where a channel's plane is missing."""

    def measure(image: NDArray[Any]) -> dict[str, Column]:
        found = intensity_statistics(extract_objects, image)
        return {name: getattr(found, name) for name in _NAMES}

    columns = channel_columns(
        "Intensity", _NAMES, intensity_image, n_labels(extract_objects), measure
    )
    return assigned(
        Features(columns, {}),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
