"""Shortest ways against Dijkstra's algorithm in plain Python."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from gpu_workers.imaging.propagation import propagate


def dijkstra(
    image: np.ndarray, seeds: np.ndarray, mask: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(image, 1, mode="edge")
    labels, distances = np.zeros(image.shape, int), np.full(image.shape, np.inf)
    queue = []
    for y, x in np.argwhere((seeds > 0) & mask):
        labels[y, x], distances[y, x] = seeds[y, x], 0
        queue.append((0.0, len(queue), int(y), int(x)))
    age = len(queue)
    while queue:
        distance, _, y, x = heapq.heappop(queue)
        for q in range(max(0, y - 1), min(image.shape[0], y + 2)):
            for p in range(max(0, x - 1), min(image.shape[1], x + 2)):
                if not mask[q, p]:
                    continue
                around = padded[y : y + 3, x : x + 3], padded[q : q + 3, p : p + 3]
                step = np.abs(around[0] - around[1]).sum()
                way = distance + np.hypot(step, np.sqrt(abs(q - y) + abs(p - x)) * weight)
                if way < distances[q, p]:
                    distances[q, p], labels[q, p] = way, labels[y, x]
                    age += 1
                    heapq.heappush(queue, (way, age, q, p))
    return labels, distances


@pytest.mark.parametrize("weight", [0.0, 0.001, 0.05, 1.0, 20.0])
def test_ways_are_the_shortest(weight: float) -> None:
    rng = np.random.default_rng(5)
    image, mask = rng.random((30, 34)), rng.random((30, 34)) > 0.15
    seeds = np.zeros((30, 34), np.int32)
    seeds[rng.integers(30, size=9), rng.integers(34, size=9)] = rng.permutation(9) + 3

    labels, distances = propagate(image, seeds, mask, weight)

    expected, lengths = dijkstra(image, seeds, mask, weight)
    # lengths are sums of up to 100 steps in 32 bits
    np.testing.assert_allclose(distances, lengths, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(labels, expected)


def test_a_large_factor_shares_the_ground_evenly() -> None:
    seeds = np.zeros((5, 21), np.int32)
    seeds[2, 0], seeds[2, 20] = 1, 2
    image = np.zeros((5, 21), np.uint8)
    image[:, 15:] = 200

    labels, _ = propagate(image, seeds, np.ones((5, 21), bool), 1e5)

    assert (labels[2, :10] == 1).all()
    assert (labels[2, 11:] == 2).all()


def test_seeds_outside_the_mask_and_empty_images() -> None:
    seeds = np.array([[1, 0, 2]], np.int32)

    labels, distances = propagate(np.zeros((1, 3)), seeds, np.array([[True, True, False]]))

    assert labels.tolist() == [[1, 1, 0]]
    assert distances[0, 2] == np.inf
    assert (
        propagate(np.zeros((0, 4)), np.zeros((0, 4), np.int32), np.ones((0, 4), bool))[0].size == 0
    )
