"""Module: size and shape of objects."""

from __future__ import annotations

import numpy as np

from gpu_workers.imaging.regions import convex_areas, radius_statistics, region_geometry
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned, in_micrometres
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module

_LENGTHS = (
    "Perimeter",
    "Equivalent_Diameter",
    "Major_Axis_Length",
    "Minor_Axis_Length",
    "Maximum_Radius",
    "Mean_Radius",
    "Local_Centroid_y",
    "Local_Centroid_x",
)


class MeasureMorphologyArguments(MeasureArguments):
    pass


@module(
    title="Measure morphology",
    help="Area, perimeter, axes and other measures of size and shape, in pixels.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
)
def measure_morphology(
    arguments: MeasureMorphologyArguments,
    extract_objects: LabelImage,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Morphology_<measure>``, by the formulas of scikit-image's region properties.

    ``Convexity`` is area over convex area, ``Circularity`` 4 pi area / perimeter squared and
    ``Roundness`` its inverse (mahotas' measure), ``Elongation`` (major - minor) / major axis;
    ``Local_Centroid`` counts from the site's upper left pixel.
    """
    geometry = region_geometry(extract_objects)
    radius = radius_statistics(extract_objects)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "Local_Centroid_y": geometry.y,
            "Local_Centroid_x": geometry.x,
            "Area": geometry.area,
            "Perimeter": geometry.perimeter,
            "Eccentricity": geometry.eccentricity,
            "Extent": geometry.extent,
            "Convexity": geometry.area / convex_areas(extract_objects, geometry),
            "Circularity": geometry.form_factor,
            "Roundness": 1 / geometry.form_factor,
            "Elongation": geometry.elongation,
            "Equivalent_Diameter": geometry.equivalent_diameter,
            "Major_Axis_Length": geometry.major_axis,
            "Minor_Axis_Length": geometry.minor_axis,
            "Maximum_Radius": radius.max,
            "Mean_Radius": radius.mean,
        }
    units = {f"Morphology_{name}": "px" for name in _LENGTHS} | {"Morphology_Area": "px²"}
    features = Features({f"Morphology_{name}": v for name, v in columns.items()}, units)
    features = in_micrometres(features, setting)
    return assigned(
        features, extract_objects, assign_objects, setting, aggregated=arguments.aggregate
    )
