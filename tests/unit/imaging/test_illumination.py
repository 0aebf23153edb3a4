"""Illumination: moments against numpy, correction against its formula and a known lamp."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.imaging.illumination.correction import (
    Choice,
    Clipped,
    Correction,
    IlluminationStatistics,
    LogMoments,
    Method,
    choose_method,
    correct,
    statistics,
)
from gpu_workers.imaging.illumination.intensities import IntensityHistogram

SHAPE = (40, 50)


def images(n: int, dtype: str = "uint16") -> np.ndarray:
    rng = np.random.default_rng(2)
    y, x = np.indices(SHAPE)
    lamp = 1 - 0.5 * (((y - 20) / 40) ** 2 + ((x - 25) / 50) ** 2)
    return (lamp * rng.lognormal(6, 0.3, (n, 1, 1)) * rng.lognormal(0, 0.05, (n, *SHAPE))).astype(
        dtype
    )


def moments(stack: np.ndarray) -> LogMoments:
    found = LogMoments.empty(SHAPE)
    for image in stack:
        found.update(image)
    return found


@pytest.mark.parametrize("split", [0, 1, 7, 20])
def test_moments_of_parts_joined_are_those_of_all(split: int) -> None:
    stack = images(20)

    joined = moments(stack[:split]).merge(moments(stack[split:]))

    logs = np.log10(np.maximum(stack, 1).astype(np.float64))
    assert joined.n == 20
    np.testing.assert_allclose(joined.mean, logs.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(joined.std(), logs.std(axis=0), rtol=1e-10)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match="one size"):
        LogMoments.empty(SHAPE).update(np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_correction_removes_the_lamp(dtype: str) -> None:
    stack = images(120, dtype)
    known = statistics(moments(stack), 2.0)

    corrected = correct(stack[0], known)

    before, after = (np.log(i.astype(float)).std() for i in (stack[0], corrected))
    assert corrected.dtype == stack.dtype
    assert after < 0.06 < before  # 0.05 is the noise within an image
    assert corrected.astype(float).mean() == pytest.approx(stack[0].mean(), rel=0.15)


def test_correction_follows_its_formula() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(2, 0.1, SHAPE), rng.uniform(0.1, 0.2, SHAPE)
    known = IlluminationStatistics(mean.astype("f4"), std.astype("f4"), 500)
    image = images(1)[0]

    found = correct(image, known, method="std")

    expected = 10 ** ((np.log10(image) - mean) / std * std.mean() + mean.mean())
    np.testing.assert_allclose(found, np.clip(np.rint(expected), 0, 65535), rtol=2e-4, atol=1)


def test_zero_stays_zero_and_nothing_wraps() -> None:
    known = IlluminationStatistics(np.array([[0, 2]], "f4"), np.ones((1, 2), "f4"), 500)

    found = correct(np.array([[60000, 0]], np.uint16), known, method="flat")

    np.testing.assert_array_equal(found, [[65535, 0]])


def test_the_black_level_and_the_mean_stay() -> None:
    rng = np.random.default_rng(5)
    flat, dark = rng.uniform(0.5, 1.5, SHAPE), rng.uniform(90, 110, SHAPE)
    flat /= flat.mean()
    scene = rng.uniform(0, 1000, SHAPE)

    correction = Correction.from_fields(3 * flat, dark)  # only its shape matters
    found = correction.apply((scene * flat + dark).astype(np.float32))

    np.testing.assert_allclose(found, scene + dark.mean(), rtol=1e-4)


def test_fields_round_once_and_clipping_is_counted() -> None:
    flat = np.array([[0.5, 1.0, 1.5, 1.0]])
    dark = np.array([[100.0, 100.0, 100.0, 200.0]])
    image = np.array([[40000, 101, 102, 0]], np.uint16)

    found, clipped = Correction.from_fields(flat, dark).apply_counted(image)

    # (40000 - 100) / 0.5 + 125 is beyond the type; 2 / 1.5 + 125 = 126.3; (0 - 200) + 125 is below zero
    np.testing.assert_array_equal(found, [[65535, 126, 126, 0]])
    assert clipped == Clipped(below=1, above=1)
    assert found.dtype == np.uint16


@pytest.mark.parametrize(
    ("n", "wanted", "expected"),
    [
        (29, "auto", None), (30, "auto", "basic"), (100, "auto", "basic"), (30, "flat", "flat"),
        (99, "std", None), (100, "std", "std"), (0, "vendor", "vendor"),
    ],
)  # fmt: skip
def test_too_few_images_are_refused_unless_forced(
    n: int, wanted: Choice, expected: Method | None
) -> None:
    there: tuple[Method, ...] = ("basic", "std", "flat")
    there = (*there, "vendor") if wanted == "vendor" else there

    if expected is None:
        with pytest.raises(UserError, match=f"{n} images") as caught:
            choose_method(n, there, wanted)
        assert caught.value.code == "too_few_images"
        assert choose_method(n, there, wanted, force=True) == (
            "basic" if wanted == "auto" else wanted
        )
    else:
        assert choose_method(n, there, wanted) == expected


def test_with_too_few_images_the_vendors_own_profile_is_taken() -> None:
    assert choose_method(2, ("basic", "flat", "vendor")) == "vendor"
    with pytest.raises(DataMissing, match="basic, flat"):
        choose_method(200, ("basic", "flat"), "vendor")
    with pytest.raises(DataMissing):
        choose_method(200, ())


def test_no_image_no_statistics() -> None:
    with pytest.raises(UserError, match="no image"):
        statistics(LogMoments.empty(SHAPE))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_percentiles_of_integers_are_values_that_occur(dtype: str) -> None:
    stack = images(5, dtype)
    first, second = IntensityHistogram(), IntensityHistogram()
    for image in stack[:2]:
        first.update(image)
    for image in stack[2:]:
        second.update(image)

    found = first.merge(second).percentile(np.array([0, 1, 50, 99.9, 100]))

    expected = np.percentile(stack, [0, 1, 50, 99.9, 100], method="inverted_cdf")
    np.testing.assert_array_equal(found, expected)


def test_percentiles_of_floats() -> None:
    values = np.random.default_rng(1).normal(0, 100, (300, 300)).astype(np.float32)
    values[0, 0] = np.nan
    histogram = IntensityHistogram()
    histogram.update(values)

    found = histogram.percentile(np.array([1, 30, 99.0]))

    np.testing.assert_allclose(found, np.nanpercentile(values, [1, 30, 99]), rtol=0.01)
    assert np.isnan(IntensityHistogram().percentile(np.array([50.0]))).all()
