"""Cutting clumps as CellProfiler: its smoothing and maxima against SciPy, its cuts on simple shapes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed as reference

from gpu_workers.imaging.declumping import (
    automatic_smoothing,
    automatic_suppression,
    declump,
    edge_corrected_gaussian,
    local_maxima,
    smoothed,
)
from gpu_workers.imaging.labels import label
from gpu_workers.imaging.watershed import watershed_8
from tests.unit.imaging.images import blobs, intensities


def test_smoothing_is_a_short_gaussian_without_weight_beyond_the_edge() -> None:
    image = intensities((40, 50), "float32").astype(float)
    sigma = 8 / 2.35
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2 / sigma**2)

    def convolved(values: np.ndarray) -> np.ndarray:
        once = ndimage.convolve1d(values, kernel, axis=0, mode="constant")
        return np.asarray(ndimage.convolve1d(once, kernel, axis=1, mode="constant"))

    expected = convolved(image) / convolved(np.ones_like(image))
    np.testing.assert_allclose(smoothed(image, 8), expected, rtol=1e-12)


def test_the_gaussian_before_thresholds_has_no_weight_beyond_the_edge() -> None:
    image = intensities((40, 50), "float32").astype(float)
    parts = [ndimage.gaussian_filter(v, 1, mode="constant") for v in (image, np.ones_like(image))]

    np.testing.assert_allclose(edge_corrected_gaussian(image, 1), parts[0] / parts[1], rtol=1e-12)
    assert edge_corrected_gaussian(image, 0) is image


def test_maxima_are_those_of_their_own_object() -> None:
    heights = intensities((60, 70), "float32").astype(float) + 1
    labels = label(blobs((60, 70)))
    y, x = np.mgrid[-4:5, -4:5]
    expected = np.zeros(labels.shape, bool)
    for number in range(1, labels.max() + 1):
        own = np.where(labels == number, heights, 0)
        highest = ndimage.maximum_filter(own, footprint=y * y + x * x <= 4.5**2, mode="constant")
        expected |= (labels == number) & (own == highest)

    np.testing.assert_array_equal(local_maxima(heights, labels, 5), expected)


def test_floods_over_corners_equal_scikit_image() -> None:
    image, mask = intensities((80, 90), "uint8"), blobs((80, 90))
    seeds = np.zeros((80, 90), np.int32)
    rng = np.random.default_rng(0)
    seeds[rng.integers(80, size=30), rng.integers(90, size=30)] = np.arange(1, 31)

    expected = reference(image, seeds * mask, mask=mask, connectivity=np.ones((3, 3)))

    np.testing.assert_array_equal(watershed_8(image, seeds, mask), expected)


@pytest.mark.parametrize("way", ["intensity", "shape"])
def test_touching_discs_are_cut_at_their_neck(way: str) -> None:
    y, x = np.indices((50, 70))
    first, second = ((y - 25) ** 2 + (x - c) ** 2 for c in (25, 43))
    mask = (first <= 100) | (second <= 100)
    image = np.where(mask, 200 - np.minimum(first, second), 0).astype(np.uint16)

    labels = declump(
        mask, image, find_by=way, divide_by=way,  # type: ignore[arg-type]
        smoothing=automatic_smoothing(12), suppression=automatic_suppression(12),
    )  # fmt: skip

    assert labels.max() == 2
    np.testing.assert_array_equal(labels > 0, mask)
    assert (labels[:, :33][mask[:, :33]] == 1).all()
    assert (labels[:, 36:][mask[:, 36:]] == 2).all()


def test_plateaus_count_once_and_empty_masks_are_empty() -> None:
    mask = np.zeros((20, 20), bool)
    assert not declump(mask, mask).any()

    mask[3:12, 3:16] = True
    assert declump(mask, mask.astype(np.uint8) * 9).max() == 1
