"""Intensities of objects on a device; halves of `gpu_workers.imaging.features.{pixels,intensity}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_workers.imaging.device.labels import first_pixels, highest
from gpu_workers.imaging.device.launching import each_block, plane
from gpu_workers.imaging.device.regions import BLOCK, by_label, sorted_by, value_table
from gpu_workers.imaging.features import intensity, pixels
from gpu_workers.imaging.features.pixels import ObjectPixels
from gpu_workers.xp import device_half, namespace

STATISTICS = ("max", "mean", "min", "sum", "std")


@device_half(pixels.object_pixels)
def object_pixels(labels: Any) -> ObjectPixels:
    """Return the pixels of every object, as on the CPU."""
    places, starts = by_label(labels, highest(labels))
    return ObjectPixels(starts, places.astype(namespace(labels).uint32))


def _statistics(values: Any, starts: Any) -> dict[str, Any]:
    """Return the statistics of runs of values; NaN for runs that are empty or hold a NaN."""
    xp = namespace(values)
    count, shifted, squares, low, high, first = value_table(values, starts)
    offset = shifted / count
    spread = xp.sqrt(xp.maximum(squares / count - offset**2, 0))
    columns = (high, first + offset, low, first * count + shifted, spread)
    known = count > 0
    return {
        name: xp.where(known, column, np.nan)
        for name, column in zip(STATISTICS, columns, strict=True)
    }


def _quantiles(values: Any, own: Any, starts: Any, fractions: Sequence[float]) -> list[Any]:
    """Return quantiles of runs of values, linear between two of them."""
    xp = namespace(values)
    order = sorted_by(values, own)
    ordered = xp.concatenate([values[order], xp.zeros(1)])
    size = starts[1:] - starts[:-1]
    found = []
    for fraction in fractions:
        place = xp.maximum(size - 1, 0) * fraction
        k = place.astype(xp.int64)
        part = place - k
        low = ordered[starts[:-1] + k]
        high = ordered[starts[:-1] + xp.minimum(k + 1, xp.maximum(size - 1, 0))]
        between = low * (1 - part) + high * part
        found.append(xp.where(size > 0, xp.where(part > 0, between, low), np.nan))
    return found


def _sums(columns: list[Any], starts: Any) -> Any:
    """Return the sums of columns over runs, (columns, runs)."""
    xp = namespace(starts)
    stacked = xp.ascontiguousarray(xp.stack(columns))
    n = int(starts.size) - 1
    table = xp.zeros((n, len(columns)), xp.float64)
    size, many = np.int64(stacked.shape[1]), np.int32(len(columns))
    each_block(xp, "segments", "sums", (n, BLOCK), (stacked, size, starts, many, table))
    return table.T


def _centres(values: Any, own: Any, position: Any, starts: Any, width: int) -> dict[str, Any]:
    """Return the centre of mass and its distance from the centroid."""
    xp = namespace(values)
    y, x = position // width, (position % width).astype(xp.float64)
    last = max(0, int(position.size) - 1)
    top = y[xp.minimum(starts[:-1], last)] if position.size else xp.zeros(starts.size - 1)
    down = (y - top[own]).astype(xp.float64)
    total, heavy_y, heavy_x, plain_y, plain_x = _sums(
        [values, values * down, values * x, down, x], starts
    )
    size = starts[1:] - starts[:-1]
    mass = xp.where(total != 0, total, np.nan)
    mass_y, mass_x = heavy_y / mass, heavy_x / mass
    away = xp.sqrt((mass_y - plain_y / size) ** 2 + (mass_x - plain_x / size) ** 2)
    return {
        "mass-displacement": away,
        "center-of-mass-y": mass_y + top,
        "center-of-mass-x": mass_x,
    }


def _edge(labels: Any) -> Any:
    """Return the labels of the pixels with a direct neighbour in the image of another label."""
    xp = namespace(labels)
    at_edge = xp.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    at_edge[1:] |= down
    at_edge[:-1] |= down
    at_edge[:, 1:] |= right
    at_edge[:, :-1] |= right
    return xp.where(at_edge, labels, 0)


def _brightest(labels: Any, position: Any, own: Any, is_highest: Any, n: int) -> dict[str, Any]:
    """Return the place of each object's first greatest value."""
    xp = namespace(labels)
    marked = xp.zeros(labels.size, xp.int32)
    marked[position] = xp.where(is_highest, own + 1, 0).astype(xp.int32)
    first = first_pixels(marked, n)[1:]
    width = labels.shape[1]
    return {
        "max-y": (first // width).astype(xp.float64),
        "max-x": (first % width).astype(xp.float64),
    }


@device_half(intensity.intensity_features)
def intensity_features(
    labels: Any,
    image: Any,
    percentiles: Sequence[int] = (),
    *,
    z_scale: float = 1.0,
    pixels: ObjectPixels | None = None,
) -> dict[str, Any]:
    """Return the intensities of all objects of a plane; within 1e-9 as on the CPU."""
    del z_scale
    if labels.shape != image.shape:
        raise ValueError(f"labels of {labels.shape} on an image of {image.shape}")
    xp = namespace(labels, image)
    width = plane(labels)[1]
    found = object_pixels(labels) if pixels is None else pixels
    starts, position = found.start, found.position.astype(xp.int64)
    n = int(starts.size) - 1
    own = labels.ravel()[position] - 1
    values = image.ravel()[position].astype(xp.float64)
    columns = _statistics(values, starts)
    fractions = (0.5, 0.25, 0.75, *(p / 100 for p in percentiles))
    median, low, high, *more = _quantiles(values, own, starts, fractions)
    (deviation,) = _quantiles(xp.abs(values - median[own]), own, starts, (0.5,))
    columns |= {"median": median, "lower-quartile": low, "upper-quartile": high, "mad": deviation}
    columns |= {f"percentile-{p}": c for p, c in zip(percentiles, more, strict=True)}
    edge, ends = by_label(_edge(labels), n)
    at_edge = _statistics(image.ravel()[edge].astype(xp.float64), ends)
    columns |= {f"edge-{name}": column for name, column in at_edge.items()}
    columns |= _centres(values, own, position, starts, width)
    columns |= _brightest(labels, position, own, values == columns["max"][own], n)
    n_unknown = xp.bincount(own, weights=xp.isnan(values).astype(xp.float64), minlength=n)
    unknown = n_unknown > 0
    unknown |= starts[1:] == starts[:-1]
    return {name: xp.where(unknown, np.nan, column) for name, column in columns.items()}
