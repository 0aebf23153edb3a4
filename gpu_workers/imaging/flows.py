"""Objects from flow fields; entry point: `objects_of_flows`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, filter_by_area, label
from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation

Image = NDArray[np.float32]

# The network's flows are unit vectors times 5.
FLOW_SCALE = 5.0
# A sink holds more pixels than this; its surroundings more than this.
MIN_PEAK, MIN_BESIDE = 10, 2


@njit(nogil=True, cache=True)
def _sample(field: Image, y: float, x: float) -> float:
    """Value between pixels, linear in both directions."""
    height, width = field.shape
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    b, a = y - y0, x - x0
    top = field[y0, x0] * (1 - a) + field[y0, x1] * a
    bottom = field[y1, x0] * (1 - a) + field[y1, x1] * a
    return float(top * (1 - b) + bottom * b)


@njit(nogil=True, cache=True)
def _follow(dy: Image, dx: Image, mask: NDArray[np.bool_], n_steps: int) -> NDArray[np.int32]:
    """Return where each pixel of the mask ends up (rounded), -1 elsewhere."""
    height, width = mask.shape
    ends = np.full((height, width, 2), np.int32(-1))
    for row in range(height):
        for column in range(width):
            if not mask[row, column]:
                continue
            y, x = float(row), float(column)
            for _ in range(n_steps):
                down, right = _sample(dy, y, x), _sample(dx, y, x)
                y = min(max(y + down, 0.0), height - 1.0)
                x = min(max(x + right, 0.0), width - 1.0)
                if abs(down) < 1e-4 and abs(right) < 1e-4:
                    break
            ends[row, column, 0], ends[row, column, 1] = round(y), round(x)
    return ends


@njit(nogil=True, cache=True)
def _grown(seeds: Labels, crowd: NDArray[np.int32], n_rounds: int) -> Labels:
    """Grow sinks over pixels where others end, one pixel a round; the lower label wins."""
    height, width = seeds.shape
    now = seeds.copy()
    for _ in range(n_rounds):
        after = now.copy()
        for y in range(height):
            for x in range(width):
                if now[y, x] > 0 or crowd[y, x] <= MIN_BESIDE:
                    continue
                best = 0
                for b in range(max(0, y - 1), min(height, y + 2)):
                    for a in range(max(0, x - 1), min(width, x + 2)):
                        if now[b, a] > 0 and (best == 0 or now[b, a] < best):
                            best = now[b, a]
                after[y, x] = best
        now = after
    return now


@operation
def objects_of_flows(
    dy: Image,
    dx: Image,
    logit: Image,
    min_logit: float = 0.0,
    n_steps: int = 200,
    min_area: int = 15,
) -> Labels:
    """Gather the pixels whose flows lead to the same place, as Cellpose does.

    Parameters
    ----------
    dy, dx : ndarray of float32, shape (height, width)
        Flow at each pixel, 5 for a whole pixel a step.
    logit : ndarray of float32, same shape
        Of the probability that a pixel belongs to an object.
    min_logit
        Pixels above it belong to objects.
    n_steps
        How often pixels are moved.
    min_area
        Smaller objects are left out, px.

    Returns
    -------
    ndarray of int32, same shape
        Objects 1…n in the order of first pixels.

    Notes
    -----
    C. Stringer, T. Wang, M. Michaelos, M. Pachitariu, Nature Methods 18 (2021): Euler steps through
    the flows (linear between pixels); where most pixels end within 5 x 5, more than 10, is a sink,
    which grows five times by neighbours where more than 2 end; pixels that end in a sink are its
    object. Objects of more than 40 % of a large image are background. The check of flows against those
    of the found masks is not part of it.

    Examples
    --------
    >>> y, x = np.indices((21, 21)) - 10.0
    >>> far = np.maximum(np.hypot(y, x), 1)
    >>> inside = np.where(far < 8, 5.0, -5.0)
    >>> found = objects_of_flows(-5 * y / far, -5 * x / far, inside)
    >>> int(found.max()), bool(((found > 0) == (inside > 0)).all())
    (1, True)
    """
    mask = np.ascontiguousarray(logit > min_logit)
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    down, right = (
        np.where(mask, field / FLOW_SCALE, 0).astype(np.float32, copy=False) for field in (dy, dx)
    )
    ends = _follow(down, right, mask, int(n_steps))
    flat = ends[mask][:, 0].astype(np.int64) * mask.shape[1] + ends[mask][:, 1]
    crowd = np.bincount(flat, minlength=mask.size).reshape(mask.shape).astype(np.int32)
    highest = cv2.dilate(crowd.astype(np.float32), np.ones((5, 5), np.uint8))
    sinks = _grown(label((crowd == highest) & (crowd > MIN_PEAK)), crowd, 5)
    found = np.zeros(mask.shape, np.int32)
    found[mask] = sinks.ravel()[flat]
    limit = max(0.4 * mask.size, 10_000)
    return np.asarray(filter_by_area(found, min_area, limit))
