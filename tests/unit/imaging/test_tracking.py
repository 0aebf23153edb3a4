"""Tracks over synthetic movies whose tracks are known, and the assignment against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from gpu_workers.imaging.tracking import UNLINKED, Limits, Tracks, advance, match


def discs(places: dict[int, tuple[float, float]], radius: float = 5, n: int = 120) -> np.ndarray:
    """Return a label image of discs by label."""
    y, x = np.indices((n, n))
    labels = np.zeros((n, n), np.int32)
    for label, (a, b) in places.items():
        labels[(y - a) ** 2 + (x - b) ** 2 <= radius**2] = label
    return labels


def follow(movie: list[np.ndarray], limits: Limits) -> tuple[list[np.ndarray], list[Tracks]]:
    """Return tracked label images and tracks, remembering no more than a table and an image."""
    tracks, before, images, states = Tracks.none(movie[0].ndim), None, [], []
    for labels in movie:
        tracks, before = advance(Tracks.from_table(tracks.to_table()), before, labels, limits)
        images.append(before)
        states.append(tracks)
    return images, states


def number_at(image: np.ndarray, place: tuple[float, float]) -> int:
    return int(image[round(place[0]), round(place[1])])


@pytest.mark.parametrize("seed", range(5))
def test_assignment_equals_that_of_the_full_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_rows, n_columns = rng.integers(1, 40, 2)
    pairs = np.argwhere(rng.random((n_rows, n_columns)) < 0.2)
    cost = rng.random(len(pairs))

    found = match(pairs[:, 0], pairs[:, 1], cost, n_rows, n_columns)

    full = np.full((n_rows, n_columns + n_rows), 1e6)
    full[:, n_columns:][np.arange(n_rows), np.arange(n_rows)] = UNLINKED
    full[tuple(pairs.T)] = cost
    rows, columns = linear_sum_assignment(full)
    total = sum(full[i, j if j >= 0 else n_columns + i] for i, j in enumerate(found))
    assert total == pytest.approx(full[rows, columns].sum())
    assert len(set(found[found >= 0])) == (found >= 0).sum()


def test_crossing_objects_of_any_label_keep_their_tracks() -> None:
    rng = np.random.default_rng(0)
    lanes = np.arange(10, 110, 14)
    movie, truth = [], []
    for t in range(12):
        # neighbours drive against each other, faster than they are long on some steps
        places = [(float(y), 20 + 6.0 * t if k % 2 else 95 - 6.0 * t) for k, y in enumerate(lanes)]
        names = rng.permutation(np.arange(1, len(lanes) + 1)) * 3
        movie.append(discs(dict(zip(names.tolist(), places, strict=True))))
        truth.append(places)

    images, states = follow(movie, Limits(max_distance=12))

    first = [number_at(images[0], p) for p in truth[0]]
    assert sorted(first) == list(range(1, len(lanes) + 1))
    for image, places in zip(images, truth, strict=True):
        assert [number_at(image, p) for p in places] == first
    assert states[-1].highest == len(lanes)
    np.testing.assert_array_equal(states[-1].age, 11)
    np.testing.assert_allclose(np.abs(states[-1].move[:, 1]), 6, atol=0.01)
    np.testing.assert_allclose(states[-1].move[:, 0], 0, atol=0.01)


def test_a_division_ends_the_track_and_names_it_as_parent() -> None:
    movie = [discs({1: (60, 60), 2: (20, 20)}, 8)]
    for t in range(1, 4):
        daughters = discs({1: (60, 60 - 5 - 2 * t), 2: (60, 60 + 5 + 2 * t)}, 5)
        daughters[discs({3: (20, 20)}, 8) > 0] = 3
        movie.append(daughters)

    images, states = follow(movie, Limits(max_distance=15))
    _, single = follow(movie, Limits(max_distance=15, divisions=False))

    mother = number_at(images[0], (60, 60))
    for t in range(1, 4):
        pair = {number_at(images[t], (60, 55 - 2 * t)), number_at(images[t], (60, 65 + 2 * t))}
        assert pair == {3, 4}
        assert mother not in images[t]
        assert number_at(images[t], (20, 20)) == number_at(images[0], (20, 20))
    last = states[-1]
    np.testing.assert_array_equal(last.parent[np.isin(last.number, [3, 4])], mother)
    np.testing.assert_array_equal(last.age[np.isin(last.number, [3, 4])], 2)
    # the first move of a daughter is from where the mother was
    np.testing.assert_allclose(np.abs(states[1].move[states[1].parent > 0][:, 1]), 7, atol=0.01)
    assert set(single[-1].parent) == {0}
    assert single[-1].highest == 3


def test_a_newcomer_as_large_as_its_neighbour_is_no_daughter() -> None:
    movie = [discs({1: (60, 60)}), discs({1: (60, 60), 2: (60, 75)})]

    _, states = follow(movie, Limits(max_distance=20))

    np.testing.assert_array_equal(states[1].parent, 0)


@pytest.mark.parametrize(("missing", "same"), [(1, True), (2, True), (3, False)])
def test_an_object_that_was_lost_is_found_again_within_the_gap(missing: int, same: bool) -> None:
    here, gone = discs({4: (30, 30), 9: (90, 90)}), discs({7: (90, 90)})

    images, states = follow([here, *[gone] * missing, here], Limits(max_gap=2))

    assert (number_at(images[-1], (30, 30)) == number_at(images[0], (30, 30))) is same
    assert number_at(images[-1], (90, 90)) == number_at(images[0], (90, 90))
    assert states[-1].highest == (2 if same else 3)
    if same:
        assert set(states[-1].age) == {missing + 1}


def test_numbers_are_never_given_twice() -> None:
    empty, one = discs({}), discs({5: (60, 60)})

    images, states = follow([one, empty, empty, empty, one, empty, one], Limits(max_gap=0))

    assert [int(i.max()) for i in images] == [1, 0, 0, 0, 2, 0, 3]
    assert states[-1].highest == 3


def test_stacks_are_followed_too() -> None:
    def stack(z: int) -> np.ndarray:
        labels = np.zeros((8, 30, 30), np.int32)
        labels[z : z + 2, 10:15, 10:15] = 3
        labels[6:, 20:25, 20:25] = 1
        return labels

    images, states = follow([stack(0), stack(1), stack(2)], Limits(max_distance=4))

    assert states[-1].highest == 2
    assert images[0][0, 12, 12] == images[2][3, 12, 12]
    assert states[-1].move.shape == (2, 3)
    np.testing.assert_allclose(states[-1].move[:, 0].sum(), 1)


def test_many_objects_move_together() -> None:
    places = [(y, x) for y in range(8, 1190, 12) for x in range(8, 1190, 12)]
    y, x = np.indices((1200, 1200))
    grid = ((y - 8) // 12 * 100 + (x - 8) // 12 + 1).astype(np.int32)
    cell = (((y - 8) % 12 < 8) & ((x - 8) % 12 < 8) & (y >= 8) & (x >= 8)).astype(np.int32)
    first = grid * cell

    images, states = follow([first, np.roll(first, 3, axis=1)], Limits(max_distance=10))

    np.testing.assert_array_equal(np.roll(images[0], 3, axis=1), images[1])
    assert states[-1].highest >= len(places)
