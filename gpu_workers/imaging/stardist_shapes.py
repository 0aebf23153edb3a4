"""Objects from star-convex polygons; entry point: `star_convex_objects`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, relabel
from gpu_workers.xp import operation

Pixels = NDArray[np.int64]


@njit(nogil=True, cache=True)
def _is_inside(
    dy: float, dx: float, ys: NDArray[np.float64], xs: NDArray[np.float64], step: float
) -> bool:
    """Whether an offset lies in the polygon: on the centre's side of the edge in its direction."""
    n = ys.size
    angle = np.arctan2(dy, dx)
    if angle < 0:
        angle += 2 * np.pi
    k = min(int(angle / step), n - 1)
    m = (k + 1) % n
    ey, ex = ys[m] - ys[k], xs[m] - xs[k]
    return bool(ex * (dy - ys[k]) - ey * (dx - xs[k]) >= -1e-9)


@njit(nogil=True, cache=True)
def _render(
    y: float,
    x: float,
    rays: NDArray[np.float32],
    directions: NDArray[np.float64],
    shape: tuple[int, int],
    pixels: Pixels,
) -> int:
    """Write the flat positions of a polygon's pixels; return how many there are."""
    n_rays = rays.size
    ys, xs = np.empty(n_rays), np.empty(n_rays)
    top = left = bottom = right = 0.0
    for k in range(n_rays):
        ys[k] = rays[k] * directions[k, 0]
        xs[k] = rays[k] * directions[k, 1]
        top, bottom = min(top, ys[k]), max(bottom, ys[k])
        left, right = min(left, xs[k]), max(right, xs[k])
    step = 2 * np.pi / n_rays
    n = 0
    for b in range(max(0, int(np.ceil(y + top))), min(shape[0] - 1, int(y + bottom)) + 1):
        for a in range(max(0, int(np.ceil(x + left))), min(shape[1] - 1, int(x + right)) + 1):
            if n < pixels.size and _is_inside(b - y, a - x, ys, xs, step):
                pixels[n] = b * shape[1] + a
                n += 1
    return n


@njit(nogil=True, cache=True)
def _most_shared(
    pixels: Pixels, n: int, flat: Labels, size: NDArray[np.int64], shared: NDArray[np.int64]
) -> float:
    """Return the greatest part of the smaller of two polygons that this and a painted one share."""
    for i in range(n):
        shared[flat[pixels[i]]] += 1
    most = 0.0
    for i in range(n):
        label = flat[pixels[i]]
        if label > 0 and shared[label] > 0:
            most = max(most, shared[label] / min(n, size[label]))
        shared[label] = 0
    shared[0] = 0
    return most


@njit(nogil=True, cache=True)
def _paint(
    centres: NDArray[np.float64],
    rays: NDArray[np.float32],
    directions: NDArray[np.float64],
    shape: tuple[int, int],
    max_overlap: float,
) -> tuple[Labels, int]:
    """Take polygons in their order unless they share too much with one that was taken."""
    labels = np.zeros(shape, np.int32)
    flat = labels.ravel()
    pixels = np.empty(flat.size, np.int64)
    size = np.zeros(centres.shape[0] + 1, np.int64)
    shared = np.zeros(centres.shape[0] + 1, np.int64)
    count = 0
    for k in range(centres.shape[0]):
        n = _render(centres[k, 0], centres[k, 1], rays[k], directions, shape, pixels)
        if n == 0 or _most_shared(pixels, n, flat, size, shared) > max_overlap:
            continue
        count += 1
        size[count] = n
        for i in range(n):
            if flat[pixels[i]] == 0:
                flat[pixels[i]] = count
    return labels, count


@operation
def star_convex_objects(
    probability: NDArray[np.float32],
    distances: NDArray[np.float32],
    shape: tuple[int, int],
    min_probability: float = 0.5,
    max_overlap: float = 0.4,
) -> Labels:
    """Choose among the polygons that a StarDist network proposes, and paint them.

    Parameters
    ----------
    probability : ndarray of float32, shape (rows, columns)
        Of an object's centre at each point of the network's grid.
    distances : ndarray of float32, shape (n rays, rows, columns)
        From there to the object's edge along rays at even angles, px of the image; the first ray
        goes to the right, the next ones down.
    shape
        Height and width of the image, px; the grid's step is the ratio to that of `probability`.
    min_probability
        Of a polygon that is proposed.
    max_overlap
        A polygon is dropped that shares a larger part with one of higher probability: pixels over
        those of the smaller one.

    Returns
    -------
    ndarray of int32, of that shape
        Objects 1…n in the order of first pixels; where they overlap the more probable one has the
        pixel.

    Notes
    -----
    Non-maximum suppression of U. Schmidt, M. Weigert, C. Broaddus, G. Myers (MICCAI 2018), with
    areas counted in pixels, not cut as polygons: a polygon counts as its pixels whose centres it
    holds, and an earlier one as those that it was given.

    Examples
    --------
    >>> probability = np.zeros((9, 9), np.float32)
    >>> probability[4, 4] = 0.9
    >>> int((star_convex_objects(probability, np.full((32, 9, 9), 2.1, np.float32), (9, 9)) > 0).sum())
    13
    """
    rows, columns = np.nonzero(probability > min_probability)
    order = np.argsort(-probability[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    step = np.array(shape) / np.maximum(probability.shape, 1)
    centres = np.stack([rows, columns], axis=1).astype(np.float64) * np.rint(step)
    angles = np.arange(len(distances)) * (2 * np.pi / max(len(distances), 1))
    directions = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    rays = np.ascontiguousarray(distances[:, rows, columns].T, np.float32)
    labels, _ = _paint(centres, rays, directions, shape, float(max_overlap))
    return np.asarray(relabel(labels))
