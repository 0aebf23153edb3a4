"""Smoothing against scikit-image and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.filters
from scipy import ndimage

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import average, bilateral, gaussian, median, over_missing
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


@pytest.mark.parametrize(
    ("function", "value"), [(gaussian, -1), (median, 4), (median, 0), (average, 2), (average, 0)]
)
def test_impossible_sizes_are_refused(function: object, value: int) -> None:
    with pytest.raises(UserError, match=str(value)):
        function(intensities(), value)  # type: ignore[operator]


@pytest.mark.parametrize("size", [7, 21, 61])
def test_a_large_median_of_16_bit_equals_scipy(size: int) -> None:
    image = intensities((53, 47), dtype="uint16")
    image[10:20, 5:30] = 700

    filtered = median(image, size)

    np.testing.assert_array_equal(filtered, ndimage.median_filter(image, size, mode="nearest"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [1, 3, 5, 31])
def test_average_equals_scipy(dtype: str, size: int) -> None:
    image = intensities((61, 70), dtype=dtype)

    filtered = average(image, size)

    expected = ndimage.uniform_filter(image.astype(np.float64), size, mode="nearest")
    assert filtered.dtype == np.float32
    # float32 results of sums in double precision
    np.testing.assert_allclose(filtered, expected, rtol=1e-5, atol=1e-6)


def test_stacks_are_smoothed_in_three_dimensions() -> None:
    stack = intensities((9, 30, 34))

    scale = float(stack.max())
    expected = ndimage.gaussian_filter(stack.astype(np.float64), 1.7, mode="nearest")
    np.testing.assert_allclose(gaussian(stack, 1.7), expected, atol=1e-5 * scale)
    flat = ndimage.gaussian_filter(stack.astype(np.float64), (0, 1.7, 1.7), mode="nearest")
    np.testing.assert_allclose(gaussian(stack, 1.7, 0), flat, atol=1e-5 * scale)
    np.testing.assert_array_equal(median(stack, 3), ndimage.median_filter(stack, 3, mode="nearest"))
    mean = ndimage.uniform_filter(stack.astype(np.float64), 3, mode="nearest")
    np.testing.assert_allclose(average(stack, 3), mean, rtol=1e-5)


def test_a_bilateral_filter_is_the_mean_weighted_by_distance_and_difference() -> None:
    image = intensities((20, 24), dtype="float32")
    sigma, spread, reach = 2.0, 0.4, 3

    filtered = bilateral(image, sigma, spread)

    padded = np.pad(image, reach, mode="edge").astype(np.float64)
    total, weights = np.zeros(image.shape), np.zeros(image.shape)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy * dy + dx * dx > reach * reach:
                continue
            near = padded[reach + dy :, reach + dx :][: image.shape[0], : image.shape[1]]
            weight = np.exp(-(dy * dy + dx * dx) / (2 * sigma**2))
            weight = weight * np.exp(-((near - image) ** 2) / (2 * spread**2))
            total += weight * near
            weights += weight
    # OpenCV takes the second weight from a table
    np.testing.assert_allclose(filtered, total / weights, atol=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_missing_pixels_are_left_out_of_means(sigma: float) -> None:
    image = intensities((40, 40), dtype="float32")
    holed = image.copy()
    holed[8:12, 8:12], holed[30, 30] = np.nan, np.inf

    filtered = over_missing(lambda values: gaussian(values, sigma), holed)

    known = np.isfinite(holed)
    expected = ndimage.gaussian_filter(
        np.where(known, holed, 0).astype(np.float64), sigma, mode="nearest"
    )
    expected /= ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="nearest")
    np.testing.assert_allclose(filtered, expected, atol=2e-5)
    assert np.isnan(over_missing(lambda v: average(v, 3), np.full((5, 5), np.nan))).all()


def test_a_bilateral_filter_of_a_stack_is_refused() -> None:
    with pytest.raises(UserError, match="two dimensions"):
        bilateral(np.zeros((3, 4, 5), np.float32), 1, 1)
