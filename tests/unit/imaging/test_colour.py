"""Stains against scikit-image, and what white and dark are."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import hed_from_rgb, separate_stains

from gpu_workers.imaging.colour import darkness, separate, stain_matrix, white_level


def test_stains_equal_scikit_image() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(1, 256, (20, 30, 3), dtype=np.uint8)
    theirs = separate_stains(rgb, hed_from_rgb)
    inverse = np.linalg.inv(stain_matrix(("haematoxylin", "eosin")))

    ours = separate(*np.moveaxis(rgb, -1, 0))

    # The third stain there is DAB, here the residual: only densities are common to both.
    densities = -np.log10(rgb / 255.0)
    np.testing.assert_allclose(
        ours, np.moveaxis(np.maximum(densities @ inverse, 0), -1, 0), atol=2e-6
    )
    np.testing.assert_allclose(
        theirs, np.maximum((np.log(rgb / 255.0) / np.log(1e-6)) @ hed_from_rgb, 0), atol=1e-6
    )


@pytest.mark.parametrize("stain", [0, 1])
def test_a_pure_stain_is_found_alone(stain: int) -> None:
    amounts = np.zeros(3)
    amounts[stain] = 0.8
    light = 10 ** -(amounts @ stain_matrix(("haematoxylin", "eosin")))

    found = separate(*(np.full((2, 2), c, np.float32) for c in light))

    np.testing.assert_allclose(found[:, 0, 0], amounts, atol=1e-5)


def test_black_pixels_are_finite_and_white_is_that_of_the_type() -> None:
    black = np.zeros((2, 2), np.uint8)

    assert np.isfinite(separate(black, black, black)).all()
    assert white_level(black) == 255
    assert white_level(np.zeros((1, 1), np.uint16)) == 65535
    assert white_level(np.full((1, 1), np.nan)) == 1
    assert darkness(black, black, black)[0, 0] == 255
