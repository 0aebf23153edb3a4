"""Intensities against CellProfiler's and scikit-image's values, NumPy and SciPy, and under changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpu_workers.imaging.features.intensity import DESCRIPTIONS, intensity_features
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.features.quantiles import object_quantiles
from gpu_workers.imaging.labels import expand_labels, label
from tests.unit.features.peers import assert_equal, peer_images
from tests.unit.imaging.images import blobs, intensities

PLACES = ("center-of-mass-y", "center-of-mass-x", "max-y", "max-x")


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return expand_labels(label(blobs((150, 200), seed=5)), 2)


@pytest.mark.data
def test_values_of_peers() -> None:
    compared: set[str] = set()
    for name, (image, drawn) in peer_images().items():
        # cp_measure was given the image over 255, scikit-image the image itself
        for peer, scaled in (("cp_measure", image / 255.0), ("scikit-image", image)):
            found = intensity_features(drawn, scaled)
            ours = {f"Intensity_{key}": values for key, values in found.items()}
            wanted = [d for d in DESCRIPTIONS if peer in d.peers]
            only = [_of(peer, d) for d in wanted]
            compared |= set(assert_equal(ours, only, name))
    # cp_measure's 21 but two places in z, scikit-image's three
    assert len(compared) == 19 + 3


def _of(peer: str, description):
    from dataclasses import replace

    return replace(description, peers={peer: description.peers[peer]})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_statistics_of_random_objects(labels: np.ndarray, dtype: str) -> None:
    image = intensities(labels.shape, dtype)

    found = intensity_features(labels, image, (5, 95))

    y, x = np.indices(labels.shape)
    for k in range(0, int(labels.max()), 3):
        own = labels == k + 1
        values = image[own].astype(np.float64)
        expected = {
            "mean": values.mean(), "std": values.std(), "sum": values.sum(),
            "min": values.min(), "max": values.max(), "median": np.median(values),
            "percentile-5": np.percentile(values, 5), "percentile-95": np.percentile(values, 95),
            "mad": np.median(abs(values - np.median(values))),
            "center-of-mass-x": (values * x[own]).sum() / values.sum(),
            "center-of-mass-y": (values * y[own]).sum() / values.sum(),
        }  # fmt: skip
        for name, value in expected.items():
            assert found[name][k] == pytest.approx(value, rel=1e-11), name


def test_a_stack_is_measured_as_one_object_in_space() -> None:
    rng = np.random.default_rng(3)
    volume = ndimage.gaussian_filter(rng.normal(size=(9, 30, 40)), 2)
    labels = ndimage.label(volume > 0.3 * volume.std())[0].astype(np.int32)
    image = rng.integers(1, 60_000, labels.shape).astype(np.uint16)
    edges = np.zeros(labels.shape, bool)
    for axis in range(3):
        differs = np.diff(labels, axis=axis) != 0
        before = [slice(None)] * 3
        after = list(before)
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edges[tuple(before)] |= differs
        edges[tuple(after)] |= differs

    found = intensity_features(labels, image, z_scale=2.5)

    z, y, x = np.indices(labels.shape)
    for k in range(int(labels.max())):
        own = labels == k + 1
        values = image[own].astype(float)
        centre = [(values * axis[own]).sum() / values.sum() for axis in (z, y, x)]
        away = np.array(centre) - [axis[own].mean() for axis in (z, y, x)]
        assert found["center-of-mass-z"][k] == pytest.approx(centre[0], rel=1e-12)
        assert found["mass-displacement"][k] == pytest.approx(
            np.linalg.norm(away * [2.5, 1, 1]), rel=1e-9
        )
        assert image[tuple(int(found[f"max-{a}"][k]) for a in "zyx")] == values.max()
        if (own & edges).any():
            assert found["edge-sum"][k] == image[own & edges].sum()
        else:
            assert np.isnan(found["edge-sum"][k])


def test_brighter_images_scale_values_and_move_no_place(labels: np.ndarray) -> None:
    image = intensities(labels.shape, "float32").astype(np.float64) + 1

    before, after = intensity_features(labels, image), intensity_features(labels, 7 * image)

    for name, values in before.items():
        factor = 1 if name in {*PLACES, "mass-displacement"} else 7
        np.testing.assert_allclose(after[name], factor * values, rtol=1e-10, err_msg=name)


def test_an_offset_adds_to_means_and_leaves_spreads(labels: np.ndarray) -> None:
    image = intensities(labels.shape, "uint8").astype(np.float64)

    before, after = intensity_features(labels, image), intensity_features(labels, image + 1e6)

    for name in ("mean", "min", "max", "median", "lower-quartile", "edge-mean"):
        np.testing.assert_allclose(after[name] - 1e6, before[name], rtol=1e-9, err_msg=name)
    for name in ("std", "mad", "edge-std"):
        # values of 1e6 leave ten digits of their differences
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, err_msg=name)


def test_a_quarter_turn_and_other_numbers_change_places_and_rows(labels: np.ndarray) -> None:
    image = np.random.default_rng(4).normal(500, 40, labels.shape)
    n = int(labels.max())
    order = np.random.default_rng(0).permutation(n) + 1
    table = np.zeros(n + 1, np.int32)
    table[1:] = 2 * order
    before = intensity_features(labels, image)

    after = intensity_features(np.rot90(table[labels]), np.rot90(image))

    rows = 2 * order - 1
    width = labels.shape[1]
    for kind in ("center-of-mass", "max"):
        np.testing.assert_allclose(after[f"{kind}-y"][rows], width - 1 - before[f"{kind}-x"])
        np.testing.assert_allclose(after[f"{kind}-x"][rows], before[f"{kind}-y"])
    for name, values in before.items():
        if name not in PLACES:
            np.testing.assert_allclose(after[name][rows], values, rtol=1e-9, err_msg=name)
        assert np.isnan(after[name][::2]).all()


def test_a_tile_measures_its_inner_objects_as_the_image_does(labels: np.ndarray) -> None:
    image = intensities(labels.shape, "uint16")
    tile = np.s_[20:140, 30:190]
    cut = np.union1d(np.unique(labels[[20, 139], 30:190]), np.unique(labels[20:140, [30, 189]]))

    whole, part = intensity_features(labels, image), intensity_features(labels[tile], image[tile])

    inner = np.setdiff1d(np.unique(labels[tile]), np.append(cut, 0))
    assert inner.size > 5
    for name, values in whole.items():
        shift = {"y": 20, "x": 30}[name[-1]] if name in PLACES else 0
        np.testing.assert_allclose(
            part[name][inner - 1] + shift, values[inner - 1], rtol=1e-12, err_msg=name
        )


def test_more_labels_than_16_bits_hold() -> None:
    labels = np.zeros((600, 600), np.int32)
    labels[::2, ::2] = np.arange(1, 90_001).reshape(300, 300)

    found = intensity_features(labels, labels)

    for name in ("max", "mean", "median", "edge-sum"):
        np.testing.assert_array_equal(found[name], np.arange(1, 90_001))


def test_unknown_pixels_empty_images_and_objects_without_an_edge() -> None:
    labels = np.array([[1, 1, 0, 4, 4]], np.int32)
    image = np.array([[1, 3, 9, np.nan, 5]], np.float32)

    found = intensity_features(labels, image)

    assert found["max"][0] == 3
    assert all(np.isnan(values[1:]).all() for values in found.values())
    full = intensity_features(np.ones((3, 3), np.int32), np.zeros((3, 3)))
    assert np.isnan([full["edge-mean"][0], full["center-of-mass-x"][0]]).all()
    assert (full["std"][0], full["mad"][0]) == (0, 0)
    for shape in ((0, 3), (4, 5), (2, 0, 3)):
        nothing = np.zeros(shape, np.int32)
        assert all(v.shape == (0,) for v in intensity_features(nothing, nothing).values())
    with pytest.raises(ValueError, match="image of"):
        intensity_features(labels, image[0])


def test_quantiles_of_equal_and_sorted_values() -> None:
    labels = np.repeat(np.array([[1, 2, 3]], np.int32), [1, 500, 500], axis=1)
    image = np.concatenate([[7], np.full(500, 4), np.arange(500)[::-1]])[None]

    found = object_quantiles(object_pixels(labels), image, [0, 0.1, 0.5, 1])

    expected = [[7, 4, 0], [7, 4, 49.9], [7, 4, 249.5], [7, 4, 499]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
