"""Tenenbaum's measure of sharpness against SciPy's Sobel filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpu_workers.imaging.focus import tenengrad


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(64, 80), (3, 3), (1, 50)])
def test_it_is_the_mean_squared_gradient(dtype: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 200, size).astype(dtype)

    found = tenengrad(image)

    # SciPy's "mirror" is the edge that OpenCV uses; the tolerance is float32's.
    values = image.astype(float)
    expected = sum((ndimage.sobel(values, axis, mode="mirror") ** 2).mean() for axis in (0, 1))
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_blurred_image_is_less_sharp() -> None:
    image = np.random.default_rng(2).normal(1000, 100, (128, 128)).astype("float32")

    values = [tenengrad(ndimage.gaussian_filter(image, sigma)) for sigma in (0, 1, 2, 4)]

    assert values == sorted(values, reverse=True)


def test_pixels_that_are_not_finite_do_not_decide() -> None:
    image = np.ones((16, 16), "float32")
    image[3, 3], image[9, 9] = np.nan, np.inf
    zeros = np.where(np.isfinite(image), image, 0)

    assert tenengrad(image) == tenengrad(zeros)


def test_an_empty_image() -> None:
    assert tenengrad(np.zeros((0, 5), "uint16")) == 0
