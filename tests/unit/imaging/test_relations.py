"""How objects lie to each other, against pandas, SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.segmentation import clear_border

from gpu_workers.imaging.labels import label
from gpu_workers.imaging.relations import at_border, centroids, overlaps, without
from tests.unit.imaging.images import blobs


def test_overlaps_are_those_of_a_cross_table() -> None:
    first, second = label(blobs(seed=0)), label(blobs(seed=1)) * 7

    found = overlaps(first, second)

    table = pd.crosstab(first.ravel(), second.ravel()).loc[1:, 1:].stack()
    table = table[table > 0].sort_index()
    np.testing.assert_array_equal(np.stack([found.first, found.second], 1), list(table.index))
    np.testing.assert_array_equal(found.n_pixels, table.to_numpy())


@pytest.mark.parametrize("shape", [(90, 80), (6, 40, 30)])
def test_centroids_equal_scipy(shape: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).integers(0, 9, shape).astype(np.int32) * 2

    found = centroids(labels)

    expected = ndimage.center_of_mass(labels > 0, labels, np.arange(2, 17, 2))
    np.testing.assert_allclose(found[1::2], expected, atol=1e-9)
    assert np.isnan(found[::2]).all()


@pytest.mark.parametrize("distance", [0, 3])
def test_border_objects_are_those_that_scikit_image_clears(distance: int) -> None:
    labels = label(blobs())

    kept = without(labels, at_border(labels, distance))

    np.testing.assert_array_equal(kept, clear_border(labels, buffer_size=distance))


def test_labels_far_apart_and_images_without_objects() -> None:
    far = np.array([[2_000_000, 0, 5]], np.int32)
    empty = np.zeros((0, 4), np.int32)

    assert overlaps(far, far).n_pixels.tolist() == [1, 1]
    assert overlaps(empty, empty).first.size == 0
    assert centroids(empty).shape == (0, 2)
    assert at_border(empty).size == 0
    assert without(empty, np.zeros(0, bool)).shape == (0, 4)
