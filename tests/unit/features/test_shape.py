"""Sizes and shapes against scikit-image's and CellProfiler's values, and under moves and turns."""

from __future__ import annotations

from itertools import combinations

import mahotas
import numpy as np
import pytest
import skimage.measure

from gpu_workers.imaging.features.shape import ShapeChoice, shape_features
from gpu_workers.imaging.features.shape_descriptions import DESCRIPTIONS
from gpu_workers.imaging.features.topology import outline_pixels
from gpu_workers.imaging.features.zernike import DESCRIPTIONS as ZERNIKE
from gpu_workers.imaging.features.zernike import (
    legacy_zernike_moments,
    zernike_indices,
    zernike_moments,
)
from gpu_workers.imaging.labels import expand_labels, label
from gpu_workers.imaging.regions import region_geometry
from tests.unit.features.peers import assert_equal, peer_images, peer_values
from tests.unit.imaging.images import blobs

ALL = ShapeChoice(box=True, moments=True, zernike_degree=9)
TURNED = {
    # what a quarter turn against the clock swaps: y' = width - 1 - x, x' = y
    "Inertia-Tensor-0-0": "Inertia-Tensor-1-1",
    "Inertia-Tensor-1-1": "Inertia-Tensor-0-0",
}
PLACES = ("Local_Centroid", "Bounding_Box")


def features(labels: np.ndarray) -> dict[str, np.ndarray]:
    found = shape_features(labels, ALL)
    return {f"Morphology_{name}": values for name, values in found.items()}


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return expand_labels(label(blobs((150, 200), seed=5)), 2)


@pytest.mark.data
def test_values_of_peers() -> None:
    compared: set[str] = set()
    for image, (_, drawn) in peer_images().items():
        ours = features(drawn)
        # a horizontal axis is at pi/2 or -pi/2: which of them is a matter of rounding
        expected = peer_values("scikit-image")[image]["orientation"]
        turn = np.round((ours.pop("Morphology_Orientation") - expected) / np.pi, 7)
        assert set(np.abs(turn)) <= {0.0, 1.0}
        area = ours["Morphology_Area"]
        scales = {
            f"Morphology_Central-Moment-{p}-{q}": area ** ((p + q) / 2 + 1)
            for p in range(4)
            for q in range(4)
        }
        compared |= set(assert_equal(ours, DESCRIPTIONS, image, scales))
    # scikit-image's 28 but the orientation and intensities; cp_measure's 80 of sizeshape and feret but
    # the orientation (in degrees), an entry of the symmetric tensor and three moments that are NaN
    assert len([c for c in compared if c.startswith("scikit-image")]) == 24
    assert len([c for c in compared if c.startswith("cp_measure")]) == 75


@pytest.mark.data
def test_zernike_moments_are_those_of_cellprofiler() -> None:
    compared: set[str] = set()
    for image, (_, drawn) in peer_images().items():
        found = shape_features(drawn, ALL)
        ours = {f"Morphology_{name}": v for name, v in found.items() if name.startswith("Zernike")}
        compared |= set(assert_equal(ours, ZERNIKE, image))
    assert len(compared) == 30


def test_zernike_moments_are_those_of_the_definition(labels: np.ndarray) -> None:
    ours = zernike_moments(labels, region_geometry(labels))

    for k in range(0, int(labels.max()), 3):
        y, x = np.nonzero(labels == k + 1)
        cy, cx, radius = smallest_circle(y, x)
        v, u = (y - cy) / radius, (x - cx) / radius
        expected = direct(v, u, radius)
        # rounding decides whether pixels on the circle count: each weighs at most 1 / (pi R²)
        rim = (np.abs(u * u + v * v - 1) < 1e-9).sum()
        np.testing.assert_allclose(ours[k], expected, atol=1.001 * rim / (np.pi * radius**2))
        inner = np.abs(u * u + v * v - 1) > 1e-9
        lost = [np.abs(ours[k] - direct(v[keep], u[keep], radius)).max()
                for keep in subsets(inner)]  # fmt: skip
        assert min(lost) < 1e-12


def smallest_circle(y: np.ndarray, x: np.ndarray) -> tuple[float, float, float]:
    """Return centre and radius of the smallest circle round points, among all of two and three."""
    from scipy.spatial import ConvexHull

    points = np.stack([y, x], axis=1).astype(float)
    corners = points[ConvexHull(points).vertices]
    best = (0.0, 0.0, np.inf)
    for size in (2, 3):
        for chosen in map(list, combinations(range(len(corners)), size)):
            a = corners[chosen]
            # the centre has the same distance to all: linear in the centre; least norm for two
            centre = (
                a[0]
                + np.linalg.lstsq(2 * (a[1:] - a[0]), ((a[1:] - a[0]) ** 2).sum(1), rcond=None)[0]
            )
            radius = np.linalg.norm(a[0] - centre)
            if (
                radius < best[2]
                and (np.linalg.norm(corners - centre, axis=1) < radius + 1e-9).all()
            ):
                best = (*centre, radius)
    return best


def subsets(inner: np.ndarray) -> list[np.ndarray]:
    """Return masks with every choice of the pixels that aren't inner ones."""
    rim = np.flatnonzero(~inner)
    masks = []
    for size in range(len(rim) + 1):
        for chosen in map(list, combinations(rim, size)):
            mask = inner.copy()
            mask[chosen] = True
            masks.append(mask)
    return masks


def direct(y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """Return |sum V_nm| / (pi R²) from the definition, by polar coordinates."""
    from math import factorial

    r, angle = np.hypot(y, x), np.arctan2(x, y)
    values = []
    for n, m in zernike_indices(9):
        radial = sum(
            (-1) ** k * factorial(n - k) * r ** (n - 2 * k)
            / (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
            for k in range((n - m) // 2 + 1)
        )  # fmt: skip
        values.append(abs((radial * np.exp(1j * m * angle)).sum()) / (np.pi * radius**2))
    return np.array(values)


def test_legacy_numbers_are_those_of_mahotas_on_a_stretched_mask(labels: np.ndarray) -> None:
    geometry = region_geometry(labels)

    ours = legacy_zernike_moments(labels, geometry)
    edges = outline_pixels(labels)

    for k in range(0, int(labels.max()), 4):
        y0, x0, y1, x1 = geometry.box[k]
        mask = np.pad(labels[y0:y1, x0:x1] == k + 1, 1)
        stretched = mahotas.imresize(mask, [200, 200])
        expected = mahotas.features.zernike_moments(stretched, radius=100, degree=12)
        np.testing.assert_allclose(ours[k], expected, rtol=1e-8, atol=1e-12)
        assert edges[k] == mahotas.bwperim(mask).sum()


def test_shapes_of_random_objects_are_those_of_scikit_image(labels: np.ndarray) -> None:
    names = {
        "area_filled": "Area_Filled", "euler_number": "Euler_Number", "area_bbox": "Area_Bounding_Box",
        "perimeter_crofton": "Perimeter_Crofton", "feret_diameter_max": "Maximum_Feret_Diameter",
        "orientation": "Orientation", "solidity": "Convexity",
    }  # fmt: skip
    expected = skimage.measure.regionprops_table(labels, properties=("label", *names))

    ours = features(labels)

    rows = expected["label"] - 1
    for theirs, name in names.items():
        values = ours[f"Morphology_{name}"][rows]
        # sums in another order
        np.testing.assert_allclose(values, expected[theirs], rtol=1e-9, atol=1e-9, err_msg=name)
    assert (ours["Morphology_Area_Filled"] > ours["Morphology_Area"]).any()
    assert (ours["Morphology_Euler_Number"] != 1).any()


def rounded(found: dict[str, np.ndarray], name: str) -> np.ndarray | float:
    """Return what rounding may change: up to four pixels on the circle of Zernike moments."""
    if not name.startswith("Zernike"):
        return 0.0
    return 4 / (np.pi * (found["Maximum_Feret_Diameter_Centers"] / 2) ** 2)


def turned(name: str) -> str:
    """Return the feature of the turned image that has the value of this one."""
    if "-Moment-" in name and not name.startswith("Hu"):
        family, p, q = name.rsplit("-", 2)
        return f"{family}-{q}-{p}"
    return TURNED.get(name, name)


def test_a_quarter_turn_swaps_axes_and_changes_no_shape(labels: np.ndarray) -> None:
    before, after = shape_features(labels, ALL), shape_features(np.rot90(labels).copy(), ALL)

    width = labels.shape[1]
    np.testing.assert_allclose(after["Local_Centroid_y"], width - 1 - before["Local_Centroid_x"])
    np.testing.assert_array_equal(
        after["Bounding_Box_Minimum_y"], width - before["Bounding_Box_Maximum_x"]
    )
    turns = (after["Orientation"] - before["Orientation"]) / (np.pi / 2)
    has_direction = before["Eccentricity"] > 0
    np.testing.assert_allclose(np.abs(turns[has_direction]), 1, atol=1e-9)
    for name, values in before.items():
        if name.startswith((*PLACES, "Orientation", "Spatial")) or name == "Inertia-Tensor-0-1":
            continue
        other = after[turned(name)]
        # odd powers of the mirrored coordinate change their sign
        sign = -1 if "-Moment-" in name and not name.startswith("Hu") and int(name[-1]) % 2 else 1
        scale = np.nanmax(np.abs(values)) if values.size else 1
        tolerance = np.maximum(1e-9 * np.abs(values), 1e-11 * scale) + rounded(before, name)
        assert (np.isnan(values) | (np.abs(other - sign * values) <= tolerance)).all(), name


def test_moves_and_numbers_change_places_and_rows_only(labels: np.ndarray) -> None:
    n = int(labels.max())
    order = np.random.default_rng(0).permutation(n) + 1
    table = np.zeros(n + 1, np.int32)
    table[1:] = 3 * order
    moved = np.pad(table[labels], ((1017, 0), (2003, 11)))
    inside = np.pad(labels, 1)

    before, after = shape_features(inside, ALL), shape_features(moved[1016:, 2002:], ALL)
    far = shape_features(moved, ALL)

    for name, values in before.items():
        rows = 3 * order - 1
        scale = np.nanmax(np.abs(values))
        # sums of other rows of a table may be taken in another order
        np.testing.assert_allclose(
            after[name][rows], values, rtol=1e-12, atol=1e-12 * scale, err_msg=name
        )
        if name.startswith(PLACES):
            shift = 1016 if name.endswith("y") else 2002
            np.testing.assert_allclose(far[name][rows], values + shift, rtol=1e-12)
        else:
            difference = np.abs(far[name][rows] - values)
            # coordinates of thousands cost digits of centroids
            tolerance = np.maximum(1e-9 * np.abs(values), 1e-11 * scale) + rounded(before, name)
            assert (np.isnan(values) | (difference <= tolerance)).all(), name
    gaps = np.setdiff1d(np.arange(3 * n), 3 * order - 1)
    assert (after["Area"][gaps] == 0).all()
    assert np.isnan(after["Zernike-2-0"][gaps]).all()
    assert np.isnan(after["Euler_Number"][gaps]).all()


def test_single_pixels_lines_and_nothing() -> None:
    found = shape_features(np.array([[1, 0, 2, 2], [0, 0, 0, 0]], np.int32), ALL)

    assert found["Maximum_Feret_Diameter"].tolist() == [1, 2]
    assert found["Minimum_Feret_Diameter"] == pytest.approx([np.sqrt(0.5), 1])
    assert found["Maximum_Feret_Diameter_Centers"].tolist() == [0, 1]
    assert found["Minimum_Feret_Diameter_Centers"].tolist() == [0, 0]
    assert found["Eccentricity"].tolist() == [0, 1]
    assert np.isnan(found["Zernike-0-0"][0])
    assert found["Zernike-0-0"][1] == pytest.approx(2 / (np.pi * 0.25))
    legacy = ShapeChoice(zernike_degree=12, is_legacy=True)
    for shape in ((0, 0), (3, 0), (4, 5)):
        for choice in (ALL, legacy):
            nothing = shape_features(np.zeros(shape, np.int32), choice)
            assert all(values.shape == (0,) for values in nothing.values())


def test_more_labels_than_16_bits_hold() -> None:
    labels = np.zeros((600, 600), np.int32)
    labels[::2, ::2] = np.arange(1, 90_001).reshape(300, 300)

    found = shape_features(labels, ALL)

    assert found["Area"].size == 90_000
    assert (found["Area"] == 1).all()
    assert (found["Euler_Number"] == 1).all()
    assert found["Local_Centroid_y"][70_000] == 2 * (70_000 // 300)
