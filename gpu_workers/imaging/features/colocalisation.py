"""How two channels go together within each object; entry point: `colocalisation`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.costes import costes_thresholds
from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Values = NDArray[np.float64]
Measure = Literal["correlation", "overlap", "manders", "rwc", "costes"]

COLUMNS: dict[Measure, tuple[str, ...]] = {
    "correlation": ("Pearson", "Slope"),
    "overlap": ("Overlap", "K-1", "K-2"),
    "manders": ("Manders-1", "Manders-2"),
    "rwc": ("RWC-1", "RWC-2"),
    "costes": ("Costes-1", "Costes-2"),
}
"""Measure -> its columns; -1 is of the first channel, -2 of the second."""

_ABOVE = "over pixels that have at least {threshold} % of the object's maximum in both channels"
_OWN = "over the sum of a where a has at least that"
_FORMULAS = {
    "Pearson": "covariance(a, b) / (std a std b) over the object's pixels",
    "Slope": "covariance(a, b) / variance a: b as a line over a",
    "Overlap": f"sum ab / sqrt(sum a² sum b²), {_ABOVE}",
    "K-1": f"sum ab / sum a², {_ABOVE}",
    "K-2": f"sum ab / sum b², {_ABOVE}",
    "Manders-1": f"sum a, {_ABOVE}, {_OWN}",
    "Manders-2": "as Manders-1 with the channels exchanged",
    "RWC-1": f"sum a w, {_ABOVE}, {_OWN}; w = 1 - |difference of the ranks| / number of ranks",
    "RWC-2": "as RWC-1 with the channels exchanged",
    "Costes-1": "sum a over pixels above Costes' thresholds of both channels, over the sum of a where "
    "a reaches its own",
    "Costes-2": "as Costes-1 with the channels exchanged",
}
_SOURCES = {
    "Manders": "E. M. M. Manders et al., J. Microsc. 169, 1993",
    "RWC": "V. R. Singan et al., BMC Bioinformatics 12, 2011",
    "Costes": "S. V. Costes et al., Biophys. J. 86, 2004",
}
_CELLPROFILER = "as CellProfiler's MeasureColocalization"

DESCRIPTIONS = tuple(
    FeatureDescription(
        f"Colocalisation_{name}",
        f"{formula}; a, b: the channels in the order of the name",
        "",
        "; ".join(filter(None, (_SOURCES.get(name[:-2]), _CELLPROFILER))),
        peers={"cp_measure": f"Correlation_{name.replace('-', '_')}"},
        dimensions=(2, 3),
    )
    for name, formula in _FORMULAS.items()
)


@njit(nogil=True, cache=True)
def _correlation(a: Values, b: Values, result: Values) -> None:
    mean_a, mean_b = a.mean(), b.mean()
    aa, bb, ab = 0.0, 0.0, 0.0
    for i in range(a.size):
        aa += (a[i] - mean_a) ** 2
        bb += (b[i] - mean_b) ** 2
        ab += (a[i] - mean_a) * (b[i] - mean_b)
    if aa > 0:
        result[1] = ab / aa
        if bb > 0:
            result[0] = min(1.0, max(-1.0, ab / np.sqrt(aa) / np.sqrt(bb)))


@njit(nogil=True, cache=True)
def _ranks(values: Values) -> tuple[NDArray[np.int64], int]:
    """Return dense ranks from 0 and the highest."""
    order = np.argsort(values)
    ranks = np.zeros(values.size, np.int64)
    rank = 0
    for i in range(1, order.size):
        if values[order[i]] != values[order[i - 1]]:
            rank += 1
        ranks[order[i]] = rank
    return ranks, rank


@njit(nogil=True, cache=True)
def _ratio(part: float, whole: float) -> float:
    return part / whole if whole != 0 else np.nan


@njit(nogil=True, cache=True)
def _above(a: Values, b: Values, share: float, has_ranks: bool, result: Values) -> None:
    """Fill overlap, K (2), Manders (2), RWC (2)."""
    limit_a, limit_b = share * a.max(), share * b.max()
    ranks_a, ranks_b = np.zeros(0, np.int64), np.zeros(0, np.int64)
    n_ranks = 1
    if has_ranks:
        ranks_a, highest_a = _ranks(a)
        ranks_b, highest_b = _ranks(b)
        n_ranks = max(highest_a, highest_b) + 1
    aa, bb, ab, both_a, both_b, all_a, all_b, ranked_a, ranked_b = (0.0,) * 9
    count = 0
    for i in range(a.size):
        if a[i] >= limit_a:
            all_a += a[i]
        if b[i] >= limit_b:
            all_b += b[i]
        if a[i] >= limit_a and b[i] >= limit_b:
            count += 1
            aa += a[i] * a[i]
            bb += b[i] * b[i]
            ab += a[i] * b[i]
            both_a += a[i]
            both_b += b[i]
            if has_ranks:
                weight = (n_ranks - abs(ranks_a[i] - ranks_b[i])) / n_ranks
                ranked_a += a[i] * weight
                ranked_b += b[i] * weight
    if count == 0:
        result[:] = 0.0
        return
    result[0] = _ratio(ab, np.sqrt(aa * bb))
    result[1], result[2] = _ratio(ab, aa), _ratio(ab, bb)
    result[3], result[4] = _ratio(both_a, all_a), _ratio(both_b, all_b)
    result[5], result[6] = _ratio(ranked_a, all_a), _ratio(ranked_b, all_b)


@njit(nogil=True, cache=True)
def _costes(a: Values, b: Values, scale: float, result: Values) -> None:
    limit_a, limit_b = costes_thresholds(a, b, scale)
    if not (np.isfinite(limit_a) and np.isfinite(limit_b)):
        return
    both_a, both_b, all_a, all_b = 0.0, 0.0, 0.0, 0.0
    for i in range(a.size):
        if a[i] >= limit_a:
            all_a += a[i]
        if b[i] >= limit_b:
            all_b += b[i]
        if a[i] > limit_a and b[i] > limit_b:
            both_a += a[i]
            both_b += b[i]
    if all_a > 0 and all_b > 0:
        result[0], result[1] = both_a / all_a, both_b / all_b


@njit(nogil=True, cache=True)
def _measure(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    images: tuple[Values, Values],
    share: float,
    scales: tuple[float, float, float],
    wanted: tuple[bool, bool, bool, bool],
) -> NDArray[np.float64]:
    """Return (object, column); wanted: correlation, above thresholds, with ranks, Costes."""
    n = start.size - 1
    result = np.full((n, 11), np.nan)
    first, second = images
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        if own.size == 0:
            continue
        a, b = np.empty(own.size), np.empty(own.size)
        for i in range(own.size):
            a[i] = first[own[i]]
            b[i] = second[own[i]]
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            continue
        if wanted[0]:
            _correlation(a, b, result[k, :2])
        if wanted[1]:
            _above(a, b, share, wanted[2], result[k, 2:9])
        if wanted[3]:
            _costes(a / scales[0], b / scales[1], scales[2], result[k, 9:])
    return result


def _full_scale(image: NDArray[Any]) -> float:
    """Return the intensity that is 1 to Costes: that of the type; 1 or the maximum for floats."""
    if image.dtype.kind == "f":
        highest = float(np.nanmax(image)) if np.isfinite(image).any() else 1.0
        return highest if highest > 1 else 1.0
    return 1.0 if image.dtype == np.bool_ else float(np.iinfo(image.dtype).max)


def _scales(
    first: NDArray[Any], second: NDArray[Any], n_steps: int | None
) -> tuple[float, float, float]:
    """Return both full scales and the number of steps between 0 and 1 that thresholds may take."""
    scales = _full_scale(first), _full_scale(second)
    if n_steps is not None:
        return (*scales, float(n_steps))
    is_coarse = first.dtype == second.dtype == np.uint8
    return (*scales, 255.0 if is_coarse else 65535.0)


@operation
def colocalisation(
    labels: Labels,
    first: NDArray[Any],
    second: NDArray[Any],
    measures: Iterable[Measure] = ("correlation", "overlap", "manders", "rwc", "costes"),
    threshold: float = 15,
    costes_steps: int | None = None,
    pixels: ObjectPixels | None = None,
) -> dict[str, Column]:
    """Measure how two channels go together within all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects; numbers may be missing.
    first, second : ndarray, same shape, any real dtype
        Intensities of two channels, not below 0. An object with a NaN pixel gets NaN.
    measures
        Which to compute, see `COLUMNS`.
    threshold
        From which intensity on pixels count for overlap, Manders and RWC, % of each object's maximum.
    costes_steps
        Number of steps that Costes' thresholds may take; None: 255 for 8 bits, else 65,535.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Rows by label - 1. Correlation and slope are NaN for a flat channel.

    Notes
    -----
    Formulas: `DESCRIPTIONS`. Costes' thresholds are looked for between 0 and the full scale of the
    type; floats count as scaled to 1, or are divided by their maximum if that is above 1.

    Examples
    --------
    >>> a = np.array([[1.0, 2.0, 3.0]])
    >>> colocalisation(np.ones((1, 3), np.int32), a, 2 * a, ("correlation",))["Slope"]
    array([2.])
    """
    missing = with_nan(labels, first, second)
    wanted = tuple(measures)
    if pixels is None:
        pixels = object_pixels(labels)
    flat = flat_values(first), flat_values(second)
    groups = (
        "correlation" in wanted,
        any(m in wanted for m in ("overlap", "manders", "rwc")),
        "rwc" in wanted,
        "costes" in wanted,
    )
    scales = _scales(first, second, costes_steps)
    found = _measure(pixels.start, pixels.position, flat, threshold / 100, scales, groups)
    found[missing] = np.nan
    columns: dict[str, Column] = {}
    i = 0
    for measure, names in COLUMNS.items():
        if measure in wanted:
            columns.update({name: found[:, i + j] for j, name in enumerate(names)})
        i += len(names)
    return columns
