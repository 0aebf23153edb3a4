"""Global thresholds against scikit-image, and on images with little in them."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.filters

from gpu_workers.errors import UserError
from gpu_workers.imaging.global_thresholds import minimum_cross_entropy, multi_otsu, triangle
from tests.unit.imaging.images import blobs


def two_classes(dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(3)
    values = np.where(blobs(), rng.normal(160, 20, (240, 300)), rng.normal(60, 15, (240, 300)))
    return values.clip(1, 255).astype(dtype)


@pytest.mark.parametrize("tolerance", [None, 0.1, 1e-4])
def test_minimum_cross_entropy_equals_scikit_image(tolerance: float | None) -> None:
    image = two_classes() / 255.0
    steps = max(np.diff(np.unique(image)).min() / 2, 0.5 / 65536)

    expected = skimage.filters.threshold_li(image, tolerance=tolerance or steps)

    # every value of an 8-bit image has a bin of its own: only sums round differently
    assert minimum_cross_entropy(image, tolerance) == pytest.approx(expected, rel=1e-9)


def test_minimum_cross_entropy_of_whole_numbers_is_that_of_their_fractions() -> None:
    image = two_classes()

    whole, fraction = minimum_cross_entropy(image), minimum_cross_entropy(image / 255.0)

    assert whole / 255 == pytest.approx(fraction, rel=1e-9)


def test_minimum_cross_entropy_of_floats_is_within_a_bin() -> None:
    image = np.random.default_rng(0).gamma(2, 100, (200, 200)).astype(np.float32)

    found = minimum_cross_entropy(image, 1e-3)

    assert found == pytest.approx(skimage.filters.threshold_li(image, tolerance=1e-3), abs=0.1)


@pytest.mark.parametrize("flip", [False, True])
def test_triangle_equals_scikit_image(flip: bool) -> None:
    values = np.random.default_rng(1).gamma(2, 10, (200, 200)).astype(np.float32)
    image = 500 - values if flip else values

    assert triangle(image) == pytest.approx(skimage.filters.threshold_triangle(image), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_several_classes_equal_scikit_image(classes: int) -> None:
    rng = np.random.default_rng(2)
    image = np.concatenate([rng.normal(m, 8, 4000) for m in (40, 110, 200)]).astype(np.float32)

    expected = skimage.filters.threshold_multiotsu(image, classes, nbins=256)

    # a bin to either side where two splits are equally good
    width = (image.max() - image.min()) / 256
    np.testing.assert_allclose(multi_otsu(image, classes), expected, atol=1.01 * width)


@pytest.mark.parametrize("find", [minimum_cross_entropy, triangle, lambda i: multi_otsu(i, 3)[0]])
def test_nothing_lies_above_the_threshold_of_one_value(find) -> None:  # type: ignore[no-untyped-def]
    for image in (np.full((4, 5), 7, np.uint16), np.full((4, 5), 0.5, np.float32)):
        assert not (image > find(image)).any()
    with pytest.raises(UserError):
        find(np.full((2, 2), np.nan))


def test_what_is_not_finite_is_left_out() -> None:
    image = two_classes("float32")
    spoiled = np.concatenate([image.ravel(), [np.nan, np.inf, -np.inf]]).astype(np.float32)

    assert minimum_cross_entropy(spoiled) == pytest.approx(minimum_cross_entropy(image))
    assert multi_otsu(spoiled) == pytest.approx(multi_otsu(image))


def test_numbers_of_classes_are_checked() -> None:
    with pytest.raises(UserError, match="2 to 5"):
        multi_otsu(two_classes(), 6)
