"""Modules that measure objects: names and units of their features, families chosen one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gpu_workers.imaging.features import (
    aggregates,
    heights,
    intensity,
    neighbours,
    points,
    shape_descriptions,
    volume,
    zernike,
)
from gpu_workers.imaging.labels import label
from gpu_workers.modules.measure.measure_intensity import measure_intensity
from gpu_workers.modules.measure.measure_morphology import measure_morphology
from gpu_workers.modules.measure.measure_neighbours import measure_neighbours
from gpu_workers.modules.measure.measure_point_pattern import measure_point_pattern
from gpu_workers.modules.measure.measure_volume_image import measure_volume_image
from gpu_workers.modules.module import Features, Setting
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import prepare
from tests.unit.imaging.images import blobs, intensities

ORIGINAL = (
    "Local_Centroid_x", "Local_Centroid_y", "Area", "Perimeter", "Eccentricity", "Extent", "Convexity",
    "Circularity", "Roundness", "Elongation", "Equivalent_Diameter", "Major_Axis_Length",
    "Minor_Axis_Length", "Maximum_Radius", "Mean_Radius",
)  # fmt: skip
LABELS = label(blobs((80, 90), sigma=3))
IMAGE = intensities(LABELS.shape)
MICROMETRES = Setting({"extract_objects": "Nuclei"}, pixel_size_um=0.5)


def measured(module: Any, images: dict[str, Any], setting: Setting, **arguments: Any) -> Features:
    found = module(module.Arguments(**arguments), {"extract_objects": LABELS, **images}, setting)
    return found["measurements"]


def test_the_first_features_are_those_of_before_2020() -> None:
    shape = measured(measure_morphology, {}, Setting(), measure_zernike=True)
    bright = measured(measure_intensity, {"intensity_image": {"DAPI": IMAGE}}, Setting())

    assert list(shape.columns)[:15] == [f"Morphology_{name}" for name in ORIGINAL]
    zernikes = [name for name in shape.columns if "Zernike" in name]
    assert (len(zernikes), zernikes[0], zernikes[-1]) == (
        49, "Morphology_Zernike-0-0", "Morphology_Zernike-12-12",
    )  # fmt: skip
    first = [f"Intensity_{s}_DAPI" for s in ("max", "mean", "min", "sum", "std")]
    assert list(bright.columns)[:5] == first


def test_lengths_come_in_micrometres_beside_pixels() -> None:
    shape = measured(measure_morphology, {}, MICROMETRES)
    near = measured(measure_neighbours, {}, MICROMETRES, colony_distance=9)
    bright = measured(measure_intensity, {"intensity_image": {"A": IMAGE}}, MICROMETRES)

    for features, name, longer, factor in (
        (shape, "Morphology_Area", "Morphology_Area_um2", 0.25),
        (shape, "Morphology_Perimeter", "Morphology_Perimeter_um", 0.5),
        (shape, "Morphology_Maximum_Feret_Diameter", "Morphology_Maximum_Feret_Diameter_um", 0.5),
        (near, "Neighbours_Kernel_Density-50", "Neighbours_Kernel_Density-50_um2", 4),
        (near, "Neighbours_Distance_To_Colony_Edge-9", "Neighbours_Distance_To_Colony_Edge-9_um", 0.5),
        (bright, "Intensity_mass-displacement_A", "Intensity_mass-displacement_um_A", 0.5),
    ):  # fmt: skip
        np.testing.assert_allclose(features.columns[longer], factor * features.columns[name])
        assert features.units[longer].startswith("µm")
    assert "Morphology_Eccentricity_um" not in shape.columns
    assert "Intensity_mean_um_A" not in bright.columns


def test_families_are_chosen_one_by_one() -> None:
    images = {"intensity_image": {"A": IMAGE, "B": None}}
    least = {"measure_distribution": False, "measure_edge": False, "measure_location": False}

    few = measured(measure_intensity, images, Setting(), **least)
    some = measured(measure_intensity, images, Setting(), **least, percentiles=(1, 99))
    plain = measured(measure_morphology, {}, Setting(), measure_feret=False)
    full = measured(measure_morphology, {}, Setting(), measure_box=True, measure_moments=True)

    assert len(few.columns) == 2 * 5
    assert len(some.columns) == 2 * 7
    assert np.isnan(some.columns["Intensity_percentile-99_B"]).all()
    own = IMAGE[LABELS == 1]
    assert some.columns["Intensity_percentile-99_A"][0] == pytest.approx(np.percentile(own, 99))
    assert not any("Feret" in name for name in plain.columns)
    assert {"Morphology_Bounding_Box_Maximum_x", "Morphology_Hu-Moment-6"} <= full.columns.keys()
    with pytest.raises(ValidationError):
        measure_intensity.Arguments(percentiles=(101,))


def test_every_feature_is_described_and_no_name_is_the_same() -> None:
    import re

    described = [
        d
        for family in (aggregates, heights, intensity, neighbours, points, shape_descriptions, volume,
                       zernike)
        for d in family.DESCRIPTIONS
    ]  # fmt: skip
    patterns = [re.compile(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(d.name))) for d in described]
    images: dict[str, Any] = {"intensity_image": {"A": IMAGE}}
    cells = {"ref_objects": LABELS}
    features = [
        measured(measure_morphology, {}, Setting(), measure_box=True, measure_moments=True,
                 measure_zernike=True),
        measured(measure_intensity, images, Setting(), percentiles=(5,)),
        measured(measure_neighbours, {}, Setting(), colony_distance=5),
        measured(measure_point_pattern, cells, Setting()),
        measured(measure_volume_image, {"intensity_image": IMAGE}, Setting()),
        measure_morphology(measure_morphology.Arguments(measure_box=True),
                           {"extract_objects": LABELS[None]}, Setting())["measurements"],
        measure_intensity(measure_intensity.Arguments(),
                          {"extract_objects": LABELS[None], "intensity_image": {"A": IMAGE[None]}},
                          Setting())["measurements"],
    ]  # fmt: skip

    for found in features:
        for name, values in found.columns.items():
            assert any(p.fullmatch(name.removesuffix("_A")) for p in patterns), name
            assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
            assert values.shape == (LABELS.max(),)
            assert values.dtype == np.float64
    # in the plane and in space the same name is another measure
    for dimension in (2, 3):
        names = [d.name for d in described if dimension in d.dimensions]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("shape", [(0, 0), (6, 7)])
def test_images_without_objects_have_all_columns(shape: tuple[int, int]) -> None:
    nothing = np.zeros(shape, np.int32)
    full = {"extract_objects": LABELS, "ref_objects": LABELS}
    empty = {"extract_objects": nothing, "ref_objects": nothing}

    for module in (measure_morphology, measure_intensity, measure_neighbours, measure_point_pattern,
                   measure_volume_image):  # fmt: skip
        image = {"A": IMAGE} if module is measure_intensity else IMAGE
        none = {"A": nothing} if module is measure_intensity else nothing
        given, wanted = [
            {k: v for k, v in {**objects, "intensity_image": pixels}.items() if k in module.inputs}
            for objects, pixels in ((empty, none), (full, image))
        ]
        found = module(module.Arguments(), given, MICROMETRES)["measurements"]
        expected = module(module.Arguments(), wanted, MICROMETRES)["measurements"]
        assert list(found.columns) == list(expected.columns)
        assert found.units == expected.units
        assert all(values.shape == (0,) for values in found.columns.values())


def test_two_modules_may_aggregate_the_same_children() -> None:
    use = {"inputs": {"extract_objects": "spots", "assign_objects": "cells"},
           "arguments": {"aggregate": True}}  # fmt: skip
    pipeline = Pipeline.model_validate(
        {
            "channels": {"dna": "DAPI"},
            "labels": {"spots": "Spots", "cells": "Cells"},
            "modules": [
                {"module": "measure_morphology", **use},
                {"module": "measure_neighbours", **use},
            ],
            "objects": [{"name": "Cells", "labels": "cells"}],
        }
    )

    features = [
        f.name for f in prepare(pipeline, ("DAPI",), {"Spots": (), "Cells": ()}).features["Cells"]
    ]

    assert len(features) == len(set(features))
    assert sum(name.startswith("Count_") for name in features) == 1
    assert any(name.startswith("Mean_") and "Neighbours" in name for name in features)
