"""Haralick's features against mahotas, object by object."""

from __future__ import annotations

import mahotas
import numpy as np
import pytest

from gpu_workers.imaging.features.haralick import HARALICK, haralick, to_gray
from tests.unit.features.fields import crops, smooth, touching


def expected_of(crop: np.ndarray, scale: int) -> np.ndarray:
    """Return mahotas' (direction, feature); it refuses objects that lack pairs in a direction."""
    try:
        return np.asarray(mahotas.features.haralick(crop, ignore_zeros=True, distance=scale))
    except ValueError:
        n_directions = 4 if crop.ndim == 2 else 13
        return np.full((n_directions, 13), np.nan)


def check(found: dict[str, np.ndarray], row: int, expected: np.ndarray, scale: int) -> None:
    # the same formulas on whole numbers: rounding only
    for i, name in enumerate(HARALICK):
        own = [found[f"Haralick-{name}-{scale}-direction-{d}"][row] for d in range(len(expected))]
        np.testing.assert_allclose(own, expected[:, i], rtol=1e-8, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(
            found[f"Haralick-{name}-{scale}"][row], expected[:, i].mean(), rtol=1e-8, atol=1e-7
        )


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_directions_and_their_mean(scale: int) -> None:
    # 64 levels: mahotas takes a matrix of levels times levels for each object
    labels, image = touching(), smooth() // 4

    found = haralick(labels, image, (scale,), ("mean", "range", "directions"))

    for row, _, crop in crops(labels, image):
        expected = expected_of(crop, scale)
        check(found, row, expected, scale)
        np.testing.assert_allclose(
            found[f"Haralick-contrast-{scale}-range"][row], np.ptp(expected[:, 1])
        )


def test_objects_in_space() -> None:
    labels = np.zeros((4, 20, 24), np.int32)
    labels[:, 2:14, 3:11], labels[1:, 5:18, 12:20] = 1, 3
    image = np.random.default_rng(0).integers(0, 6, labels.shape).astype(np.uint8)

    found = haralick(labels, image, (1,), ("mean", "directions"))

    for row, _, crop in crops(labels, image):
        check(found, row, expected_of(crop, 1), 1)
    assert np.isnan(found["Haralick-contrast-1"][1])


def test_columns_come_scale_by_scale_under_their_own_names() -> None:
    labels, image = touching(), smooth()

    both = haralick(labels, image, (1, 2))

    assert list(both) == [f"Haralick-{name}-{s}" for s in (1, 2) for name in HARALICK]
    for scale in (1, 2):
        for name, values in haralick(labels, image, (scale,)).items():
            np.testing.assert_array_equal(both[name], values)


def test_a_flat_object_has_one_gray_level() -> None:
    flat = np.ones((6, 6), np.int32)

    found = haralick(flat, flat.astype(np.uint8) * 200)

    values = {name: found[f"Haralick-{name}-1"][0] for name in HARALICK}
    assert values["angular-second-moment"] == values["correlation"] == 1
    assert values["inverse-diff-moment"] == 1
    assert values["sum-avg"] == 400
    for name in ("contrast", "sum-of-squares", "entropy", "sum-var", "info-measure-corr-1"):
        assert values[name] == 0


def test_objects_without_pairs_with_nan_or_without_pixels_are_missing() -> None:
    labels = np.zeros((8, 20), np.int32)
    labels[1, 1], labels[2:6, 4:8], labels[2:6, 10:14] = 1, 2, 4
    image = np.linspace(0.1, 0.9, labels.size).reshape(labels.shape)
    image[3, 5] = np.nan

    contrast = haralick(labels, image)["Haralick-contrast-1"]

    np.testing.assert_array_equal(np.isnan(contrast), [True, True, True, False])


def test_gray_levels_follow_the_type() -> None:
    labels = np.ones((1, 3), np.int32)
    counts = np.array([[0, 300, 65535]], np.uint16)

    np.testing.assert_array_equal(to_gray(labels, counts, "type"), counts // 256)
    # skimage.util.img_as_ubyte rounds floats
    np.testing.assert_array_equal(
        to_gray(labels, np.array([[0.0, 0.5, 1.0]]), "auto"), [[0, 128, 255]]
    )
    np.testing.assert_array_equal(to_gray(labels, counts.astype(np.uint8)), counts.astype(np.uint8))
    np.testing.assert_array_equal(to_gray(labels, counts, limits=(0, 600), levels=16), [[0, 7, 15]])


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_gray_levels_of_the_image_reach_from_zero_to_its_brightest(dtype: str) -> None:
    labels, image = touching(), (smooth().astype(np.uint16) * 37).astype(dtype)

    gray = to_gray(labels, image, "auto")

    high = np.percentile(image.astype(float), 99.999)
    expected = np.clip(image.astype(float) * (255 / high), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(gray, expected)


@pytest.mark.parametrize("rule", ["auto", "type", "image", "object"])
def test_gray_levels_of_nothing_but_nan_are_zero(rule: str) -> None:
    nothing = np.full((3, 3), np.nan)

    assert not to_gray(np.ones((3, 3), np.int32), nothing, rule).any()  # type: ignore[arg-type]


def test_gray_levels_of_each_object_are_those_of_the_first_tissuemaps() -> None:
    labels, image = touching(), smooth().astype(np.uint16) * 37
    clipped = np.minimum(image, np.percentile(image, 99.999))

    gray = to_gray(labels, image, "object")

    for _, mask, crop in crops(labels, clipped):
        expected = mahotas.stretch(np.pad(crop, 1))[1:-1, 1:-1]
        own = gray[labels == labels[tuple(np.argwhere(labels == _ + 1)[0])]]
        # the order of its multiplications may round a level down
        assert np.abs(own.astype(int) - expected[mask].astype(int)).max() <= 1
