"""The bucket queue against scikit-image's heap: equal pixel for pixel on whole levels."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.segmentation
from scipy import ndimage

from gpu_workers.imaging.labels import label
from gpu_workers.imaging.watershed import watershed
from tests.unit.imaging.images import blobs, hand_drawn, intensities


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("masked", [False, True])
def test_whole_levels_equal_scikit_image(dtype: str, masked: bool) -> None:
    image = intensities(dtype=dtype) // (1 if dtype == "uint8" else 50)
    seeds = np.zeros(image.shape, np.int32)
    places = np.random.default_rng(5).choice(image.size, 80, replace=False)
    seeds.ravel()[places] = np.arange(1, 81)
    mask = blobs() if masked else None

    flooded = watershed(image, seeds, mask)

    expected = skimage.segmentation.watershed(image, seeds, mask=mask)
    np.testing.assert_array_equal(flooded, expected)


def test_floats_differ_from_scikit_image_at_quantised_ties_only() -> None:
    mask = blobs(sigma=6.0)
    heights = ndimage.distance_transform_edt(mask).astype(np.float32)
    seeds = label(heights > 6)

    flooded = watershed(-heights, seeds, mask)

    expected = skimage.segmentation.watershed(-heights, seeds, mask=mask)
    assert (flooded != expected).mean() < 2e-3
    np.testing.assert_array_equal(flooded > 0, expected > 0)


@pytest.mark.data
def test_hand_drawn_nuclei_flooded_from_their_middles() -> None:
    for _, labels in hand_drawn():
        distance = ndimage.distance_transform_edt(labels > 0)
        image = np.rint((distance.max() - distance) * 64).astype(np.uint16)
        seeds = np.where(distance > 3, labels, 0).astype(np.int32)

        flooded = watershed(image, seeds, labels > 0)

        # scikit-image takes the pixels of a seed that lie on one level in no particular order
        expected = skimage.segmentation.watershed(image, seeds, mask=labels > 0)
        assert (flooded != expected).mean() < 1e-4
        np.testing.assert_array_equal(flooded > 0, expected > 0)


def test_no_seed_no_flood_and_no_pixel() -> None:
    none = np.zeros((4, 4), np.int32)

    assert not watershed(np.zeros((4, 4), np.uint8), none).any()
    assert not watershed(np.ones((4, 4), np.float32), none, np.zeros((4, 4), bool)).any()
    assert watershed(np.zeros((0, 4), np.uint8), none[:0]).shape == (0, 4)


def test_seeds_outside_the_mask_are_ignored() -> None:
    seeds = np.array([[1, 0, 0, 2]], np.int32)
    mask = np.array([[False, True, True, True]])

    np.testing.assert_array_equal(watershed(np.zeros((1, 4), "u1"), seeds, mask), [[0, 2, 2, 2]])


def test_unknown_ground_floods_last() -> None:
    image = np.array([[0, 1, np.nan, 1, 0]], np.float32)
    seeds = np.array([[1, 0, 0, 0, 2]], np.int32)

    np.testing.assert_array_equal(watershed(image, seeds), [[1, 1, 1, 2, 2]])
