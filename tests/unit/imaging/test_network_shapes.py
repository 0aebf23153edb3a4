"""Polygons and flows against scikit-image and a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon

from gpu_workers.imaging.flows import objects_of_flows
from gpu_workers.imaging.stardist_shapes import star_convex_objects

RAYS = 32


def stars(seed: int, shape: tuple[int, int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and distances of n wobbly stars at random places."""
    rng = np.random.default_rng(seed)
    probability = np.zeros(shape, np.float32)
    places = rng.choice(shape[0] * shape[1], n, replace=False)
    probability.ravel()[places] = rng.permutation(np.linspace(0.5, 0.99, n)).astype(np.float32)
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    radius = rng.uniform(4, 14, shape) * np.ones((RAYS, 1, 1))
    wobble = 1 + 0.3 * np.cos(3 * angles[:, None, None] + rng.uniform(0, 6, shape))
    return probability, (radius * wobble).astype(np.float32)


def slow_stars(
    probability: np.ndarray, distances: np.ndarray, most: float
) -> tuple[np.ndarray, int]:
    """Return painted stars by scikit-image's polygons, one after the other."""
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    labels = np.zeros(probability.shape, int)
    count, sizes = 0, [0]
    for flat in np.argsort(-probability.ravel(), kind="stable"):
        y, x = divmod(int(flat), probability.shape[1])
        if probability[y, x] <= 0.4:
            break
        ray = distances[:, y, x]
        rows, columns = polygon(y + ray * np.sin(angles), x + ray * np.cos(angles), labels.shape)
        shared = np.bincount(labels[rows, columns], minlength=count + 1)
        overlap = [shared[k] / min(rows.size, sizes[k]) for k in range(1, count + 1)]
        if max(overlap, default=0) > most:
            continue
        count += 1
        sizes.append(rows.size)
        free = labels[rows, columns] == 0
        labels[rows[free], columns[free]] = count
    return labels, count


@pytest.mark.parametrize("seed", range(4))
def test_stars_are_chosen_and_painted_as_by_polygons_of_scikit_image(seed: int) -> None:
    probability, distances = stars(seed, (150, 170), 60)

    found = star_convex_objects(probability, distances, (150, 170), 0.4, 0.3)

    expected, count = slow_stars(probability, distances, 0.3)
    assert found.max() == count
    # pixels whose centre lies on an edge may go either way
    assert ((found > 0) != (expected > 0)).mean() < 1e-3
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1, return_counts=True)
    large = pairs[0][:, pairs[1] > 20]
    assert len(np.unique(large[0])) == len(np.unique(large[1])) == large.shape[1]


def test_rays_go_right_first_and_then_down() -> None:
    probability = np.zeros((40, 40), np.float32)
    probability[20, 20] = 1
    distances = np.full((4, 40, 40), 3, np.float32)
    distances[0], distances[1] = 15, 9

    found = star_convex_objects(probability, distances, (40, 40))

    rows, columns = np.nonzero(found)
    assert (columns.max(), columns.min(), rows.max(), rows.min()) == (35, 17, 29, 17)


def test_a_grid_of_two_stands_for_every_other_pixel() -> None:
    probability = np.zeros((25, 30), np.float32)
    probability[10, 12] = 0.9

    found = star_convex_objects(probability, np.full((RAYS, 25, 30), 6.3, np.float32), (49, 60))

    y, x = np.indices((49, 60))
    expected = np.hypot(y - 20, x - 24) < 6.27  # of the circle that fits into the polygon
    np.testing.assert_array_equal(found > 0, expected)


def test_images_without_proposals() -> None:
    for shape in ((0, 4), (1, 1), (6, 7)):
        none = np.zeros(shape, np.float32)
        assert star_convex_objects(none, np.zeros((RAYS, *shape), np.float32), shape).shape == shape
        assert not objects_of_flows(none, none, none - 1).any()


def centred(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return flows of length 5 (less near the end) towards the centroid of each object."""
    y, x = np.indices(labels.shape).astype(float)
    flows = np.zeros((2, *labels.shape), np.float32)
    for k in np.unique(labels)[1:]:
        own = labels == k
        dy, dx = y[own].mean() - y, x[own].mean() - x
        length = np.maximum(np.hypot(dy, dx), 1)
        flows[:, own] = 5 * np.stack([dy / length, dx / length])[:, own]
    return flows[0], flows[1]


def test_flows_to_centres_give_the_objects_back() -> None:
    from skimage.segmentation import expand_labels

    rng = np.random.default_rng(0)
    seeds = np.zeros((200, 220), np.int32)
    for k, (y, x) in enumerate([(a, b) for a in range(15, 200, 22) for b in range(15, 215, 22)]):
        seeds[y + rng.integers(-3, 4), x + rng.integers(-3, 4)] = k + 1
    truth = expand_labels(seeds, 13)  # many touch
    dy, dx = centred(truth)

    found = objects_of_flows(dy, dx, np.where(truth > 0, 3.0, -3.0).astype(np.float32))

    assert found.max() == truth.max()
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1)
    assert pairs.shape[1] == truth.max() + 1


def test_small_groups_and_dark_pixels_are_left_out() -> None:
    truth = np.zeros((60, 60), np.int32)
    truth[10:30, 10:30] = 1
    truth[45:48, 45:49] = 2
    dy, dx = centred(truth)
    logit = np.where(truth > 0, 1.0, -1.0).astype(np.float32)

    assert objects_of_flows(dy, dx, logit).max() == 1
    assert objects_of_flows(dy, dx, logit, min_area=5).max() == 2
    assert objects_of_flows(dy, dx, logit, min_logit=2.0).max() == 0
