"""Holes, distances and peaks against scipy and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpu_workers.imaging.labels import label
from gpu_workers.imaging.morphology import distance_transform, fill_holes, peaks
from tests.unit.imaging.images import blobs, hand_drawn, intensities


@pytest.mark.parametrize("seed", range(3))
def test_fill_holes_equals_scipy(seed: int) -> None:
    mask = blobs(seed=seed) | blobs(sigma=1.5, seed=seed + 9)

    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("sigma", [1.0, 4.0, 12.0])
def test_distances_are_exact(sigma: float) -> None:
    mask = blobs(sigma=sigma)

    np.testing.assert_allclose(
        distance_transform(mask), ndimage.distance_transform_edt(mask), rtol=1e-6
    )
    padded = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(distance_transform(mask, outside=True), padded, rtol=1e-6)


def test_touching_objects_limit_each_other() -> None:
    labels = label(blobs())
    labels[labels > 0] += (np.indices(labels.shape)[1][labels > 0] // 40 * 1000).astype(np.int32)

    found = distance_transform(labels)

    for number in np.unique(labels[labels > 0])[::7]:
        own = ndimage.distance_transform_edt(labels == number)
        np.testing.assert_allclose(found[labels == number], own[labels == number], rtol=1e-6)


def test_distance_without_background() -> None:
    assert (distance_transform(np.ones((3, 4), bool)) >= 16384).all()
    assert distance_transform(np.ones((3, 4), bool), outside=True).max() == 2
    assert distance_transform(np.zeros((0, 4), bool)).shape == (0, 4)


@pytest.mark.data
def test_distances_in_hand_drawn_nuclei() -> None:
    for _, labels in hand_drawn():
        mask = labels > 0
        np.testing.assert_allclose(
            distance_transform(mask), ndimage.distance_transform_edt(mask), rtol=1e-6
        )


@pytest.mark.parametrize("distance", [1, 5])
def test_peaks_are_the_maxima_of_their_square(distance: int) -> None:
    image = intensities(dtype="float32")

    found = peaks(image, distance)

    highest = ndimage.maximum_filter(image, 2 * distance + 1, mode="nearest")
    np.testing.assert_array_equal(found, (image == highest) & (image > 0))
    assert not peaks(np.zeros((4, 4), np.float32), 1).any()
