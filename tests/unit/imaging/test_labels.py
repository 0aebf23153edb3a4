"""Label images against scikit-image."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import skimage.measure
import skimage.segmentation
from scipy import ndimage

from gpu_workers.imaging.labels import (
    expand_labels,
    filter_by_area,
    label,
    lookup,
    relabel,
    split_parts,
)
from tests.unit.imaging.images import blobs


@pytest.mark.parametrize("connectivity", [4, 8])
def test_label_equals_scikit_image(connectivity: int) -> None:
    mask = blobs(sigma=1.0)

    labels = label(mask, connectivity)  # type: ignore[arg-type]

    expected = skimage.measure.label(mask, connectivity=1 if connectivity == 4 else 2)
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32


def test_more_objects_than_16_bits_hold() -> None:
    mask = np.zeros((600, 600), bool)
    mask[::2, ::2] = True

    labels = label(mask)

    assert labels.max() == 300 * 300 > 65535
    np.testing.assert_array_equal(np.unique(labels), np.arange(90001))


def test_empty_images() -> None:
    for mask in (np.zeros((4, 5), bool), np.zeros((0, 5), bool)):
        assert not label(mask).any()
        assert not relabel(label(mask)).any()
        assert not filter_by_area(label(mask), 1).any()
        assert not expand_labels(label(mask), 3).any()


def test_relabel_closes_gaps_in_the_order_of_first_pixels() -> None:
    labels = np.array([[0, 90, 5], [5, 0, 7]], np.int32)

    np.testing.assert_array_equal(relabel(labels), [[0, 1, 2], [2, 0, 3]])


def test_filter_keeps_areas_within_both_limits() -> None:
    labels = label(blobs())
    areas = np.bincount(labels.ravel())[1:]

    kept = filter_by_area(labels, 50, 200)

    wanted = (areas >= 50) & (areas <= 200)
    assert kept.max() == wanted.sum()
    np.testing.assert_array_equal(kept > 0, np.append(False, wanted)[labels])


@pytest.mark.parametrize("distance", [0, 1, 1.5, 5, 12.3])
def test_expansion_reaches_the_nearest_object(distance: float) -> None:
    labels = label(blobs(sigma=3.0) & (np.indices((240, 300)).sum(axis=0) % 11 > 4))

    grown = expand_labels(labels, distance)

    expected = skimage.segmentation.expand_labels(labels, distance)
    np.testing.assert_array_equal(grown > 0, expected > 0)
    # where they differ two objects are equally near: then the lower label has it
    own = ndimage.distance_transform_edt(labels == 0)
    for y, x in np.argwhere(grown != expected)[:50]:
        ys, xs = np.nonzero(labels)
        near = np.isclose(np.hypot(ys - y, xs - x), own[y, x])
        assert grown[y, x] == labels[ys[near], xs[near]].min()


def test_each_pixel_goes_to_the_nearest_object_and_then_to_the_lower_label() -> None:
    rng = np.random.default_rng(3)
    for share in (0.02, 0.1, 0.4) * 20:
        shape = tuple(rng.integers(1, 25, 2))
        labels = np.where(rng.random(shape) < share, rng.integers(1, 6, shape), 0).astype(np.int32)
        distance = float(rng.choice([1, 1.5, 2.3, 9, 40]))
        ys, xs = np.nonzero(labels)
        y, x = np.indices(shape)
        squared = (y[..., None] - ys) ** 2 + (x[..., None] - xs) ** 2
        cost = squared * 10 + labels[ys, xs]  # equally near: the lower label
        expected = labels.copy()
        if ys.size:
            nearest = cost.argmin(axis=-1)
            near = np.take_along_axis(squared, nearest[..., None], -1)[..., 0] <= distance**2
            expected[near] = labels[ys, xs][nearest][near]

        np.testing.assert_array_equal(expand_labels(labels, distance), expected)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_parts_of_equal_labels_are_those_of_scikit_image(connectivity: Literal[4, 8]) -> None:
    rng = np.random.default_rng(connectivity)
    for n in (2, 3, 4) * 10:
        labels = rng.integers(0, n, tuple(rng.integers(1, 30, 2))).astype(np.int32)

        expected = skimage.measure.label(labels, background=0, connectivity=connectivity // 4)

        np.testing.assert_array_equal(split_parts(labels, connectivity), expected)


def test_lookup_knows_labels_beyond_its_table() -> None:
    table = np.array([0, 8], np.uint32)

    np.testing.assert_array_equal(lookup(np.array([0, 1, 5]), table), [0, 8, 0])
