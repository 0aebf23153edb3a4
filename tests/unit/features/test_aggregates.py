"""Children and parents, against a plain count over the pixels of each child."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.imaging.features.aggregates import aggregate, parents_of
from gpu_workers.imaging.labels import expand_labels, label
from tests.unit.imaging.images import blobs


def expected_parents(children: np.ndarray, parents: np.ndarray) -> list[int]:
    found = []
    for child in range(1, int(children.max()) + 1):
        covered = np.bincount(parents[children == child], minlength=2)
        covered[0] = 0
        found.append(int(covered.argmax()) if covered.any() else 0)
    return found


@pytest.mark.parametrize("gap", [1, 3])
def test_the_parent_covers_most_pixels(gap: int) -> None:
    parents = expand_labels(label(blobs(sigma=9)), 4) * gap
    children = label(blobs(sigma=3, seed=2)) * gap

    found = parents_of(children, parents)

    assert (np.unique(found) > 0).sum() > 4
    assert found.tolist() == expected_parents(children, parents)


def test_equal_parts_go_to_the_lower_label() -> None:
    children = np.array([[1, 1, 1, 1, 2, 2]], np.int32)
    parents = np.array([[9, 5, 5, 9, 0, 0]], np.int32)

    assert parents_of(children, parents).tolist() == [5, 0]
    assert parents_of(children[:, ::-1], parents[:, ::-1]).tolist() == [5, 0]


def test_parents_in_three_dimensions_and_none() -> None:
    children = np.zeros((3, 4, 5), np.int32)
    children[1:, 1, 1] = 70_000
    parents = np.full_like(children, 2)
    parents[1:, 1, 1] = 80_000

    found = parents_of(children, parents)

    assert (found.size, found[-1], found[:-1].any()) == (70_000, 80_000, False)
    assert parents_of(np.zeros((3, 0), np.int32), np.zeros((3, 0), np.int32)).size == 0
    with pytest.raises(ValueError, match="children of"):
        parents_of(children, children[0])


def test_statistics_of_children() -> None:
    rng = np.random.default_rng(0)
    parents = rng.integers(0, 6, 200).astype(np.int32)
    values = rng.normal(1e6, 1, 200)
    values[rng.random(200) < 0.2] = np.nan
    values[parents == 3] = np.nan

    found = aggregate(values, parents, 7)

    for parent in (1, 2, 4, 5):
        own = values[parents == parent]
        # sums in another order differ in the last digits
        assert found.mean[parent - 1] == pytest.approx(np.nanmean(own), rel=1e-14)
        assert found.sum[parent - 1] == pytest.approx(np.nansum(own), rel=1e-14)
        assert found.std[parent - 1] == pytest.approx(np.nanstd(own), rel=1e-7)
    assert np.isnan([found.mean[2], found.std[2], found.sum[2]]).all()
    assert np.isnan([found.mean[6], found.std[6]]).all()
    assert found.sum[6] == 0
