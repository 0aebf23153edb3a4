"""Module: size and shape of objects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.shape import ShapeChoice, shape_features
from gpu_workers.imaging.features.shape_descriptions import DESCRIPTIONS
from gpu_workers.imaging.features.volume import DESCRIPTIONS as VOLUME_DESCRIPTIONS
from gpu_workers.imaging.features.volume import volume_features
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned, in_micrometres
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module

_UNITS = {d.name: d.unit for d in DESCRIPTIONS if d.unit in {"px", "px²", "rad"}}
_UNITS_3D = {d.name: d.unit for d in VOLUME_DESCRIPTIONS if d.unit in {"px", "px²", "px³"}}


class MeasureMorphologyArguments(MeasureArguments):
    measure_zernike: bool = Field(
        False,
        title="Zernike moments",
        description="numbers of the shape that rotation doesn't change",
    )
    zernike_degree: int = Field(
        12, ge=0, le=20, title="Degree", description="highest degree of the Zernike moments"
    )
    zernike_convention: Literal["enclosing_circle", "legacy"] = Field(
        "enclosing_circle",
        title="Convention",
        description="enclosing_circle: as CellProfiler; legacy: as TissueMAPS up to 2020",
    )
    measure_feret: bool = Field(
        True, title="Feret diameters", description="greatest and least width between calipers"
    )
    measure_box: bool = Field(False, title="Box", description="corners of the upright box")
    measure_moments: bool = Field(
        False,
        title="Moments",
        description="spatial, central and normalised moments, Hu's invariants, inertia tensor",
    )


def _in_plane(arguments: MeasureMorphologyArguments, labels: LabelImage) -> Features:
    choice = ShapeChoice(
        feret=arguments.measure_feret,
        box=arguments.measure_box,
        moments=arguments.measure_moments,
        zernike_degree=arguments.zernike_degree if arguments.measure_zernike else None,
        is_legacy=arguments.zernike_convention == "legacy",
    )
    found = shape_features(labels, choice)
    columns = {f"Morphology_{name}": values for name, values in found.items()}
    return Features(columns, {name: _UNITS[name] for name in columns if name in _UNITS})


def _in_space(
    arguments: MeasureMorphologyArguments, labels: LabelImage, setting: Setting
) -> Features:
    if arguments.measure_zernike or arguments.measure_moments:
        raise UserError(
            "measure_zernike and measure_moments are for images of two dimensions",
            code="two_dimensions_only",
        )
    z_scale = 1.0
    if setting.pixel_size_um and setting.z_step_um:
        z_scale = setting.z_step_um / setting.pixel_size_um
    columns = {
        f"Morphology_{name}": values
        for name, values in volume_features(labels, z_scale).items()
        if arguments.measure_box or not name.startswith("Bounding_Box_")
    }
    units = {name: _UNITS_3D[name] for name in columns if name in _UNITS_3D}
    if setting.z_step_um:
        z = columns["Morphology_Local_Centroid_z"] * setting.z_step_um
        columns["Morphology_Local_Centroid_z_um"] = z
        units["Morphology_Local_Centroid_z_um"] = "µm"
        return Features(columns, units)
    # without the distance of planes no length in space is known in µm
    return Features(columns, {})


@module(
    title="Measure morphology",
    help="Area, perimeter, axes and other measures of size and shape; in 3-D volume and surface.",
    version=2,
    outputs=("measurements",),
    measures="assign_objects",
    dimensions=(2, 3),
    bytes_per_pixel=24,
)
def measure_morphology(
    arguments: MeasureMorphologyArguments,
    extract_objects: LabelImage,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Morphology_<measure>``, lengths and areas in µm too where the pixel size is known.

    Raises
    ------
    UserError
        Families of two dimensions are asked for in three (``two_dimensions_only``).
    """
    if extract_objects.ndim == 3:
        features = _in_space(arguments, extract_objects, setting)
    else:
        features = _in_plane(arguments, extract_objects)
    return assigned(
        in_micrometres(features, setting),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
