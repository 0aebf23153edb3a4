"""Objects grown over an image by the shortest ways; entry point: `propagate`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.opencv import cv2

# Flat position, length of the way so far and next entry of the same bucket.
Pool = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]
MAX_BUCKETS = 1 << 16


@njit(nogil=True, cache=True)
def _larger(pool: Pool) -> Pool:
    """Return the pool with twice the room; new entries are free."""
    n = len(pool[0])
    pixels, ways, following = (
        np.empty(2 * n, np.int32),
        np.empty(2 * n, np.float32),
        np.empty(2 * n, np.int32),
    )
    pixels[:n], ways[:n], following[:n] = pool[0], pool[1], pool[2]
    return pixels, ways, following


def _steps(image: NDArray[np.float64], weight: float) -> NDArray[np.float32]:
    """Return the lengths of the steps from each pixel right, down, and down to the left and right."""
    padded = cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    height, width = image.shape
    steps = np.empty((4, height, width), np.float32)
    here = padded[1:-1, 1:-1]
    for i, (dy, dx) in enumerate(((0, 1), (1, 0), (1, -1), (1, 1))):
        there = padded[1 + dy : height + 3 + dy, 1 + dx : width + 3 + dx]
        sums = cv2.boxFilter(np.abs(here - there), cv2.CV_64F, (3, 3), normalize=False)
        squares = sums[1:-1, 1:-1] ** 2 + (abs(dy) + abs(dx)) * weight**2
        steps[i] = np.sqrt(squares)
    return steps


@njit(nogil=True, cache=True)
def _step(steps: NDArray[np.float32], y: int, x: int, q: int, p: int) -> float:
    """Return the length of the step between two neighbours, whichever comes first."""
    if q < y or (q == y and p < x):
        y, x, q, p = q, p, y, x
    if q == y:
        return float(steps[0, y, x])
    return float(steps[1 if p == x else 2 if p < x else 3, y, x])


@njit(nogil=True, cache=True)
def _push(pool: Pool, ends: NDArray[np.int32], bucket: int, entry: int) -> None:
    """Append an entry to the queue of a bucket (first and last entry in `ends`)."""
    following = pool[2]
    following[entry] = -1
    if ends[bucket, 1] >= 0:
        following[ends[bucket, 1]] = entry
    else:
        ends[bucket, 0] = entry
    ends[bucket, 1] = entry


@njit(nogil=True, cache=True)
def _entry(pool: Pool, free: int, used: int) -> tuple[Pool, int, int, int]:
    """Return an entry to write to: one that was used before, or a new one."""
    if free >= 0:
        return pool, free, int(pool[2][free]), used
    if used == len(pool[0]):
        pool = _larger(pool)
    return pool, used, free, used + 1


@njit(nogil=True, cache=True)
def _pop(pool: Pool, ends: NDArray[np.int32], bucket: int) -> int:
    entry = ends[bucket, 0]
    ends[bucket, 0] = pool[2][entry]
    if ends[bucket, 0] < 0:
        ends[bucket, 1] = -1
    return int(entry)


@njit(nogil=True, cache=True)
def _start(
    labels: Labels, distances: NDArray[np.float32], seeds: Labels, mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Set labels and distances of the seeds; return the pixels from which ways lead on."""
    height, width = labels.shape
    outline = np.empty(labels.size, np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            if seeds[y, x] == 0 or not mask[y, x]:
                continue
            labels[y, x] = seeds[y, x]
            distances[y, x] = 0
            is_inner = 0 < y < height - 1 and 0 < x < width - 1
            for q in range(max(0, y - 1), min(height, y + 2)):
                for p in range(max(0, x - 1), min(width, x + 2)):
                    is_inner = is_inner and seeds[q, p] > 0
            if not is_inner:
                outline[n] = y * width + x
                n += 1
    return outline[:n]


@njit(nogil=True, cache=True)
def _propagate(
    steps: NDArray[np.float32],
    seeds: Labels,
    mask: NDArray[np.bool_],
    bucket_width: float,
    n_buckets: int,
) -> tuple[Labels, NDArray[np.float32]]:
    """Follow the shortest ways from all seeds at once, with a ring of buckets of equal width.

    Ways within a bucket come in any order; a pixel to which a shorter way is found later goes back to
    the queue. Where no step is shorter than a bucket this never happens.
    """
    height, width = seeds.shape
    labels = np.zeros((height, width), np.int32)
    distances = np.full((height, width), np.float32(np.inf))
    outline = _start(labels, distances, seeds, mask)
    room = max(1024, outline.size)
    pool = (np.empty(room, np.int32), np.zeros(room, np.float32), np.empty(room, np.int32))
    ends = np.full((n_buckets, 2), -1, np.int32)
    free, used = -1, outline.size  # the first entry that can be used again, and how many are taken
    for entry in range(used):
        pool[0][entry] = outline[entry]
        _push(pool, ends, 0, entry)
    waiting = used
    bucket = 0
    while waiting > 0:
        if ends[bucket, 0] < 0:
            bucket = (bucket + 1) % n_buckets
            continue
        entry = _pop(pool, ends, bucket)
        waiting -= 1
        pixel, distance = pool[0][entry], pool[1][entry]
        pool[2][entry] = free
        free = entry
        y, x = pixel // width, pixel % width
        if distance > distances[y, x]:
            continue
        for q in range(max(0, y - 1), min(height, y + 2)):
            for p in range(max(0, x - 1), min(width, x + 2)):
                if not mask[q, p] or distances[q, p] <= distance:
                    continue
                way = np.float32(distance + _step(steps, y, x, q, p))
                if way >= distances[q, p]:
                    continue
                distances[q, p] = way
                labels[q, p] = labels[y, x]
                pool, entry, free, used = _entry(pool, free, used)
                pool[0][entry], pool[1][entry] = q * width + p, way
                _push(pool, ends, int(way / bucket_width) % n_buckets, entry)
                waiting += 1
    return labels, distances


def propagate(
    image: NDArray[Any], seeds: Labels, mask: NDArray[np.bool_], regularization: float = 0.05
) -> tuple[Labels, NDArray[np.float32]]:
    """Give each pixel of a mask the object to which the way is shortest.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        Intensities. Steps over differences of intensity are long: scale them to 0…1 to use
        CellProfiler's regularization factors. NaN counts as 0.
    seeds : ndarray of int32, same shape
        Objects from which ways start; 0 is background.
    mask : ndarray of bool, same shape
        Where ways may lead. Seeds outside it are ignored.
    regularization
        Length of a step besides the difference of intensities: large values grow objects evenly, 0
        lets the image alone decide.

    Returns
    -------
    labels : ndarray of int32, same shape
        0 where no way leads.
    distances : ndarray of float32, same shape
        Lengths of the ways; infinite where none leads.

    Notes
    -----
    A step between neighbours over sides or corners has the length
    sqrt(d² + (|dy| + |dx|) regularization²), where d is the sum of absolute differences of the 3 x 3
    pixels around both (T. Jones, A. Carpenter, P. Golland, CVBIA 2005; CellProfiler's Propagation).
    Of equally long ways that found first counts.

    Examples
    --------
    >>> image = np.array([[0, 0, 0, 1, 1.0]])
    >>> propagate(image, np.array([[1, 0, 0, 0, 2]], np.int32), np.ones((1, 5), bool))[0]
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    values = np.nan_to_num(np.ascontiguousarray(image, np.float64), nan=0, posinf=0, neginf=0)
    if not values.size:
        return np.zeros(values.shape, np.int32), np.zeros(values.shape, np.float32)
    steps = _steps(values, regularization)
    longest = max(float(steps.max()), 1e-6)
    bucket = max(regularization, longest / MAX_BUCKETS)
    labels, distances = _propagate(
        steps,
        np.ascontiguousarray(seeds, np.int32),
        np.ascontiguousarray(mask, np.bool_),
        bucket,
        int(longest / bucket) + 2,
    )
    return labels, distances
