"""Thresholds against scikit-image, and on images without content."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.filters

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.thresholds import above_background, moved_from_background, otsu
from tests.unit.imaging.images import blobs, intensities


def two_classes(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    values = np.where(blobs(), rng.normal(160, 20, (240, 300)), rng.normal(60, 15, (240, 300)))
    return values.clip(0, 255).astype(dtype)


def separation(image: np.ndarray, threshold: float) -> float:
    """Between-class variance, which Otsu's threshold makes greatest."""
    below = image <= threshold
    p = below.mean(dtype=np.float64)
    means = image[below].mean(dtype=np.float64), image[~below].mean(dtype=np.float64)
    return float(p * (1 - p) * (means[0] - means[1]) ** 2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_otsu_of_integers_equals_scikit_image(dtype: str) -> None:
    image = two_classes(dtype)

    assert otsu(image) == skimage.filters.threshold_otsu(image)


@pytest.mark.parametrize("image", [intensities(), gaussian(two_classes("uint16"), 1.5)])
def test_otsu_separates_at_least_as_well_as_scikit_image(image: np.ndarray) -> None:
    # its sums are of float32 for many bins, so that on a flat optimum it lies some bins off
    expected = separation(image, skimage.filters.threshold_otsu(image, nbins=65536))

    assert separation(image, otsu(image)) >= expected * (1 - 1e-9)


def test_otsu_leaves_out_what_is_not_finite() -> None:
    image = two_classes("float32")
    spoiled = np.concatenate([image.ravel(), [np.nan, np.inf, -np.inf]]).astype(np.float32)

    assert otsu(spoiled) == pytest.approx(otsu(image))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("value", [0, 7])
def test_nothing_lies_above_the_threshold_of_one_value(dtype: str, value: int) -> None:
    image = np.full((5, 6), value, dtype)

    assert not (image > otsu(image)).any()


@pytest.mark.parametrize("image", [np.zeros((0, 3), np.uint16), np.full((2, 2), np.nan)])
def test_no_pixel_no_threshold(image: np.ndarray) -> None:
    with pytest.raises(UserError):
        otsu(image)


def test_noise_is_not_foreground() -> None:
    noise = gaussian(np.random.default_rng(0).normal(100, 10, (512, 512)).astype("f4"), 1.5)

    threshold = above_background(noise, otsu(noise), 4.0)

    assert (noise > otsu(noise)).mean() > 0.4
    assert (noise > threshold).mean() < 2e-4


def test_clear_objects_keep_their_threshold() -> None:
    image = gaussian(two_classes("uint16"), 1.5)

    assert above_background(image, otsu(image), 3.0) == otsu(image)
    assert above_background(image, 5.0, 0.0) == 5.0


@pytest.mark.parametrize("offset", [0, 400])
def test_a_factor_counts_from_the_background(offset: int) -> None:
    image = (two_classes("uint16") + offset).astype(np.uint16)
    threshold = otsu(image)
    background = np.median(image[image <= threshold])

    found = moved_from_background(image, threshold, 0.5)

    assert found == background + 0.5 * (threshold - background)
    assert moved_from_background(image, threshold, 1) == threshold
