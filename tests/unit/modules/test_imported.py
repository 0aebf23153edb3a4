"""Label images that came with the images, as pipelines take them."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.errors import UserError
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import ImportedObjects, prepare
from gpu_workers.pipelines.templates import imported_objects as template
from gpu_workers.steps.jterator.labels import imported_objects

CHANNELS = ("DAPI",)


def test_each_label_image_is_an_object_type() -> None:
    made = template(["nuclei", "cells 2", "cells_2", "7", "Wells", "x" * 90])

    names = [o.name for o in made.objects]
    assert names[:5] == ["nuclei", "cells_2", "cells_2_2", "Objects_7", "Wells_2"]
    assert len(set(names)) == 6
    assert list(made.labels.values())[1] == "cells 2"
    prepare(made, CHANNELS, dict.fromkeys(made.labels.values(), ()))


def test_features_of_tables_stand_beside_measured_ones() -> None:
    prepared = prepare(template(["nuclei"]), CHANNELS, {"nuclei": ("t_size",)})
    labels = np.zeros((9, 9), np.int32)
    labels[1:4, 1:4], labels[5:8, 2:8] = 1, 3
    image = np.arange(81, dtype=np.uint16).reshape(9, 9)
    given = ImportedObjects(labels, {"t_size": np.array([5.0, np.nan, 7.0])})

    found = prepared.run({"DAPI": image}, image.shape, {"nuclei": given})["nuclei"]

    assert "t_size" in [f.name for f in prepared.features["nuclei"]]
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.columns["t_size"], [5, np.nan, 7])
    assert found.columns["Morphology_Area"][[0, 2]].tolist() == [9, 18]
    assert found.columns["Intensity_mean_DAPI"][0] == image[labels == 1].mean()


def test_a_plane_without_labels_has_no_objects() -> None:
    prepared = prepare(template(["nuclei"]), CHANNELS, {"nuclei": ("t_size",)})

    found = prepared.run({"DAPI": None}, (9, 9))["nuclei"]

    assert not found.labels.any()
    assert found.columns["t_size"].size == 0


def test_unknown_labels_and_names_used_twice_are_refused() -> None:
    pipeline = Pipeline.model_validate(
        {
            "channels": {"a": "DAPI"}, "labels": {"a": "nuclei", "b": "cells"}, "modules": [],
            "objects": [{"name": "X", "labels": "b"}],
        }
    )  # fmt: skip

    with pytest.raises(UserError, match="there are: nuclei") as caught:
        prepare(pipeline, CHANNELS, {"nuclei": ()})
    assert "'a' exists already" in caught.value.message


def test_pipelines_without_labels_keep_their_keys() -> None:
    made = Pipeline.model_validate(
        {
            "channels": {"dna": "DAPI"},
            "modules": [
                {"module": "threshold_otsu", "inputs": {"image": "dna"}, "outputs": {"mask": "m"}},
                {"module": "separate", "inputs": {"mask": "m"}, "outputs": {"labels": "n"}},
            ],
            "objects": [{"name": "X", "labels": "n"}],
        }
    )

    assert "labels" not in prepare(made, CHANNELS).fingerprint()["pipeline"]


@pytest.mark.parametrize("offset", [0, 4_000_000_000])
def test_labels_far_apart_are_numbered_in_their_order(offset: int) -> None:
    labels = np.array([[0, 9, 3], [5, 5, 0]], np.uint32)
    labels[labels > 0] += np.uint32(offset)
    known = np.array([5, 9, 77], np.uint32) + np.uint32(offset)

    made = imported_objects(labels, known, {"a": np.array([0.5, 0.9, 7.7])}, ("a", "b"))

    expected = [[0, 9, 3], [5, 5, 0]] if not offset else [[0, 3, 1], [2, 2, 0]]
    assert made.labels.dtype == np.int32
    assert made.labels.tolist() == expected
    own = made.columns["a"][[made.labels[0, 1] - 1, made.labels[0, 2] - 1, made.labels[1, 0] - 1]]
    np.testing.assert_array_equal(own, [0.9, np.nan, 0.5])
    assert np.isnan(made.columns["b"]).all()
    assert made.columns["a"].size == made.labels.max()
