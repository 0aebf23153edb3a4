"""Morphology of masks and objects, in two and three dimensions, against scikit-image and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import skimage.morphology
from scipy import ndimage

from gpu_workers.imaging import shapes
from gpu_workers.imaging.labels import label
from tests.unit.imaging.images import blobs


def volume(threshold: float = 0.2, sigma: float = 2.5) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(14, 32, 36)), sigma)
    return np.asarray(field > threshold * field.std())


def footprint(radius: float, dimensions: int) -> np.ndarray:
    reach = int(radius)
    grid = np.indices((2 * reach + 1,) * dimensions) - reach
    return np.asarray((grid**2).sum(axis=0) <= radius**2)


MASKS = {"plane": blobs((90, 110), 3.0), "stack": volume()}
PAIRS = {
    "erosion": shapes.erode,
    "dilation": shapes.dilate,
    "opening": shapes.opened,
    "closing": shapes.closed,
}


@pytest.mark.parametrize("radius", [0.5, 1, 2.3, 4])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masks_change_as_in_scikit_image(mask: np.ndarray, name: str, radius: float) -> None:
    changed = PAIRS[name](mask, radius)

    reference = getattr(skimage.morphology, name)
    expected = reference(mask, footprint(radius, mask.ndim), mode="ignore")
    assert changed.dtype == np.bool_
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("operation", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_mask_of_one_part_changes_as_its_label(
    mask: np.ndarray, operation: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    changed = operation(mask.astype(np.int32) * 70_001, 2)

    np.testing.assert_array_equal(changed > 0, operation(mask, 2))
    assert changed.dtype == np.int32
    assert set(np.unique(changed)) <= {0, 70_001}


def touching(dimensions: int) -> np.ndarray:
    """Return two objects side by side, numbered 9 and 4."""
    labels = np.zeros((7, 20, 28)[3 - dimensions :], np.int32)
    labels[..., 4:16, 5:14], labels[..., 4:16, 14:23] = 9, 4
    return labels


@pytest.mark.parametrize("dimensions", [2, 3])
def test_touching_objects_are_outside_for_each_other(dimensions: int) -> None:
    labels = touching(dimensions)

    for number in (9, 4):
        alone = np.where(labels == number, labels, 0)
        for operation in (shapes.erode, shapes.opened):
            together = operation(labels, 3)
            np.testing.assert_array_equal(together == number, operation(alone, 3) == number)
    np.testing.assert_array_equal(shapes.closed(labels, 3), labels)
    grown = shapes.dilate(labels, 2)
    np.testing.assert_array_equal(np.where(labels > 0, grown, 0), labels)
    assert set(np.unique(grown)) == {0, 4, 9}


def test_growth_in_three_dimensions_takes_the_nearest_object() -> None:
    rng = np.random.default_rng(3)
    labels = np.zeros((11, 24, 26), np.int32)
    where = rng.integers(0, labels.size, 40)
    labels.ravel()[where] = np.arange(2, 2 * where.size + 2, 2)

    grown = shapes.dilate(labels, 3.5)

    distance = ndimage.distance_transform_edt(labels == 0)
    np.testing.assert_array_equal(grown > 0, distance <= 3.5)
    own = np.stack(np.nonzero(grown))
    source = {n: np.argwhere(labels == n)[0] for n in np.unique(labels) if n}
    owners = np.array([source[n] for n in grown[grown > 0]]).T
    np.testing.assert_array_equal(
        ((own - owners) ** 2).sum(axis=0), (distance[grown > 0] ** 2).round()
    )


@pytest.mark.parametrize("mask", [MASKS["plane"], volume(-1.2, 1.2)], ids=MASKS)
def test_holes_are_filled_as_by_scipy(mask: np.ndarray) -> None:
    expected = ndimage.binary_fill_holes(mask)

    np.testing.assert_array_equal(shapes.filled(mask), expected)
    assert (expected & ~mask).any()
    np.testing.assert_array_equal(shapes.filled(mask.astype(np.int32)) > 0, expected)


def test_only_small_holes_are_filled_on_request() -> None:
    mask = np.ones((20, 30), bool)
    mask[2:4, 2:4] = mask[6:12, 6:12] = mask[0:2, 20:22] = False

    filled = shapes.filled(mask, max_area=4)

    expected = mask.copy()
    expected[2:4, 2:4] = True
    np.testing.assert_array_equal(filled, expected)


def test_a_gap_between_objects_is_no_hole() -> None:
    labels = np.zeros((9, 12), np.int32)
    labels[1:8, 1:6], labels[1:8, 6:11] = 5, 3
    labels[3:5, 2:4] = labels[3:5, 5:7] = 0

    filled = shapes.filled(labels)

    assert (filled[3:5, 2:4] == 5).all()
    assert (filled[3:5, 5:7] == 0).all()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_small_objects_go_as_in_scikit_image(mask: np.ndarray) -> None:
    labels = label(mask)
    labels[labels == 2] = 90_000

    cleaned = shapes.without_small(labels, 60)

    areas = np.bincount(labels.ravel())
    expected = np.where(np.isin(labels, np.flatnonzero(areas >= 60)), labels, 0)
    np.testing.assert_array_equal(cleaned, expected)
    np.testing.assert_array_equal(
        shapes.without_small(mask, 60), label(mask).astype(bool) & (expected > 0)
    )
    assert 0 < (cleaned > 0).sum() < (labels > 0).sum()


@pytest.mark.parametrize("shape", [(0, 7), (7, 0), (0, 4, 4)])
def test_images_without_pixels_stay_so(shape: tuple[int, ...]) -> None:
    for image in (np.zeros(shape, bool), np.zeros(shape, np.int32)):
        for operation in (*PAIRS.values(), shapes.without_small):
            assert operation(image, 3).shape == shape
        assert shapes.filled(image).shape == shape
