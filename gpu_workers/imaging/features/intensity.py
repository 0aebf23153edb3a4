"""Intensities within objects, as CellProfiler's MeasureObjectIntensity; entry point: `intensity_features`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import ObjectPixels, object_pixels
from gpu_workers.imaging.features.quantiles import N_BINS, largest_size, spread, value_at
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Column = NDArray[np.float64]

_STATISTICS = ("max", "mean", "min", "sum", "std")
_QUARTILES = ("median", "lower-quartile", "upper-quartile", "mad")
_PLACES = ("mass-displacement", "center-of-mass-y", "center-of-mass-x", "max-y", "max-x")
_PLACES_3D = (*_PLACES, "center-of-mass-z", "max-z")


def _described(
    name: str, formula: str, peer: str, unit: str = "intensity", **more: Any
) -> FeatureDescription:
    peers = {"cp_measure": peer} if peer else {}
    return FeatureDescription(
        f"Intensity_{name}",
        formula,
        unit,
        more.pop("source", "CellProfiler"),
        more.pop("peers", peers),
        dimensions=more.pop("dimensions", (2, 3)),
        **more,
    )


DESCRIPTIONS = (
    _described(
        "max", "greatest value of the object's pixels", "Intensity_MaxIntensity",
        peers={"cp_measure": "Intensity_MaxIntensity", "scikit-image": "max_intensity"},
    ),
    _described(
        "mean", "mean of the pixels' values", "Intensity_MeanIntensity",
        peers={"cp_measure": "Intensity_MeanIntensity", "scikit-image": "mean_intensity"},
    ),
    _described(
        "min", "least value of the pixels", "Intensity_MinIntensity",
        peers={"cp_measure": "Intensity_MinIntensity", "scikit-image": "min_intensity"},
    ),
    _described("sum", "sum of the pixels' values", "Intensity_IntegratedIntensity"),
    _described("std", "standard deviation (of the population)", "Intensity_StdIntensity"),
    _described(
        "median", "median, linear between order statistics as numpy.quantile",
        "Intensity_MedianIntensity",
        differs={"CellProfiler 4": "takes the value at place n q, not (n - 1) q"},
    ),
    _described("lower-quartile", "25 % quantile, as the median", "Intensity_LowerQuartileIntensity"),
    _described("upper-quartile", "75 % quantile, as the median", "Intensity_UpperQuartileIntensity"),
    _described("mad", "median of |value - median|", "Intensity_MADIntensity"),
    _described(
        "percentile-{p}", "p % quantile, as the median", "", source="numpy.quantile"
    ),
    _described("edge-max", "greatest value of edge pixels: those with a neighbour (of 4, of 6 in 3-D) "
               "in the image that isn't the object's", "Intensity_MaxIntensityEdge"),
    _described("edge-mean", "mean over edge pixels", "Intensity_MeanIntensityEdge"),
    _described("edge-min", "least value of edge pixels", "Intensity_MinIntensityEdge"),
    _described("edge-sum", "sum over edge pixels", "Intensity_IntegratedIntensityEdge"),
    _described("edge-std", "standard deviation over edge pixels", "Intensity_StdIntensityEdge"),
    _described("mass-displacement", "distance of the centre of mass, weighted by values, from the "
               "centroid; also in µm", "Intensity_MassDisplacement", "px"),
    _described("center-of-mass-y", "mean of y weighted by values, from the image's upper edge; also "
               "in µm", "Location_CenterMassIntensity_Y", "px"),
    _described("center-of-mass-x", "mean of x weighted by values", "Location_CenterMassIntensity_X",
               "px"),
    _described("center-of-mass-z", "mean of z weighted by values, planes",
               "Location_CenterMassIntensity_Z", "plane", dimensions=(3,)),
    _described("max-y", "y of the pixel with the greatest value (of equal ones the first in rows)",
               "Location_MaxIntensity_Y", "px"),
    _described("max-x", "x of the pixel with the greatest value", "Location_MaxIntensity_X", "px"),
    _described("max-z", "z of the pixel with the greatest value, planes", "Location_MaxIntensity_Z",
               "plane", dimensions=(3,)),
)  # fmt: skip


@njit(nogil=True, cache=True)
def _statistics(values: NDArray[np.float64], row: NDArray[np.float64]) -> int:
    """Write max, mean, min, sum and std to a row; return the place of the first maximum.

    Sums count from the first value: a constant image has no spread, to the last digit.
    """
    first = values[0]
    low, high, place = first, first, 0
    shifted, squares = 0.0, 0.0
    for i in range(values.size):
        value = values[i]
        away = value - first
        shifted += away
        squares += away * away
        low = min(low, value)
        if value > high:
            high = value
            place = i
    offset = shifted / values.size
    row[0] = high
    row[1] = first + offset
    row[2] = low
    row[3] = first * values.size + shifted
    row[4] = np.sqrt(max(0.0, squares / values.size - offset * offset))
    return place


@njit(nogil=True, cache=True)
def _places(
    values: NDArray[np.float64],
    position: NDArray[np.uint32],
    size: tuple[int, int],
    row: NDArray[np.float64],
) -> None:
    """Write centroid and centre of mass (z, y, x each), counted from the first pixel's row."""
    height, width = size
    plain = np.zeros(3)
    weighted = np.zeros(3)
    total = 0.0
    line = np.int64(position[0]) // width
    z0, y0 = line // height, line % height
    z, y, end = z0, y0, (line + 1) * width
    for i in range(values.size):
        place = np.int64(position[i])
        if place >= end:
            line = place // width
            z, y, end = line // height, line % height, (line + 1) * width
        x = place - (end - width)
        value = values[i]
        total += value
        plain[0] += z - z0
        plain[1] += y - y0
        plain[2] += x
        weighted[0] += value * (z - z0)
        weighted[1] += value * (y - y0)
        weighted[2] += value * x
    for axis in range(3):
        row[axis] = plain[axis] / values.size
        row[3 + axis] = weighted[axis] / total if total != 0 else np.nan
    for start in (0, 3):
        row[start] += z0
        row[start + 1] += y0


@njit(nogil=True, cache=True)
def _ways(place: int, size: tuple[int, int], total: int, ways: NDArray[np.int64]) -> int:
    """Write the steps to the rows and planes beside a pixel, 0 where there is none; return its row's end."""
    height, width = size
    plane = height * width
    line = place // width
    y = line % height
    ways[0] = -width if y > 0 else 0
    ways[1] = width if y < height - 1 else 0
    ways[2] = -plane if place >= plane else 0
    ways[3] = plane if place + plane < total else 0
    return (line + 1) * width


@njit(nogil=True, cache=True)
def _edge_statistics(
    labels: Labels,
    values: NDArray[np.float64],
    position: NDArray[np.uint32],
    size: tuple[int, int],
    row: NDArray[np.float64],
) -> None:
    """Write the statistics of pixels with a direct neighbour in the image of another label."""
    found = np.empty(values.size)
    ways = np.zeros(4, np.int64)
    label, m, end = labels[position[0]], 0, 0
    for i in range(values.size):
        place = int(position[i])
        if place >= end:
            end = _ways(place, size, labels.size, ways)
        if (
            (place > end - size[1] and labels[place - 1] != label)
            or (place + 1 < end and labels[place + 1] != label)
            or labels[place + ways[0]] != label
            or labels[place + ways[1]] != label
            or labels[place + ways[2]] != label
            or labels[place + ways[3]] != label
        ):
            found[m] = values[i]
            m += 1
    if m > 0:
        _statistics(found[:m], row)


@njit(nogil=True, cache=True)
def _write_quantiles(
    values: NDArray[np.float64],
    fractions: NDArray[np.float64],
    in_bins: NDArray[np.float64],
    bins: NDArray[np.int32],
    row: NDArray[np.float64],
) -> None:
    """Write median, quartiles, median deviation and further quantiles to the row's end; change values.

    The row begins with the greatest, the mean and the least value.
    """
    last = values.size - 1
    n = spread(values, row[2], row[0], in_bins, bins)
    median = value_at(in_bins, bins, n, last * 0.5)
    row[19] = median
    row[20] = value_at(in_bins, bins, n, last * 0.25)
    row[21] = value_at(in_bins, bins, n, last * 0.75)
    for j in range(fractions.size):
        row[23 + j] = value_at(in_bins, bins, n, last * fractions[j])
    for i in range(values.size):
        values[i] = abs(values[i] - median)
    n = spread(values, 0.0, max(row[0] - median, median - row[2]), in_bins, bins)
    row[22] = value_at(in_bins, bins, n, last * 0.5)


@njit(nogil=True, cache=True)
def _measure(
    labels: Labels,
    image: NDArray[Any],
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    size: tuple[int, int],
    fractions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Columns: 5 statistics, 6 centres, 3 of the maximum, 5 of the edge, 4 quartiles, percentiles."""
    n = start.size - 1
    table = np.full((n, 23 + fractions.size), np.nan)
    longest = largest_size(start)
    buffer, in_bins = np.empty(longest), np.empty(longest)
    bins = np.empty(N_BINS + 1, np.int32)
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        values = buffer[: own.size]
        is_known = own.size > 0
        for i in range(own.size):
            values[i] = image[own[i]]
            is_known &= not np.isnan(values[i])
        if not is_known:
            continue
        highest = np.int64(own[_statistics(values, table[k, :5])])
        _places(values, own, size, table[k, 5:11])
        line = highest // size[1]
        table[k, 11] = line // size[0]
        table[k, 12] = line % size[0]
        table[k, 13] = highest - line * size[1]
        _edge_statistics(labels, values, own, size, table[k, 14:19])
        _write_quantiles(values, fractions, in_bins[: own.size], bins, table[k])
    return table


def _columns(
    table: NDArray[np.float64], percentiles: Sequence[int], dimensions: int, z_scale: float
) -> dict[str, Column]:
    columns = dict(zip(_STATISTICS, table[:, :5].T, strict=True))
    columns |= dict(zip(_QUARTILES, table[:, 19:23].T, strict=True))
    columns |= {f"percentile-{p}": table[:, 23 + i] for i, p in enumerate(percentiles)}
    columns |= {f"edge-{name}": table[:, 14 + i] for i, name in enumerate(_STATISTICS)}
    away = (table[:, 8:11] - table[:, 5:8]) * (z_scale, 1, 1)
    columns["mass-displacement"] = np.sqrt((away**2).sum(axis=1))
    for axis, name in enumerate("zyx"):
        if name != "z" or dimensions == 3:
            columns[f"center-of-mass-{name}"] = table[:, 8 + axis]
            columns[f"max-{name}"] = table[:, 11 + axis]
    return {name: np.ascontiguousarray(values) for name, values in columns.items()}


@operation
def intensity_features(
    labels: Labels,
    image: NDArray[Any],
    percentiles: Sequence[int] = (),
    *,
    z_scale: float = 1.0,
    pixels: ObjectPixels | None = None,
) -> dict[str, Column]:
    """Measure the intensities of all objects.

    Parameters
    ----------
    labels : ndarray of int32, two or three dimensions
        Objects; 0 is background, numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    percentiles
        Further quantiles, in %.
    z_scale
        Distance of planes over that of pixels, for the mass displacement in three dimensions.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Names without class and channel (see ``DESCRIPTIONS``), rows by label - 1; values in units of
        the image, places in pixels from its corner. NaN for labels that don't occur, for edges of
        objects that fill the image and for places weighted by intensities that add up to 0.

    Raises
    ------
    ValueError
        The shapes differ.

    Notes
    -----
    Definitions of CellProfiler's MeasureObjectIntensity as cp_measure 0.3 has them. Edge pixels are
    those of ``skimage.segmentation.find_boundaries(mode="inner")``: the image's edge is none.

    Examples
    --------
    >>> found = intensity_features(np.array([[1, 1, 1, 0]], np.int32), np.array([[1, 2, 6, 9]]))
    >>> found["median"], found["edge-mean"], found["center-of-mass-x"].round(3)
    (array([2.]), array([6.]), array([1.556]))
    """
    if labels.shape != image.shape:
        raise ValueError(f"labels of {labels.shape} on an image of {image.shape}")
    found = object_pixels(labels) if pixels is None else pixels
    table = _measure(
        np.ascontiguousarray(labels).reshape(-1),
        np.ascontiguousarray(image).reshape(-1),
        found.start,
        found.position,
        (max(1, labels.shape[-2]), max(1, labels.shape[-1])),
        np.asarray(percentiles, np.float64) / 100,
    )
    return _columns(table, percentiles, labels.ndim, z_scale)
