"""Module: intensities of objects in all channels."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from gpu_workers.imaging.regions import IntensityStatistics, intensity_statistics
from gpu_workers.modules.module import Channels, Features, LabelImage, Measurements, module
from gpu_workers.registry import Arguments


class MeasureIntensityArguments(Arguments):
    pass


@module(
    title="Measure intensity",
    help="Mean, sum, minimum, maximum and standard deviation of every channel.",
    version=1,
    outputs=("features",),
)
def measure_intensity(
    arguments: MeasureIntensityArguments,  # noqa: ARG001
    objects: LabelImage,
    channels: Channels,
) -> Measurements:
    """Return ``Intensity_<statistic>_<channel>``; all missing where a channel's plane is missing."""
    n = int(objects.max()) if objects.size else 0
    columns = {}
    for channel, image in channels.items():
        found = None if image is None else intensity_statistics(objects, image)
        for statistic in fields(IntensityStatistics):
            values = np.full(n, np.nan) if found is None else getattr(found, statistic.name)
            columns[f"Intensity_{statistic.name}_{channel}"] = values
    return Features(columns, {})
