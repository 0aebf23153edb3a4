"""Thresholds on a device; halves of `gpu_workers.imaging.thresholds`. Each fetches a number or two."""

from __future__ import annotations

from typing import Any

from gpu_workers.errors import UserError
from gpu_workers.imaging import thresholds
from gpu_workers.imaging.thresholds import N_BINS
from gpu_workers.xp import device_half, namespace


def _histogram(image: Any) -> tuple[Any, Any]:
    """Return counts and centres of the bins between the smallest and the largest value."""
    xp = namespace(image)
    values = image.ravel()
    if image.dtype.kind in "ub" and image.dtype.itemsize <= 2:
        if image.dtype.kind == "b":
            values = values.view(xp.uint8)
        first = int(values.min())
        counts = xp.bincount(values)[first:]
        return counts, xp.arange(first, first + counts.size, dtype=xp.float64)
    values = values[xp.isfinite(values)]
    if not values.size:
        raise UserError("the image has no finite pixel to find a threshold in", code="empty_image")
    low, high = float(values.min()), float(values.max())
    if low == high:
        return xp.full(1, values.size), xp.full(1, low)
    width = (high - low) / N_BINS
    bins = ((values - xp.float32(low)) * xp.float32(1 / width)).astype(xp.int32)
    counts = xp.bincount(xp.minimum(bins, N_BINS - 1), minlength=N_BINS)
    return counts, low + (xp.arange(N_BINS) + 0.5) * width


@device_half(thresholds.otsu)
def otsu(image: Any) -> float:
    """Return Otsu's threshold as on the CPU; sums may round differently where two are equally good."""
    if not image.size:
        raise UserError("the image has no pixel", code="empty_image")
    xp = namespace(image)
    counts, centres = _histogram(image)
    if counts.size == 1:
        return float(centres[0])
    below = xp.cumsum(counts, dtype=xp.float64)[:-1]
    above = counts.sum() - below
    moment = xp.cumsum(counts * centres)
    mean_below = moment[:-1] / xp.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / xp.maximum(above, 1)
    variance = below * above * (mean_below - mean_above) ** 2
    return float(centres[int(xp.argmax(variance))])


def _sample(image: Any) -> Any:
    """Return finite values of every k-th pixel, so that at least 2**18 stand for a large image."""
    xp = namespace(image)
    values = image.ravel()
    values = values[:: max(1, values.size >> 18)].astype(xp.float32)
    return values[xp.isfinite(values)]


@device_half(thresholds.moved_from_background)
def moved_from_background(image: Any, threshold: float, factor: float) -> float:
    """Return the moved threshold, as on the CPU."""
    values = _sample(image)
    background = values[values <= threshold]
    if factor == 1 or not background.size or background.size == values.size:
        return threshold
    level = float(namespace(image).median(background))
    return level + factor * (threshold - level)


@device_half(thresholds.above_background)
def above_background(image: Any, threshold: float, contrast: float) -> float:
    """Return the raised threshold, as on the CPU."""
    if contrast <= 0:
        return threshold
    xp = namespace(image)
    values = _sample(image)
    for _ in range(50):
        background = values[values <= threshold]
        if background.size == values.size or not background.size:
            break
        middle = float(xp.median(background))
        spread = 1.4826 * float(xp.median(xp.abs(background - middle)))
        least = middle + contrast * spread
        if least <= threshold:
            break
        threshold = least
    return threshold
