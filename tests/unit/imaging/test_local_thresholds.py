"""Local thresholds against scikit-image, SciPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.filters
from scipy import ndimage

from gpu_workers.errors import UserError
from gpu_workers.imaging.local_thresholds import bernsen, disc, gaussian_mean, niblack, sauvola
from tests.unit.imaging.images import intensities


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_niblack_and_sauvola_equal_scikit_image(dtype: str) -> None:
    image = intensities(dtype=dtype)
    # scikit-image 0.26 takes 1 for half the range of float images; it subtracts for Niblack
    theirs = skimage.filters.threshold_sauvola(image, 15, 0.2, None if dtype != "float32" else 1)

    np.testing.assert_allclose(sauvola(image, 15, 0.2), theirs, rtol=2e-6)
    np.testing.assert_allclose(
        niblack(image, 15, 0.3), skimage.filters.threshold_niblack(image, 15, -0.3), rtol=2e-6
    )


def test_a_large_offset_does_no_harm() -> None:
    image = intensities(dtype="float32")

    high = niblack(image + np.float32(65536), 11, 1.0) - 65536

    # 2**-7 is the distance of two float32 values at 65536
    np.testing.assert_allclose(high, niblack(image, 11, 1.0), atol=0.02)


def test_bernsen_equals_extrema_of_scipy() -> None:
    image = intensities((60, 70))
    footprint = disc(5).astype(bool)
    low = ndimage.minimum_filter(image, footprint=footprint, mode="nearest").astype(float)
    high = ndimage.maximum_filter(image, footprint=footprint, mode="nearest").astype(float)

    middle, contrast = bernsen(image, 5)

    np.testing.assert_array_equal(middle, (low + high) / 2)
    np.testing.assert_array_equal(contrast, high - low)


def test_the_weighted_mean_is_that_of_opencv() -> None:
    image = intensities((60, 70), "uint8")

    theirs = cv2.adaptiveThreshold(
        image, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, 11, 0
    )

    # OpenCV rounds the mean to whole grey values
    different = (theirs > 0) != (image > gaussian_mean(image, 11))
    assert (np.abs(image - gaussian_mean(image, 11))[different] <= 1).all()


@pytest.mark.parametrize("size", [1, 4])
def test_windows_are_odd(size: int) -> None:
    with pytest.raises(UserError, match="odd"):
        niblack(intensities((9, 9)), size)
