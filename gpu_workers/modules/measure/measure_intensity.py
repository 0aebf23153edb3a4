"""Module: intensities of objects in channels."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.features.intensity import DESCRIPTIONS, intensity_features
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.modules.measure.assignment import (
    Columns,
    MeasureArguments,
    assigned,
    channel_columns,
    in_micrometres,
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

_UNITS = {d.name: d.unit for d in DESCRIPTIONS if d.unit == "px"}

Percentile = Annotated[int, Field(ge=0, le=100)]


class MeasureIntensityArguments(MeasureArguments):
    measure_distribution: bool = Field(
        True, title="Distribution", description="median, quartiles and median deviation"
    )
    percentiles: tuple[Percentile, ...] = Field((), title="Percentiles", description="further ones")
    measure_edge: bool = Field(
        True, title="Edge", description="statistics of the pixels along the object's edge"
    )
    measure_location: bool = Field(
        True, title="Location", description="centre of mass, its displacement, the brightest pixel"
    )


def _is_wanted(arguments: MeasureIntensityArguments, name: str) -> bool:
    if name.startswith("edge-"):
        return arguments.measure_edge
    if name.startswith(("center-", "max-", "mass-")):
        return arguments.measure_location
    if name in {"median", "lower-quartile", "upper-quartile", "mad"}:
        return arguments.measure_distribution
    return True


def _units(columns: Columns, channels: Channels) -> dict[str, str]:
    endings = [f"_{channel}" for channel in channels]
    units = {}
    for name in columns:
        plain = next((name.removesuffix(e) for e in endings if name.endswith(e)), name)
        if plain in _UNITS:
            units[name] = _UNITS[plain]
    return units


@module(
    title="Measure intensity",
    help="Intensities of objects in every channel: statistics, quantiles, edges, places.",
    version=2,
    outputs=("measurements",),
    measures="assign_objects",
    dimensions=(2, 3),
    device=True,
)
def measure_intensity(
    arguments: MeasureIntensityArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Intensity_<statistic>_<channel>``; all missing where a channel's plane is missing.

    In three dimensions the mass displacement is that in space where pixel size and distance of
    planes are known, else planes count as pixels.
    """
    z_scale = 1.0
    if setting.pixel_size_um and setting.z_step_um:
        z_scale = setting.z_step_um / setting.pixel_size_um
    pixels = object_pixels(extract_objects)

    def measure(image: NDArray[Any]) -> Columns:
        percentiles = arguments.percentiles
        return intensity_features(
            extract_objects, image, percentiles, z_scale=z_scale, pixels=pixels
        )

    empty = np.zeros((0,) * extract_objects.ndim, np.int32)
    known = intensity_features(empty, empty, arguments.percentiles)
    names = [name for name in known if _is_wanted(arguments, name)]
    n = n_labels(extract_objects)
    columns = channel_columns("Intensity", names, intensity_image, n, measure)
    is_known = extract_objects.ndim == 2 or setting.z_step_um is not None
    features = Features(columns, _units(columns, intensity_image) if is_known else {})
    return assigned(
        in_micrometres(features, setting, intensity_image),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
