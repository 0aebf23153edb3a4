"""Pictures for people: stretched, small enough, objects told apart."""

from __future__ import annotations

import numpy as np

from gpu_workers.imaging.figures import histograms
from gpu_workers.imaging.rendering import colors_of, grey_picture, label_picture, shrunk


def test_intensities_are_stretched_over_their_own_range() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(300, 700, (50, 60)).astype(np.uint16)

    picture = grey_picture(image)

    low, high = np.percentile(image, (0.5, 99.8))
    expected = np.clip((image - low) / (high - low) * 255, 0, 255)
    assert picture.dtype == np.uint8
    assert np.abs(picture - expected).max() <= 1


def test_flat_and_missing_pixels_are_no_error() -> None:
    assert not grey_picture(np.full((4, 4), 7, np.uint16)).any()
    assert not grey_picture(np.full((4, 4), np.nan, np.float32)).any()
    assert grey_picture(np.zeros((0, 5), np.uint16)).shape == (0, 5)
    assert not grey_picture(np.array([[np.nan, 1, 2]], np.float32))[0, 0]


def test_large_images_become_small_by_a_whole_factor() -> None:
    image = np.arange(40 * 90, dtype=np.float32).reshape(40, 90)

    assert shrunk(image, 30).shape == (14, 30)
    np.testing.assert_array_equal(shrunk(image, 30, smooth=False), image[::3, ::3])
    assert shrunk(image, 90) is image


def test_objects_are_outlined_in_their_colours() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:10, 2:10], labels[2:10, 10:18] = 1, 2

    picture = label_picture(labels)

    colors = colors_of(2)
    np.testing.assert_array_equal(picture[2, 5], colors[1])
    np.testing.assert_array_equal(picture[5, 10], colors[2])
    assert not picture[0].any()
    assert 0 < picture[5, 5].max() < colors[1].max()


def test_neighbours_in_number_differ_in_colour() -> None:
    colors = colors_of(1000).astype(int)

    assert np.abs(np.diff(colors[1:], axis=0)).sum(axis=1).min() > 60


def test_stacks_are_seen_from_above() -> None:
    stack = np.zeros((3, 8, 8), np.uint16)
    stack[1, 2, 2] = 100

    assert grey_picture(stack)[2, 2] == 255
    assert label_picture(stack.astype(np.int32)).shape == (8, 8, 3)


def test_histograms_show_what_there_is() -> None:
    rng = np.random.default_rng(0)
    columns = {f"Feature_{k}": rng.normal(k, 1, 500) for k in range(14)}
    columns["Feature_1"][:] = np.nan
    columns["Feature_2"][:] = 7

    figure = histograms(columns)

    assert figure.shape == (450, 1000, 3)
    bars = (figure == (61, 160, 255)).all(axis=-1)
    blue = [bars[y : y + 150, x : x + 250].sum() for y in (0, 150, 300) for x in (0, 250, 500, 750)]
    assert blue[0] > 1000
    assert blue[1] == 0  # no values
    assert 0 < blue[2] < 1000  # one value: one bar
    assert histograms({}).shape == (150, 1000, 3)
