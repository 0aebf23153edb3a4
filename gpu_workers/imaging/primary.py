"""Bright objects on a dark ground, whatever their size and brightness; entry point: `find_objects`.

Nothing is set per image: ground and noise, the size of objects and their usual brightness are measured
first, and all later lengths, areas and thresholds are counted in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.faint import faint_objects
from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.ground import ground_surface
from gpu_workers.imaging.labels import Labels, label, relabel, split_parts
from gpu_workers.imaging.merging import Table, cut, hierarchy, union_descriptors
from gpu_workers.imaging.morphology import distance_transform, peaks
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.relations import without
from gpu_workers.imaging.shapes import filled
from gpu_workers.imaging.thresholds import above_background, otsu
from gpu_workers.imaging.watershed import watershed

Image = NDArray[np.float32]

MAX_HEIGHT = 2.5
LEVELS = 4095

# Logistic regression on the unions of the hand-drawn nuclei of BBBC038 (tests: nuclei_dsb2018_dev),
# weighted by what a wrong cut costs, the constant less 0.5: a doubtful union stays whole. One weight per
# column of `union_descriptors`, then the constant.
CUT_WEIGHTS = np.array([-3.28, -1.37, 11.77, -2.56, 0.12, -4.27, 0.5, 1.73, 5.16, 3.57])


@dataclass(frozen=True, slots=True)
class Settings:
    """How objects are found; lengths in px, the others in units that the image itself gives.

    Attributes
    ----------
    sigma
        Smoothing before anything else, px.
    flatten
        Whether the smooth unevenness of the ground is taken away first.
    diameter
        Typical one of the objects, px; None: from the image.
    contrast
        Least distance of Otsu's threshold from the ground, in standard deviations of the ground's
        noise: 0 trusts Otsu's threshold even in an image of noise.
    fraction
        Foreground begins at this fraction of the distance from the ground to Otsu's threshold …
    noise
        … but at least so many standard deviations above the ground (at most 0.9 of the distance).
    surroundings
        Foreground is also brighter than the mean of a square of so many diameters; 0: doesn't matter.
    edge
        An object ends where it falls below this fraction of its own brightness …
    glare
        … where what is brighter than this many usual brightnesses counts as if it were not.
    min_size, min_brightness
        Smaller and dimmer objects are left out: fractions of the typical area and brightness.
    faint
        Round objects between the others are kept from this fraction of their usual brightness over
        their surroundings on; 0: none are looked for.
    """

    sigma: float = 1.0
    flatten: bool = True
    diameter: float | None = None
    contrast: float = 4.0
    fraction: float = 0.3
    noise: float = 4.0
    surroundings: float = 0.0
    edge: float = 0.35
    glare: float = 2.0
    min_size: float = 0.04
    min_brightness: float = 0.2
    faint: float = 0.15


def _ground(image: Image, settings: Settings) -> tuple[float, float]:
    """Return the level of the ground and the threshold of the foreground."""
    threshold = above_background(image, otsu(image), settings.contrast)
    below = image[image <= threshold]
    below = below[:: max(1, below.size >> 18)]
    level = float(np.median(below))
    noise = 1.4826 * float(np.median(np.abs(below - level)))
    span = threshold - level
    least = min(settings.noise * noise, 0.9 * span)
    return level, level + max(settings.fraction * span, least)


def typical_diameter(mask: NDArray[np.bool_]) -> float:
    """Return the diameter of a mask's usual objects, px: 1.5 times the width of their middle.

    Notes
    -----
    The width is twice the distance transform at its peaks; the median weighs peaks by its square, so
    that specks count little. 1.5 stands for the length of nuclei over their width.
    """
    distance = gaussian(distance_transform(mask), 1.0)
    at_peaks = np.sort(distance[peaks(distance, 4, mask)])
    at_peaks = at_peaks[at_peaks > 1.5]
    if not at_peaks.size:
        return 10.0
    weights = np.cumsum(at_peaks.astype(np.float64) ** 2)
    middle = at_peaks[np.searchsorted(weights, weights[-1] / 2)]
    return float(np.clip(3 * middle, 4, min(mask.shape)))


def _brighter_than_around(image: Image, size: float, level: float) -> NDArray[np.bool_]:
    side = 2 * int(size / 2) + 1
    mean = cv2.blur(image - np.float32(level), (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(image - np.float32(level) > mean)


def _foreground(
    image: Image, level: float, threshold: float, settings: Settings
) -> tuple[NDArray[np.bool_], float]:
    """Return the mask and the typical diameter of its objects."""
    mask = image > threshold
    diameter = settings.diameter or typical_diameter(mask)
    if settings.surroundings > 0:
        mask &= _brighter_than_around(image, settings.surroundings * diameter, level)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        opened = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, cross)
        mask = opened.astype(np.bool_)
    return filled(mask, diameter**2), diameter


def _heights(mask: NDArray[np.bool_], light: Image, diameter: float) -> Image:
    """Return what rises towards the middle of objects: distance from the outline and brightness."""
    sigma = 0.04 * diameter
    side = 2 * int(diameter / 2) + 1
    around = cv2.dilate(gaussian(light, sigma), np.ones((side, side), np.uint8))
    bright = np.sqrt(np.clip(gaussian(light, sigma) / np.maximum(around, 1e-6), 0, 1))
    depth = gaussian(distance_transform(mask), max(0.5, sigma)) / np.float32(diameter / 2)
    heights = np.minimum(depth, MAX_HEIGHT - 1) + bright
    heights[~mask] = 0
    return np.asarray(heights, np.float32)


def _divided(mask: NDArray[np.bool_], heights: Image, diameter: float) -> Labels:
    """Return more basins than there are objects, at least one in each part of the mask."""
    seeds = label(peaks(heights, max(1, int(0.12 * diameter)), mask))
    parts = label(mask)
    seeded = np.zeros(int(parts.max()) + 1, np.bool_)
    seeded[parts[seeds > 0]] = True
    hidden = mask & ~seeded[parts]
    seeds[hidden] = parts[hidden] + int(seeds.max())
    depths = (np.float32(MAX_HEIGHT) - heights) * np.float32(LEVELS / MAX_HEIGHT)
    return relabel(watershed(depths.astype(np.uint16), seeds, mask))


def is_clump(descriptors: Table) -> NDArray[np.bool_]:
    """Return which unions (rows of `union_descriptors`) are several objects."""
    return np.asarray(descriptors @ CUT_WEIGHTS[:-1] + CUT_WEIGHTS[-1] > 0)


@njit(nogil=True, cache=True)
def _upper(labels: Labels, light: Image, n: int, quantile: float) -> NDArray[np.float32]:
    """Return a quantile of each object's intensities (the nearest below); index by label."""
    starts = np.zeros(n + 2, np.int64)
    for here in labels.ravel():
        starts[here + 1] += 1
    starts = np.cumsum(starts)
    starts[0] = starts[1]
    place = starts.copy()
    values = np.empty(max(0, starts[n + 1] - starts[0]), np.float32)
    flat = light.ravel()
    numbers = labels.ravel()
    for i in range(numbers.size):
        here = numbers[i]
        if here > 0:
            values[place[here] - starts[0]] = flat[i]
            place[here] += 1
    result = np.zeros(n + 1, np.float32)
    for k in range(1, n + 1):
        first, last = starts[k] - starts[0], starts[k + 1] - starts[0]
        if last > first:
            ordered = np.sort(values[first:last])
            result[k] = ordered[int(quantile * (last - first - 1))]
    return result


def _largest_parts(labels: Labels) -> Labels:
    """Return each object's largest part, under the object's number."""
    parts = split_parts(labels, 4)
    areas = np.bincount(parts.ravel())
    owner = np.zeros(areas.size, np.int32)
    owner[parts] = labels
    areas[0] = 0
    order = np.lexsort((areas, owner))
    is_last = np.append(owner[order][1:] != owner[order][:-1], True)
    kept = np.zeros(areas.size, np.int32)
    kept[order[is_last]] = owner[order[is_last]]
    kept[0] = 0
    return np.asarray(kept[parts])


def _usual(brightness: NDArray[np.float32], areas: NDArray[np.int64], large: float) -> float:
    """Return the median brightness of objects that are large enough to be objects, or of all."""
    chosen = brightness[1:][areas[1:] > large]
    if not chosen.size:
        chosen = brightness[1:][areas[1:] > 0]
    return float(np.median(chosen)) if chosen.size else 0.0


def _trimmed(labels: Labels, light: Image, diameter: float, settings: Settings) -> Labels:
    """End each object where its own brightness has fallen far enough; leave specks out."""
    n = int(labels.max())
    typical = np.pi * diameter**2 / 4
    brightness = _upper(labels, light, n, 0.8)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    usual = _usual(brightness, areas, 0.3 * typical)
    level = settings.edge * np.minimum(brightness, np.float32(settings.glare * usual))
    labels = np.where(light >= level[labels], labels, np.int32(0))
    labels = filled(_largest_parts(labels))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    dropped = areas < max(12.0, settings.min_size * typical)
    usual = _usual(brightness, areas, 0.3 * typical)
    dropped |= brightness < settings.min_brightness * usual
    return without(labels, dropped[1:])


def find_objects(image: NDArray[Any], settings: Settings | None = None) -> Labels:
    """Find bright objects, cut clumps apart and end each at its own edge.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        Intensities; only differences matter, neither offset nor scale. NaN counts as ground.
    settings
        By default for fluorescent nuclei.

    Returns
    -------
    ndarray of int32, same shape
        Objects 1…n in the order of first pixels.

    Notes
    -----
    1. Ground and noise are those below Otsu's threshold; foreground begins far below it, so that dim
    objects beside bright ones are kept. 2. The typical diameter is taken from the distance transform.
    3. Distance from the outline and local brightness together make heights whose basins are joined to
    a hierarchy of unions; a logistic rule on ellipse fit, neck, seam and size of a union and its halves
    decides which are clumps. 4. Each object is thresholded at a fraction of its own brightness. 5. Faint round
    objects between them are added.

    Examples
    --------
    >>> image = np.zeros((40, 40), np.uint16)
    >>> image[5:15, 5:15], image[25:35, 22:34] = 900, 300
    >>> int(find_objects(image).max())
    2
    """
    settings = settings or Settings()
    known = np.isfinite(image) if image.dtype.kind == "f" else None
    values = image if known is None or known.all() else _grounded(image, known)
    if not values.size:
        return np.zeros(image.shape, np.int32)
    smooth = gaussian(values, settings.sigma)
    if settings.flatten:
        smooth = smooth - ground_surface(smooth)
    level, threshold = _ground(smooth, settings)
    mask, diameter = _foreground(smooth, level, threshold, settings)
    if not mask.any():
        return np.zeros(image.shape, np.int32)
    light = np.maximum(smooth - np.float32(level), 0)
    heights = _heights(mask, light, diameter)
    basins = _divided(mask, heights, diameter)
    tree = hierarchy(basins, heights, light)
    objects = cut(basins, tree, is_clump(union_descriptors(tree, diameter)))
    objects = _trimmed(objects, light, diameter, settings)
    return relabel(_with_faint(objects, light, diameter, settings))


def _with_faint(labels: Labels, light: Image, diameter: float, settings: Settings) -> Labels:
    """Add the faint round objects between those found, as far as they are asked for."""
    n = int(labels.max())
    if not n or settings.faint <= 0:
        return labels
    brightness = _upper(labels, light, n, 0.8)
    usual = float(np.median(brightness[brightness > 0]))
    found = faint_objects(light, labels, diameter, settings.faint * usual)
    return np.where(found > 0, found + np.int32(n), labels)


def _grounded(image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the image with the lowest known value in place of what isn't finite."""
    lowest = image[known].min() if known.any() else 0
    return np.where(known, image, lowest).astype(np.float32)
