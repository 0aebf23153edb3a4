"""Modules that make masks, or work on masks and objects alike."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.morphology
from skimage.measure import label as numbered
from skimage.measure import regionprops

from tests.unit.imaging.images import blobs
from tests.unit.imaging.test_shapes import volume
from tests.unit.modules.test_image_modules import run

A = blobs((60, 70), 3.0)
B = blobs((60, 70), 3.0, seed=1)


@pytest.mark.parametrize("image", [A, A * np.int32(90_000)], ids=["mask", "labels"])
@pytest.mark.parametrize("clipping", [B, B * np.int32(5)], ids=["mask", "labels"])
def test_clipping_takes_away_what_lies_below(image: np.ndarray, clipping: np.ndarray) -> None:
    clipped = run("clip", {"image": image, "clipping_mask": clipping})

    np.testing.assert_array_equal(clipped, np.where(B, 0, image))
    assert clipped.dtype == image.dtype


@pytest.mark.parametrize(
    ("operation", "expected"), [("AND", A & B), ("OR", A | B), ("EXCLUSIVE_OR", A ^ B)]
)
@pytest.mark.parametrize("second", [B, B * np.int32(70_000)], ids=["mask", "labels"])
def test_masks_are_combined(operation: str, expected: np.ndarray, second: np.ndarray) -> None:
    combined = run("combine_masks", {"mask_1": A, "mask_2": second}, logical_operation=operation)

    assert combined.dtype == np.bool_
    np.testing.assert_array_equal(combined, expected)


def test_a_threshold_is_a_lower_limit_and_may_have_an_upper_one() -> None:
    image = np.array([[1, 2, 3, np.nan, np.inf]])

    assert run("threshold_manual", {"image": image}, threshold=1).tolist() == [
        [False, True, True, False, True]
    ]
    assert run("threshold_manual", {"image": image}, threshold=1, upper_threshold=2).tolist() == [
        [False, True, False, False, False]
    ]


FEATURES = {
    "area": lambda r: r.area,
    "eccentricity": lambda r: r.eccentricity,
    "circularity": lambda r: 4 * np.pi * r.area / r.perimeter**2 if r.perimeter else np.nan,
    "convexity": lambda r: r.solidity,
    "extent": lambda r: r.extent,
    "perimeter": lambda r: r.perimeter,
    "equivalent_diameter": lambda r: r.equivalent_diameter_area,
    "elongation": lambda r: (
        1 - r.axis_minor_length / r.axis_major_length if r.axis_major_length else np.nan
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("as_labels", [False, True], ids=["mask", "labels"])
def test_objects_are_filtered_by_their_shape(feature: str, as_labels: bool) -> None:
    mask = blobs((120, 150), 3.0)
    labels = numbered(mask, connectivity=2).astype(np.int32) * 7
    values = {r.label: FEATURES[feature](r) for r in regionprops(labels)}
    # halfway between two values: rounding decides nothing
    known = np.unique(np.round([v for v in values.values() if np.isfinite(v)], 6))
    low, high = (
        known[len(known) // 4 + i] / 2 + known[len(known) // 4 + i - 1] / 2 for i in (0, 5)
    )

    filtered = run(
        "filter",
        {"mask": labels if as_labels else mask},
        feature=feature, lower_threshold=low, upper_threshold=high,
    )  # fmt: skip

    kept = [number for number, value in values.items() if low <= value <= high]
    assert 0 < len(kept) < len(values)
    expected = np.where(np.isin(labels, kept), labels if as_labels else mask, 0)
    np.testing.assert_array_equal(filtered, expected)


def test_thresholds_belong_to_what_is_kept_and_none_is_no_limit() -> None:
    labels = np.array([[5, 5, 0, 2, 2, 2]], np.int32)

    assert run("filter", {"mask": labels}, lower_threshold=3).tolist() == [[0, 0, 0, 2, 2, 2]]
    assert run("filter", {"mask": labels}, upper_threshold=2).tolist() == [[5, 5, 0, 0, 0, 0]]
    np.testing.assert_array_equal(run("filter", {"mask": labels}), labels)


@pytest.mark.parametrize(
    ("operation", "reference"),
    [("dilate", "dilation"), ("erode", "erosion"), ("open", "opening"), ("close", "closing")],
)
def test_morphology_equals_scikit_image(operation: str, reference: str) -> None:
    y, x = np.mgrid[-3:4, -3:4]

    changed = run("morphology", {"mask": A}, operation=operation, radius=3)

    expected = getattr(skimage.morphology, reference)(A, y * y + x * x <= 9, mode="ignore")
    np.testing.assert_array_equal(changed, expected)


def test_holes_are_filled_in_masks_and_in_objects() -> None:
    mask = np.zeros((9, 12), bool)
    mask[1:8, 1:11] = True
    mask[3:5, 3:5] = mask[6, 8] = False

    assert run("fill", {"mask": mask}).sum() == 70
    assert run("fill", {"mask": mask}, max_area=1).sum() == 66
    assert (run("fill", {"mask": mask * np.int32(3)}) == 3).sum() == 70


@pytest.mark.parametrize("mask", [A, volume()], ids=["plane", "stack"])
def test_skeletons_keep_the_number_of_parts(mask: np.ndarray) -> None:
    skeleton = run("skeletonize", {"mask": mask})

    assert skeleton.dtype == np.bool_
    assert not (skeleton & ~mask).any()
    assert skeleton.sum() < mask.sum() / 3
    parts = numbered(mask)
    np.testing.assert_array_equal(np.unique(parts[skeleton]), np.unique(parts[mask]))
    assert numbered(skeleton).max() == parts.max()
