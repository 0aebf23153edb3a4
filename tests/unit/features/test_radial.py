"""Radial distributions and Zernike moments of intensities against closed forms and written-out sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from gpu_workers.imaging.features.chrystal import chrystal_circles
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.features.radial import object_rings, radial_distribution
from gpu_workers.imaging.features.radial_zernike import radial_zernike
from tests.unit.features.fields import crops, smooth, touching


def ways(mask: np.ndarray, centre: int) -> np.ndarray:
    """Return for each pixel the length of the shortest way to a pixel, over 8 neighbours."""
    number = np.full(np.add(mask.shape, 2), -1)
    number[1:-1, 1:-1][mask] = np.arange(mask.sum())
    parts = []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = np.roll(number, (-dy, -dx), (0, 1))
        both = (number >= 0) & (other >= 0)
        parts.append((number[both], other[both], np.full(both.sum(), np.hypot(dy, dx))))
    first, second, length = map(np.concatenate, zip(*parts, strict=True))
    graph = coo_array((length, (first, second)), (mask.sum(), mask.sum())).tocsr()
    return np.asarray(dijkstra(graph, directed=False, indices=centre))


def rings_of(mask: np.ndarray, image: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return fractions of intensity and of pixels in each ring."""
    edge = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask]
    way = ways(mask, int(np.argmax(edge)))
    ring = (way / (way + edge + 0.001) * n_bins)[np.isfinite(way)].astype(int)
    values = image[mask][np.isfinite(way)].astype(float)
    intensity = np.bincount(ring, values, n_bins) / values.sum()
    return intensity, np.bincount(ring, minlength=n_bins) / ring.size


def inside(labels: np.ndarray) -> np.ndarray:
    """Return labels without the objects at the image's edge, which is no edge of theirs."""
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.where(np.isin(labels, edge), 0, labels)


def test_rings_are_ways_through_the_object() -> None:
    labels, image = inside(touching()), smooth()

    found = radial_distribution(labels, image, object_rings(labels, 5))

    for row, mask, crop in crops(labels, image):
        intensity, pixels = rings_of(mask, crop, 5)
        own = np.array([found[f"FracAtD-{i}of5"][row] for i in range(1, 6)])
        mean = np.array([found[f"MeanFrac-{i}of5"][row] for i in range(1, 6)])
        np.testing.assert_allclose(own, intensity, rtol=1e-9)
        np.testing.assert_allclose(mean, intensity / (pixels + np.finfo(float).eps), rtol=1e-9)


def test_a_flat_disc_is_even() -> None:
    y, x = np.indices((61, 61)) - 30
    disc = (y**2 + x**2 <= 25**2).astype(np.int32)

    found = radial_distribution(disc, disc * 9)

    np.testing.assert_allclose([found[f"MeanFrac-{i}of4"][0] for i in range(1, 5)], 1, rtol=1e-12)
    np.testing.assert_allclose([found[f"RadialCV-{i}of4"][0] for i in range(1, 5)], 0, atol=1e-12)
    # a ring's share of a disc goes with the difference of squares; ways over 8 neighbours are longer
    shares = [found[f"FracAtD-{i}of4"][0] for i in range(1, 5)]
    np.testing.assert_allclose(shares, np.array([1, 3, 5, 7]) / 16, atol=0.05)


def test_wedges_tell_one_bright_half() -> None:
    y, x = np.indices((61, 61)) - 30
    disc = (y**2 + x**2 <= 25**2).astype(np.int32)
    half = np.where(x > 0, 3.0, 1.0)

    found = radial_distribution(disc, half)

    # of eight wedges four have a mean of 3 and four of 1: std 1, mean 2
    np.testing.assert_allclose(found["RadialCV-4of4"], [0.5], rtol=1e-12)


def test_rings_of_equal_width_have_an_overflow() -> None:
    y, x = np.indices((61, 61)) - 30
    disc = (y**2 + x**2 <= 25**2).astype(np.int32)

    found = radial_distribution(disc, disc, object_rings(disc, 2, maximum_radius=12))

    # a way of at most 12 leads to (y, x) if the longer step plus (sqrt 2 - 1) of the shorter is
    longer, shorter = np.maximum(abs(y), abs(x)), np.minimum(abs(y), abs(x))
    way = longer + (np.sqrt(2) - 1) * shorter
    shares = [((way >= a) & (way < b) & (disc > 0)).sum() for a, b in ((0, 6), (6, 12), (12, 99))]
    own = [found[f"FracAtD-{name}"][0] for name in ("1of2", "2of2", "overflow")]
    np.testing.assert_allclose(own, np.array(shares) / disc.sum(), rtol=1e-12)


def test_dark_missing_and_single_pixels() -> None:
    labels = np.zeros((10, 30), np.int32)
    labels[2:7, 2:7], labels[2:7, 10:15], labels[4, 20] = 1, 3, 4
    image = np.full(labels.shape, 7.0)
    image[labels == 3] = 0

    found = radial_distribution(labels, image)
    moments = radial_zernike(labels, image)

    np.testing.assert_array_equal(np.isnan(found["FracAtD-1of4"]), [False, True, True, False])
    np.testing.assert_array_equal(found["RadialCV-1of4"], [0, np.nan, 0, 0])
    assert found["FracAtD-1of4"][3] == 1
    np.testing.assert_array_equal(np.isnan(moments["ZernikeMagnitude-0-0"]), [0, 1, 0, 0])


def test_the_circle_holds_all_pixels_and_touches_two() -> None:
    labels = touching()

    circles = chrystal_circles(object_pixels(labels), labels.shape[1])

    for row in range(len(circles)):
        y, x = np.nonzero(labels == row + 1)
        if not y.size:
            assert np.isnan(circles[row]).all()
            continue
        away = np.hypot(y - circles[row, 0], x - circles[row, 1])
        np.testing.assert_allclose(away.max(), circles[row, 2], rtol=1e-12)
        # no smaller one does: the pixels on it don't all lie in less than half of it
        on = away > circles[row, 2] * (1 - 1e-9)
        angle = np.sort(np.arctan2(y[on] - circles[row, 0], x[on] - circles[row, 1]))
        gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
        assert gaps.max() <= np.pi + 1e-9


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 1), (2, 2), (4, 0)])
def test_zernike_moments_by_their_definition(n: int, m: int) -> None:
    labels, image = touching(), smooth()
    circles = chrystal_circles(object_pixels(labels), labels.shape[1])
    radial = {
        (0, 0): lambda r: np.ones_like(r),
        (1, 1): lambda r: r,
        (2, 2): lambda r: r**2,
        (4, 0): lambda r: 6 * r**4 - 6 * r**2 + 1,
    }[n, m]

    found = radial_zernike(labels, image, 4)

    for row in np.flatnonzero(circles[:, 2] > 0):
        y, x = np.nonzero(labels == row + 1)
        v, u = (y - circles[row, 0]) / circles[row, 2], (x - circles[row, 1]) / circles[row, 2]
        is_in = u * u + v * v <= 1
        wave = radial(np.hypot(v, u)) * np.exp(1j * m * np.arctan2(u, v))
        total = (image[y, x] * wave)[is_in].sum()
        own = found[f"ZernikeMagnitude-{n}-{m}"][row]
        np.testing.assert_allclose(own, abs(total) / y.size, rtol=1e-9, atol=1e-9)
        phase = found[f"ZernikePhase-{n}-{m}"][row]
        np.testing.assert_allclose(
            own * np.exp(1j * phase), (total.imag + 1j * total.real) / y.size, rtol=1e-9, atol=1e-9
        )
