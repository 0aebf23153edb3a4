"""Faint round objects between bright ones; entry point: `faint_objects`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.labels import Labels, expand_labels, label, split_parts
from gpu_workers.imaging.merging import Table, ellipse_fill, moments_of
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.relations import without

NOISE = 8.0  # standard deviations of the ground that a faint object rises above it
LEAST_FILL = 0.93
LARGEST_RATIO = 1.8
LEAST_AREA = 14


def _mean_around(
    values: NDArray[np.float32], weights: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """Return the weighted mean with Gaussian weights, at a resolution that is enough for it."""
    height, width = values.shape
    step = max(1, int(sigma / 3))
    small = (max(1, width // step), max(1, height // step))
    sums = [
        gaussian(cv2.resize(v, small, interpolation=cv2.INTER_AREA), sigma / step)
        for v in (values * weights, weights)
    ]
    mean = sums[0] / np.maximum(sums[1], np.float32(1e-3))
    return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _above_around(
    light: NDArray[np.float32], labels: Labels, diameter: float
) -> NDArray[np.float32]:
    """Return intensities above the mean of the ground around, 0 in and beside objects."""
    smooth = gaussian(light, 1.5)
    free = (expand_labels(labels, max(2.0, 0.04 * diameter)) == 0).astype(np.float32)
    mean = _mean_around(smooth, free, max(3.0, 0.5 * diameter))
    return np.asarray((smooth - mean) * free)


def _highest(parts: Labels, heights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest point of each part; index by label."""
    found = np.zeros(int(parts.max()) + 1, np.float32)
    inside = parts > 0
    np.maximum.at(found, parts[inside], heights[inside])
    return found


def _axis_ratio(moments: Table) -> NDArray[np.float64]:
    """Return the ratio of the axes of the ellipses with the same second moments."""
    area = moments[:, 0]
    y, x = moments[:, 1] / area, moments[:, 2] / area
    yy = moments[:, 3] / area - y * y + 1 / 12
    xx = moments[:, 4] / area - x * x + 1 / 12
    xy = moments[:, 5] / area - x * y
    half, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return np.asarray(np.sqrt((half + apart) / np.maximum(half - apart, 1e-3)))


def faint_objects(
    light: NDArray[np.float32], labels: Labels, diameter: float, least: float
) -> Labels:
    """Find round objects that are too dim to be found beside the bright ones.

    Parameters
    ----------
    light : ndarray of float32, shape (height, width)
        Intensities above the ground.
    labels : ndarray of int32, same shape
        Objects found so far.
    diameter
        Typical one of the objects, px.
    least
        How far faint objects rise above the mean around them at least.

    Returns
    -------
    ndarray of int32, same shape
        The faint objects alone, none of them on an object found so far; numbers may be missing.

    Notes
    -----
    Each ends where it has fallen to half of its height over its surroundings, is no larger than the
    typical object, and fills its ellipse to 0.93 with axes of at most 1.8 to 1, so that haze and
    streaks between objects are left out.

    Examples
    --------
    >>> y, x = np.indices((60, 60))
    >>> light = (50.0 * ((y - 30) ** 2 + (x - 30) ** 2 < 25)).astype(np.float32)
    >>> int((faint_objects(light, np.zeros((60, 60), np.int32), 20, 10) > 0).sum()) > 40
    True
    """
    heights = _above_around(light, labels, diameter)
    ground = heights[(labels == 0) & (heights != 0)]
    if not ground.size:
        return np.zeros(labels.shape, np.int32)
    ground = ground[:: max(1, ground.size >> 18)]
    noise = 1.4826 * float(np.median(np.abs(ground - np.median(ground))))
    least = max(least, NOISE * noise)
    parts = label(heights > least / 2)
    highest = _highest(parts, heights)
    highest[highest < least] = np.inf
    rising = (parts > 0) & (heights > highest[parts] / 2)
    found = split_parts(np.where(rising, parts, np.int32(0)), 4)
    moments = moments_of(found)
    area = moments[:, 0]
    dropped = (area < LEAST_AREA) | (area > np.pi / 4 * diameter**2)
    dropped |= (ellipse_fill(moments) < LEAST_FILL) | (_axis_ratio(moments) > LARGEST_RATIO)
    return without(found, dropped)
