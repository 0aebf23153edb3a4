"""Clumps of discs, whose parts are known, and real nuclei."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops_table

from gpu_workers.imaging.clumps import (
    clump_shapes,
    contacts,
    cut_in_two,
    cut_repeatedly,
    merge_touching,
    trim,
)
from gpu_workers.imaging.concavities import Hollows, cut_between_hollows
from gpu_workers.imaging.labels import label
from tests.unit.imaging.images import blobs

Disc = tuple[int, int, int]
PAIR: tuple[Disc, ...] = ((100, 100, 45), (100, 175, 40))
CHAIN: tuple[Disc, ...] = ((150, 60, 40), (150, 130, 38), (150, 200, 40), (150, 275, 42))


def discs(parts: tuple[Disc, ...], shape: tuple[int, int] = (300, 340)) -> np.ndarray:
    """Return overlapping discs (row, column, radius); a pixel belongs to the first that holds it."""
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for k, (a, b, r) in enumerate(parts):
        labels[((y - a) ** 2 + (x - b) ** 2 <= r * r) & (labels == 0)] = k + 1
    return labels


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the least part of a true object that one found object has."""
    table = np.array(
        [
            np.bincount(found[truth == k], minlength=found.max() + 1)[1:] / (truth == k).sum()
            for k in range(1, truth.max() + 1)
        ]
    )
    assert len(np.unique(table.argmax(axis=1))) == len(table)
    return float(table.max(axis=1).min())


def test_shapes_are_those_of_scikit_image() -> None:
    labels = label(blobs())

    found = clump_shapes(labels)

    expected = regionprops_table(labels, properties=("area", "solidity", "perimeter"))
    large = expected["area"] > 8  # hulls of fewer pixels may be flat there
    np.testing.assert_array_equal(found.area, expected["area"])
    np.testing.assert_allclose(found.solidity[large], expected["solidity"][large], rtol=1e-9)
    np.testing.assert_allclose(found.perimeter, expected["perimeter"], rtol=1e-9)


@pytest.mark.parametrize("parts", [PAIR, CHAIN])
def test_clumps_are_cut_at_their_necks(parts: tuple[Disc, ...]) -> None:
    truth = discs(parts)
    whole = (truth > 0).astype(np.int32) * 3

    found, was_cut = cut_repeatedly(
        whole,
        lambda labels: clump_shapes(labels).solidity < 0.95,
        lambda labels, chosen: cut_in_two(labels, chosen, 500),
    )

    np.testing.assert_array_equal(found > 0, truth > 0)
    assert agreement(found, truth) > 0.97  # the truth itself gives the overlap to one side
    assert was_cut.sum() == len(parts)


def test_touching_objects_are_cut_each_by_itself() -> None:
    left = discs(PAIR) > 0
    labels = left.astype(np.int32)
    labels[140:] = np.where(left[20:180], 2, 0)
    labels[labels == 0] = 5  # all around them

    found, origins = cut_in_two(labels, np.array([True, True, True, True, False]), 100)

    assert sorted(origins) == [1, 2]
    for origin, new in zip(origins, (6, 7), strict=True):
        np.testing.assert_array_equal(np.isin(found, [origin, new]), labels == origin)
    np.testing.assert_array_equal(found == 5, labels == 5)


def test_what_has_no_neck_or_too_small_parts_stays_whole() -> None:
    disc = discs(((100, 100, 40),))
    pair = (discs(PAIR) > 0).astype(np.int32)

    assert cut_in_two(disc, np.ones(1, bool), 10)[1].size == 0
    assert cut_in_two(pair, np.ones(1, bool), 5200)[1].size == 0
    assert cut_in_two(pair, np.zeros(1, bool), 1)[1].size == 0


@pytest.mark.parametrize("parts", [PAIR, CHAIN[:2], CHAIN[2:]])
def test_cuts_join_the_hollows_of_the_outline(parts: tuple[Disc, ...]) -> None:
    truth = discs(parts)
    whole = (truth > 0).astype(np.int32)

    found, origins = cut_between_hollows(whole, np.ones(whole.shape), np.ones(1, bool), 500)

    assert origins.tolist() == [1]
    np.testing.assert_array_equal(found > 0, whole > 0)
    assert agreement(found, truth) > 0.97
    assert label(found == 1).max() == label(found == 2).max() == 1


def test_cuts_follow_dark_seams() -> None:
    whole = np.zeros((120, 200), np.int32)
    whole[20:100, 20:180] = 1
    for top in (20, 94):  # notches to start from
        whole[top : top + 6, 96:105] = 0
    y, x = np.indices(whole.shape)
    seam = 100 + np.rint(18 * np.sin((y - 26) / 68 * np.pi)).astype(int)
    image = np.where(abs(x - seam) <= 1, 5.0, 100.0)

    rules = Hollows(window=5, max_radius=10, min_turn=5)
    found, _ = cut_between_hollows(whole, image, np.ones(1, bool), 1000, rules)

    assert found.max() == 2
    edge = (found[:, 1:] != found[:, :-1]) & (found[:, 1:] > 0) & (found[:, :-1] > 0)
    rows, columns = np.nonzero(edge)
    inner = (rows > 35) & (rows < 85)
    assert inner.any()
    assert (abs(columns[inner] - seam[rows[inner], 0]) <= 4).all()


def test_round_and_tiny_objects_have_no_hollows() -> None:
    labels = discs(((100, 100, 40), (20, 200, 1), (220, 220, 3)))

    found, origins = cut_between_hollows(labels, np.ones(labels.shape), np.ones(3, bool), 1)

    np.testing.assert_array_equal(found, labels)
    assert origins.size == 0


def test_trimming_opens_with_a_cross() -> None:
    labels = label(blobs(sigma=3)) * 2

    found = trim(labels, np.ones(labels.max(), bool))

    cross = ndimage.generate_binary_structure(2, 1)
    for k in np.unique(labels)[1:]:
        # beyond the edge the object goes on
        own = np.pad(labels == k, 1, mode="edge")
        opened = ndimage.binary_dilation(ndimage.binary_erosion(own, cross, border_value=1), cross)
        opened = opened[1:-1, 1:-1] & (labels == k)
        expected = opened if opened.any() else labels == k
        np.testing.assert_array_equal(found == k, expected)


def test_contacts_are_counted_by_sides_of_pixels() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (20, 25)).astype(np.int32)

    found = contacts(labels)

    slow: dict[tuple[int, int], int] = {}
    for a, b in [
        *zip(labels[:-1].ravel(), labels[1:].ravel(), strict=True),
        *zip(labels[:, :-1].ravel(), labels[:, 1:].ravel(), strict=True),
    ]:
        if a and b and a != b:
            key = (min(int(a), int(b)), max(int(a), int(b)))
            slow[key] = slow.get(key, 0) + 1
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert dict(zip(pairs, found.length.tolist(), strict=True)) == slow


def test_fragments_of_a_disc_are_joined_but_not_two_discs() -> None:
    y, x = np.indices((300, 340))
    disc = discs(((100, 100, 45),)) > 0
    quarters = np.where(disc, 1 + (y > 100) + 2 * (x > 110), 0).astype(np.int32)
    two = discs(PAIR)

    assert np.unique(merge_touching(quarters, 0.93, 0.2)).tolist() == [0, 1]
    np.testing.assert_array_equal(merge_touching(two, 0.93, 0.05), two)
    assert len(np.unique(merge_touching(quarters, 0.93, 0.2, max_area=4000))) == 3


def test_images_without_objects() -> None:
    for shape in ((0, 3), (1, 1), (4, 4)):
        none = np.zeros(shape, np.int32)
        nobody = np.zeros(0, bool)
        assert not cut_in_two(none, nobody)[0].any()
        assert not cut_between_hollows(none, none, nobody, 1)[0].any()
        assert not trim(none, nobody).any()
        assert not merge_touching(none, 0.9, 0.1).any()
