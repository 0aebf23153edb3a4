"""Shrinking, opening, closing and filling of masks and objects; entry points: the public functions.

All work on masks (bool) and on labels (int32), in two and three dimensions, and give back what they
were given. Objects keep their numbers and never merge: for an object, other objects are outside. What
lies beyond the image's edge is unknown: nothing is taken away because of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import expand_labels, label, lookup, objects_of
from gpu_workers.imaging.morphology import distance_transform, fill_holes
from gpu_workers.imaging.volumes import erode_volume, expand_volume
from gpu_workers.xp import operation

Labels = NDArray[np.int32]
Shapes = NDArray[Any]
"""A mask (bool) or labels (int32)."""


def _eroded(labels: NDArray[Any], radius: float) -> NDArray[np.bool_]:
    """Return which pixels lie further than `radius` from everything that isn't their object."""
    if labels.ndim == 3:
        return erode_volume(labels.astype(np.int32), radius) > 0
    distant: NDArray[np.bool_] = distance_transform(labels) > radius
    return distant


@operation
def erode(labels: Shapes, radius: float) -> Shapes:
    """Take away what lies within a distance of an object's outside.

    Parameters
    ----------
    labels : ndarray of bool or int32, shape ([z,] height, width)
        A mask, or objects.
    radius
        Of the disc (or ball), px, its border included; below 1 nothing changes.

    Returns
    -------
    ndarray, same shape and dtype

    Notes
    -----
    For a mask equal to ``skimage.morphology.erosion(mode="ignore")`` with the footprint
    dy² + dx² ≤ radius².

    Examples
    --------
    >>> erode(np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]], np.int32), 1)
    array([[0, 0, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 1, 1]], dtype=int32)
    """
    if radius < 1 or not labels.size:
        return labels.copy()
    return np.where(_eroded(labels, radius), labels, np.zeros(1, labels.dtype))


@operation
def dilate(labels: Shapes, radius: float) -> Shapes:
    """Add the background within a distance; of several near objects the nearest takes a pixel.

    Parameters
    ----------
    labels : ndarray of bool or int32, shape ([z,] height, width)
        A mask, or objects.
    radius
        Of the disc (or ball), px, its border included.

    Examples
    --------
    >>> dilate(np.array([[0, 0, 1, 0, 0]], bool), 1)
    array([[False,  True,  True,  True, False]])
    """
    if radius < 1 or not labels.size:
        return labels.copy()
    if labels.dtype != np.bool_:
        return expand_labels(labels, radius)
    if labels.ndim == 3:
        return expand_volume(labels.astype(np.int32), radius) > 0
    return ~_eroded(~labels, radius)


@operation
def opened(labels: Shapes, radius: float) -> Shapes:
    """Keep what a disc (or ball) within the object reaches: spurs and thin bridges go.

    Examples
    --------
    >>> spur = np.zeros((5, 9), bool)
    >>> spur[1:4, 1:4] = spur[2, 4:8] = True
    >>> int((spur & ~opened(spur, 1)).sum())
    5
    """
    grown = dilate(erode(labels, radius), radius)
    # A disc in one object reaches no other: what grew beyond its own object is background.
    return np.where(grown == labels, labels, np.zeros(1, labels.dtype))


@operation
def closed(labels: Shapes, radius: float) -> Shapes:
    """Fill gaps that no disc (or ball) outside reaches; objects stay apart.

    Examples
    --------
    >>> closed(np.array([[1, 1, 0, 1, 1]], bool), 1)
    array([[ True,  True,  True,  True,  True]])
    """
    shrunk = erode(dilate(labels, radius), radius)
    return np.where(labels > 0, labels, shrunk)


@operation
def without_small(labels: Shapes, min_area: float) -> Shapes:
    """Take away objects (for a mask: its 8-connected parts) of fewer pixels; numbers stay.

    Examples
    --------
    >>> without_small(np.array([[7, 7, 0, 2]], np.int32), 2)
    array([[7, 7, 0, 0]], dtype=int32)
    """
    parts = objects_of(labels)
    areas = np.bincount(parts.ravel())
    keep = areas >= min_area
    keep[:1] = False
    return np.where(lookup(parts, keep), labels, np.zeros(1, labels.dtype))


@njit(nogil=True, cache=True)
def _owners(labels: Labels, gaps: Labels, n: int, flat: bool) -> NDArray[np.int32]:
    """Return for each connected gap the one object around it, or 0."""
    depth, height, width = labels.shape
    owners = np.full(n + 1, np.int32(-1))
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                gap = gaps[z, y, x]
                if gap == 0 or owners[gap] == 0:
                    continue
                ends = y == 0 or x == 0 or y == height - 1 or x == width - 1
                if ends or (not flat and (z == 0 or z == depth - 1)):
                    owners[gap] = 0
                    continue
                for dz, dy, dx in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
                    if flat and dz == 1:
                        continue
                    for sign in (-1, 1):
                        found = labels[z + sign * dz, y + sign * dy, x + sign * dx]
                        if found > 0:
                            same = owners[gap] == -1 or owners[gap] == found
                            owners[gap] = found if same else 0
    return np.maximum(owners, 0)


def _as_stack(labels: Labels) -> Labels:
    return np.ascontiguousarray(labels if labels.ndim == 3 else labels[None])


@operation
def filled(labels: Shapes, max_area: float | None = None) -> Shapes:
    """Fill background that one object encloses.

    Parameters
    ----------
    labels : ndarray of bool or int32, shape ([z,] height, width)
        A mask, or objects; a gap between several objects stays open.
    max_area
        Larger holes stay, px; None fills all.

    Returns
    -------
    ndarray, same shape and dtype
        For a mask without `max_area` equal to ``scipy.ndimage.binary_fill_holes``: a hole has no way
        out over sides of pixels.

    Examples
    --------
    >>> filled(np.array([[2, 2, 2, 3], [2, 0, 2, 0], [2, 2, 2, 3]], np.int32))
    array([[2, 2, 2, 3],
           [2, 2, 2, 0],
           [2, 2, 2, 3]], dtype=int32)
    """
    if not labels.size:
        return labels.copy()
    if labels.dtype == np.bool_ and labels.ndim == 2 and max_area is None:
        return fill_holes(labels)
    gaps = label(labels == 0, 4)
    flat = labels.ndim == 2
    numbers = labels.astype(np.int32, copy=False)
    owners = _owners(_as_stack(numbers), _as_stack(gaps), int(gaps.max()), flat)
    if max_area is not None:
        owners[np.bincount(gaps.ravel(), minlength=owners.size) > max_area] = 0
    owners[0] = 0
    return np.where(labels == 0, owners[gaps].astype(labels.dtype), labels)


@operation
def skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines in its middle, one pixel wide, with the same connections.

    Notes
    -----
    ``skimage.morphology.skeletonize``: T. Y. Zhang and C. Y. Suen, Commun. ACM 27 (1984) 236, in two
    dimensions; T.-C. Lee, R. L. Kashyap and C.-N. Chu, CVGIP 56 (1994) 462, in three. That makes nothing of blobs
    two voxels wide: a part that is lost keeps its first pixel.

    Examples
    --------
    >>> skeleton(np.pad(np.ones((3, 7), bool), 1))[2].astype(int)
    array([0, 1, 1, 1, 1, 1, 0, 0, 0])
    """
    from skimage.morphology import skeletonize

    if not mask.any():
        return mask.copy()
    thin = np.ascontiguousarray(skeletonize(np.ascontiguousarray(mask)), np.bool_)  # type: ignore[no-untyped-call]
    parts = label(mask)
    found = np.zeros(int(parts.max()) + 1, np.bool_)
    found[parts[thin]] = True
    lost = np.flatnonzero(mask & ~found[parts])
    thin.ravel()[lost[np.unique(parts.ravel()[lost], return_index=True)[1]]] = True
    return thin
