"""Module: patterns of small objects within larger ones."""

from __future__ import annotations

from gpu_workers.imaging.features.points import DESCRIPTIONS, point_pattern
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned, in_micrometres
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module

_UNITS = {d.name: d.unit for d in DESCRIPTIONS}


class MeasurePointPatternArguments(MeasureArguments):
    pass


@module(
    title="Measure point pattern",
    help="Distances of small objects from each other and from the border of the object around them.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
)
def measure_point_pattern(
    arguments: MeasurePointPatternArguments,
    extract_objects: LabelImage,
    ref_objects: LabelImage,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``PointPattern_<measure>``, distances in µm too where the pixel size is known."""
    found = point_pattern(extract_objects, ref_objects)
    columns = {f"PointPattern_{name}": values for name, values in found.items()}
    return assigned(
        in_micrometres(Features(columns, _UNITS), setting),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
