"""Module: volume and surface of objects from an image of their heights."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.features.heights import DESCRIPTIONS, height_features
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned
from gpu_workers.modules.module import (
    Features,
    Intensity,
    LabelImage,
    Measurements,
    Setting,
    module,
)

_UNITS = {d.name: d.unit for d in DESCRIPTIONS}
_PIXEL_SIZE = 0.1625
_Z_STEP = 0.25


class MeasureVolumeImageArguments(MeasureArguments):
    pixel_size: float | None = Field(
        None,
        gt=0,
        title="Pixel size (µm)",
        description=f"empty: that of the images, else {_PIXEL_SIZE}",
    )
    z_step: float | None = Field(
        None,
        gt=0,
        title="Distance of planes (µm)",
        description=f"empty: that of the images, else {_Z_STEP}",
    )


@module(
    title="Measure volume image",
    help="Heights, volume and surface of objects from an image of their heights.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
)
def measure_volume_image(
    arguments: MeasureVolumeImageArguments,
    extract_objects: LabelImage,
    intensity_image: Intensity,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Morphology3D_<measure>`` in µm; heights are in planes, as `generate_volume_image` has them."""
    pixel_size = arguments.pixel_size or setting.pixel_size_um or _PIXEL_SIZE
    z_step = arguments.z_step or setting.z_step_um or _Z_STEP
    found = height_features(extract_objects, intensity_image, pixel_size, z_step)
    columns = {f"Morphology3D_{name}": values for name, values in found.items()}
    return assigned(
        Features(columns, _UNITS),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
