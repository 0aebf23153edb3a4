"""Granular spectra: the reconstruction against scikit-image's, the spectrum against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.morphology
from scipy import ndimage

from gpu_workers.imaging.features.granularity import granularity
from gpu_workers.imaging.features.reconstruction import erode_cross, reconstruct
from tests.unit.features.fields import smooth, touching

CROSS = ndimage.generate_binary_structure(2, 1)


@pytest.mark.parametrize("n_steps", [1, 3, 8])
def test_reconstruction(n_steps: int) -> None:
    image = smooth((70, 90)).astype(np.float64)
    eroded = image
    for _ in range(n_steps):
        eroded = erode_cross(eroded)

    expected = skimage.morphology.reconstruction(eroded, image, footprint=CROSS)

    np.testing.assert_array_equal(reconstruct(eroded, image), expected)
    np.testing.assert_array_equal(
        eroded, ndimage.grey_erosion(image, footprint=ndimage.iterate_structure(CROSS, n_steps))
    )


def test_reconstruction_follows_a_winding_way() -> None:
    y, x = np.indices((41, 41)) - 20
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    way = ((radius - angle * 3 / np.pi) % 6 < 3).astype(np.float64) * (1 + radius / 50)
    seed = np.zeros_like(way)
    seed[20, 20] = way[20, 20]

    expected = skimage.morphology.reconstruction(seed, way, footprint=CROSS)

    np.testing.assert_array_equal(reconstruct(seed, way), expected)
    assert (expected > 0).sum() > 400


def test_the_spectrum_by_its_definition() -> None:
    labels, image = touching(), smooth()
    disc = np.hypot(*(np.indices((7, 7)) - 3)) <= 3
    background = ndimage.grey_dilation(ndimage.grey_erosion(image, footprint=disc), footprint=disc)
    signal = np.maximum(image.astype(np.float64) - background, 0)
    index = np.arange(1, labels.max() + 1)
    index = index[index != 2]
    raw = before = ndimage.mean(image, labels, index)

    found = granularity(labels, image, 1, 1, 3, 5)

    eroded = signal
    for size in range(1, 6):
        eroded = ndimage.grey_erosion(eroded, footprint=CROSS)
        grown = skimage.morphology.reconstruction(eroded, signal, footprint=CROSS)
        after = ndimage.mean(grown, labels, index)
        # means are summed in another order
        np.testing.assert_allclose(
            found[str(size)][index - 1], 100 * (before - after) / raw, rtol=1e-9, atol=1e-9
        )
        before = after
    assert np.isnan(found["1"][1])


def test_grains_appear_at_their_size() -> None:
    image = np.zeros((90, 90))
    image[10::20, 10::20] = 1
    image = ndimage.grey_dilation(image, footprint=ndimage.iterate_structure(CROSS, 3))
    labels = np.ones(image.shape, np.int32)

    found = granularity(labels, image, 1, 1, 10, 8)

    spectrum = np.concatenate([found[str(i)] for i in range(1, 9)])
    np.testing.assert_allclose(spectrum, [0, 0, 0, 100, 0, 0, 0, 0], atol=1e-9)


def test_without_enough_pixels_nothing_is_known() -> None:
    labels = np.ones((7, 60), np.int32)

    assert np.isnan(granularity(labels, labels)["1"]).all()


def test_objects_with_nan_are_missing_and_leave_others_alone() -> None:
    labels = np.zeros((80, 80), np.int32)
    labels[8:30, 8:30], labels[50:70, 50:70] = 1, 3
    image = smooth((80, 80)).astype(np.float32)
    spoilt = image.copy()
    spoilt[20, 20] = np.nan
    zero = np.nan_to_num(spoilt)

    found = granularity(labels, spoilt)

    np.testing.assert_array_equal(np.isnan(found["2"]), [True, True, False])
    assert found["2"][2] == granularity(labels, zero)["2"][2]
