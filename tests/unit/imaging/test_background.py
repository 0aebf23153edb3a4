"""Background below objects, against scikit-image and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.morphology
from scipy import ndimage
from skimage.restoration import rolling_ball as reference_ball

from gpu_workers.imaging import background
from tests.unit.imaging.images import intensities


def disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius)


def scene(shape: tuple[int, int] = (120, 150), noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of spots on a slope, and the slope."""
    y, x = np.indices(shape)
    slope = 200 + 0.3 * y + 40 * np.sin(x / 70)
    rng = np.random.default_rng(5)
    spots = np.zeros(shape)
    for cy, cx in rng.integers(12, 108, (12, 2)):
        spots += 300 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 3.0**2))
    return (slope + spots + rng.normal(0, noise, shape)).astype(np.float32), slope


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("radius", [1, 2, 5, 13])
def test_minimum_and_opening_equal_scikit_image(dtype: str, radius: int) -> None:
    image = intensities((53, 61), dtype=dtype)

    lowest = background.disc_minimum(image, radius)
    opened = background.opening(image, radius)

    np.testing.assert_array_equal(
        lowest, skimage.morphology.erosion(image, disc(radius), mode="ignore")
    )
    np.testing.assert_array_equal(
        opened, skimage.morphology.opening(image, disc(radius), mode="ignore")
    )


@pytest.mark.parametrize("radius", [100, 300])
def test_discs_larger_than_the_image_reach_its_corners(radius: int) -> None:
    image = intensities((30, 40))

    assert (background.disc_minimum(image, radius) == image.min()).all()


@pytest.mark.parametrize("radius", [3, 9.5, 25])
def test_an_exact_ball_equals_scikit_image(radius: float) -> None:
    image, _ = scene()

    found = background.rolling_ball(image, radius, exact=True)

    expected = reference_ball(image.astype(np.float64), radius=radius)
    # float32 sums of a few hundred, against float64
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("radius", [20, 40])
def test_a_ball_below_a_smaller_image_stays_near_the_exact_one(radius: float) -> None:
    image, slope = scene()

    found = background.rolling_ball(image, radius)

    exact = reference_ball(image.astype(np.float64), radius=radius)
    inside = (slice(8, -8), slice(8, -8))
    # the noise's standard deviation is 3, the spots are 300 high
    assert np.abs(found - exact)[inside].max() < 6
    assert np.abs(found - exact)[inside].mean() < 1.5
    assert (found <= image).all()
    assert np.median(found - slope) == pytest.approx(-9, abs=4)


def test_a_median_equals_scipy() -> None:
    image = intensities((61, 70))

    found = background.local_median(image, 4)

    # within half of one of 65,536 steps
    np.testing.assert_allclose(found, ndimage.median_filter(image, 9, mode="nearest"), atol=0.6)


def test_a_large_median_follows_the_slope_below_the_spots() -> None:
    image, slope = scene((200, 240))

    found = background.local_median(image, 24)

    error = (found - slope)[12:-12, 12:-12]
    assert np.abs(error).mean() < 6
    assert np.abs(image - slope).max() > 250


def test_missing_pixels_are_left_out() -> None:
    image, _ = scene((60, 60))
    holed = image.copy()
    holed[10:14, 20:24] = np.nan
    holed[40, 40] = np.inf

    for function in (background.opening, background.rolling_ball, background.local_median,
                     background.local_minimum):  # fmt: skip
        found = function(holed, 8)
        assert np.isfinite(found).all(), function
        np.testing.assert_allclose(found[:, 50:], function(image, 8)[:, 50:], atol=12)
