"""Objects grown over an image by the shortest ways; entry point: `propagate`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.opencv import cv2

# Distances, ages and flat positions of the pixels that wait; the first one is the nearest.
Heap = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]


@njit(nogil=True, cache=True)
def _before(heap: Heap, i: int, j: int) -> bool:
    """Return whether entry i comes before j: the nearer one, of equally near ones the older."""
    distance, age, _ = heap
    return bool(distance[i] < distance[j] or (distance[i] == distance[j] and age[i] < age[j]))


@njit(nogil=True, cache=True)
def _swap(heap: Heap, i: int, j: int) -> None:
    distance, age, pixel = heap
    distance[i], distance[j] = distance[j], distance[i]
    age[i], age[j] = age[j], age[i]
    pixel[i], pixel[j] = pixel[j], pixel[i]


@njit(nogil=True, cache=True)
def _push(heap: Heap, n: int, distance: float, age: int, pixel: int) -> None:
    heap[0][n], heap[1][n], heap[2][n] = distance, age, pixel
    while n > 0 and _before(heap, n, (n - 1) // 2):
        _swap(heap, n, (n - 1) // 2)
        n = (n - 1) // 2


@njit(nogil=True, cache=True)
def _pop(heap: Heap, n: int) -> None:
    """Take the first entry away; n entries were in the heap."""
    _swap(heap, 0, n - 1)
    i = 0
    while 2 * i + 1 < n - 1:
        child = 2 * i + 1
        if child + 1 < n - 1 and _before(heap, child + 1, child):
            child += 1
        if not _before(heap, child, i):
            break
        _swap(heap, i, child)
        i = child


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
def _grown(heap: Heap) -> Heap:
    """Return the heap with twice the room."""
    n = 2 * len(heap[0])
    larger = (np.empty(n, np.float32), np.empty(n, np.int64), np.empty(n, np.int32))
    larger[0][: n // 2] = heap[0]
    larger[1][: n // 2] = heap[1]
    larger[2][: n // 2] = heap[2]
    return larger


@njit(nogil=True, cache=True)
def _start(
    labels: Labels, distances: NDArray[np.float32], seeds: Labels, mask: NDArray[np.bool_]
) -> tuple[Heap, int]:
    """Set labels and distances of the seeds; return the heap of them and their number."""
    height, width = labels.shape
    room = max(1024, height * width // 4)
    heap = (np.empty(room, np.float32), np.empty(room, np.int64), np.empty(room, np.int32))
    n = 0
    for y in range(height):
        for x in range(width):
            if seeds[y, x] > 0 and mask[y, x]:
                labels[y, x] = seeds[y, x]
                distances[y, x] = 0
                if n == len(heap[0]):
                    heap = _grown(heap)
                _push(heap, n, 0.0, n, y * width + x)
                n += 1
    return heap, n


@njit(nogil=True, cache=True)
def _propagate(
    steps: NDArray[np.float32], seeds: Labels, mask: NDArray[np.bool_]
) -> tuple[Labels, NDArray[np.float32]]:
    """Dijkstra's algorithm from all seeds at once."""
    height, width = seeds.shape
    labels = np.zeros((height, width), np.int32)
    distances = np.full((height, width), np.float32(np.inf))
    heap, n = _start(labels, distances, seeds, mask)
    age = n
    while n > 0:
        distance, pixel = heap[0][0], heap[2][0]
        _pop(heap, n)
        n -= 1
        y, x = pixel // width, pixel % width
        if distance > distances[y, x]:
            continue
        for q in range(max(0, y - 1), min(height, y + 2)):
            for p in range(max(0, x - 1), min(width, x + 2)):
                if not mask[q, p] or distances[q, p] <= distance:
                    continue
                way = distance + _step(steps, y, x, q, p)
                if way < distances[q, p]:
                    distances[q, p] = way
                    labels[q, p] = labels[y, x]
                    if n == len(heap[0]):
                        heap = _grown(heap)
                    _push(heap, n, way, age, q * width + p)
                    n += 1
                    age += 1
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
    labels, distances = _propagate(
        _steps(values, regularization),
        np.ascontiguousarray(seeds, np.int32),
        np.ascontiguousarray(mask, np.bool_),
    )
    return labels, distances
