"""Outlines: filled again, they give the labels; holes belong to their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpu_workers.imaging.labels import label
from gpu_workers.imaging.outlines import Outlines, trace_outlines
from tests.unit.imaging.images import blobs, hand_drawn


def filled(outlines: Outlines, shape: tuple[int, int]) -> np.ndarray:
    """Fill outlines by parity of the vertical sides left of each pixel (even-odd rule)."""
    labels = np.zeros(shape, np.int32)
    for i, number in enumerate(outlines.labels):
        crossings = np.zeros((shape[0], shape[1] + 1), int)
        for j in range(outlines.rings[i], outlines.rings[i + 1]):
            y = outlines.y[outlines.points[j] : outlines.points[j + 1]]
            x = outlines.x[outlines.points[j] : outlines.points[j + 1]]
            for a, b, c, d in zip(y, np.roll(y, -1), x, np.roll(x, -1), strict=True):
                if c == d:
                    crossings[min(a, b) : max(a, b), c] += 1
        labels[(np.cumsum(crossings, axis=1)[:, :-1] % 2).astype(bool)] = number
    return labels


def areas(outlines: Outlines) -> np.ndarray:
    if not outlines.labels.size:
        return np.zeros(0, int)
    return np.add.reduceat(outlines.ring_areas(), outlines.rings[:-1])


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))
)
def test_filling_gives_the_labels_back(labels: np.ndarray) -> None:
    outlines = trace_outlines(labels)

    np.testing.assert_array_equal(filled(outlines, labels.shape), labels)
    np.testing.assert_array_equal(areas(outlines), np.bincount(labels.ravel())[outlines.labels])


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_areas_are_exact(sigma: float) -> None:
    labels = label(blobs((500, 600), sigma))

    outlines = trace_outlines(labels)

    np.testing.assert_array_equal(outlines.labels, np.arange(1, labels.max() + 1))
    np.testing.assert_array_equal(areas(outlines), np.bincount(labels.ravel())[1:])


@pytest.mark.data
def test_areas_of_hand_drawn_nuclei() -> None:
    for _, labels in hand_drawn(6):
        outlines = trace_outlines(labels)
        np.testing.assert_array_equal(areas(outlines), np.bincount(labels.ravel())[1:])


def test_holes_follow_the_part_they_lie_in() -> None:
    # a ring around a ring, and a ring beside: one label, three parts, three holes
    labels = np.zeros((11, 20), np.int32)
    labels[0:11, 0:11] = 1
    labels[1:10, 1:10] = 0
    labels[3:8, 3:8] = 1
    labels[4:7, 4:7] = 0
    labels[2:7, 13:18] = 1
    labels[3:6, 14:17] = 0

    found = trace_outlines(labels).ring_areas()

    assert found.tolist() == [121, -81, 25, -9, 25, -9]


def test_corners_touching_are_one_part() -> None:
    outlines = trace_outlines(np.array([[1, 0], [0, 1]], np.int32))

    assert outlines.ring_areas().tolist() == [2]


def test_only_corners_are_kept() -> None:
    outlines = trace_outlines(np.full((40, 50), 7, np.int32))

    assert sorted(zip(outlines.y.tolist(), outlines.x.tolist(), strict=True)) == [
        (0, 0), (0, 50), (40, 0), (40, 50)
    ]  # fmt: skip


def test_no_objects() -> None:
    outlines = trace_outlines(np.zeros((3, 3), np.int32))

    assert (outlines.labels.size, outlines.rings.tolist(), outlines.y.size) == (0, [0], 0)
