"""What a running pipeline holds in memory, and what it makes of missing images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpu_workers.pipelines.check import Use
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.memory import peak_bytes
from gpu_workers.pipelines.prepared import Images, Prepared, prepare
from gpu_workers.pipelines.values import last_uses

PIPELINE = Pipeline.model_validate(
    {
        "channels": {"dna": "DAPI"},
        "modules": [
            {"module": "threshold_otsu", "inputs": {"image": "dna"}, "outputs": {"mask": "bright"}},
            {"module": "separate", "inputs": {"mask": "bright"}, "outputs": {"labels": "nuclei"}},
            {"module": "expand", "inputs": {"labels": "nuclei"}, "outputs": {"labels": "cells"}},
            {
                "module": "measure_intensity",
                "inputs": {"extract_objects": "cells", "intensity_image": "*"},
            },
        ],
        "objects": [{"name": "Cells", "labels": "cells"}],
    }
)
SHAPE = (40, 60)


def prepared(channels: tuple[str, ...] = ("DAPI", "GFP")) -> Prepared:
    return prepare(PIPELINE, channels)


def image() -> np.ndarray:
    found = np.zeros(SHAPE, np.uint16)
    found[5:15, 5:20] = 900
    return found


def test_variables_are_forgotten_after_their_last_use() -> None:
    uses = prepared().uses

    assert last_uses(PIPELINE, uses) == [
        frozenset({"dna"}), frozenset({"bright"}), frozenset({"nuclei"}), frozenset({"*"}),
    ]  # fmt: skip


def test_memory_counts_what_lives_at_once() -> None:
    pixels = 40 * 60
    found = peak_bytes(prepared(), SHAPE)

    # Two channels of two bytes, nuclei and cells, and what growing cells needs.
    scratch = prepared().uses[2].module.bytes_per_pixel
    assert found == pixels * (2 * 2 + 4 + 4 + scratch)


def test_who_watches_sees_every_module_in_order() -> None:
    seen: list[tuple[str, tuple[str, ...]]] = []

    def watch(number: int, use: Use, outputs: Mapping[str, Any], seconds: float) -> None:
        assert number == len(seen)
        assert seconds > 0
        seen.append((use.module.name, tuple(outputs)))

    outcome = prepared().process(Images({"DAPI": image()}, SHAPE), watch=watch)

    assert [name for name, _ in seen] == [u.module for u in PIPELINE.modules]
    assert len(outcome.seconds) == 4
    assert outcome.objects["Cells"].labels.max() == 1


def test_a_missing_plane_of_the_segmented_channel_gives_no_objects_but_all_features() -> None:
    found = prepared().process(Images({"GFP": image()}, SHAPE)).objects["Cells"]

    assert not found.labels.any()
    assert "Intensity_mean_GFP" in found.columns


def test_a_missing_plane_of_another_channel_gives_missing_values() -> None:
    found = prepared().process(Images({"DAPI": image()}, SHAPE)).objects["Cells"]

    area = (found.labels == 1).sum()
    np.testing.assert_allclose(found.columns["Intensity_mean_DAPI"], [900 * 150 / area])
    assert np.isnan(found.columns["Intensity_mean_GFP"]).all()


def test_raw_images_are_never_changed() -> None:
    given = image()
    given.setflags(write=False)

    prepared().process(Images({"DAPI": given, "GFP": given}, SHAPE))

    np.testing.assert_array_equal(given, image())


def test_inactive_modules_are_as_if_they_were_not_there() -> None:
    modules = [m.model_dump() for m in PIPELINE.modules]
    modules.insert(3, {**modules[3], "active": False})
    changed = Pipeline.model_validate({**PIPELINE.model_dump(), "modules": modules})

    made = prepare(changed, ("DAPI",)).process(Images({"DAPI": image()}, SHAPE))

    assert len(made.seconds) == 4


def test_names_and_descriptions_do_not_change_what_is_made() -> None:
    named = PIPELINE.model_copy(update={"name": "mine", "title": "T", "description": "D"})

    assert prepare(named, ("DAPI",)).fingerprint() == prepare(PIPELINE, ("DAPI",)).fingerprint()
