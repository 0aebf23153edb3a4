"""Shifts of images against known ones, against scikit-image, and on two real rounds of a tissue section."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from gpu_workers.imaging.alignment.phases import phase_correlation
from gpu_workers.imaging.alignment.registration import local_shifts, register
from gpu_workers.imaging.alignment.translation import intersection, translate
from tests.data_sets import data_set


def cells(height: int, width: int, seed: int, density: float = 1.5e-4) -> np.ndarray:
    """Return discs with soft borders on a dark field, photons."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros((height, width))
    n = int(height * width * density)
    seeds[rng.integers(0, height, n), rng.integers(0, width, n)] = rng.uniform(0.4, 1.6, n)
    disc = np.hypot(*np.mgrid[-7:8, -7:8]) <= 6.5
    image = ndimage.convolve(seeds, disc.astype(float), mode="constant")
    return 400 * ndimage.gaussian_filter(image, 1.2)


def moved(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Return an image whose content is moved by (y, x) px, exactly, by the phases of its spectrum."""
    spectrum = ndimage.fourier_shift(np.fft.fft2(image), (y, x))
    return np.fft.ifft2(spectrum).real


def camera(photons: np.ndarray, seed: int, pattern: np.ndarray | float = 0) -> np.ndarray:
    """Return what a camera makes of it: shot noise, read noise, offset and its own fixed pattern."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.maximum(photons, 0) + 20) + 100 + rng.normal(0, 2, photons.shape)
    return np.clip(np.rint(counts + pattern), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.37, -2.64), (-40.25, 17.5), (61.9, -88.3)])
def test_a_shift_is_found_to_a_twentieth_of_a_pixel(shift: tuple[float, float]) -> None:
    scene = cells(700, 760, seed=1)
    window = np.s_[100:600, 100:660]
    reference = camera(scene[window], 1)
    # Other staining, half as bright; its content lies at -shift, so it must be moved by +shift.
    moving = camera(0.5 * moved(scene, -shift[0], -shift[1])[window], 2)

    found = register(reference, moving, reach=120)

    # Noise of so few photons allows about 0.02 px.
    assert (found.y, found.x) == pytest.approx(shift, abs=0.06)
    assert found.confidence > 0.4


def test_the_sign_is_that_of_scikit_image() -> None:
    scene = cells(300, 320, seed=2)
    reference, moving = scene[20:280, 20:300], scene[13:273, 31:311]

    found = register(reference, moving, reach=30)

    expected, _, _ = phase_cross_correlation(
        reference, moving, upsample_factor=20, normalization=None
    )
    assert (found.y, found.x) == pytest.approx(tuple(expected), abs=0.3)
    assert (found.y, found.x) == pytest.approx((-7, 11), abs=0.05)


def test_a_pattern_of_the_camera_does_not_pull_the_shift_to_zero() -> None:
    pattern = np.random.default_rng(3).normal(0, 3, (500, 500))
    errors = []
    for seed in range(6):
        scene = cells(600, 600, seed=10 + seed)
        y, x = np.random.default_rng(seed).uniform(-2, 2, 2)
        reference = camera(scene[50:550, 50:550], seed, pattern)
        moving = camera(0.6 * moved(scene, -y, -x)[50:550, 50:550], seed + 50, pattern)
        found = register(reference, moving, reach=20)
        errors.append((found.y - y, found.x - x))

    # Phases that all count alike are 0.8 px off here, all towards zero.
    assert np.abs(errors).max() < 0.1


def test_dirt_that_moves_is_clipped() -> None:
    scene = cells(600, 600, seed=4)
    reference = camera(scene[50:550, 50:550], 1).astype(float)
    moving = camera(scene[59:559, 38:538], 2).astype(float)
    reference[100:118, 100:118] = 60_000
    moving[300:318, 200:218] = 60_000

    found = register(reference, moving, reach=150, clip_percent=99.8)

    assert (found.y, found.x) == pytest.approx((9, -12), abs=0.1)
    assert found.confidence > 0.3


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_all_types_of_pixels(dtype: str) -> None:
    scene = cells(240, 240, seed=5)
    scene = scene / scene.max()
    scaled = scene * (200 if dtype != "float32" else 1) - (3 if dtype.startswith("float") else 0)
    image = scaled.astype(dtype)

    found = register(image[20:220, 20:220], image[25:225, 18:218], reach=20)

    assert (found.y, found.x) == pytest.approx((5, -2), abs=0.05)
    assert found.confidence > 0.9


@pytest.mark.parametrize(
    ("reference", "moving"),
    [
        (np.zeros((80, 90), np.uint16), np.zeros((80, 90), np.uint16)),
        (np.full((80, 90), 7, np.uint8), np.random.default_rng(0).random((80, 90))),
        (np.full((80, 90), np.nan), np.random.default_rng(0).random((80, 90))),
        (np.full((80, 90), np.inf, np.float32), np.full((80, 90), np.nan, np.float32)),
        (np.zeros((0, 0)), np.zeros((0, 0))),
        (np.ones((3, 400)), np.ones((3, 400))),
    ],
    ids=["dark", "flat", "nan", "infinite", "no pixels", "a strip"],
)
def test_nothing_to_see_has_no_confidence(reference: np.ndarray, moving: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = register(reference, moving, reach=20, expected=(3, -4))

    assert (found.y, found.x, found.confidence) == (3, -4, 0)


def test_noise_has_no_confidence() -> None:
    rng = np.random.default_rng(6)
    pairs = rng.normal(100, 10, (10, 2, 200, 300))

    found = [register(a, b, reach=40).confidence for a, b in pairs]

    assert max(found) < 0.05


def test_images_of_other_sizes_share_the_upper_left_corner() -> None:
    scene = cells(300, 300, seed=7)

    found = register(scene[10:290, 10:250], scene[16:240, 5:295], reach=20)

    assert (found.y, found.x) == pytest.approx((6, -5), abs=0.05)


def test_neighbours_are_found_by_the_little_they_share() -> None:
    scene = cells(600, 1100, seed=8, density=4e-4)
    left, right = camera(scene[20:520, 20:520], 1), camera(scene[27:527, 466:966], 2)

    found = register(left, right, reach=25, expected=(0, 450))

    assert (found.y, found.x) == pytest.approx((7, 446), abs=0.15)
    assert found.confidence > 0.1


def test_huge_images_are_compared_at_a_part_of_their_size() -> None:
    scene = cells(240, 6600, seed=12, density=4e-4)
    reference, moving = camera(scene[20:220, 50:6450], 1), camera(scene[28:228, 20:6420], 2)

    found = register(reference, moving, reach=60)
    local = local_shifts(reference, moving, (found.y, found.x))

    assert (found.y, found.x) == pytest.approx((8, -30), abs=0.1)
    assert np.median(local.residual(8, -30)) < 0.2


def test_a_shift_beyond_the_reach_is_not_believed() -> None:
    scene = cells(400, 400, seed=9)

    found = register(scene[:300, :300], scene[60:360, 20:320], reach=30)

    assert (found.y, found.x, found.confidence) == (0, 0, 0)


def test_two_rounds_of_a_section() -> None:
    folder = data_set("two_rounds_dapi_registration")
    anchor = tifffile.imread(folder / "anchor_nuclei_downsampled.tif")
    other = tifffile.imread(folder / "r1_DAPI_downsampled.tif")

    found = register(anchor, other, reach=150)
    local = local_shifts(anchor, other, (found.y, found.x))

    assert (found.y, found.x) == pytest.approx((-11.3, 3.65), abs=0.5)
    assert found.confidence > 0.8
    assert logarithms_correlate(anchor, other, (found.y, found.x)) >= 0.92
    back = register(other, anchor, reach=150)
    assert (back.y, back.x) == pytest.approx((-found.y, -found.x), abs=0.02)
    # The section lies a little turned: parts of it remain off by up to 1.3 px.
    residual = local.residual(found.y, found.x)
    assert residual.size >= 12
    assert 1.0 < residual.max() < 1.7


def logarithms_correlate(
    reference: np.ndarray, moving: np.ndarray, shift: tuple[float, float]
) -> float:
    """Return the correlation of log intensities where the moved image, resampled by SciPy, covers."""
    h, w = (min(a, b) for a, b in zip(reference.shape, moving.shape, strict=True))
    there = ndimage.shift(moving[:h, :w].astype(float), shift, order=1, cval=np.nan)
    seen = np.isfinite(there)
    logs = np.log1p(np.maximum(reference[:h, :w][seen], 0)), np.log1p(np.maximum(there[seen], 0))
    return float(np.corrcoef(*logs)[0, 1])


def test_parts_that_are_turned_show_their_own_shifts() -> None:
    scene = cells(560, 560, seed=11, density=6e-4)
    turned = ndimage.rotate(scene, 0.2, reshape=False, order=3)
    reference, moving = scene[30:530, 30:530], turned[30:530, 30:530]

    local = local_shifts(reference, moving, (0, 0))

    # Each part has some forty cells, whose places weigh: to a sixth of a pixel.
    # A rotation about the centre by 0.2 degrees: y grows with x, x falls with y (or the other way).
    centre = (np.arange(4) - 1.5) * 125 * np.radians(0.2)
    sign = np.sign(local.y[0, 3] - local.y[0, 0])
    np.testing.assert_allclose(local.y, np.broadcast_to(sign * centre, (4, 4)), atol=0.17)
    np.testing.assert_allclose(local.x, np.broadcast_to(-sign * centre[:, None], (4, 4)), atol=0.17)


def test_phase_correlation_of_nothing_is_nothing() -> None:
    assert phase_correlation(np.zeros((40, 40), "f4"), np.zeros((40, 40), "f4")) == (0, 0, 0)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 7), (50, 0), (0, -99)])
def test_whole_pixels_keep_their_values(shift: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(1, 65535, (40, 50), dtype=np.uint16)

    result = translate(image, (shift[0] + 0.3, shift[1] - 0.2))

    np.testing.assert_array_equal(result, ndimage.shift(image, shift, order=0, cval=0))
    assert result.dtype == image.dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shift", [(0.25, -1.5), (-3.75, 2), (0, 0)])
def test_fractions_are_interpolated_as_scipy_does(shift: tuple[float, float], dtype: str) -> None:
    image = (np.random.default_rng(1).random((30, 40)) * 200 + 5).astype(dtype)

    result = translate(image, shift, subpixel=True)

    expected = ndimage.shift(image.astype(float), shift, order=1, cval=np.nan)
    inside = np.isfinite(expected)
    # Rounding of integers, of float32 otherwise.
    np.testing.assert_allclose(
        result[inside], expected[inside], atol=1e-3 if dtype == "float32" else 0.501
    )
    assert not result[~inside].any()
    assert result.dtype == image.dtype


def test_the_intersection_is_what_all_images_cover() -> None:
    height, width = 20, 30
    shifts = [(0.0, 0.0), (-3.4, 2.6), (1.5, -4.0)]

    y0, x0, y1, x1 = intersection(shifts, height, width)

    covered = np.ones((height, width), bool)
    for shift in shifts:
        covered &= translate(np.ones((height, width), np.uint8), shift) > 0
    box = np.zeros((height, width), bool)
    box[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(box, covered)


def test_an_empty_intersection_has_no_pixel() -> None:
    y0, x0, y1, x1 = intersection([(15, 0), (-15, 0)], 20, 30)

    assert (y1 - y0) * (x1 - x0) == 0
    assert 0 <= y0 <= 20
    assert 0 <= y1 <= 20
