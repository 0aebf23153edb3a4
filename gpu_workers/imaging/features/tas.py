"""Threshold adjacency statistics of all objects at once; entry point: `threshold_adjacency`."""

from __future__ import annotations

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
from gpu_workers.xp import operation

TAS = ("center", "mu-margin", "mu", "n-center", "n-mu-margin", "n-mu")
"""The six groups of nine columns, in mahotas' order."""

_CHOSEN = (
    "within margin of mu",
    "above mu - margin",
    "above mu",
    "within margin of mu, negated",
    "above mu - margin, negated",
    "above mu, negated",
)

DESCRIPTIONS = tuple(
    FeatureDescription(
        f"Texture_TAS-{group}-{{neighbours}}",
        f"fraction of the pixels not {chosen} that have {{neighbours}} of 8 neighbours that are; "
        "mu: mean of the object's pixels above the threshold, margin: their standard deviation or "
        "as given; all in the object's box, in which pixels of others are 0. mahotas' columns: threshold and margin 30",
        "",
        "N. A. Hamilton et al., BMC Bioinformatics 8, 2007; as mahotas.features.pftas",
        peers={"mahotas": f"tas_{9 * i:02d} to tas_{9 * i + 8:02d}"},
    )
    for i, (group, chosen) in enumerate(zip(TAS, _CHOSEN, strict=True))
)


@njit(nogil=True, cache=True)
def _bright(
    own: NDArray[np.uint32], values: NDArray[np.float64], threshold: float
) -> tuple[float, float, int]:
    """Return sum, standard deviation and number of the pixels above a threshold."""
    total, squares, count = 0.0, 0.0, 0
    for i in own:
        if values[i] > threshold:
            total += values[i]
            count += 1
    if count == 0:
        return 0.0, 0.0, 0
    for i in own:
        if values[i] > threshold:
            squares += (values[i] - total / count) ** 2
    return total, np.sqrt(squares / count), count


@njit(nogil=True, cache=True)
def _adjacency(
    inside: NDArray[np.float64], low: float, high: float, off: Column, on: Column
) -> None:
    """Fractions of pixels that are off by their neighbours that are on, and the reverse.

    On is what lies between the limits. Beyond the box its outermost pixels repeat.
    """
    height, width = inside.shape
    n_on, n_off = 0.0, 0.0
    for y in range(height):
        for x in range(width):
            count = 0
            for dy in range(-1, 2):
                row = min(max(y + dy, 0), height - 1)
                for dx in range(-1, 2):
                    column = min(max(x + dx, 0), width - 1)
                    count += 1 if low < inside[row, column] < high else 0
            if low < inside[y, x] < high:
                on[9 - count] += 1
                n_on += 1
            else:
                off[count] += 1
                n_off += 1
    for i in range(9):
        on[i] /= max(n_on, 1.0)
        off[i] /= max(n_off, 1.0)


@njit(nogil=True, cache=True)
def _measure(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    values: NDArray[np.float64],
    width: int,
    boxes: NDArray[np.int32],
    threshold: float,
    margin: float,
    padding: int,
) -> NDArray[np.float64]:
    n = start.size - 1
    result = np.zeros((n, 6, 9))
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        if own.size == 0:
            continue
        y0, x0 = boxes[k, 0] - padding, boxes[k, 1] - padding
        inside = np.zeros((boxes[k, 2] - y0 + padding, boxes[k, 3] - x0 + padding))
        for i in own:
            inside[np.int64(i) // width - y0, np.int64(i) % width - x0] = values[i]
        total, spread, count = _bright(own, values, threshold)
        if threshold < 0:
            count += inside.size - own.size
        mu = total / (count + 1e-8)
        reach = spread if margin < 0 else margin
        _adjacency(inside, mu - reach, mu + reach, result[k, 0], result[k, 3])
        _adjacency(inside, mu - reach, np.inf, result[k, 1], result[k, 4])
        _adjacency(inside, mu, np.inf, result[k, 2], result[k, 5])
    return result


@operation
def threshold_adjacency(
    labels: Labels,
    image: NDArray[Any],
    threshold: float,
    margin: float | None = None,
    padding: int = 0,
    pixels: ObjectPixels | None = None,
) -> dict[str, Column]:
    """Measure threshold adjacency statistics (TAS) of all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities, not below 0. An object with a NaN pixel gets NaN.
    threshold
        Pixels above it are averaged; that of Otsu for the whole image with mahotas' ``pftas``, 30
        with its ``tas``.
    margin
        How far from the mean pixels may lie; None: a standard deviation of the pixels above the
        threshold (``pftas``), 30 with ``tas``.
    padding
        Width of a frame of zeros around each object's box, px; 1 with the first TissueMAPS.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``TAS-<group>-<0 to 8>``, group by group; rows by label - 1.

    Examples
    --------
    >>> square = np.pad(np.ones((2, 2), np.int32), 1)
    >>> threshold_adjacency(square, square * 9, 0, padding=1)["TAS-mu-1"].round(3)
    array([0.333])
    """
    missing = with_nan(labels, image)
    if pixels is None:
        pixels = object_pixels(labels)
    width = labels.shape[1]
    found = _measure(
        pixels.start,
        pixels.position,
        flat_values(image),
        width,
        boxes_of(pixels, width),
        float(threshold),
        -1.0 if margin is None else float(margin),
        padding,
    )
    found[(pixels.area == 0) | missing] = np.nan
    return {f"TAS-{group}-{i}": found[:, g, i] for g, group in enumerate(TAS) for i in range(9)}
