"""Smoothing against scikit-image and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.filters
from scipy import ndimage

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian, median
from tests.unit.imaging.images import intensities


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5, 10.0])
def test_gaussian_equals_scikit_image(dtype: str, sigma: float) -> None:
    image = intensities(dtype=dtype)

    smoothed = gaussian(image, sigma)

    expected = skimage.filters.gaussian(image, sigma, mode="nearest", preserve_range=True)
    assert smoothed.dtype == np.float32
    # float32 sums of up to 81 terms, relative to the range
    np.testing.assert_allclose(smoothed, expected, atol=1e-5 * float(image.max()))


def test_gaussian_without_sigma_copies() -> None:
    image = intensities(dtype="float32")

    smoothed = gaussian(image, 0)

    np.testing.assert_array_equal(smoothed, image)
    assert not np.shares_memory(smoothed, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_median_equals_scipy(dtype: str, size: int) -> None:
    image = intensities((61, 70), dtype=dtype)

    filtered = median(image, size)

    np.testing.assert_array_equal(filtered, ndimage.median_filter(image, size, mode="nearest"))
    assert filtered.dtype == image.dtype


@pytest.mark.parametrize(("function", "value"), [(gaussian, -1), (median, 4), (median, 0)])
def test_impossible_sizes_are_refused(function: object, value: int) -> None:
    with pytest.raises(UserError, match=str(value)):
        function(intensities(), value)  # type: ignore[operator]
