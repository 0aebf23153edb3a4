"""Features of one kind of objects given to another, as the modules that measure do it."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.errors import UserError
from gpu_workers.modules.measure.assignment import channel_columns, in_micrometres
from gpu_workers.modules.measure.measure_intensity import measure_intensity
from gpu_workers.modules.measure.measure_morphology import measure_morphology
from gpu_workers.modules.module import Features, Setting

SPOTS = np.array([[1, 1, 0, 3, 0], [0, 0, 0, 3, 4], [5, 0, 0, 0, 0]], np.int32)
CELLS = np.array([[2, 2, 2, 0, 0], [2, 2, 2, 4, 4], [2, 0, 0, 0, 0]], np.int32)
NAMES = {"extract_objects": "Spots", "assign_objects": "Cells"}


def measured(setting: Setting, aggregated: bool = False, **more: np.ndarray) -> Features:
    arguments = measure_morphology.Arguments(aggregate=aggregated)
    found = measure_morphology(arguments, {"extract_objects": SPOTS, **more}, setting)
    return found["measurements"]


def test_objects_themselves_keep_the_names() -> None:
    alone = measured(Setting())
    same = measured(Setting({"extract_objects": "A", "assign_objects": "A"}), assign_objects=CELLS)

    np.testing.assert_array_equal(alone.columns["Morphology_Area"], [2, 0, 2, 1, 1])
    assert list(same.columns) == list(alone.columns)


def test_one_by_one_the_label_decides() -> None:
    # spot 5 lies in cell 2: it is no part of a cell 5
    cells = np.array([[1, 1, 1, 3, 3], [2, 2, 2, 3, 4], [2, 5, 6, 0, 0]], np.int32)

    found = measured(Setting(NAMES), assign_objects=cells)

    assert all(name.startswith("Spots_Morphology_") for name in found.columns)
    area = found.columns["Spots_Morphology_Area"]
    np.testing.assert_array_equal(area, [2, 0, 2, 1, np.nan, np.nan])
    assert found.units["Spots_Morphology_Perimeter"] == "px"


def test_objects_numbered_otherwise_cannot_be_assigned_one_by_one() -> None:
    with pytest.raises(UserError, match=r"Spots and Cells .* 3 of 4 have other labels") as caught:
        measured(Setting(NAMES), assign_objects=CELLS)
    assert caught.value.code == "not_one_to_one"


def test_parents_get_statistics_of_their_children() -> None:
    found = measured(Setting(NAMES), aggregated=True, assign_objects=CELLS)

    none = np.nan
    expected = {
        "Count_Spots": [none, 2, none, 2],
        "Sum_Spots_Morphology_Area": [none, 3, none, 3],
        "Mean_Spots_Morphology_Area": [none, 1.5, none, 1.5],
        "Std_Spots_Morphology_Area": [none, 0.5, none, 0.5],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(found.columns[name], values)
    assert found.units["Sum_Spots_Morphology_Area"] == "px²"


def test_no_children_and_no_parents() -> None:
    none = np.zeros_like(SPOTS)
    for aggregated in (False, True):
        assert all(
            v.size == 0
            for v in measured(Setting(NAMES), aggregated, assign_objects=none).columns.values()
        )
    images = {"extract_objects": none, "assign_objects": CELLS, "intensity_image": {"A": SPOTS}}
    arguments = measure_intensity.Arguments(aggregate=True)
    found = measure_intensity(arguments, images, Setting(NAMES))["measurements"].columns
    np.testing.assert_array_equal(found["Count_Spots"], [np.nan, 0, np.nan, 0])
    np.testing.assert_array_equal(found["Sum_Spots_Intensity_sum_A"], [np.nan, 0, np.nan, 0])
    assert np.isnan(found["Mean_Spots_Intensity_sum_A"]).all()


def test_a_missing_plane_gives_missing_values() -> None:
    columns = channel_columns(
        "Intensity", ("a", "b"), {"X": None, "Y": SPOTS}, 2, lambda image: {"b": image[0, :2] * 1.0}
        | {"a": np.array([3.0, 4.0])},
    )  # fmt: skip

    assert list(columns) == ["Intensity_a_X", "Intensity_b_X", "Intensity_a_Y", "Intensity_b_Y"]
    assert np.isnan(columns["Intensity_b_X"]).all()
    np.testing.assert_array_equal(columns["Intensity_b_Y"], [1, 1])


def test_lengths_and_areas_in_micrometres() -> None:
    features = Features(
        {"A_Length_GFP": np.array([2.0]), "A_Area": np.array([3.0]), "A_Ratio": np.array([1.0])},
        {"A_Length_GFP": "px", "A_Area": "px²"},
    )

    found = in_micrometres(features, Setting(pixel_size_um=0.5), ["DAPI", "GFP"])

    assert found.columns["A_Length_um_GFP"] == pytest.approx([1.0])
    assert found.columns["A_Area_um2"] == pytest.approx([0.75])
    assert found.units["A_Area_um2"] == "µm²"
    assert len(found.columns) == 5
    assert in_micrometres(features, Setting()) is features
