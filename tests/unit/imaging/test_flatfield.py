"""Flat and dark field: against known lamps, a closed form, BaSiCPy, and what a vendor's polynomial says."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy.fft import dctn

from gpu_workers.errors import UserError
from gpu_workers.imaging.illumination import quality
from gpu_workers.imaging.illumination.flatfield import (
    enlarged,
    estimate_flatfield,
    levels,
    reduced,
)
from gpu_workers.imaging.illumination.solver import spectral_norm
from gpu_workers.imaging.illumination.vendor import image_field, polynomial_field
from gpu_workers.messages import FlatField
from tests.data_sets import unpacked

SIDE = 64


def lamp(depth: float = 0.9) -> np.ndarray:
    """Return a light that falls off from a place beside the middle; mean 1."""
    y, x = np.indices((SIDE, SIDE)) / (SIDE - 1) - 0.5
    field = 1 - depth * ((y - 0.1) ** 2 + (x + 0.05) ** 2)
    return field / field.mean()


def scenes(
    n: int, *, background: float = 1000, cells: float = 6, dark: float = 0, seed: int = 0
) -> np.ndarray:
    """Return images under the lamp: a background of varying brightness, round cells, shot noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    images = []
    for _ in range(n):
        image = np.full((SIDE, SIDE), background * rng.lognormal(0, 0.4))
        # Cells are everywhere, beyond the edges, too: else the edges would really be darker.
        for _ in range(rng.poisson(4 * cells)):
            cy, cx = rng.uniform(-SIDE / 2, 1.5 * SIDE, 2)
            height, radius = 2000 * rng.lognormal(0, 0.5), rng.uniform(1.5, 4)
            image += height * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * radius**2))
        images.append(rng.poisson(image * lamp() + dark))
    return np.array(images, np.float32)


def error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found / true - 1) ** 2)))


def test_of_empty_images_the_flat_field_is_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    images = (rng.lognormal(5, 0.5, (40, 1, 1)) * lamp()).astype(np.float32)

    found = estimate_flatfield(images, darkfield=False)

    # Images of rank 1: the flat field is their mean, but for the shrinkage of its cosines.
    assert error(found.flat, images.mean(axis=0) / images.mean()) < 1e-3
    assert not found.dark.any()
    mean = images.mean(axis=0, dtype=np.float64)
    expected = np.abs(dctn(mean / mean.mean(), norm="ortho")).sum() / 800
    assert found.smoothness == pytest.approx(expected)


# Seen: 0.025 (mean image: 0.042), 0.028 (0.054), 0.033 (0.077).
@pytest.mark.parametrize(("n", "most"), [(120, 0.03), (60, 0.045), (30, 0.045)])
def test_the_lamp_is_found_below_cells_better_than_by_the_mean(n: int, most: float) -> None:
    images = scenes(n)

    found = estimate_flatfield(images, darkfield=False)

    mean = images.mean(axis=0)
    assert error(found.flat, lamp()) < most
    assert error(found.flat, lamp()) < 0.75 * error(mean / mean.mean(), lamp())


def test_a_dark_field_is_found_where_brightness_varies() -> None:
    rng = np.random.default_rng(4)
    level = rng.uniform(100, 3000, (60, 1, 1))
    images = (level * lamp() + 300 + rng.normal(0, 1, (60, SIDE, SIDE))).astype(np.float32)

    with_it, without = (estimate_flatfield(images, darkfield=d) for d in (True, False))

    assert with_it.dark.mean() == pytest.approx(300, rel=0.01)
    assert error(with_it.flat, lamp()) < 0.001
    assert error(with_it.flat, lamp()) < 0.1 * error(without.flat, lamp())


def test_a_dark_field_is_never_above_the_darkest_pixel() -> None:
    images = scenes(20, dark=0)
    images[3, 5, 5] = 0

    found = estimate_flatfield(images, darkfield=True)

    assert found.dark.mean() == pytest.approx(0, abs=1)


def test_the_same_images_give_the_same_fields_whatever_their_unit() -> None:
    images = scenes(20)

    first, again = estimate_flatfield(images), estimate_flatfield(images)
    scaled = estimate_flatfield(images / np.float32(512))

    np.testing.assert_array_equal(first.flat, again.flat)
    np.testing.assert_array_equal(first.dark, again.dark)
    np.testing.assert_allclose(scaled.flat, first.flat, rtol=1e-4)
    np.testing.assert_allclose(scaled.dark * 512, first.dark, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_images_without_light_are_refused(n: int) -> None:
    with pytest.raises(UserError) as caught:
        estimate_flatfield(np.zeros((n, 8, 8), np.float32))

    assert caught.value.code == "no_signal"


def test_one_image_is_enough_for_an_answer() -> None:
    found = estimate_flatfield(scenes(1))

    assert np.isfinite(found.flat).all()
    assert found.flat.mean() == pytest.approx(1, rel=1e-5)


def test_levels_are_the_sorted_values_in_groups() -> None:
    values = np.tile(np.arange(10, dtype="f4")[:, None, None], (1, 2, 3))
    images = np.random.default_rng(0).permuted(values, axis=0)

    assert levels(images, 10)[:, 1, 1].tolist() == list(range(10))
    assert levels(images, 5)[:, 0, 2].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert levels(images, 3)[:, 1, 0].tolist() == [1, 4, 7.5]


def test_many_images_give_what_fewer_levels_of_them_give(monkeypatch: pytest.MonkeyPatch) -> None:
    images = scenes(80)
    every = estimate_flatfield(images, darkfield=False)

    monkeypatch.setattr(levels, "__defaults__", (40,))
    grouped = estimate_flatfield(images, darkfield=False)

    assert error(grouped.flat, every.flat) < 0.01


def test_the_norm_is_the_largest_singular_value() -> None:
    images = scenes(9)

    expected = np.linalg.norm(images.reshape(9, -1).astype(np.float64), 2)

    assert spectral_norm(images) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (128, 90), (61, 200)])
def test_a_field_is_enlarged_as_the_same_function(shape: tuple[int, int]) -> None:
    def waves(height: int, width: int) -> np.ndarray:
        y, x = ((np.arange(n) + 0.5) / n for n in (height, width))
        return 1 + 0.3 * np.cos(np.pi * y)[:, None] - 0.2 * np.cos(3 * np.pi * x)[None, :]

    found = enlarged(waves(32, 48), shape)

    np.testing.assert_allclose(found, waves(*shape), atol=1e-6)


def test_a_smooth_field_survives_shrinking_and_enlarging() -> None:
    y, x = np.indices((1080, 1280)) / 1080 - 0.5
    field = (1 - 0.6 * (y**2 + x**2)).astype(np.float32)

    again = enlarged(reduced(field), (1080, 1280))

    assert reduced(field).shape == (128, 128)
    # Cosines have no slope at the edges: the outermost pixels are off by up to 0.6 %.
    assert np.abs(again / field - 1).max() < 0.01
    assert np.abs(again / field - 1)[20:-20, 20:-20].max() < 0.001


# Means of 64 x 64 blocks of the flat field of BaSiCPy 2.0.0 (fitting_mode="approximate", sort_intensity=True,
# get_darkfield=True) of all 63 tiles, and of its dark field: its own numbers, run in an environment of its own.
PEER_FLAT = [
    [0.539, 0.762, 0.977, 1.081, 1.093, 1.005, 0.880, 0.684],
    [0.748, 1.000, 1.193, 1.264, 1.275, 1.212, 1.092, 0.900],
    [0.864, 1.153, 1.293, 1.334, 1.338, 1.305, 1.194, 0.981],
    [0.964, 1.222, 1.309, 1.320, 1.321, 1.281, 1.198, 1.013],
    [0.965, 1.185, 1.230, 1.248, 1.220, 1.183, 1.093, 0.967],
    [0.843, 1.036, 1.103, 1.122, 1.094, 1.043, 0.955, 0.854],
    [0.644, 0.832, 0.938, 0.977, 0.953, 0.901, 0.808, 0.709],
    [0.464, 0.624, 0.727, 0.773, 0.781, 0.724, 0.649, 0.560],
]
PEER_DARK = [
    [700, 685, 650, 640, 645, 746, 906, 822],
    [659, 638, 596, 585, 591, 684, 758, 701],
    [598, 584, 564, 562, 560, 588, 621, 633],
    [525, 530, 539, 570, 557, 533, 543, 596],
    [471, 487, 516, 546, 560, 539, 581, 682],
    [467, 487, 501, 520, 566, 635, 746, 874],
    [502, 518, 512, 514, 568, 712, 940, 1095],
    [538, 563, 538, 541, 597, 746, 979, 1105],
]


@pytest.mark.data
def test_the_fields_of_a_brain_are_those_of_basicpy(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = unpacked("wsi_brain_tiles", tmp_path_factory)
    images = [reduced(tifffile.imread(path)) for path in sorted(folder.rglob("*.tif"))]

    found = estimate_flatfield(np.stack(images))

    flat, dark = (f.reshape(8, 16, 8, 16).mean(axis=(1, 3)) for f in (found.flat, found.dark))
    np.testing.assert_allclose(flat, PEER_FLAT, rtol=0.03)
    np.testing.assert_allclose(dark, PEER_DARK, rtol=0.03)


def test_halves_hold_out_what_the_other_tells() -> None:
    images, second = scenes(20), np.arange(20) % 2 == 1

    corrected, residual = quality.held_out(
        images, second, lambda half: quality.fit_fields(half, darkfield=False)
    )

    first = estimate_flatfield(images[::2], darkfield=False).flat
    np.testing.assert_allclose(corrected[1::2], images[1::2] / first, rtol=1e-5)
    assert 0 < residual < 0.1
    before, after = quality.shading(images), quality.shading(corrected)
    assert before is not None
    assert after is not None
    assert after - 1 < 0.2 * (before - 1)


def test_shading_is_that_of_the_lamp_and_blind_to_objects() -> None:
    images = 100 * np.tile(lamp(), (9, 1, 1)).astype(np.float32)
    empty = quality.shading(images)
    images[4, 10:20, 10:20] = 1e5

    # Smoothing takes a tenth of the corners' darkness.
    assert quality.shading(images) == empty
    assert empty == pytest.approx(lamp().max() / lamp().min(), rel=0.15)
    assert quality.shading(np.zeros((3, 8, 8), np.float32)) is None


def test_a_dark_field_must_gain_plainly() -> None:
    assert quality.darkfield_gains(1.06, 1.014)
    assert not quality.darkfield_gains(1.06, 1.05)
    assert not quality.darkfield_gains(1.008, 1.001)
    assert not quality.darkfield_gains(None, 1.0)


HARMONY = FlatField(
    kind="polynomial",
    coefficients=((1.1,), (0.1, -0.2), (-0.8, 0.3, -0.5)),
    origin=(9.5, 14.5),
    scale=(1 / 30, 1 / 30),
)


def test_a_polynomial_has_x_before_y() -> None:
    y, x = np.indices((20, 30))
    u, v = (x - 14.5) / 30, (y - 9.5) / 30
    expected = 1.1 + 0.1 * u - 0.2 * v - 0.8 * u**2 + 0.3 * u * v - 0.5 * v**2

    found = polynomial_field(HARMONY, (20, 30))

    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("profile", "shape", "reason"),
    [
        (HARMONY, (40, 60), "20 x 30"),
        (HARMONY.model_copy(update={"coefficients": ((1.0,),)}), (20, 30), "even"),
        (HARMONY.model_copy(update={"coefficients": ()}), (20, 30), "black"),
        (HARMONY.model_copy(update={"coefficients": ((1.0,), (3.0, 0.0))}), (20, 30), "falls to"),
        (HARMONY.model_copy(update={"coefficients": ((float("nan"),),)}), (20, 30), "black"),
    ],
)
def test_a_polynomial_that_cannot_be_is_refused(
    profile: FlatField, shape: tuple[int, int], reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        polynomial_field(profile, shape)

    assert caught.value.code == "vendor_flatfield"


def test_an_image_of_an_even_object_is_a_flat_field() -> None:
    light = (1000 * lamp()).astype(np.uint16)
    dark = np.full((SIDE, SIDE), 100, np.uint16)

    np.testing.assert_allclose(image_field(light, None, (SIDE, SIDE)), lamp(), rtol=5e-3)
    expected = (light - 100.0) / (light - 100.0).mean()
    np.testing.assert_allclose(image_field(light, dark, (SIDE, SIDE)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("flat", "reason"),
    [
        (np.zeros((SIDE, SIDE), np.uint16), "black"),
        (np.full((SIDE, SIDE), 7, np.uint16), "even"),
        (np.ones((SIDE, 3), np.uint16), "64 x 3"),
    ],
)
def test_an_image_that_shows_no_light_is_refused(flat: np.ndarray, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        image_field(flat, None, (SIDE, SIDE))
