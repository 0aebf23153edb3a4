"""Textures and distributions under changes of the image that theory knows the answer to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gpu_workers.imaging.features.colocalisation import colocalisation
from gpu_workers.imaging.features.gabor import gabor
from gpu_workers.imaging.features.granularity import granularity
from gpu_workers.imaging.features.haralick import haralick
from gpu_workers.imaging.features.hu import intensity_hu
from gpu_workers.imaging.features.lbp import local_binary_patterns
from gpu_workers.imaging.features.radial import radial_distribution
from gpu_workers.imaging.features.radial_zernike import radial_zernike
from gpu_workers.imaging.features.tas import threshold_adjacency
from tests.unit.features.fields import smooth, touching

Columns = dict[str, np.ndarray]
Measure = Callable[[np.ndarray, np.ndarray], Columns]

HIGH = 255.0
FAMILIES: dict[str, Measure] = {
    "haralick": lambda labels, image: haralick(
        labels, image, (1, 2), ("mean", "range"), limits=(0, HIGH), levels=32
    ),
    "gabor": gabor,
    "tas": lambda labels, image: threshold_adjacency(labels, image, 100),
    "hu": intensity_hu,
    "lbp": lambda labels, image: local_binary_patterns(labels, image, (1, 2), "interpolated"),
    "lbp of mahotas": lambda labels, image: local_binary_patterns(labels, image, (1, 2)),
    "granularity": lambda labels, image: granularity(labels, image, 1, 1, 4, 5),
    "radial": radial_distribution,
    "zernike": lambda labels, image: radial_zernike(labels, image, 4),
    "colocalisation": lambda labels, image: colocalisation(
        labels, image, np.sqrt(image), ("correlation", "overlap", "manders", "rwc")
    ),
}


@pytest.fixture(scope="module")
def field() -> tuple[np.ndarray, np.ndarray]:
    """Objects and intensities in a frame of nothing, so that the image's edge plays no part."""
    rng = np.random.default_rng(0)
    image = smooth().astype(np.float64) + rng.random((80, 100))
    labels = touching()
    return np.pad(labels, 12), np.pad(np.where(labels > 0, image, 0), 12)


def assert_same(found: Columns, expected: Columns, tolerance: float = 1e-9) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], values, rtol=tolerance, atol=tolerance, equal_nan=True, err_msg=name
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_only_names(field: tuple[np.ndarray, np.ndarray], family: str) -> None:
    labels, image = field
    order = np.random.default_rng(1).permutation(labels.max())
    renamed = np.concatenate([[0], order + 1])[labels].astype(np.int32)

    found = FAMILIES[family](renamed, image)

    # sums over the same pixels in the same order
    expected = FAMILIES[family](labels, image)
    assert_same({k: v[order] for k, v in found.items()}, expected, 0)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"zernike"}))
def test_places_do_not_matter(field: tuple[np.ndarray, np.ndarray], family: str) -> None:
    labels, image = field
    moved = [np.pad(x, ((7, 3), (5, 11))) for x in field]

    found = FAMILIES[family](*moved)

    # centroids are rounded at other places
    assert_same(found, FAMILIES[family](labels, image), 1e-6)


def test_places_matter_to_zernike_by_the_pixels_on_the_circle(
    field: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, image = field
    area = np.maximum(np.bincount(labels.ravel())[1:], 1)

    found = radial_zernike(*(np.pad(x, ((7, 3), (5, 11))) for x in field), 4)

    # two or three pixels lie on it, a few more by chance; |V| is 1 there and rounding takes sides
    for name, values in radial_zernike(labels, image, 4).items():
        if "Magnitude" in name:
            limit = 6 * image.max() / area
            assert (np.abs(found[name] - values) <= limit)[~np.isnan(values)].all()


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"zernike"}))
def test_tiles_repeat_the_values(field: tuple[np.ndarray, np.ndarray], family: str) -> None:
    labels, image = field
    n = labels.max()
    tiled = np.tile(labels, (2, 2))
    tiled[labels.shape[0] :, labels.shape[1] :][labels > 0] += n

    found = FAMILIES[family](tiled, np.tile(image, (2, 2)))

    expected = FAMILIES[family](labels, image)
    # the last tile is a copy of its own; the three others are objects in parts
    assert_same({k: v[n:] for k, v in found.items()}, expected, 1e-6)


@pytest.mark.parametrize("family", ["haralick", "gabor", "tas", "lbp", "granularity", "hu"])
def test_a_quarter_turn_changes_nothing(field: tuple[np.ndarray, np.ndarray], family: str) -> None:
    labels, image = field
    expected = FAMILIES[family](labels, image)

    found = FAMILIES[family](np.rot90(labels), np.rot90(image))

    if family == "hu":
        # moments of the third order cancel in round objects
        found, expected = ({k: c[k] for k in ("Hu-0", "Hu-1")} for c in (found, expected))
    assert_same(found, expected, 1e-6)


def test_a_quarter_turn_keeps_the_rings_of_objects_with_one_centre() -> None:
    y, x = np.indices((40, 50))
    labels = ((y - 18) ** 2 / 200 + (x - 24) ** 2 / 320 <= 1).astype(np.int32)
    image = np.random.default_rng(0).random(labels.shape)
    expected = radial_distribution(labels, image)

    found = radial_distribution(np.rot90(labels), np.rot90(image))

    kept = [name for name in expected if not name.startswith("RadialCV")]
    assert_same({k: found[k] for k in kept}, {k: expected[k] for k in kept})


def test_brighter_images(field: tuple[np.ndarray, np.ndarray]) -> None:
    labels, image = field
    brighter = image * 4

    for family in ("lbp", "lbp of mahotas", "granularity", "radial"):
        assert_same(FAMILIES[family](labels, brighter), FAMILIES[family](labels, image))
    assert_same(threshold_adjacency(labels, brighter, 400), threshold_adjacency(labels, image, 100))
    assert_same(
        haralick(labels, brighter, limits=(0, 4 * HIGH)), haralick(labels, image, limits=(0, HIGH))
    )
    assert_same(gabor(labels, brighter), {k: 4 * v for k, v in gabor(labels, image).items()})
    hu, dim = intensity_hu(labels, brighter), intensity_hu(labels, image)
    np.testing.assert_allclose(hu["Hu-0"] * 4, dim["Hu-0"])
    np.testing.assert_allclose(hu["Hu-1"] * 16, dim["Hu-1"])
    zernike, dim = radial_zernike(labels, brighter, 2), radial_zernike(labels, image, 2)
    np.testing.assert_allclose(zernike["ZernikeMagnitude-2-2"], 4 * dim["ZernikeMagnitude-2-2"])
    np.testing.assert_allclose(zernike["ZernikePhase-2-2"], dim["ZernikePhase-2-2"])


def test_a_brighter_first_channel(field: tuple[np.ndarray, np.ndarray]) -> None:
    labels, image = field
    second = np.sqrt(image)

    found = colocalisation(labels, image * 4, second)

    unit = {"Slope": 1 / 4, "K-1": 1 / 4, "K-2": 4}
    expected = colocalisation(labels, image, second)
    for name in ("Pearson", "Slope", "Overlap", "K-1", "K-2", "Manders-1", "Manders-2", "RWC-1"):
        np.testing.assert_allclose(found[name], expected[name] * unit.get(name, 1), rtol=1e-9)
