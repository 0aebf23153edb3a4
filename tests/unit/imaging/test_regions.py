"""Measurements against scikit-image's region properties, on random and hand-drawn objects."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.measure
from scipy import ndimage

from gpu_workers.imaging.labels import expand_labels, label
from gpu_workers.imaging.regions import (
    convex_areas,
    intensity_statistics,
    radius_statistics,
    region_geometry,
)
from tests.unit.imaging.images import blobs, hand_drawn, intensities

SHAPE = (
    "label", "area", "centroid", "bbox", "perimeter", "eccentricity", "axis_major_length",
    "axis_minor_length", "area_convex", "extent", "equivalent_diameter_area",
)  # fmt: skip


def check(labels: np.ndarray) -> None:
    expected = skimage.measure.regionprops_table(labels, properties=SHAPE)
    rows = expected["label"] - 1

    found = region_geometry(labels)

    own = {
        "area": found.area,
        "centroid-0": found.y,
        "centroid-1": found.x,
        "perimeter": found.perimeter,
        "eccentricity": found.eccentricity,
        "axis_major_length": found.major_axis,
        "axis_minor_length": found.minor_axis,
        "area_convex": convex_areas(labels, found),
        "extent": found.extent,
        "equivalent_diameter_area": found.equivalent_diameter,
        **{f"bbox-{i}": found.box[:, i] for i in range(4)},
    }
    for name, values in own.items():
        # their moments are those of floats about a rounded centroid: 1e-5 for near-circles
        np.testing.assert_allclose(values[rows], expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_shapes_of_random_objects(sigma: float) -> None:
    check(label(blobs(sigma=sigma)))


def test_shapes_of_touching_objects() -> None:
    check(expand_labels(label(blobs()), 6))


@pytest.mark.data
def test_shapes_of_hand_drawn_nuclei() -> None:
    for _, labels in hand_drawn(6):
        check(labels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_intensities(dtype: str) -> None:
    labels = label(blobs())
    image = intensities(dtype=dtype)
    names = ("label", "intensity_mean", "intensity_min", "intensity_max", "intensity_std")
    expected = skimage.measure.regionprops_table(labels, image.astype(np.float64), properties=names)

    found = intensity_statistics(labels, image)

    np.testing.assert_allclose(found.mean, expected["intensity_mean"], rtol=1e-12)
    np.testing.assert_allclose(found.std, expected["intensity_std"], rtol=1e-9)
    np.testing.assert_array_equal(found.min, expected["intensity_min"])
    np.testing.assert_array_equal(found.max, expected["intensity_max"])
    np.testing.assert_allclose(found.sum, ndimage.sum(image, labels, expected["label"]), rtol=1e-5)


def test_a_constant_image_has_no_spread() -> None:
    labels = label(blobs())

    found = intensity_statistics(labels, np.full(labels.shape, 60001, np.uint16))

    assert (found.std == 0).all()
    assert (found.mean == 60001).all()


def test_absent_labels_and_nan_are_missing() -> None:
    labels = np.array([[1, 1, 0, 4, 4]], np.int32)
    image = np.array([[1, 3, 9, np.nan, 5]], np.float32)

    geometry = region_geometry(labels)
    found = intensity_statistics(labels, image)

    np.testing.assert_array_equal(geometry.area, [2, 0, 0, 2])
    assert np.isnan(geometry.perimeter[1])
    np.testing.assert_array_equal(found.mean, [2, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found.max, [3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(convex_areas(labels, geometry), [2, np.nan, np.nan, 2])


def test_single_pixels() -> None:
    geometry = region_geometry(np.array([[0, 1], [0, 0]], np.int32))

    assert (geometry.area[0], geometry.perimeter[0], geometry.eccentricity[0]) == (1, 0, 0)
    assert np.isnan(geometry.form_factor[0])
    assert np.isnan(geometry.elongation[0])


def test_empty_images() -> None:
    for shape in ((3, 4), (0, 4)):
        labels = np.zeros(shape, np.int32)
        assert region_geometry(labels).area.shape == (0,)
        assert intensity_statistics(labels, labels).mean.shape == (0,)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="image of"):
        intensity_statistics(np.zeros((2, 2), np.int32), np.zeros((2, 3), np.uint8))


def test_radius_is_that_of_each_object_alone() -> None:
    labels = expand_labels(label(blobs()), 3)

    found = radius_statistics(labels)

    for number in range(1, int(labels.max()) + 1, 5):
        own = ndimage.distance_transform_edt(np.pad(labels == number, 1))[1:-1, 1:-1]
        assert found.max[number - 1] == pytest.approx(own.max(), rel=1e-6)
        assert found.mean[number - 1] == pytest.approx(own[labels == number].mean(), rel=1e-6)
