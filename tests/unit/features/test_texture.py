"""Gabor, TAS, local binary patterns and Hu's moments against other implementations."""

from __future__ import annotations

import mahotas
import numpy as np
import pytest
from skimage.feature import local_binary_pattern
from skimage.measure import regionprops

from gpu_workers.imaging.features.gabor import gabor
from gpu_workers.imaging.features.hu import intensity_hu
from gpu_workers.imaging.features.lbp import local_binary_patterns
from gpu_workers.imaging.features.tas import TAS, threshold_adjacency
from tests.unit.features.fields import crops, smooth, touching


def gabor_score(mask: np.ndarray, image: np.ndarray, frequency: float) -> float:
    """Return the greatest score over four angles, written out as CellProfiler 2 has it."""
    y, x = (c[mask] - c[mask].mean() for c in np.indices(mask.shape).astype(float))
    sigma = np.sqrt(mask.sum() / np.pi) / 3
    weight = 1000 / (2 * np.pi * sigma**2) * np.exp(-(y**2 + x**2) / (2 * sigma**2))
    values = image[mask] - image[mask].mean()
    scores = []
    for theta in np.pi * np.arange(4) / 4:
        phase = 2 * np.pi / frequency * (y * np.cos(theta) + x * np.sin(theta))
        wave = weight * np.exp(1j * phase)
        scores.append(abs((values * (wave - wave.mean())).sum()))
    return float(max(scores))


def test_gabor_scores() -> None:
    labels, image = touching(), smooth()

    found = gabor(labels, image, (1, 5, 10))

    for row, mask, crop in crops(labels, image):
        for frequency in (1, 5, 10):
            expected = gabor_score(mask, crop.astype(float), frequency)
            # sums of some hundred terms that cancel
            np.testing.assert_allclose(
                found[f"Gabor-frequency-{frequency}"][row], expected, rtol=1e-9, atol=1e-8
            )


def test_gabor_answers_to_its_wave_length() -> None:
    y, _ = np.indices((60, 60))
    disc = (np.hypot(*(np.indices((60, 60)) - 29.5)) < 29).astype(np.int32)
    stripes = np.cos(2 * np.pi * y / 10)

    found = gabor(disc, stripes, (3, 10, 30))

    assert found["Gabor-frequency-10"][0] > 10 * found["Gabor-frequency-3"][0]
    assert found["Gabor-frequency-10"][0] > 10 * found["Gabor-frequency-30"][0]


@pytest.mark.parametrize("padding", [0, 1])
def test_threshold_adjacency_with_otsu_and_with_fixed_numbers(padding: int) -> None:
    labels, image = touching(), smooth()
    otsu = mahotas.otsu(image)

    own = threshold_adjacency(labels, image, otsu, padding=padding)
    fixed = threshold_adjacency(labels, image, 30, 30, padding)

    assert list(own) == [f"TAS-{group}-{i}" for group in TAS for i in range(9)]
    for row, _, crop in crops(labels, image):
        padded = np.pad(crop, padding)
        for found, expected in (
            (own, mahotas.features.pftas(padded, otsu)),
            (fixed, mahotas.features.tas(padded)),
        ):
            np.testing.assert_allclose([v[row] for v in found.values()], expected, rtol=1e-12)


@pytest.mark.parametrize(("radius", "padding"), [(1, 0), (1, 1), (5, 0)])
def test_local_binary_patterns_of_mahotas(radius: int, padding: int) -> None:
    labels, image = touching(), smooth()

    found = local_binary_patterns(labels, image, (radius,), padding=padding)

    for row, _, crop in crops(labels, image):
        expected = mahotas.features.lbp(np.pad(crop, padding), radius, 8)
        np.testing.assert_array_equal([v[row] for v in found.values()], expected)


@pytest.mark.parametrize("radius", [1, 3])
def test_interpolated_local_binary_patterns_are_those_of_scikit_image(radius: int) -> None:
    labels, image = touching(), smooth()
    codes = local_binary_pattern(image, 8, radius, "ror").astype(int)
    patterns = np.unique([min(c >> i | (c << 8 >> i) & 255 for i in range(8)) for c in range(256)])

    found = local_binary_patterns(labels, image, (radius,), "interpolated")

    for row, mask, _ in crops(labels, image):
        box = codes[labels == row + 1]
        assert box.size == mask.sum()
        expected = [(box == pattern).sum() for pattern in patterns]
        np.testing.assert_array_equal([v[row] for v in found.values()], expected)


def test_hu_moments_of_intensities() -> None:
    labels, image = touching(), smooth()

    found = intensity_hu(labels, image)

    for region in regionprops(labels, image):
        own = [v[region.label - 1] for v in found.values()]
        scale = own[0] ** np.array([1, 2, 3, 3, 6, 4, 6])
        # moments of the third order cancel in round objects
        np.testing.assert_allclose(
            own / scale, region.moments_weighted_hu / scale, rtol=1e-7, atol=1e-9
        )


def test_flat_dark_and_missing_objects() -> None:
    labels = np.zeros((10, 30), np.int32)
    labels[2:7, 2:7], labels[2:7, 10:15], labels[4, 20] = 1, 3, 4
    image = np.full(labels.shape, 7.0)
    image[labels == 3] = 0

    scores = gabor(labels, image)["Gabor-frequency-5"]
    hu = intensity_hu(labels, image)["Hu-0"]
    adjacency = threshold_adjacency(labels, image, 3)["TAS-mu-8"]
    patterns = np.sum(list(local_binary_patterns(labels, image).values()), axis=0)

    np.testing.assert_allclose(scores, [0, np.nan, 0, 0], atol=1e-9)
    np.testing.assert_array_equal(np.isnan(hu), [False, True, True, False])
    np.testing.assert_array_equal(np.isnan(adjacency), [False, True, False, False])
    np.testing.assert_array_equal(patterns, [25, np.nan, 25, 1])
