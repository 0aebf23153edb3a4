"""Objects and those around them; entry points: `touching`, `closest`, `density` and `edge_distances`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import ObjectPixels, object_pixels
from gpu_workers.imaging.labels import Labels, expand_labels
from gpu_workers.imaging.morphology import distance_transform, fill_holes
from gpu_workers.imaging.regions import RegionGeometry
from gpu_workers.xp import operation

Column = NDArray[np.float64]

# How many of the nearest centroids are looked at, so that equally near ones are told by their label.
_N_NEAREST = 10
_KERNEL_REACH = 5.0
_CELLPROFILER = "CellProfiler MeasureObjectNeighbors"


def _described(
    name: str, formula: str, unit: str = "", source: str = "TissueMAPS", peer: str = ""
) -> FeatureDescription:
    peers = {"cp_measure": peer} if peer else {}
    return FeatureDescription(f"Neighbours_{name}", formula, unit, source, peers)


DESCRIPTIONS = (
    _described(
        "Neighbours_Count", "number of other objects with a pixel within the neighbour distance of one "
        "of the object's (Euclidean, between centres)", peer="Neighbors_NumberOfNeighbors_{distance}",
    ),
    FeatureDescription(
        "Neighbours_Fraction_Touching",
        "share of the object's edge pixels (a direct neighbour isn't the object's) within the touching "
        "distance of a pixel of another object", "", "TissueMAPS",
        differs={
            "TissueMAPS before 2020": "pixels right beside another object weren't counted",
            "CellProfiler": "in percent, other edge pixels",
        },
    ),
    _described("First_Closest_Label", "label of the object whose centroid is nearest", "",
               _CELLPROFILER),
    _described("First_Closest_Distance", "distance of the nearest centroid; also in µm", "px",
               _CELLPROFILER, "Neighbors_FirstClosestDistance_{distance}"),
    _described("Second_Closest_Label", "label of the object whose centroid is the second nearest", "",
               _CELLPROFILER),
    _described("Second_Closest_Distance", "distance of the second nearest centroid; also in µm", "px",
               _CELLPROFILER, "Neighbors_SecondClosestDistance_{distance}"),
    _described("Angle_Between_Neighbours", "angle at the centroid between these two", "degree",
               _CELLPROFILER, "Neighbors_AngleBetweenNeighbors_{distance}"),
    _described("Distance_Of_Nearest-{k}", "distance of the k-th nearest centroid; also in µm", "px"),
    _described("Count_Within-{radius}", "number of other centroids within a radius (px)"),
    _described("Kernel_Density-{sigma}", "sum over other centroids within 5 sigma of the normal density "
               "of their distance, sigma in px; also per µm²", "px⁻²"),
    _described("Distance_To_Border", "distance of the centroid from the nearest edge of the image; "
               "also in µm", "px"),
    _described("Distance_To_Colony_Edge-{distance}", "distance of the centroid from what is farther "
               "than this (px) from any object, holes filled; also in µm", "px"),
)  # fmt: skip


@njit(nogil=True, cache=True)
def _is_edge(labels: Labels, y: int, x: int) -> bool:
    height, width = labels.shape
    label = labels[y, x]
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
def _look_around(
    labels: Labels, y: int, x: int, reach: tuple[float, int], seen: NDArray[np.int64]
) -> tuple[int, float]:
    """Mark the other objects within reach of a pixel; return how many are new and the nearest's distance."""
    height, width = labels.shape
    squared, radius = reach
    label = labels[y, x]
    found, nearest = 0, np.inf
    for v in range(max(0, y - radius), min(height, y + radius + 1)):
        for u in range(max(0, x - radius), min(width, x + radius + 1)):
            other = labels[v, u]
            if other <= 0 or other == label:
                continue
            away = float((v - y) * (v - y) + (u - x) * (u - x))
            nearest = min(nearest, away)
            if away <= squared and seen[other] != label:
                seen[other] = label
                found += 1
    return found, nearest


@njit(nogil=True, cache=True)
def _touching(
    labels: Labels,
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    neighbour_distance: float,
    touching_distance: float,
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.full((2, n), np.nan)
    seen = np.zeros(n + 1, np.int64)
    width = labels.shape[1]
    reach = neighbour_distance**2, int(max(neighbour_distance, touching_distance))
    for k in range(n):
        edge, touch, count = 0, 0, 0
        for i in range(start[k], start[k + 1]):
            place = int(position[i])
            y, x = place // width, place % width
            if _is_edge(labels, y, x):
                found, nearest = _look_around(labels, y, x, reach, seen)
                edge += 1
                count += found
                touch += 1 if nearest <= touching_distance**2 else 0
        if edge > 0:
            result[0, k] = count
            result[1, k] = touch / edge
    return result


@dataclass(frozen=True, slots=True)
class Touching:
    """Who is near each object; rows by label - 1, NaN for a label that doesn't occur."""

    count: Column
    fraction: Column


@operation
def touching(
    labels: Labels,
    neighbour_distance: float,
    touching_distance: float,
    pixels: ObjectPixels | None = None,
) -> Touching:
    """Count the neighbours of each object, and how much of its edge lies beside them.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects.
    neighbour_distance, touching_distance
        Distances between centres of pixels, px.

    Examples
    --------
    >>> found = touching(np.array([[1, 1, 0, 2, 0, 0, 0, 3]], np.int32), 2, 2)
    >>> found.count, found.fraction
    (array([1., 1., 0.]), array([0.5, 1. , 0. ]))
    """
    found = object_pixels(labels) if pixels is None else pixels
    values = np.ascontiguousarray(labels)
    distances = float(neighbour_distance), float(touching_distance)
    return Touching(*_touching(values, found.start, found.position, *distances))


@dataclass(frozen=True, slots=True)
class Closest:
    """The nearest centroids of each object; rows by label - 1, NaN where there are too few objects.

    Attributes
    ----------
    label, distance : ndarray of float64, shape (k, n)
        Of the nearest, the second nearest, ….
    angle : ndarray of float64, shape (n,)
        Between the first two, at the object's centroid, degrees.
    """

    label: NDArray[np.float64]
    distance: NDArray[np.float64]
    angle: Column


def _nearest_rows(
    points: NDArray[np.float64], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return row and distance of the k nearest other points of each; equally near ones by row."""
    from scipy.spatial import KDTree

    n = min(k + _N_NEAREST, len(points))
    distances, rows = KDTree(points).query(points, k=n)
    shape = (len(points), n)
    distances, rows = np.asarray(distances).reshape(shape), np.asarray(rows).reshape(shape)
    distances[rows == np.arange(len(points))[:, None]] = np.inf
    order = np.lexsort((rows, distances), axis=1)[:, : min(k, n - 1)]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def closest(geometry: RegionGeometry, k: int = 2) -> Closest:
    """Return the k objects whose centroids are nearest to each object's.

    Parameters
    ----------
    geometry
        Of the objects.
    k
        How many, at least 2.

    Notes
    -----
    CellProfiler's first and second closest object and the angle between them.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> found = closest(region_geometry(np.array([[1, 0, 2, 0, 0, 3]], np.int32)))
    >>> found.label[0], found.angle
    (array([2., 1., 2.]), array([  0., 180.,   0.]))
    """
    n = geometry.area.size
    label, distance = np.full((k, n), np.nan), np.full((k, n), np.nan)
    angle = np.full(n, np.nan)
    present = np.flatnonzero(geometry.area > 0)
    if present.size < 2:
        return Closest(label, distance, angle)
    points = np.stack([geometry.y, geometry.x], axis=1)[present]
    rows, distances = _nearest_rows(points, k)
    found = rows.shape[1]
    label[:found, present] = present[rows.T] + 1
    distance[:found, present] = distances.T
    if found > 1:
        first, second = points[rows[:, 0]] - points, points[rows[:, 1]] - points
        with np.errstate(invalid="ignore"):
            cosine = (first * second).sum(1) / (distances[:, 0] * distances[:, 1])
        angle[present] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return Closest(label, distance, angle)


@njit(nogil=True, cache=True)
def _density(y: Column, x: Column, radius: float, sigma: float) -> NDArray[np.float64]:
    """Count points within a radius and add up a normal kernel; the points are sorted by y."""
    n = y.size
    result = np.zeros((2, n))
    reach = max(radius, _KERNEL_REACH * sigma)
    for i in range(n):
        for j in range(i + 1, n):
            down = y[j] - y[i]
            if down > reach:
                break
            right = x[j] - x[i]
            squared = down * down + right * right
            if squared > reach * reach:
                continue
            if squared <= radius * radius:
                result[0, i] += 1
                result[0, j] += 1
            if squared <= (_KERNEL_REACH * sigma) ** 2:
                weight = np.exp(-squared / (2 * sigma * sigma)) / (2 * np.pi * sigma * sigma)
                result[1, i] += weight
                result[1, j] += weight
    return result


@dataclass(frozen=True, slots=True)
class Density:
    """How crowded it is round each object; rows by label - 1, NaN for a label that doesn't occur."""

    count: Column
    kernel: Column


def density(geometry: RegionGeometry, radius: float, sigma: float) -> Density:
    """Return the number of other centroids within a radius, and their density by a normal kernel.

    Parameters
    ----------
    radius, sigma
        Of the disc and of the kernel (cut at 5 sigma), px.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> density(region_geometry(np.array([[1, 0, 2, 0, 0, 3]], np.int32)), 2, 1).count
    array([1., 1., 0.])
    """
    present = np.flatnonzero(geometry.area > 0)
    order = present[np.argsort(geometry.y[present], kind="stable")]
    found = np.full((2, geometry.area.size), np.nan)
    found[:, order] = _density(geometry.y[order], geometry.x[order], float(radius), float(sigma))
    return Density(*found)


def border_distances(geometry: RegionGeometry, shape: tuple[int, int]) -> Column:
    """Return the distance of each centroid from the nearest edge of the image, px.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> border_distances(region_geometry(np.array([[0, 0, 0], [0, 1, 0]], np.int32)), (2, 3))
    array([0.5])
    """
    y, x = geometry.y + 0.5, geometry.x + 0.5
    return np.minimum(np.minimum(y, x), np.minimum(shape[0] - y, shape[1] - x))


def edge_distances(labels: Labels, geometry: RegionGeometry, distance: float) -> Column:
    """Return how far inside its colony each object lies.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects.
    distance
        Objects nearer than twice this to each other are one colony; its edge lies this far outside
        them. Holes of it are filled.

    Returns
    -------
    ndarray of float64, shape (n,)
        Distance of the pixel at the centroid from the nearest one outside the colony, px; the image's
        edge is none. NaN for labels that don't occur, and where everything is one colony.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> labels = np.zeros((1, 9), np.int32)
    >>> labels[0, 4] = 1
    >>> edge_distances(labels, region_geometry(labels), 2)
    array([3.])
    """
    result = np.full(geometry.area.size, np.nan)
    present = np.flatnonzero(geometry.area > 0)
    colony = fill_holes(expand_labels(labels, distance) > 0)
    if not present.size or colony.all():
        return result
    depth = distance_transform(colony)
    y = np.clip(np.rint(geometry.y[present]).astype(int), 0, labels.shape[0] - 1)
    x = np.clip(np.rint(geometry.x[present]).astype(int), 0, labels.shape[1] - 1)
    result[present] = depth[y, x]
    return result
