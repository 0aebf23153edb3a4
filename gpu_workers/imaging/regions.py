"""Measurements of all objects at once; entry points: `region_geometry`, `intensity_statistics`, `convex_areas`.

Every table is indexed by label - 1 and has one row for each label from 1 to the highest, also for
labels that don't occur (area 0, everything else NaN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.convex import convex_areas
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

__all__ = [
    "IntensityStatistics",
    "RadiusStatistics",
    "RegionGeometry",
    "convex_areas",
    "intensity_statistics",
    "radius_statistics",
    "region_geometry",
]

Column = NDArray[np.float64]

_WEIGHTS = np.zeros(50)
_WEIGHTS[[5, 7, 15, 17, 25, 27]] = 1.0
_WEIGHTS[[21, 33]] = np.sqrt(2)
_WEIGHTS[[13, 23]] = (1 + np.sqrt(2)) / 2


@njit(nogil=True, cache=True)
def _moments(labels: Labels, n: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return sums of 1, y, x, yy, xx, xy, the first pixel (y, x) and boxes (y0, x0, y1, x1).

    The sums count from each label's first pixel: squares of plate-sized numbers would cost digits.
    """
    height, width = labels.shape
    sums = np.zeros((n, 8))
    boxes = np.empty((n, 4), np.int32)
    boxes[:, 0] = height
    boxes[:, 1] = width
    boxes[:, 2] = 0
    boxes[:, 3] = 0
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            first = x
            x += 1
            if label <= 0:
                continue
            while x < width and labels[y, x] == label:
                x += 1
            k = label - 1
            run = x - first
            if sums[k, 0] == 0.0:
                sums[k, 6] = y
                sums[k, 7] = first
            down = y - sums[k, 6]
            middle = (first + x - 1) * 0.5 - sums[k, 7]
            # sum of squares of a run of whole numbers about its middle: n (n^2 - 1) / 12
            squares = run * middle * middle + run * (run * run - 1.0) / 12.0
            sums[k, 0] += run
            sums[k, 1] += run * down
            sums[k, 2] += run * middle
            sums[k, 3] += run * down * down
            sums[k, 4] += squares
            sums[k, 5] += run * middle * down
            boxes[k, 0] = min(boxes[k, 0], y)
            boxes[k, 1] = min(boxes[k, 1], first)
            boxes[k, 2] = max(boxes[k, 2], y + 1)
            boxes[k, 3] = max(boxes[k, 3], x)
    return sums, boxes


@njit(nogil=True, cache=True)
def _is_border(labels: Labels, y: int, x: int, label: int) -> bool:
    """Whether a pixel belongs to the object and one of its 4 neighbours doesn't."""
    height, width = labels.shape
    if y < 0 or x < 0 or y >= height or x >= width or labels[y, x] != label:
        return False
    return (
        y == 0
        or x == 0
        or y == height - 1
        or x == width - 1
        or labels[y - 1, x] != label
        or labels[y + 1, x] != label
        or labels[y, x - 1] != label
        or labels[y, x + 1] != label
    )


@njit(nogil=True, cache=True)
def _perimeters(labels: Labels, n: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = labels.shape
    result = np.zeros(n)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label <= 0 or not _is_border(labels, y, x, label):
                continue
            code = 1
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if (dy != 0 or dx != 0) and _is_border(labels, y + dy, x + dx, label):
                        code += 2 if dy == 0 or dx == 0 else 10
            result[label - 1] += weights[code]
    return result


@dataclass(frozen=True, slots=True)
class RegionGeometry:
    """Size, place and shape of each object; lengths in px, rows by label - 1.

    Attributes
    ----------
    area
        Number of pixels; 0 for a label that doesn't occur.
    y, x
        Centroid (pixel centres are whole numbers).
    box
        int32, (n, 4): y0, x0, y1, x1, the end excluded; empty (0, 0, 0, 0) without pixels.
    perimeter
        As ``skimage.measure.perimeter(neighborhood=4)``.
    major_axis, minor_axis
        Axes of the ellipse with the same second moments.
    """

    area: Column
    y: Column
    x: Column
    box: NDArray[np.int32]
    perimeter: Column
    major_axis: Column
    minor_axis: Column

    @property
    def eccentricity(self) -> Column:
        """Distance of the ellipse's foci over its major axis; 0 for a single pixel."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(self.major_axis > 0, (self.minor_axis / self.major_axis) ** 2, 1.0)
        return np.where(self.area > 0, np.sqrt(np.clip(1 - ratio, 0, 1)), np.nan)

    @property
    def extent(self) -> Column:
        """Area over the area of the box."""
        height, width = (self.box[:, 2:] - self.box[:, :2]).T.astype(np.float64)
        return _ratio(self.area, height * width)

    @property
    def equivalent_diameter(self) -> Column:
        """Diameter of the circle of the same area."""
        return np.where(self.area > 0, np.sqrt(4 * self.area / np.pi), np.nan)

    @property
    def form_factor(self) -> Column:
        """4 pi area / perimeter squared: 1 for a circle; NaN where the perimeter is 0."""
        return _ratio(4 * np.pi * self.area, self.perimeter**2)

    @property
    def elongation(self) -> Column:
        """(major - minor) / major axis: 0 for a circle; NaN for a single pixel."""
        return _ratio(self.major_axis - self.minor_axis, self.major_axis)


def _ratio(a: Column, b: Column) -> Column:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


@operation
def region_geometry(labels: Labels) -> RegionGeometry:
    """Measure size, place and shape of all objects in two passes over the image.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.

    Returns
    -------
    RegionGeometry
        With n rows.

    Notes
    -----
    Formulas of ``skimage.measure.regionprops``: the inertia tensor is made of central second
    moments over the area; axes are 4 times the square roots of its eigenvalues.

    Examples
    --------
    >>> region_geometry(np.array([[1, 1, 0], [1, 1, 2]], np.int32)).area
    array([4., 1.])
    """
    n = int(labels.max()) if labels.size else 0
    values = np.ascontiguousarray(labels)
    sums, boxes = _moments(values, n)
    area = sums[:, 0]
    present = area > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums[:, 1:6] / area[:, None]
        y, x = mean[:, 0], mean[:, 1]
        yy, xx, xy = mean[:, 2] - y * y, mean[:, 3] - x * x, mean[:, 4] - x * y
        middle = (yy + xx) / 2
        spread = np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
        major = 4 * np.sqrt(np.maximum(middle + spread, 0))
        minor = 4 * np.sqrt(np.maximum(middle - spread, 0))
    boxes[~present] = 0
    perimeter = np.where(present, _perimeters(values, n, _WEIGHTS), np.nan)
    y, x = y + sums[:, 6], x + sums[:, 7]
    return RegionGeometry(area, y, x, boxes, perimeter, major, minor)


@njit(nogil=True, cache=True)
def _intensities(labels: Labels, image: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Return count, sum, sum of squares about the label's first value, min, max, first value."""
    height, width = labels.shape
    table = np.zeros((n, 6))
    table[:, 3] = np.inf
    table[:, 4] = -np.inf
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label <= 0:
                continue
            k = label - 1
            value = float(image[y, x])
            if table[k, 0] == 0.0:
                table[k, 5] = value
            shifted = value - table[k, 5]
            table[k, 0] += 1.0
            table[k, 1] += shifted
            table[k, 2] += shifted * shifted
            table[k, 3] = min(table[k, 3], value)
            table[k, 4] = max(table[k, 4], value)
    return table


@dataclass(frozen=True, slots=True)
class IntensityStatistics:
    """Intensities of each object in the image's own units, rows by label - 1."""

    mean: Column
    sum: Column
    min: Column
    max: Column
    std: Column


@operation
def intensity_statistics(labels: Labels, image: NDArray[Any]) -> IntensityStatistics:
    """Measure the intensities within all objects in one pass over the image.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.

    Returns
    -------
    IntensityStatistics
        With n rows; `std` is that of the population.

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> intensity_statistics(np.array([[1, 1, 0]], np.int32), np.array([[2, 4, 9]], np.uint8)).mean
    array([3.])
    """
    if labels.shape != image.shape:
        raise ValueError(f"labels of {labels.shape} on an image of {image.shape}")
    n = int(labels.max()) if labels.size else 0
    table = _intensities(np.ascontiguousarray(labels), np.ascontiguousarray(image), n)
    count, shifted, squares, low, high, first = table.T
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = shifted / count
        variance = squares / count - offset**2
        mean = first + offset
    missing = (count == 0) | np.isnan(shifted)
    return IntensityStatistics(
        mean=np.where(missing, np.nan, mean),
        sum=np.where(missing, np.nan, mean * count),
        min=np.where(missing, np.nan, low),
        max=np.where(missing, np.nan, high),
        std=np.where(missing, np.nan, np.sqrt(np.maximum(variance, 0))),
    )


@dataclass(frozen=True, slots=True)
class RadiusStatistics:
    """Distances of each object's pixels to its outside, px, rows by label - 1."""

    max: Column
    mean: Column


@operation
def radius_statistics(labels: Labels) -> RadiusStatistics:
    """Return the greatest and mean distance of each object's pixels to what isn't the object.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n; the image's outside limits them as well.

    Examples
    --------
    >>> radius_statistics(np.ones((3, 3), np.int32)).max
    array([2.])
    """
    from gpu_workers.imaging.morphology import distance_transform

    found = intensity_statistics(labels, distance_transform(labels, outside=True))
    return RadiusStatistics(found.max, found.mean)
