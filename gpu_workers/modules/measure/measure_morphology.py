"""Module: size and shape of objects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.features.shape import ShapeChoice, shape_features
from gpu_workers.imaging.features.shape_descriptions import DESCRIPTIONS
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned, in_micrometres
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module

_UNITS = {d.name: d.unit for d in DESCRIPTIONS if d.unit in {"px", "px²", "rad"}}


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


@module(
    title="Measure morphology",
    help="Area, perimeter, axes and other measures of size and shape.",
    version=2,
    outputs=("measurements",),
    measures="assign_objects",
    bytes_per_pixel=24,
)
def measure_morphology(
    arguments: MeasureMorphologyArguments,
    extract_objects: LabelImage,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Morphology_<measure>``, lengths and areas in µm too where the pixel size is known."""
    choice = ShapeChoice(
        feret=arguments.measure_feret,
        box=arguments.measure_box,
        moments=arguments.measure_moments,
        zernike_degree=arguments.zernike_degree if arguments.measure_zernike else None,
        is_legacy=arguments.zernike_convention == "legacy",
    )
    found = shape_features(extract_objects, choice)
    columns = {f"Morphology_{name}": values for name, values in found.items()}
    units = {name: _UNITS[name] for name in columns if name in _UNITS}
    return assigned(
        in_micrometres(Features(columns, units), setting),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
