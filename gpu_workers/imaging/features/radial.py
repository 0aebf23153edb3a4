"""Intensity from centre to edge of all objects at once; entry points: `object_rings`, `radial_distribution`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    boxes_of,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.morphology import distance_transform
from gpu_workers.xp import operation

RADIAL = ("FracAtD", "MeanFrac", "RadialCV")

_RINGS = (
    "ring {bin} of {bins}: by d / (d + e + 0.001) from the object's pixel farthest from its edge, "
    "with d the length of the way to it in the object and e the distance to the edge"
)
_SOURCE = "CellProfiler's MeasureObjectIntensityDistribution"

DESCRIPTIONS = tuple(
    FeatureDescription(
        f"RadialDistribution_{name}-{{bin}}of{{bins}}",
        f"{formula}; {_RINGS}",
        "",
        _SOURCE,
        peers={"cp_measure": f"RadialDistribution_{name}_{{bin}}of{{bins}}"},
    )
    for name, formula in (
        ("FracAtD", "fraction of the object's intensity in a ring"),
        ("MeanFrac", "that fraction over the fraction of the object's pixels in the ring"),
        ("RadialCV", "coefficient of variation of the mean intensities of a ring's eight wedges"),
    )
)

_EPS = np.finfo(np.float64).eps
_DIAGONAL = np.sqrt(2.0)
_NOWHERE = np.uint16(65535)


@njit(nogil=True, cache=True)
def _centre(own: NDArray[np.uint32], edge: NDArray[np.float32]) -> int:
    """Return the first of the pixels farthest from the edge."""
    best = own[0]
    for position in own:
        if edge[position] > edge[best]:
            best = position
    return int(best)


@njit(nogil=True, cache=True)
def _lower(way: NDArray[np.float64], y: int, x: int, dy: int) -> bool:
    """Shorten a pixel's way through the three neighbours of one row and the one before it."""
    best = min(way[y + dy, x] + 1, way[y, x + dy] + 1)
    best = min(best, way[y + dy, x - 1] + _DIAGONAL, way[y + dy, x + 1] + _DIAGONAL)
    if best < way[y, x]:
        way[y, x] = best
        return True
    return False


@njit(nogil=True, cache=True)
def _ways(
    own: NDArray[np.uint32], centre: int, width: int, box: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return lengths of ways in the object to its centre: steps of 1 and sqrt 2; box with a frame."""
    y0, x0 = box[0] - 1, box[1] - 1
    way = np.full((box[2] - y0 + 1, box[3] - x0 + 1), np.inf)
    way[centre // width - y0, centre % width - x0] = 0.0
    has_changed = True
    while has_changed:
        has_changed = False
        for i in range(own.size):
            position = np.int64(own[i])
            if _lower(way, position // width - y0, position % width - x0, -1):
                has_changed = True
        for i in range(own.size - 1, -1, -1):
            position = np.int64(own[i])
            if _lower(way, position // width - y0, position % width - x0, 1):
                has_changed = True
    return way


@njit(nogil=True, cache=True)
def _places(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    edge: NDArray[np.float32],
    width: int,
    boxes: NDArray[np.int32],
    rings: tuple[int, float],
) -> NDArray[np.uint16]:
    """Return 8 ring + wedge of each pixel; `_NOWHERE` for those without a way to the centre."""
    n_bins, radius = rings
    place = np.full(position.size, _NOWHERE, np.uint16)
    for k in range(start.size - 1):
        own = position[start[k] : start[k + 1]]
        if own.size == 0:
            continue
        centre = _centre(own, edge)
        way = _ways(own, centre, width, boxes[k])
        for i in range(own.size):
            y, x = np.int64(own[i]) // width, np.int64(own[i]) % width
            distance = way[y - boxes[k, 0] + 1, x - boxes[k, 1] + 1]
            if not np.isfinite(distance):
                continue
            if radius > 0:
                relative = distance / radius
            else:
                # edge distances come as float32: their squares are whole numbers
                to_edge = np.sqrt(np.rint(np.float64(edge[own[i]]) ** 2))
                relative = distance / (distance + to_edge + 0.001)
            down, right = y - centre // width, x - centre % width
            wedge = (down > 0) + 2 * (right > 0) + 4 * (abs(down) > abs(right))
            place[start[k] + i] = 8 * min(int(relative * n_bins), n_bins) + wedge
    return place


@njit(nogil=True, cache=True)
def _variation(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Return standard deviation over mean of the wedges' mean intensities; 0 without pixels."""
    n, mean, squares = 0, 0.0, 0.0
    for wedge in range(8):
        if counts[wedge] > 0:
            n += 1
            mean += sums[wedge] / counts[wedge]
    if n == 0:
        return 0.0
    mean /= n
    for wedge in range(8):
        if counts[wedge] > 0:
            squares += (sums[wedge] / counts[wedge] - mean) ** 2
    return float(np.sqrt(squares / n) / mean) if mean != 0 else 0.0


@njit(nogil=True, cache=True)
def _measure(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    place: NDArray[np.uint16],
    values: NDArray[np.float64],
    n_bins: int,
) -> NDArray[np.float64]:
    """Return (object, ring, feature), the overflow ring last."""
    n = start.size - 1
    result = np.full((n, n_bins + 1, 3), np.nan)
    sums, counts = np.empty((n_bins + 1, 8)), np.empty((n_bins + 1, 8))
    for k in range(n):
        if start[k] == start[k + 1]:
            continue
        sums[:] = 0.0
        counts[:] = 0.0
        for i in range(start[k], start[k + 1]):
            if place[i] != _NOWHERE:
                sums[place[i] // 8, place[i] % 8] += values[position[i]]
                counts[place[i] // 8, place[i] % 8] += 1
        total, pixels = sums.sum(), counts.sum()
        for ring in range(n_bins + 1):
            if total != 0:
                fraction = sums[ring].sum() / total
                result[k, ring, 0] = fraction
                result[k, ring, 1] = fraction / (counts[ring].sum() / pixels + _EPS)
            result[k, ring, 2] = _variation(sums[ring], counts[ring])
    return result


@dataclass(frozen=True, slots=True)
class Rings:
    """Where each pixel lies between its object's centre and edge; the same for all channels.

    Attributes
    ----------
    place : ndarray of uint16
        8 times the ring plus the wedge, in the order of the pixels.
    n_bins
        Number of rings; one more holds what lies beyond the maximum radius.
    has_overflow
        Whether there is a maximum radius.
    """

    pixels: ObjectPixels
    place: NDArray[np.uint16]
    n_bins: int
    has_overflow: bool


@operation
def object_rings(
    labels: Labels,
    n_bins: int = 4,
    maximum_radius: float | None = None,
    pixels: ObjectPixels | None = None,
) -> Rings:
    """Divide all objects into rings from their centres to their edges.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    n_bins
        Number of rings, at most 1,000.
    maximum_radius
        None: rings are fractions of the way from the centre to the edge. Else all are equally wide
        up to this distance from the centre, px, and the rest is the ring ``overflow``.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Examples
    --------
    >>> object_rings(np.array([[0, 1, 1, 1, 1, 1, 0]], np.int32), 2).place // 8
    array([1, 0, 0, 0, 1], dtype=uint16)
    """
    if pixels is None:
        pixels = object_pixels(labels)
    width = labels.shape[1]
    edge = distance_transform(np.ascontiguousarray(labels)).reshape(-1)
    rings = (n_bins, 0.0 if maximum_radius is None else float(maximum_radius))
    boxes = boxes_of(pixels, width)
    place = _places(pixels.start, pixels.position, edge, width, boxes, rings)
    return Rings(pixels, place, n_bins, maximum_radius is not None)


@operation
def radial_distribution(
    labels: Labels, image: NDArray[Any], rings: Rings | None = None
) -> dict[str, Column]:
    """Measure how intensity is distributed from each object's centre to its edge.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    rings
        What `object_rings` returned for the labels; None: four rings from centre to edge.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``FracAtD-<bin>of<bins>``, ``MeanFrac-…``, ``RadialCV-…``, ring by ring; rows by label - 1.
        Fractions are NaN for an object of zeros.

    Notes
    -----
    Formulas: `DESCRIPTIONS`. The centre is the first of the pixels that lie farthest from the edge
    of the object (the image's edge is none); ways lead over 8 neighbours. Parts of an object that
    aren't connected to its centre are left out.

    Examples
    --------
    >>> flat = np.ones((9, 9), np.int32)
    >>> flat[0] = 0
    >>> radial_distribution(flat, flat)["RadialCV-1of4"]
    array([0.])
    """
    missing = with_nan(labels, image)
    if rings is None:
        rings = object_rings(labels)
    pixels, n_bins = rings.pixels, rings.n_bins
    found = _measure(pixels.start, pixels.position, rings.place, flat_values(image), n_bins)
    found[missing] = np.nan
    columns: dict[str, Column] = {}
    for ring in range(n_bins + (1 if rings.has_overflow else 0)):
        name = f"{ring + 1}of{n_bins}" if ring < n_bins else "overflow"
        columns.update({f"{kind}-{name}": found[:, ring, i] for i, kind in enumerate(RADIAL)})
    return columns
