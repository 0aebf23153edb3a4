"""Neighbours, density and point patterns against counts pixel by pixel and point by point."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from gpu_workers.imaging.features.neighbours import (
    border_distances,
    closest,
    density,
    edge_distances,
    touching,
)
from gpu_workers.imaging.features.points import NAMES, point_pattern
from gpu_workers.imaging.labels import expand_labels, label
from gpu_workers.imaging.regions import region_geometry
from tests.unit.imaging.images import blobs


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return expand_labels(label(blobs((120, 150), sigma=3, seed=7)), 3) * 2


@pytest.mark.parametrize(("near", "beside"), [(3, 3), (1, 1), (7.5, 2), (0, 6)])
def test_neighbours_are_objects_with_a_pixel_in_reach(
    labels: np.ndarray, near: float, beside: float
) -> None:
    found = touching(labels, near, beside)

    assert np.isnan(found.count[::2]).all()
    for number in range(2, int(labels.max()) + 1, 6):
        own = labels == number
        away = ndimage.distance_transform_edt(~own)
        others = np.unique(labels[(away <= near) & ~own & (labels > 0)])
        assert found.count[number - 1] == others.size
        edge = own & ~ndimage.binary_erosion(own)
        elsewhere = ndimage.distance_transform_edt(own | (labels == 0))
        assert found.fraction[number - 1] == pytest.approx((elsewhere[edge] <= beside).mean())


def centroids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    present = np.unique(labels[labels > 0])
    return present, np.array(ndimage.center_of_mass(labels > 0, labels, present))


def test_the_nearest_are_those_of_all_distances(labels: np.ndarray) -> None:
    present, points = centroids(labels)
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)

    found = closest(region_geometry(labels), 4)

    order = np.argsort(distances, axis=1)
    for k in range(4):
        np.testing.assert_array_equal(found.label[k, present - 1], present[order[:, k]])
        np.testing.assert_allclose(found.distance[k, present - 1], np.sort(distances, 1)[:, k])
    one, two = points[order[:, 0]] - points, points[order[:, 1]] - points
    turn = np.arctan2(one[:, 0], one[:, 1]) - np.arctan2(two[:, 0], two[:, 1])
    expected = np.degrees(np.abs((turn + np.pi) % (2 * np.pi) - np.pi))
    # arccos near 0 and 180 degrees has half the digits
    np.testing.assert_allclose(found.angle[present - 1], expected, atol=1e-5)


def test_equally_near_ones_go_by_their_label() -> None:
    labels = np.zeros((7, 7), np.int32)
    labels[1::2, 1::2] = [[9, 5, 8], [4, 1, 6], [2, 7, 3]]

    found = closest(region_geometry(labels))

    assert (found.label[0, 0], found.label[1, 0]) == (4, 5)
    assert (found.label[0, 8], found.label[1, 8]) == (4, 5)


def test_density_adds_up_all_points(labels: np.ndarray) -> None:
    present, points = centroids(labels)
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)

    found = density(region_geometry(labels), 30, 12)

    np.testing.assert_array_equal(found.count[present - 1], (distances <= 30).sum(1))
    kernel = np.where(distances <= 60, np.exp(-(distances**2) / 288) / (288 * np.pi), 0).sum(1)
    np.testing.assert_allclose(found.kernel[present - 1], kernel, rtol=1e-12)
    assert np.isnan(found.kernel[::2]).all()


def test_borders_and_edges_of_colonies() -> None:
    labels = np.zeros((41, 61), np.int32)
    labels[10:31:4, 10:31:4] = np.arange(1, 37).reshape(6, 6)

    geometry = region_geometry(labels)
    found = edge_distances(labels, geometry, 3)

    # the corner's nearest free pixel lies 3 steps up and 1 beside, a middle one's outside the grid
    assert found[0] == pytest.approx(np.hypot(3, 1), rel=1e-6)
    assert found[14] > found[7] > found[0]
    np.testing.assert_array_equal(border_distances(geometry, (41, 61))[:3], [10.5, 10.5, 10.5])
    assert np.isnan(edge_distances(labels, geometry, 90)).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_objects(n: int) -> None:
    labels = np.zeros((5, 9), np.int32)
    labels[2, 1 : 1 + 3 * n : 3] = np.arange(n) + 1

    geometry = region_geometry(labels)
    found = closest(geometry)

    assert found.label.shape == (2, n)
    assert np.isnan(found.label[1]).all()
    assert np.isnan(found.angle).all()
    assert touching(labels, 3, 3).count.tolist() == [float(n - 1)] * n
    assert density(geometry, 5, 5).count.tolist() == [float(n - 1)] * n
    assert edge_distances(labels, geometry, 1).shape == (n,)
    assert point_pattern(labels, labels)[NAMES[0]].tolist() == [1.0] * n
    assert touching(labels[:0], 3, 3).count.size == 0


def test_points_in_cells_against_all_distances() -> None:
    cells = label(blobs((120, 150), sigma=9, seed=3)) * 3
    spots = np.zeros_like(cells)
    spots[4::9, 3::7] = np.arange(1, spots[4::9, 3::7].size + 1).reshape(spots[4::9, 3::7].shape)
    spots = expand_labels(spots, 1)

    found = point_pattern(spots, cells)

    present, points = centroids(spots)
    at = np.rint(points).astype(int)
    depth = ndimage.distance_transform_edt(np.pad(cells, 1))[1:-1, 1:-1]
    owner = np.array([np.bincount(own[own > 0]).argmax() if (own := cells[spots == s]).any() else 0
                      for s in present])  # fmt: skip
    n_compared = 0
    for k, number in enumerate(present):
        middle = cells[tuple(at[k])]
        if owner[k] == 0 or middle != owner[k]:
            continue
        others = points[(owner == owner[k]) & (present != number)]
        away = np.hypot(*(others - points[k]).T)
        area = (cells == owner[k]).sum()
        border = depth[tuple(at[k])]
        expected = [border, border / area]
        if away.size:
            for value in (away.min(), away.mean(), away.std()):
                expected += [value, value / area]
        else:
            expected += [np.nan] * 6
        ours = [found[name][number - 1] for name in NAMES]
        # distances are kept in single precision
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
        n_compared += 1
    assert n_compared > 50


def test_more_labels_than_16_bits_hold() -> None:
    labels = np.zeros((600, 600), np.int32)
    labels[::2, ::2] = np.arange(1, 90_001).reshape(300, 300)
    geometry = region_geometry(labels)

    near, nearest = touching(labels, 2, 1), closest(geometry)

    inner = labels[100, 100] - 1
    assert (near.count[inner], near.fraction[inner]) == (4, 0)
    assert (nearest.distance[:, inner] == 2).all()
    assert nearest.label[0, inner] == labels[98, 100]
    crowd = density(geometry, 2, 1)
    assert crowd.count[inner] == 4
    cells = np.ones_like(labels) * 70_000
    assert point_pattern(labels[:40], cells[:40])[NAMES[2]][100] == 2
