"""Inputs of several kinds: what a module gives follows what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_workers import registry
from gpu_workers.modules.module import Kind, Module
from gpu_workers.pipelines.check import check_pipeline
from gpu_workers.pipelines.prepared import prepare
from gpu_workers.pipelines.text import parse_pipeline


def pipeline(clipped: str, saved: str = "rest") -> Any:
    """Return a pipeline that clips a mask or labels, and saves a variable as objects."""
    modules = [
        {"module": "threshold_manual", "inputs": {"image": "dna"}, "outputs": {"mask": "bright"},
         "arguments": {"threshold": 300}},
        {"module": "label", "inputs": {"mask": "bright"}, "outputs": {"label_image": "parts"}},
        {"module": "morphology", "inputs": {"mask": "bright"}, "outputs": {"morphed_mask": "core"},
         "arguments": {"operation": "erode"}},
        {"module": "clip", "inputs": {"image": clipped, "clipping_mask": "core"}, "outputs": {"clipped_image": "rest"}},
    ]  # fmt: skip
    return parse_pipeline(
        {
            "channels": {"dna": "DNA"},
            "modules": modules,
            "objects": [{"name": "X", "labels": saved}],
        }
    )


def test_clipped_labels_are_objects() -> None:
    image = np.zeros((20, 30), np.uint16)
    image[4:14, 3:12] = image[4:14, 15:25] = 900

    found = prepare(pipeline("parts"), ("DNA",)).run({"DNA": image}, image.shape)["X"]

    assert set(np.unique(found.labels)) == {0, 1, 2}
    assert found.labels[4, 3] == 1
    assert found.labels[9, 8] == 0


def test_a_clipped_mask_is_none() -> None:
    problems = check_pipeline(pipeline("bright"), ("DNA",)).problems

    assert [(p.code, p.where) for p in problems] == [("wrong_type", "objects.0 (X)")]
    assert "'rest' is mask, labels is needed" in problems[0].message


def test_what_neither_kind_fits_is_told_with_both() -> None:
    (first, *_) = check_pipeline(pipeline("dna"), ("DNA",)).problems

    assert first.where == "modules.3 (clip).inputs.image"
    assert "'dna' is intensity, mask or labels is needed" in first.message


def test_a_missing_plane_gives_no_objects() -> None:
    found = prepare(pipeline("parts"), ("DNA",)).run({"DNA": None}, (20, 30))["X"]

    assert found.labels.shape == (20, 30)
    assert not found.labels.any()


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("invert", {"image": Kind.MASK}, Kind.MASK),
        ("invert", {"image": Kind.INTENSITY}, Kind.INTENSITY),
        ("invert", {}, Kind.INTENSITY),
        ("invert", {"image": Kind.STACK}, Kind.INTENSITY),
        ("apply_mask", {"image": Kind.LABELS, "mask": Kind.MASK}, Kind.LABELS),
        ("combine_masks", {"mask_1": Kind.LABELS, "mask_2": Kind.LABELS}, Kind.MASK),
        ("label", {"mask": Kind.LABELS}, Kind.LABELS),
    ],
)
def test_results_follow_inputs_with_the_same_choice(
    name: str, given: dict[str, Kind], made: Kind
) -> None:
    module: Module = registry.load("modules", name)

    assert list(module.output_kinds(given).values()) == [made]
