"""Modules that make images of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.morphology
from scipy import ndimage

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Module
from tests.unit.imaging.images import intensities
from tests.unit.imaging.test_background import disc, scene


def run(name: str, images: dict[str, Any], **arguments: Any) -> Any:
    module: Module = registry.load("modules", name)
    (made,) = module(module.Arguments(**arguments), images).values()
    return made


HALF = np.arange(48).reshape(6, 8) % 3 > 0


@pytest.mark.parametrize(
    "image",
    [intensities((6, 8)), intensities((6, 8), "float32"), HALF[::-1], np.arange(48, dtype=np.int32).reshape(6, 8)],
    ids=["uint16", "float32", "mask", "labels"],
)  # fmt: skip
@pytest.mark.parametrize("mask", [HALF, HALF * np.int32(70_000)], ids=["mask", "labels"])
def test_outside_a_mask_nothing_is_left(image: np.ndarray, mask: np.ndarray) -> None:
    masked = run("apply_mask", {"image": image, "mask": mask})

    np.testing.assert_array_equal(masked, np.where(HALF, image, 0))
    assert masked.dtype == image.dtype


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [("uint8", 7, 7), ("uint8", 900, 255), ("uint16", -4, 0), ("float32", -4, -4)],
)
def test_outside_a_mask_another_intensity(dtype: str, value: float, expected: float) -> None:
    image = intensities((6, 8), dtype)

    masked = run("apply_mask_intensity", {"image": image, "mask": HALF}, value=value)

    assert (masked[~HALF] == expected).all()
    np.testing.assert_array_equal(masked[HALF], image[HALF])


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"\(6, 8\).*\(3, 8\)"):
        run("apply_mask", {"image": intensities((6, 8)), "mask": HALF[:3]})


@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9)])
@pytest.mark.parametrize("width", [0, 2, 4, 50])
def test_a_border_is_set(shape: tuple[int, ...], width: int) -> None:
    image = intensities(shape)

    bordered = run("add_border", {"image": image}, border_size=width, value=3)

    y, x = np.indices(shape[-2:])
    frame = (y < width) | (x < width) | (y >= 7 - width) | (x >= 9 - width)
    np.testing.assert_array_equal(bordered, np.where(frame, 3, image))


@pytest.mark.parametrize("weights", [(1, 1), (0.5, 0.25), (2, -1), (-1, -1)])
@pytest.mark.parametrize(("first", "second", "both"), [
    ("uint8", "uint8", "uint8"), ("uint8", "uint16", "uint16"), ("uint16", "float32", "float32"),
])  # fmt: skip
def test_channels_are_added_with_weights(
    first: str, second: str, both: str, weights: tuple[float, float]
) -> None:
    a, b = intensities((20, 30), first), intensities((20, 30), second, seed=2)

    combined = run(
        "combine_channels", {"image_1": a, "image_2": b}, weight_1=weights[0], weight_2=weights[1]
    )

    exact = weights[0] * a.astype(float) + weights[1] * b.astype(float)
    if both != "float32":
        exact = np.clip(np.rint(exact), 0, np.iinfo(both).max)
    assert combined.dtype == both
    np.testing.assert_allclose(combined, exact, rtol=1e-6)


def test_channels_are_stretched_on_request() -> None:
    a, b = intensities((20, 30)) // 50 + 100, intensities((20, 30), seed=2) // 3

    combined = run("combine_channels", {"image_1": a, "image_2": b}, weight_1=3, stretch=True)

    def unit(image: np.ndarray) -> np.ndarray:
        return np.asarray((image - image.min()) / (image.max() - image.min()))

    expected = 65535 * unit(3 * unit(a.astype(float)) + 0.5 * unit(b.astype(float)))
    np.testing.assert_allclose(combined, expected, atol=0.501)


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_a_range_is_spread_over_the_type(dtype: str, top: float) -> None:
    image = intensities((30, 40), dtype)
    low, high = np.percentile(image, [20, 90])

    some = run("rescale", {"intensity_image": image}, min_value=low, max_value=high)
    whole = run("rescale", {"intensity_image": image})

    expected = np.clip((image.astype(float) - low) / (high - low), 0, 1) * top
    np.testing.assert_allclose(some, expected, atol=0.501 if top > 1 else 1e-6)
    assert some.dtype == whole.dtype == image.dtype
    assert (whole.min(), whole.max()) == (0, top)
    assert not run("rescale", {"intensity_image": np.full((3, 3), 9, dtype)}).any()


def test_inverting_twice_changes_nothing() -> None:
    for image in (intensities(dtype="uint8"), intensities(), HALF):
        once = run("invert", {"image": image})
        assert once.dtype == image.dtype
        np.testing.assert_array_equal(run("invert", {"image": once}), image)
    assert run("invert", {"image": np.array([[0, 65535]], np.uint16)}).tolist() == [[65535, 0]]
    np.testing.assert_allclose(run("invert", {"image": np.array([[1.0, 3.0, 2.5]])}), [[3, 1, 1.5]])


@pytest.mark.parametrize(
    ("output_type", "dtype", "largest"),
    [("8-bit", "uint8", 255), ("16-bit", "uint16", 65535), ("float", "float32", 70_000)],
)
def test_labels_and_masks_become_intensities(output_type: str, dtype: str, largest: int) -> None:
    labels = np.array([[0, 7, 70_000]], np.int32)

    made = run("convert_to_intensity", {"image": labels}, output_type=output_type)

    assert made.dtype == dtype
    assert made.tolist() == [[0, 7, largest]]
    mask = run("convert_to_intensity", {"image": labels > 0}, output_type=output_type)
    assert mask.tolist() == [[0, 1, 1]]


def stack() -> np.ndarray:
    planes = [ndimage.gaussian_filter(intensities((50, 60)), sigma) for sigma in (4, 1, 2)]
    return np.stack(planes)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("max", stack().max(axis=0)),
        ("sum", stack().sum(axis=0, dtype=float)),
        ("mean", stack().mean(axis=0)),
        ("best_focus", stack()[1]),
    ],
)
def test_stacks_are_projected(method: str, expected: np.ndarray) -> None:
    projected = run("project", {"image": stack()}, method=method)

    np.testing.assert_allclose(projected, expected, rtol=1e-6)
    assert projected.dtype == (np.uint16 if method in ("max", "best_focus") else np.float32)


@pytest.mark.parametrize(
    ("method", "expected"), [("max", [2, 5]), ("sum", [2, 9]), ("mean", [2, 4.5])]
)
def test_missing_pixels_of_planes_are_left_out(method: str, expected: list[float]) -> None:
    planes = np.array([[[np.nan, 5, np.nan]], [[2, 4, np.nan]]], np.float32)

    projected = run("project", {"image": planes}, method=method)

    np.testing.assert_allclose(projected, [[*expected, np.nan]])


def test_a_stack_without_planes_is_refused() -> None:
    with pytest.raises(UserError, match="no plane"):
        run("project", {"image": np.zeros((0, 4, 4), np.uint16)})


def test_ratios_leave_out_background_and_noise_near_zero() -> None:
    rng = np.random.default_rng(4)
    cell = np.zeros((40, 40), bool)
    cell[10:30, 10:30] = True
    numerator = np.where(cell, 900, 0) + 100 + rng.integers(-5, 6, cell.shape)
    denominator = np.where(cell, 300, 0) + 50 + rng.integers(-5, 6, cell.shape)
    images = {
        "numerator": numerator.astype(np.uint16),
        "denominator": denominator.astype(np.uint16),
    }

    masked = run("ratio", images | {"mask": cell}, floor=20, outside=-1)
    known = run("ratio", images, background_numerator=100, background_denominator=50, floor=20)
    guessed = run("ratio", images, floor=20, percentile=40)

    assert masked.dtype == np.float32
    np.testing.assert_allclose(np.median(masked[cell]), 3, rtol=0.01)
    assert (masked[~cell] == -1).all()
    above = np.maximum(numerator - 100.0, 0) / np.maximum(denominator - 50.0, 20)
    np.testing.assert_allclose(known, above, rtol=1e-6)
    assert known[~cell].max() <= 5 / 20
    np.testing.assert_allclose(np.median(guessed[cell]), 3, rtol=0.01)


SMOOTHED = intensities((30, 40))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ndimage.gaussian_filter(SMOOTHED.astype(float), 1.5, mode="nearest")),
        ({"filter_size": 3}, ndimage.gaussian_filter(SMOOTHED.astype(float), 3, mode="nearest")),
        ({"filter_size": 3, "sigma": 0}, SMOOTHED),
        ({"filter_name": "average"}, ndimage.uniform_filter(1.0 * SMOOTHED, 5, mode="nearest")),
        ({"filter_name": "average", "filter_size": 6}, ndimage.uniform_filter(1.0 * SMOOTHED, 7, mode="nearest")),
        ({"filter_name": "median"}, ndimage.median_filter(SMOOTHED, 5, mode="nearest")),
        ({"filter_name": "median", "filter_size": 9}, ndimage.median_filter(SMOOTHED, 9, mode="nearest")),
    ],
)  # fmt: skip
def test_images_are_smoothed(arguments: dict[str, Any], expected: np.ndarray) -> None:
    smoothed = run("smooth", {"image": SMOOTHED}, **arguments)

    np.testing.assert_allclose(smoothed, expected, atol=1e-5 * 65535)


def test_a_bilateral_filter_keeps_an_edge_that_a_gaussian_blurs() -> None:
    rng = np.random.default_rng(2)
    edge = np.where(np.arange(40) < 20, 100.0, 400.0) + rng.normal(0, 5, (30, 40))
    edge[5, 5] = np.nan

    kept = run("smooth", {"image": edge}, filter_name="bilateral", sigma=3, sigma_intensity=30)

    assert np.isnan(kept[5, 5])
    assert np.isfinite(kept).sum() == kept.size - 1
    clean = np.where(np.arange(40) < 20, 100.0, 400.0)
    assert np.nanmax(np.abs(kept - clean)) < 12
    blurred = run("smooth", {"image": edge}, sigma=3)
    assert np.abs(blurred - clean).max() > 60


def test_missing_pixels_stay_missing_after_a_median() -> None:
    image = intensities((20, 20), "float32")
    image[4:6, 4:6] = np.nan

    smoothed = run("smooth", {"image": image}, filter_name="median")

    assert np.isnan(smoothed[4:6, 4:6]).all()
    assert np.isnan(smoothed).sum() == 4


@pytest.mark.parametrize("method", ["top_hat", "rolling_ball", "median", "minimum"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_spots_stand_alone_once_the_background_is_gone(method: str, dtype: str) -> None:
    image, slope = scene()

    above = run("subtract_background", {"image": image.astype(dtype)}, method=method, radius=15)

    assert above.dtype == dtype
    assert above.min() >= 0
    spots = image - slope > 100
    # noise of 3 lifts what lies above a minimum by some 10
    assert np.median(above[~spots]) < 15
    np.testing.assert_allclose(above[spots], (image - slope)[spots], atol=30)


def test_a_top_hat_equals_scikit_image() -> None:
    image = intensities((60, 70))

    above = run("subtract_background", {"image": image}, method="top_hat", radius=6)

    opened = skimage.morphology.opening(image, disc(6), mode="ignore")
    np.testing.assert_array_equal(above, image - opened)


def test_planes_of_a_stack_lose_their_background_one_by_one() -> None:
    planes = stack()

    above = run("subtract_background", {"image": planes}, method="median", radius=5)

    alone = run("subtract_background", {"image": planes[2]}, method="median", radius=5)
    np.testing.assert_array_equal(above[2], alone)


def test_a_ball_is_as_high_as_the_unit_of_intensity_says() -> None:
    image, _ = scene()

    above = run("subtract_background", {"image": image}, radius=9)
    scaled = run(
        "subtract_background", {"image": image / 65535}, radius=9, intensity_per_pixel=1 / 65535
    )

    # float32 sums in other units
    np.testing.assert_allclose(scaled * 65535, above, atol=1e-3)
