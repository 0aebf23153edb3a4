"""Module: how intensity is distributed from the centres of objects to their edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.features.chrystal import chrystal_circles
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.features.radial import object_rings, radial_distribution
from gpu_workers.imaging.features.radial_zernike import radial_zernike
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

_UNITS = {
    "RadialDistribution_ZernikeMagnitude": "intensity",
    "RadialDistribution_ZernikePhase": "rad",
}


class MeasureRadialDistributionArguments(MeasureArguments):
    bins: int = Field(4, ge=1, le=100, title="Rings", description="from the centre to the edge")
    scaled: bool = Field(
        True,
        title="Scaled",
        description="rings are fractions of the way to the edge; else of the maximum radius",
    )
    maximum_radius: float = Field(
        100,
        gt=0,
        title="Maximum radius (px)",
        description="when not scaled: where the last ring ends, the rest is overflow",
    )
    measure_zernike: bool = Field(
        False, title="Zernike", description="moments of the intensities: magnitude and phase"
    )
    zernike_degree: int = Field(9, ge=0, le=15, title="Zernike: degree", description="highest n")


def _measurer(
    arguments: MeasureRadialDistributionArguments, labels: LabelImage
) -> Callable[[NDArray[Any]], Columns]:
    """Return what measures a channel; what hangs on the objects alone is found once."""
    pixels = object_pixels(labels)
    radius = None if arguments.scaled else arguments.maximum_radius
    rings = object_rings(labels, arguments.bins, radius, pixels)
    circles = chrystal_circles(pixels, labels.shape[1]) if arguments.measure_zernike else None

    def measure(image: NDArray[Any]) -> Columns:
        columns = radial_distribution(labels, image, rings)
        if arguments.measure_zernike:
            columns |= radial_zernike(labels, image, arguments.zernike_degree, pixels, circles)
        return columns

    return measure


@module(
    title="Measure radial distribution",
    help="Intensity of objects in rings from the centre to the edge.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
    bytes_per_pixel=16,
)
def measure_radial_distribution(
    arguments: MeasureRadialDistributionArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``RadialDistribution_<measure>-<ring>of<rings>_<channel>``.

    All missing where a channel's plane is missing.
    """
    nothing = np.zeros((1, 1), np.int32)
    columns = channel_columns(
        "RadialDistribution",
        _measurer(arguments, nothing)(nothing),
        intensity_image,
        n_labels(extract_objects),
        _measurer(arguments, extract_objects),
    )
    units = {name: _UNITS[name.split("-")[0]] for name in columns if "_Zernike" in name}
    return assigned(
        Features(columns, units),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
