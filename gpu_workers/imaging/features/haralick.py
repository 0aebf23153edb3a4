"""Haralick's texture features of all objects at once; entry points: `haralick` and `to_gray`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import Column, object_pixels, with_nan
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Gray = NDArray[np.uint8]
GrayRange = Literal["auto", "type", "image", "object"]
Statistic = Literal["mean", "range", "directions"]

HARALICK = (
    "angular-second-moment",
    "contrast",
    "correlation",
    "sum-of-squares",
    "inverse-diff-moment",
    "sum-avg",
    "sum-var",
    "sum-entropy",
    "entropy",
    "diff-var",
    "diff-entropy",
    "info-measure-corr-1",
    "info-measure-corr-2",
)
"""The 13 features in the order of Haralick's paper and of mahotas' columns."""

_FORMULAS = (
    "sum p²",
    "sum (i - j)² p",
    "(sum i j p - mean²) / variance; 1 for a single gray level",
    "variance of i",
    "sum p / (1 + (i - j)²)",
    "mean of i + j",
    "variance of i + j",
    "entropy of i + j, bits",
    "entropy of p, bits",
    "variance of the probabilities of |i - j| over all levels up to the object's highest",
    "entropy of |i - j|, bits",
    "(H - 2 Hx) / Hx, with H the entropy of p and Hx that of i",
    "sqrt(1 - exp(-2 (2 Hx - H)))",
)
_CELLPROFILER = (
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "Variance",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumVariance",
    "SumEntropy",
    "Entropy",
    "DifferenceVariance",
    "DifferenceEntropy",
    "InfoMeas1",
    "InfoMeas2",
)
_SOURCE = (
    "R. M. Haralick et al., IEEE SMC 3, 1973; as mahotas.features.haralick(ignore_zeros=True); the "
    "columns of mahotas here are those of scale 1"
)

DESCRIPTIONS = (
    *(
        FeatureDescription(
            f"Texture_Haralick-{name}-{{scale}}",
            f"{formula}; p: how often gray levels i and j lie {{scale}} px apart in the object, "
            "zeros left out; mean over the directions (4 in the plane, 13 in space)",
            "",
            _SOURCE,
            peers={"mahotas": f"haralick_mean_{i:02d}"},
            differs={"cp_measure": "has the directions one by one: see -direction-{direction}"},
            dimensions=(2, 3),
        )
        for i, (name, formula) in enumerate(zip(HARALICK, _FORMULAS, strict=True))
    ),
    *(
        FeatureDescription(
            f"Texture_Haralick-{name}-{{scale}}-direction-{{direction}}",
            f"{formula}, in one direction; in the plane 0: right, 1: right and down, 2: down, "
            "3: left and down",
            "",
            _SOURCE,
            peers={
                "mahotas": f"haralick_dir{{direction}}_{i:02d}",
                "cp_measure": f"{peer}_{{scale}}_0{{direction}}_256",
            },
            dimensions=(2, 3),
        )
        for i, (name, formula, peer) in enumerate(
            zip(HARALICK, _FORMULAS, _CELLPROFILER, strict=True)
        )
    ),
    *(
        FeatureDescription(
            f"Texture_Haralick-{name}-{{scale}}-range",
            f"{formula}: greatest minus least over the directions",
            "",
            "R. M. Haralick et al., IEEE SMC 3, 1973",
            dimensions=(2, 3),
        )
        for name, formula in zip(HARALICK, _FORMULAS, strict=True)
    ),
)

# of mahotas, by axes
_PLANE = np.array([[0, 1], [1, 1], [1, 0], [1, -1]], np.int64)
_SPACE = np.array(
    [
        [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, -1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1],
        [1, -1, 1], [1, 0, -1], [0, 1, -1], [1, 1, -1], [1, -1, -1],
    ],
    np.int64,
)  # fmt: skip
_N_LOGS = 4096


def _is_small(image: NDArray[Any]) -> bool:
    """Return whether the type has so few values that a table of them is quicker than the pixels."""
    return image.dtype.kind == "u" and image.dtype.itemsize <= 2


def _scaled(image: NDArray[Any], low: float, high: float) -> Gray:
    """Map low…high to 0…255, what lies outside to the ends; NaN becomes 0."""
    if _is_small(image):
        table = _scaled(np.arange(np.iinfo(image.dtype).max + 1.0), low, high)
        return np.asarray(table[image])
    span = high - low
    if not span > 0:
        return np.zeros(image.shape, np.uint8)
    with np.errstate(invalid="ignore"):
        gray = np.clip((image.astype(np.float64) - low) * (255 / span), 0, 255)
    return np.nan_to_num(gray, nan=0).astype(np.uint8)


def _brightest_of_image(image: NDArray[Any]) -> float:
    """Return the 99.999th percentile."""
    if not _is_small(image):
        return float(np.percentile(np.nan_to_num(image.astype(np.float64)), 99.999))
    upto = np.cumsum(np.bincount(image.ravel()))
    index = 0.99999 * (image.size - 1)
    low, high = np.searchsorted(upto, [int(index), int(np.ceil(index))], side="right")
    return float(low + (high - low) * (index - int(index)))


def _by_type(image: NDArray[Any]) -> Gray:
    """Scale as types do: whole numbers over the type's range, floats over 0…1."""
    if image.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            gray = np.rint(np.clip(image.astype(np.float64), 0, 1) * 255)
        return np.nan_to_num(gray, nan=0).astype(np.uint8)
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    info = np.iinfo(image.dtype)
    bits = info.bits - (1 if info.min < 0 else 0)
    return np.asarray(np.maximum(image, 0) >> max(bits - 8, 0)).astype(np.uint8)


def _is_scaled(image: NDArray[Any]) -> bool:
    """Return whether the type's range is known to be the image's: 8 bit, or floats within 0…1."""
    if image.dtype.kind != "f":
        return image.dtype in (np.uint8, np.bool_)
    known = image[~np.isnan(image)]
    return not known.size or bool(known.min() >= 0 and known.max() <= 1)


def _brightest(labels: Labels, image: NDArray[np.float64], clip: float) -> NDArray[np.float64]:
    from gpu_workers.imaging.regions import intensity_statistics

    flat = labels.reshape(-1, labels.shape[-1])
    highest = intensity_statistics(flat, image.reshape(flat.shape)).max
    return np.concatenate([[0.0], np.minimum(np.nan_to_num(highest), clip)])


def to_gray(
    labels: Labels,
    image: NDArray[Any],
    gray_range: GrayRange = "auto",
    limits: tuple[float, float] | None = None,
    levels: int = 256,
) -> Gray:
    """Return the image in 8 bits, as gray levels are counted.

    Parameters
    ----------
    labels : ndarray of int32
        Objects, for the range "object".
    image : ndarray, same shape, any real dtype
        NaN becomes 0.
    gray_range
        "type": the range of the image's type (0…1 for floats), as CellProfiler; "image": from 0 or
        the image's least value to its 99.999th percentile; "object": each object from 0 to its
        brightest pixel, as the first TissueMAPS; "auto": "type" for 8 bits and floats within 0…1,
        else "image".
    limits
        Intensities that become 0 and 255, in place of a range.
    levels
        Number of gray levels, at most 256.

    Examples
    --------
    >>> to_gray(np.ones((1, 2), np.int32), np.array([[100, 300]], np.uint16), limits=(0, 300))
    array([[ 85, 255]], dtype=uint8)
    """
    rule = gray_range
    if rule == "auto":
        rule = "type" if _is_scaled(image) else "image"
    if limits is not None:
        gray = _scaled(image, *limits)
    elif rule == "type" or not image.size:
        gray = _by_type(image)
    else:
        clip = _brightest_of_image(image)
        if rule == "image":
            low = 0.0 if _is_small(image) else float(np.nan_to_num(image).min(initial=0))
            gray = _scaled(image, low, clip)
        else:
            values = np.nan_to_num(image.astype(np.float64))
            highest = _brightest(labels, values, clip)[labels]
            with np.errstate(divide="ignore", invalid="ignore"):
                relative = np.where(highest > 0, np.clip(values, 0, clip) / highest, 0)
            gray = (np.clip(relative, 0, 1) * 255).astype(np.uint8)
    if levels < 256:
        gray = (gray.astype(np.int64) * (levels - 1) // 255).astype(np.uint8)
    return gray


@njit(nogil=True, cache=True)
def _c_log_c(count: float, logs: NDArray[np.float64]) -> float:
    if count < logs.size:
        return float(logs[int(count)])
    return float(count * np.log2(count))


@njit(nogil=True, cache=True)
def _count_pairs(
    pixels: NDArray[np.uint32],
    labels: Labels,
    gray: Gray,
    step: int,
    table: NDArray[np.int32],
    cells: NDArray[np.int32],
) -> int:
    """Count unordered pairs of gray levels; return how many cells of the table were touched."""
    n = 0
    for position in pixels:
        here = np.int64(position)
        there = here + step
        value, other = np.int32(gray[here]), np.int32(gray[there])
        if value == 0 or other == 0 or labels[there] != labels[here]:
            continue
        cell = min(value, other) * 256 + max(value, other)
        if table[cell] == 0:
            cells[n] = cell
            n += 1
        table[cell] += 1
    return n


@njit(nogil=True, cache=True)
def _gather(
    table: NDArray[np.int32],
    cells: NDArray[np.int32],
    margins: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    logs: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """Empty the table into margins (i, i + j, |i - j|); return total, squares, products, c log c."""
    px, plus, minus = margins
    total, squares, products, information = 0.0, 0.0, 0.0, 0.0
    for cell in cells:
        low, high = cell // 256, cell % 256
        count = float(table[cell])
        table[cell] = 0
        total += 2 * count
        px[low] += count
        px[high] += count
        plus[low + high] += 2 * count
        minus[high - low] += 2 * count
        products += 2 * count * low * high
        if low == high:
            squares += 4 * count * count
            information += _c_log_c(2 * count, logs)
        else:
            squares += 2 * count * count
            information += 2 * _c_log_c(count, logs)
    return total, squares, products, information


@njit(nogil=True, cache=True)
def _moments(margin: NDArray[np.float64], logs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the sums of i c, i² c and c log c."""
    first, second, information = 0.0, 0.0, 0.0
    for i in range(margin.size):
        if margin[i] > 0:
            first += i * margin[i]
            second += float(i) * i * margin[i]
            information += _c_log_c(margin[i], logs)
    return first, second, information


@njit(nogil=True, cache=True)
def _differences(minus: NDArray[np.float64], total: float) -> tuple[float, float]:
    """Return the inverse difference moment and the variance of the probabilities."""
    inverse, spread = 0.0, 0.0
    for i in range(minus.size):
        probability = minus[i] / total
        inverse += probability / (1.0 + i * i)
        spread += (probability - 1.0 / minus.size) ** 2
    return inverse, spread / minus.size


@njit(nogil=True, cache=True)
def _thirteen(
    sums: tuple[float, float, float, float],
    margins: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    logs: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    total, squares, products, information = sums
    log_total = np.log2(total)
    first, second, x_information = _moments(margins[0], logs)
    # of whole numbers: exactly 0 for a single level
    variance = (total * second - first * first) / (total * total)
    sum_first, sum_second, sum_information = _moments(margins[1], logs)
    _, contrast, difference_information = _moments(margins[2], logs)
    entropy = log_total - information / total
    x_entropy = log_total - x_information / total
    result[0] = squares / (total * total)
    result[1] = contrast / total
    result[2] = 1.0
    if variance > 0:
        result[2] = (total * products - first * first) / (total * total) / variance
    result[3] = variance
    result[4], result[9] = _differences(margins[2], total)
    result[5] = sum_first / total
    result[6] = (total * sum_second - sum_first * sum_first) / (total * total)
    result[7] = log_total - sum_information / total
    result[8] = entropy
    result[10] = log_total - difference_information / total
    result[11] = entropy - 2 * x_entropy
    if x_entropy > 0:
        result[11] /= x_entropy
    result[12] = np.sqrt(max(0.0, 1 - np.exp(-2 * (2 * x_entropy - entropy))))


@njit(nogil=True, cache=True)
def _measure(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    labels: Labels,
    gray: Gray,
    steps: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return (object, direction, feature); one table of pairs serves all objects in turn."""
    n = start.size - 1
    result = np.full((n, steps.size, 13), np.nan)
    logs = np.zeros(_N_LOGS)
    for i in range(2, logs.size):
        logs[i] = i * np.log2(i)
    table = np.zeros(65536, np.int32)
    cells = np.empty(32896, np.int32)
    px, plus, minus = np.zeros(256), np.zeros(512), np.zeros(256)
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        levels = 0
        for i in own:
            levels = max(levels, gray[i] + 1)
        margins = (px[:levels], plus[: 2 * levels], minus[:levels])
        for d in range(steps.size):
            touched = _count_pairs(own, labels, gray, steps[d], table, cells)
            if touched == 0:
                continue
            for margin in margins:
                margin[:] = 0.0
            sums = _gather(table, cells[:touched], margins, logs)
            _thirteen(sums, margins, logs, result[k, d])
    return result


def _columns(
    values: NDArray[np.float64], scale: int, statistics: Iterable[Statistic]
) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for statistic in statistics:
        for i, name in enumerate(HARALICK):
            longer = f"Haralick-{name}-{scale}"
            if statistic == "mean":
                columns[longer] = values[..., i].mean(axis=1)
            elif statistic == "range":
                columns[f"{longer}-range"] = np.ptp(values[..., i], axis=1)
            else:
                for d in range(values.shape[1]):
                    columns[f"{longer}-direction-{d}"] = values[:, d, i]
    return columns


@operation
def haralick(
    labels: Labels,
    image: NDArray[Any],
    scales: Iterable[int] = (1,),
    statistics: Iterable[Statistic] = ("mean",),
    gray_range: GrayRange = "auto",
    limits: tuple[float, float] | None = None,
    levels: int = 256,
) -> dict[str, Column]:
    """Measure Haralick's 13 texture features of all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    scales
        Distances between the two pixels of a pair, px along each axis.
    statistics
        "mean" and "range" over the directions, and "directions" one by one.
    gray_range, limits, levels
        From intensities to gray levels, see `to_gray`.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``Haralick-<feature>-<scale>``, with ``-range`` and ``-direction-<d>``; rows by label - 1.
        NaN where a direction has no pair within the object.

    Notes
    -----
    Pairs lie wholly in the object; pixels of gray level 0 don't count. Formulas: `DESCRIPTIONS`.
    Each direction counts unordered pairs in one table that is emptied through the list of its
    touched cells, so that an object costs what it has pixels.

    Examples
    --------
    >>> stripes = np.tile(np.array([10, 20], np.uint8), (4, 2))
    >>> haralick(np.ones((4, 4), np.int32), stripes)["Haralick-contrast-1"]
    array([75.])
    """
    missing = with_nan(labels, image)
    gray = to_gray(labels, image, gray_range, limits, levels)
    wanted, distances = tuple(statistics), tuple(scales)
    # in a frame that no pair crosses a neighbour is a place in memory
    framed = np.pad(labels, max(distances, default=0)), np.pad(gray, max(distances, default=0))
    pixels = object_pixels(framed[0])
    flat = framed[0].reshape(-1), framed[1].reshape(-1)
    directions = _PLANE if labels.ndim == 2 else _SPACE
    strides = np.array([np.prod(framed[0].shape[i + 1 :]) for i in range(labels.ndim)], np.int64)
    columns: dict[str, Column] = {}
    for scale in distances:
        values = _measure(pixels.start, pixels.position, *flat, directions @ strides * scale)
        values[np.isnan(values[..., 0]).any(axis=1) | missing] = np.nan
        columns.update(_columns(values, scale, wanted))
    return columns
