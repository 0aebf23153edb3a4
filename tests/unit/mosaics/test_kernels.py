"""The mosaic's kernels against NumPy written another way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_workers.imaging import mosaic

pytestmark = pytest.mark.filterwarnings("ignore::numba.NumbaWarning")


@dataclass(frozen=True)
class Box:
    index: int
    y: int
    x: int
    height: int
    width: int


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(8, 6), (7, 6), (8, 5), (1, 1), (2, 2)])
def test_mean_rounds_exactly_over_what_exists(dtype: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    image.flat[0] = np.iinfo(dtype).max

    halved = mosaic.downsample_mean(image)

    rim = np.full((-(-shape[0] // 2) * 2, -(-shape[1] // 2) * 2), np.nan)
    rim[: shape[0], : shape[1]] = image
    blocks = rim.reshape(rim.shape[0] // 2, 2, rim.shape[1] // 2, 2)
    assert np.array_equal(halved, np.floor(np.nanmean(blocks, axis=(1, 3)) + 0.5).astype(dtype))


def test_mean_counts_only_covered_pixels() -> None:
    image = np.array([[7, 0, 0, 0], [7, 0, 9, 0]], np.uint16)
    covered = np.array([[1, 0, 0, 0], [1, 0, 1, 1]], bool)

    assert mosaic.downsample_mean(image, covered).tolist() == [[7, 5]]


def test_mean_is_defined_for_8_and_16_bits_only() -> None:
    with pytest.raises(TypeError, match="float32"):
        mosaic.downsample_mean(np.zeros((2, 2), np.float32))  # type: ignore[type-var]


def test_labels_stay_labels() -> None:
    labels = np.random.default_rng(2).integers(0, 2**32, (9, 12), dtype=np.uint32)

    assert np.array_equal(mosaic.downsample_labels(labels), labels[::2, ::2])


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(0, 40)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.integers(0, 4)
)
def test_coverage_is_any_pixel_of_the_block(
    corner: tuple[int, int], size: tuple[int, int], level: int
) -> None:
    full = np.zeros((128, 128), bool)
    full[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    n = 128 >> level
    expected = full.reshape(n, 1 << level, n, 1 << level).any(axis=(1, 3))

    covered = mosaic.coverage([Box(0, *corner, *size)], level, 1, 2, n - 1, n - 2)

    assert np.array_equal(covered, expected[1:, 2:])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_paste_copies_and_counts_what_is_owned(dtype: str) -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 200, (20, 31)).astype(dtype)
    owned = rng.random((20, 31)) < 0.5
    target = np.full((30, 40), 999, np.uint16)
    counts = mosaic.new_counts()

    mosaic.paste(target[5:25, 4:35], image, owned, counts)

    expected = np.full((30, 40), 999, np.uint16)
    expected[5:25, 4:35][owned] = image[owned]
    assert np.array_equal(target, expected)
    assert np.array_equal(counts.sum(0)[:256], np.bincount(image[owned], minlength=256))

    mosaic.paste(target[5:25, 4:35], image, None, counts)

    assert np.array_equal(target[5:25, 4:35], image)
    assert counts.sum() == owned.sum() + image.size


def test_floats_come_back_within_half_a_step_and_nan_becomes_the_minimum() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(-5, 300, (50, 60)).astype(np.float32)
    image[0, :3] = np.nan, np.inf, -np.inf
    low, high, bad = mosaic.finite_range(image)
    scale = (high - low) / 65535

    stored = mosaic.quantise(image, low, scale)

    finite = np.isfinite(image)
    assert (low, high, bad) == (image[finite].min(), image[finite].max(), 3)
    assert stored[~finite].tolist() == [0, 0, 0]
    assert np.abs(stored * scale + low - image)[finite].max() <= 0.5001 * scale
    assert (stored[finite].min(), stored[finite].max()) == (0, 65535)


def test_range_of_nothing_finite() -> None:
    assert mosaic.finite_range(np.full((2, 2), np.nan)) == (np.inf, -np.inf, 4)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=80), st.floats(0, 100))
def test_percentile_of_counts(values: list[int], q: float) -> None:
    counts = np.bincount(values, minlength=51)

    assert mosaic.percentile(counts, q) == np.percentile(values, q, method="inverted_cdf")


def test_percentile_of_nothing() -> None:
    assert mosaic.percentile(np.zeros(5, int), 50) == 0
