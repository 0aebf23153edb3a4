"""Labels of three dimensions; entry points: `label_volume`, `expand_volume` and `erode_volume`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

Labels = NDArray[np.int32]


def ball(radius: float) -> NDArray[np.int32]:
    """Return the steps (dz, dy, dx) and their squared lengths within a ball, without (0, 0, 0).

    Examples
    --------
    >>> ball(1).tolist()[:2]
    [[-1, 0, 0, 1], [0, -1, 0, 1]]
    """
    reach = int(radius)
    steps = np.indices((2 * reach + 1,) * 3).reshape(3, -1).T - reach
    squared = (steps**2).sum(axis=1)
    inside = (squared > 0) & (squared <= radius**2)
    return np.column_stack([steps[inside], squared[inside]]).astype(np.int32)


@njit(nogil=True, cache=True)
def _is_surface(labels: Labels, z: int, y: int, x: int) -> bool:
    """Whether one of the 6 neighbours has another label."""
    own = labels[z, y, x]
    depth, height, width = labels.shape
    surface: bool = (
        (z > 0 and labels[z - 1, y, x] != own)
        or (z < depth - 1 and labels[z + 1, y, x] != own)
        or (y > 0 and labels[z, y - 1, x] != own)
        or (y < height - 1 and labels[z, y + 1, x] != own)
        or (x > 0 and labels[z, y, x - 1] != own)
        or (x < width - 1 and labels[z, y, x + 1] != own)
    )
    return surface


@njit(nogil=True, cache=True)
def _expand(labels: Labels, steps: NDArray[np.int32]) -> Labels:
    depth, height, width = labels.shape
    result = labels.copy()
    best = np.full(labels.shape, np.int32(1 << 30))
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                own = labels[z, y, x]
                if own == 0 or not _is_surface(labels, z, y, x):
                    continue
                for dz, dy, dx, squared in steps:
                    a, b, c = z + dz, y + dy, x + dx
                    if a < 0 or b < 0 or c < 0 or a >= depth or b >= height or c >= width:
                        continue
                    nearer = squared < best[a, b, c] or (
                        squared == best[a, b, c] and own < result[a, b, c]
                    )
                    if labels[a, b, c] == 0 and nearer:
                        best[a, b, c] = squared
                        result[a, b, c] = own
    return result


@njit(nogil=True, cache=True)
def _erode(labels: Labels, steps: NDArray[np.int32]) -> Labels:
    depth, height, width = labels.shape
    result = labels.copy()
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                own = labels[z, y, x]
                if not _is_surface(labels, z, y, x):
                    continue
                # The nearest voxel of another label is always such a surface voxel.
                for dz, dy, dx, _ in steps:
                    a, b, c = z + dz, y + dy, x + dx
                    if a < 0 or b < 0 or c < 0 or a >= depth or b >= height or c >= width:
                        continue
                    if labels[a, b, c] != own:
                        result[a, b, c] = 0
    return result


def expand_volume(labels: Labels, distance: float) -> Labels:
    """Grow objects of three dimensions into the background; as `imaging.labels.expand_labels`.

    Examples
    --------
    >>> expand_volume(np.array([[[1, 0, 0, 2]]], np.int32), 1)
    array([[[1, 1, 2, 2]]], dtype=int32)
    """
    if distance < 1 or not labels.size:
        return labels.copy()
    grown: Labels = _expand(np.ascontiguousarray(labels, np.int32), ball(distance))
    return grown


def erode_volume(labels: Labels, radius: float) -> Labels:
    """Take away voxels within a distance of what isn't their object's.

    Examples
    --------
    >>> erode_volume(np.array([[[1, 1, 1, 2, 0]]], np.int32), 1)
    array([[[1, 1, 0, 0, 0]]], dtype=int32)
    """
    if radius < 1 or not labels.size:
        return labels.copy()
    shrunk: Labels = _erode(np.ascontiguousarray(labels, np.int32), ball(radius))
    return shrunk


def label_volume(mask: NDArray[np.bool_], connectivity: Literal[6, 26] = 26) -> Labels:
    """Give the connected parts of a mask of three dimensions numbers, in the order of first voxels.

    Examples
    --------
    >>> label_volume(np.array([[[1, 0]], [[0, 1]]], bool), 6).max()
    np.int32(2)
    """
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(3, 1 if connectivity == 6 else 3)
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, structure, output=labels)
    return labels
