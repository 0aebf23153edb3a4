"""Size and shape of objects in two dimensions, as scikit-image's region properties; entry point: `shape_features`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.features.convex import ConvexShapes, convex_areas, convex_shapes
from gpu_workers.imaging.features.moments import (
    central_moments,
    hu_moments,
    normalized_moments,
    spatial_moments,
)
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.features.quantiles import object_quantiles
from gpu_workers.imaging.features.topology import (
    crofton_perimeters,
    euler_numbers,
    filled_areas,
    outline_pixels,
    square_counts,
)
from gpu_workers.imaging.features.zernike import (
    legacy_zernike_moments,
    zernike_indices,
    zernike_moments,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.imaging.regions import RegionGeometry, intensity_statistics, region_geometry

Column = NDArray[np.float64]
Columns = dict[str, Column]


@dataclass(frozen=True, slots=True)
class ShapeChoice:
    """Which families of shape are measured beyond size, outline, ellipse and radii.

    Attributes
    ----------
    feret
        Calipers.
    box
        Corners of the upright box.
    moments
        Spatial, central and normalised moments, Hu's invariants, the inertia tensor.
    zernike_degree
        Highest degree of Zernike moments; None: none.
    is_legacy
        Zernike moments as TissueMAPS measured them up to 2020.
    """

    feret: bool = True
    box: bool = False
    moments: bool = False
    zernike_degree: int | None = None
    is_legacy: bool = False


def _ratio(a: Column, b: Column) -> Column:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _ellipse_angles(geometry: RegionGeometry, central: NDArray[np.float64]) -> Column:
    """Return the angle between the first axis (y) and the major axis, from -pi/2 to pi/2."""
    a, b, c = central[:, 2, 0], central[:, 1, 1], central[:, 0, 2]
    # rounding makes no direction of an object without one: scikit-image's -45 degrees stay
    is_round = np.abs(a - c) <= 1e-12 * (a + c)
    angles = np.where(is_round, 0.0, 0.5 * np.arctan2(2 * b, a - c))
    tilted = np.where(b > 1e-12 * (a + c), np.pi / 4, -np.pi / 4)
    return np.where(geometry.area > 0, np.where(is_round, tilted, angles), np.nan)


def _eccentricity(geometry: RegionGeometry, central: NDArray[np.float64]) -> Column:
    """Return sqrt(1 - lesser / greater eigenvalue) without the digits that this difference costs."""
    yy, xx, xy = central[:, 2, 0], central[:, 0, 2], central[:, 1, 1]
    spread = np.hypot(yy - xx, 2 * xy)
    ratio = np.where(yy + xx > 0, _ratio(2 * spread, yy + xx + spread), 0.0)
    return np.where(geometry.area > 0, np.sqrt(ratio), np.nan)


def _basic(
    labels: Labels, geometry: RegionGeometry, central: NDArray[np.float64], convex: Column
) -> Columns:
    distances = distance_transform(labels, outside=True)
    radius = intensity_statistics(labels, distances)
    median = object_quantiles(object_pixels(labels), distances, [0.5])[0]
    squares = square_counts(labels)
    area, perimeter = geometry.area, geometry.perimeter
    sides = (geometry.box[:, 2:] - geometry.box[:, :2]).astype(np.float64)
    return {
        "Local_Centroid_x": geometry.x,
        "Local_Centroid_y": geometry.y,
        "Area": area,
        "Perimeter": perimeter,
        "Eccentricity": _eccentricity(geometry, central),
        "Extent": geometry.extent,
        "Convexity": area / convex,
        "Circularity": geometry.form_factor,
        "Roundness": _ratio(outline_pixels(labels) ** 2, 4 * np.pi * area),
        "Elongation": geometry.elongation,
        "Equivalent_Diameter": geometry.equivalent_diameter,
        "Major_Axis_Length": geometry.major_axis,
        "Minor_Axis_Length": geometry.minor_axis,
        "Maximum_Radius": radius.max,
        "Mean_Radius": radius.mean,
        "Median_Radius": median,
        "Compactness": _ratio(perimeter**2, 4 * np.pi * area),
        "Orientation": _ellipse_angles(geometry, central),
        "Perimeter_Crofton": crofton_perimeters(squares, area),
        "Euler_Number": euler_numbers(squares, area),
        "Area_Bounding_Box": np.where(area > 0, sides[:, 0] * sides[:, 1], np.nan),
        "Area_Convex": convex,
        "Area_Filled": filled_areas(labels, geometry),
    }


def _feret(found: ConvexShapes) -> Columns:
    return {
        "Maximum_Feret_Diameter": found.max_feret,
        "Minimum_Feret_Diameter": found.min_feret,
        "Maximum_Feret_Diameter_Centers": found.max_feret_centres,
        "Minimum_Feret_Diameter_Centers": found.min_feret_centres,
    }


def _box(geometry: RegionGeometry) -> Columns:
    names = ("Minimum_y", "Minimum_x", "Maximum_y", "Maximum_x")
    return {
        f"Bounding_Box_{name}": np.where(geometry.area > 0, corner, np.nan)
        for name, corner in zip(names, geometry.box.T, strict=True)
    }


def _moments(geometry: RegionGeometry, central: NDArray[np.float64]) -> Columns:
    columns: Columns = {}
    normalized = normalized_moments(central)
    families = {
        "Spatial": spatial_moments(central, geometry),
        "Central": central,
        "Normalized": normalized,
    }
    for family, values in families.items():
        for p in range(4):
            for q in range(4):
                if family != "Normalized" or p + q > 1:
                    columns[f"{family}-Moment-{p}-{q}"] = values[:, p, q]
    for k, values in enumerate(hu_moments(normalized).T):
        columns[f"Hu-Moment-{k}"] = values
    area = np.where(geometry.area > 0, geometry.area, np.nan)
    yy, xx, xy = central[:, 2, 0] / area, central[:, 0, 2] / area, central[:, 1, 1] / area
    columns |= {"Inertia-Tensor-0-0": xx, "Inertia-Tensor-0-1": -xy, "Inertia-Tensor-1-1": yy}
    columns["Inertia-Eigenvalue-0"] = geometry.major_axis**2 / 16
    columns["Inertia-Eigenvalue-1"] = geometry.minor_axis**2 / 16
    return columns


def _zernike(labels: Labels, geometry: RegionGeometry, degree: int, *, legacy: bool) -> Columns:
    measure = legacy_zernike_moments if legacy else zernike_moments
    values = measure(labels, geometry, degree).T
    return {
        f"Zernike-{n}-{m}": column
        for (n, m), column in zip(zernike_indices(degree), values, strict=True)
    }


def shape_features(labels: Labels, choice: ShapeChoice | None = None) -> Columns:
    """Measure size and shape of all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; 0 is background, numbers may be missing.
    choice
        Families of features; by default calipers and what is always measured.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Names without class (see ``DESCRIPTIONS`` in `shape_descriptions`), rows by label - 1; lengths
        in px. Of a label that doesn't occur the area is 0 and all else NaN.

    Examples
    --------
    >>> found = shape_features(np.array([[1, 1, 0, 2]], np.int32))
    >>> found["Area"], found["Maximum_Feret_Diameter"]
    (array([2., 1.]), array([2., 1.]))
    """
    choice = choice or ShapeChoice()
    geometry = region_geometry(labels)
    central = central_moments(labels, geometry)
    if choice.feret:
        hulls = convex_shapes(labels, geometry)
        columns = _basic(labels, geometry, central, hulls.area) | _feret(hulls)
    else:
        columns = _basic(labels, geometry, central, convex_areas(labels, geometry))
    if choice.box:
        columns |= _box(geometry)
    if choice.moments:
        columns |= _moments(geometry, central)
    if choice.zernike_degree is not None:
        columns |= _zernike(labels, geometry, choice.zernike_degree, legacy=choice.is_legacy)
    return {name: np.ascontiguousarray(values) for name, values in columns.items()}
