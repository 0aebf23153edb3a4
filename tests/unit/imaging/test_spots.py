"""Spot filters and peaks against SciPy, scikit-image and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import blob_dog, blob_log, peak_local_max

from gpu_workers.errors import UserError
from gpu_workers.imaging.deblending import deblend, filter_with, log_kernel, rescale_between
from gpu_workers.imaging.spots import (
    difference_of_gaussians,
    laplacian_of_gaussian,
    paint_spots,
    robust_spread,
    spot_centres,
)
from tests.unit.imaging.images import intensities

# Single precision in our filters; the images' values are below 1e3.
CLOSE = 1e-3


def spots(centres: np.ndarray, shape: tuple[int, ...], sigma: float, height: float) -> np.ndarray:
    """Return Gaussian spots at centres, (n, dimensions)."""
    place = np.indices(shape)
    image = np.zeros(shape)
    for centre in centres:
        far = sum((axis - c) ** 2 for axis, c in zip(place, centre, strict=True))
        image += height * np.exp(-far / (2 * sigma**2))
    return image


def grid(shape: tuple[int, ...], step: int, seed: int = 0) -> np.ndarray:
    """Return centres far from each other and from the edge, off the pixels' middles."""
    axes = [np.arange(step // 2, n - step // 3, step) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return points + np.random.default_rng(seed).uniform(-0.45, 0.45, points.shape)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
def test_laplacian_equals_scipy(sigma: float) -> None:
    image = intensities((70, 90)) / 100

    found = laplacian_of_gaussian(image, sigma)

    expected = -(sigma**2) * ndimage.gaussian_laplace(image, sigma, mode="nearest")
    np.testing.assert_allclose(found, expected, atol=CLOSE)


def test_laplacian_of_a_stack_scales_each_axis_by_itself() -> None:
    stack = np.random.default_rng(0).uniform(0, 500, (9, 30, 40))

    found = laplacian_of_gaussian(stack, 1.5, 1.0)

    expected = 0
    for axis, sigma in enumerate((1.0, 1.5, 1.5)):
        order = [2 if a == axis else 0 for a in range(3)]
        part = ndimage.gaussian_filter(stack, (1.0, 1.5, 1.5), order=order, mode="nearest")
        expected = expected - sigma**2 * part
    np.testing.assert_allclose(found, expected, atol=CLOSE)


def test_difference_of_gaussians_equals_scipy() -> None:
    image = intensities((70, 90)) / 100

    found = difference_of_gaussians(image, 1.5, ratio=1.6)

    narrow = ndimage.gaussian_filter(image, 1.5, mode="nearest")
    wide = ndimage.gaussian_filter(image, 2.4, mode="nearest")
    np.testing.assert_allclose(found, (narrow - wide) / 0.6, atol=CLOSE)


@pytest.mark.parametrize("ndim", [2, 3])
def test_peak_of_a_gaussian_spot_is_that_of_the_closed_form(ndim: int) -> None:
    shape = (25,) * ndim
    image = spots(np.full((1, ndim), 12.0), shape, 2.0, 100.0)

    found = laplacian_of_gaussian(image, 2.0).max()

    # n s^2 A / (2 s^2) (s^2 / (2 s^2))^(n/2); the sampled kernel differs from the Gaussian by 1e-3
    assert found == pytest.approx(100 * ndim / 2 / 2 ** (ndim / 2), rel=2e-3)


def test_peaks_are_those_of_scikit_image() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(120, 100)), 2)
    response = image.astype(np.float32)

    for reach in (1, 3, 6):
        centres, _ = spot_centres(response, 0.05, reach)

        expected = peak_local_max(
            response, min_distance=reach, threshold_abs=0.05, exclude_border=False
        )
        np.testing.assert_array_equal(
            np.unique(np.rint(centres), axis=0), np.unique(expected, axis=0)
        )


@pytest.mark.parametrize("shape", [(150, 170), (20, 60, 60)])
def test_centres_of_gaussian_spots_are_found_to_a_twentieth_of_a_pixel(
    shape: tuple[int, ...],
) -> None:
    truth = grid(shape, 16)
    image = spots(truth, shape, 1.5, 200) + 100

    centres, heights = spot_centres(laplacian_of_gaussian(image, 1.5), 10)

    order = np.lexsort(np.rint(truth).T[::-1])
    np.testing.assert_array_equal(len(centres), len(truth))
    # the parabola's bias at a quarter pixel; 0.023 px seen
    np.testing.assert_allclose(centres, truth[order], atol=0.05)
    np.testing.assert_allclose(heights, heights.mean(), rtol=0.05)


def test_spots_are_those_of_blob_log_and_blob_dog() -> None:
    truth = grid((150, 170), 16)
    image = spots(truth, (150, 170), 2.0, 0.7)

    ours = np.unique(np.rint(spot_centres(laplacian_of_gaussian(image, 2.0), 0.1)[0]), axis=0)
    dog = np.unique(np.rint(spot_centres(difference_of_gaussians(image, 2.0), 0.1)[0]), axis=0)

    peer = blob_log(image, min_sigma=2, max_sigma=2, num_sigma=1, threshold=0.1)
    np.testing.assert_array_equal(ours, np.unique(peer[:, :2], axis=0))
    peer = blob_dog(image, min_sigma=2, max_sigma=3.2, threshold=0.05)
    np.testing.assert_array_equal(dog, np.unique(peer[:, :2], axis=0))


def test_pixels_belong_to_the_nearest_spot() -> None:
    response = np.ones((20, 30), np.float32)
    response[:, 25:] = -1
    centres = np.array([[8.3, 10.2], [9.0, 15.0], [10.0, 27.0]])

    labels = paint_spots(response, centres, 4.0)

    y, x = np.indices(response.shape)
    far = np.stack([np.hypot(y - a, x - b) for a, b in centres])
    expected = np.where((far.min(axis=0) <= 4) & (response > 0), far.argmin(axis=0) + 1, 0)
    expected[10, 27] = 3  # its own pixel, though dark
    np.testing.assert_array_equal(labels, expected)


def test_more_spots_than_16_bits_hold() -> None:
    response = np.zeros((600, 600), np.float32)
    response[::2, ::2] = 1

    centres, _ = spot_centres(response, 0.5)

    assert len(centres) == 90000
    assert paint_spots(response, centres, 0.6).max() == 90000


def test_images_without_spots() -> None:
    for shape in ((0, 4), (1, 1), (5, 6)):
        response = laplacian_of_gaussian(np.zeros(shape, np.uint16), 1.5)
        centres, heights = spot_centres(response, 0.0)
        assert centres.shape == (0, 2)
        assert not heights.size
        assert not paint_spots(response, centres, 2).any()
        assert not deblend(response, np.zeros(shape, bool)).any()


def test_unknown_pixels_leave_the_input_as_it_is() -> None:
    image = np.full((9, 9), 5, np.float32)
    image[4, 4] = np.nan

    assert np.isfinite(laplacian_of_gaussian(image, 1.0)).all()
    assert np.isnan(image[4, 4])
    assert robust_spread(image) == 0.0
    with pytest.raises(UserError, match="sigma"):
        laplacian_of_gaussian(image, 0)


def test_kernels_filter_as_scipy_does() -> None:
    stack = np.random.default_rng(0).uniform(0, 1, (5, 20, 30)).astype(np.float32)
    flat, deep = log_kernel(5), log_kernel(4, 3)

    np.testing.assert_allclose(
        filter_with(stack[0], flat), ndimage.correlate(stack[0], flat, mode="nearest"), atol=1e-5
    )
    np.testing.assert_allclose(
        filter_with(stack, deep), ndimage.correlate(stack, deep, mode="nearest"), atol=1e-5
    )
    assert deep.shape == (3, 5, 5)


def test_kernel_is_that_of_battich_et_al() -> None:
    y, x = np.mgrid[-2:3, -2:3]
    sigma = 4 / 3
    weight = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    expected = weight * (x**2 + y**2 - 2 * sigma**2) / (sigma**4 * weight.sum())
    expected = -(expected - expected.mean())

    np.testing.assert_allclose(log_kernel(5), expected, atol=1e-12)


def test_rescaling_keeps_to_its_limits() -> None:
    image = np.arange(1001, dtype=np.uint16)

    np.testing.assert_allclose(
        rescale_between(image, (0.1, 0.9), (0, 0, 0, 0)), (image - 100.0) / 800, atol=1e-6
    )
    np.testing.assert_allclose(
        rescale_between(image, (0.5, 0.9), (0, 120, 2120, 0)), (image - 120.0) / 2000, atol=1e-6
    )
    assert not rescale_between(np.full((2, 2), 7), (0.01, 0.99), (0, 0, 0, 0)).any()


def test_deblending_cuts_where_both_branches_stand_out() -> None:
    image = np.zeros((1, 12))
    image[0] = [1, 5, 9, 5, 4, 5, 8, 5, 6, 5, 2, 1]
    mask = image > 0

    np.testing.assert_array_equal(np.unique(deblend(image, mask, 1, 5)), [1])
    two = deblend(image, mask, 1, 3)[0]
    assert two.max() == 2
    assert (two[:4] == 1).all()
    assert (two[5:] == 2).all()
    assert deblend(image, mask, 1, 1).max() == 3
    assert deblend(image, mask, 2, 1).max() == 2  # the third is one pixel where it meets the second


def test_deblending_gives_a_blob_to_every_peak_of_sufficient_rise() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(80, 90)), 2)

    labels = deblend(image, np.ones(image.shape, bool), 1, 0.05)

    from skimage.measure import label
    from skimage.morphology import h_maxima

    peaks = label(h_maxima(image, 0.05), connectivity=2)
    assert labels.max() == peaks.max()
    assert len(np.unique(labels[peaks > 0])) == peaks.max()
