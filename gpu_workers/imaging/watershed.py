"""Seeded watershed with a queue of buckets; entry points: `watershed` and `watershed_8`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

N_LEVELS = 4096


Queues = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


@njit(nogil=True, cache=True)
def _push(queues: Queues, level: int, pixel: int) -> None:
    """Append a pixel to the queue of its level: first pixel, last pixel, next of each pixel."""
    head, tail, following = queues
    following[pixel] = -1
    if tail[level] >= 0:
        following[tail[level]] = pixel
    else:
        head[level] = pixel
    tail[level] = pixel


@njit(nogil=True, cache=True)
def _neighbour(pixel: int, direction: int, width: int, size: int) -> int:
    """Return the flat position of a 4-neighbour (up, left, right, down), -1 beyond the edge."""
    if direction == 0:
        return pixel - width if pixel >= width else -1
    if direction == 1:
        return pixel - 1 if pixel % width else -1
    if direction == 2:
        return pixel + 1 if pixel % width != width - 1 else -1
    return pixel + width if pixel < size - width else -1


@njit(nogil=True, cache=True)
def _corner(pixel: int, direction: int, width: int, size: int) -> int:
    """Return the flat position of a neighbour over a corner (4 to 7, by rows), -1 beyond the edge."""
    row = _neighbour(pixel, 0 if direction < 6 else 3, width, size)
    return row if row < 0 else _neighbour(row, 1 + direction % 2, width, size)


@njit(nogil=True, cache=True)
def _flood(
    levels: NDArray[np.uint16], seeds: Labels, mask: NDArray[np.bool_], n: int, n_directions: int
) -> Labels:
    """Flood from the seeds: lowest level first, first come first served within a level."""
    height, width = levels.shape
    size = height * width
    level = levels.ravel()
    inside = mask.ravel()
    result = np.where(inside, seeds.ravel(), np.int32(0))
    head = np.full(n, -1, np.int32)
    queues = (head, np.full(n, -1, np.int32), np.full(size, -1, np.int32))
    for i in range(size):
        if result[i] != 0:
            _push(queues, level[i], i)
    v = 0
    while v < n:
        i = head[v]
        if i < 0:
            v += 1
            continue
        head[v] = queues[2][i]
        if head[v] < 0:
            queues[1][v] = -1
        for direction in range(n_directions):
            side = direction < 4
            j = (
                _neighbour(i, direction, width, size)
                if side
                else _corner(i, direction, width, size)
            )
            if j >= 0 and result[j] == 0 and inside[j]:
                result[j] = result[i]
                _push(queues, max(level[j], v), j)
    return result.reshape(height, width)


@njit(nogil=True, cache=True)
def _quantised(
    image: NDArray[np.float32], mask: NDArray[np.bool_], low: np.float32, scale: np.float32
) -> NDArray[np.uint16]:
    """Put heights within the mask into whole levels; what isn't a number is highest."""
    levels = np.zeros(image.shape, np.uint16)
    top = np.float32(N_LEVELS - 1)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if mask[y, x]:
                value = np.rint((image[y, x] - low) * scale)
                if not value < top:
                    value = top
                levels[y, x] = np.uint16(max(value, np.float32(0)))
    return levels


def _levels(image: NDArray[Any], mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], int]:
    """Return the image in whole levels from 0 and their number."""
    if image.dtype in (np.uint8, np.uint16):
        return image.astype(np.uint16, copy=False), int(image.max()) + 1
    values = image[mask]
    values = values[np.isfinite(values)]
    if not values.size:
        return np.zeros(image.shape, np.uint16), 1
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(image.shape, np.uint16), 1
    if image.dtype == np.float32:
        scale = np.float32((N_LEVELS - 1) / (high - low))
        return _quantised(np.ascontiguousarray(image), mask, np.float32(low), scale), N_LEVELS
    known = np.nan_to_num(image, nan=high, posinf=high, neginf=low)
    scaled = (known - low) * np.float32((N_LEVELS - 1) / (high - low))
    return np.clip(np.rint(scaled), 0, N_LEVELS - 1).astype(np.uint16), N_LEVELS


@operation
def watershed(image: NDArray[Any], seeds: Labels, mask: NDArray[np.bool_] | None = None) -> Labels:
    """Flood an image from labelled seeds until the floods meet.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Heights; low ground floods first. uint8 and uint16 are taken as they are, other types are
        put into 4,096 even levels between their minimum and maximum within `mask`; NaN is highest.
    seeds : ndarray of int32, same shape
        Where each flood starts; 0 elsewhere. Seeds outside the mask are ignored.
    mask : ndarray of bool, same shape, optional
        Where the flood may go; everywhere by default.

    Returns
    -------
    ndarray of int32, same shape
        Label of the flood that came first along 4-connected ways; 0 where none came.

    Notes
    -----
    F. Meyer's algorithm (1991): a queue per level, first in first out; water never sinks
    below the level it has reached. On whole levels equal to ``skimage.segmentation.watershed``.

    Examples
    --------
    >>> watershed(np.array([[0, 1, 2, 1, 0]], np.uint8), np.array([[1, 0, 0, 0, 2]], np.int32))
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    return _flooded(image, seeds, mask, 4)


def watershed_8(
    image: NDArray[Any], seeds: Labels, mask: NDArray[np.bool_] | None = None
) -> Labels:
    """Flood as `watershed`, but also over corners of pixels, as CellProfiler does.

    Examples
    --------
    >>> watershed_8(np.zeros((2, 2), np.uint8), np.array([[3, 0], [0, 0]], np.int32), np.eye(2) > 0)
    array([[3, 0],
           [0, 3]], dtype=int32)
    """
    return _flooded(image, seeds, mask, 8)


def _flooded(
    image: NDArray[Any], seeds: Labels, mask: NDArray[np.bool_] | None, n_directions: int
) -> Labels:
    if not image.size:
        return np.zeros(image.shape, np.int32)
    where = np.ones(image.shape, np.bool_) if mask is None else np.ascontiguousarray(mask, np.bool_)
    levels, n = _levels(image, where)
    flooded: Labels = _flood(
        np.ascontiguousarray(levels), np.ascontiguousarray(seeds, np.int32), where, n, n_directions
    )
    return flooded
