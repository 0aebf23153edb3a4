"""Local binary patterns of all objects at once; entry point: `local_binary_patterns`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import (
    Column,
    ObjectPixels,
    boxes_of,
    flat_values,
    object_pixels,
    with_nan,
)
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Sampling = Literal["mahotas", "interpolated"]

N_POINTS = 8
N_PATTERNS = 36

DESCRIPTIONS = (
    FeatureDescription(
        "Texture_LBP-radius-{radius}-{pattern}",
        "number of pixels whose 8 points on a circle of {radius} px are brighter in the pattern; "
        "patterns that are rotations of each other count as one, ordered by their least number. "
        "Sampling 'mahotas': in the object's box, in which pixels of others are 0; 'interpolated': "
        "of the object's own pixels on the image, points between pixels interpolated. mahotas' column is "
        "that of sampling 'mahotas'",
        "",
        "T. Ojala et al., ECCV 2000; as mahotas.features.lbp(image, radius, 8)",
        peers={"mahotas": "lbp_r{radius}p8_{pattern:0>2}"},
        differs={
            "mahotas": "with sampling 'interpolated': mahotas 1.4 takes the pixel to which its "
            "shift() rounds, up to one beside the point, and doesn't interpolate",
            "scikit-image": "local_binary_pattern(method='ror') counted over the object equals "
            "sampling 'interpolated'",
        },
    ),
)


def _classes() -> NDArray[np.int64]:
    """Return for each code of 8 bits the rank of the least of its rotations."""
    codes = np.arange(1 << N_POINTS)
    least = codes.copy()
    turned = codes.copy()
    for _ in range(N_POINTS):
        turned = (turned >> 1) | ((turned & 1) << (N_POINTS - 1))
        least = np.minimum(least, turned)
    return np.unique(least, return_inverse=True)[1].astype(np.int64)


_CLASS = _classes()


@njit(nogil=True, cache=True)
def _sources(n: int, shift: float) -> NDArray[np.int64]:
    """Return which place along an axis mahotas' shift() of order 1 reads for each; -1 for outside."""
    source = np.empty(n, np.int64)
    for i in range(n):
        place = i - shift + 0.5
        nearest = np.int64(np.floor(place + 0.5) if place > 0 else np.ceil(place - 0.5))
        source[i] = nearest if 0 <= nearest < n else -1
    return source


@njit(nogil=True, cache=True)
def _codes_in_box(
    inside: NDArray[np.float64], radius: float, angles: NDArray[np.float64]
) -> NDArray[np.int64]:
    height, width = inside.shape
    codes = np.zeros((height, width), np.int64)
    for p in range(angles.size):
        rows = _sources(height, radius * np.sin(angles[p]))
        columns = _sources(width, radius * np.cos(angles[p]))
        for y in range(height):
            for x in range(width):
                value = 0.0
                if rows[y] >= 0 and columns[x] >= 0:
                    value = inside[rows[y], columns[x]]
                if value > inside[y, x]:
                    codes[y, x] += 1 << p
    return codes


@njit(nogil=True, cache=True)
def _count_in_boxes(
    start: NDArray[np.int64],
    position: NDArray[np.uint32],
    values: NDArray[np.float64],
    width: int,
    boxes: NDArray[np.int32],
    circle: tuple[float, NDArray[np.float64], int],
    of_code: NDArray[np.int64],
) -> NDArray[np.float64]:
    radius, angles, padding = circle
    n = start.size - 1
    result = np.zeros((n, N_PATTERNS))
    for k in range(n):
        own = position[start[k] : start[k + 1]]
        if own.size == 0:
            continue
        y0, x0 = boxes[k, 0] - padding, boxes[k, 1] - padding
        inside = np.zeros((boxes[k, 2] - y0 + padding, boxes[k, 3] - x0 + padding))
        for i in own:
            inside[np.int64(i) // width - y0, np.int64(i) % width - x0] = values[i]
        for code in _codes_in_box(inside, radius, angles).flat:
            result[k, of_code[code]] += 1
    return result


@njit(nogil=True, cache=True)
def _at(image: NDArray[np.float64], y: int, x: int) -> float:
    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
        return float(image[y, x])
    return 0.0


@njit(nogil=True, cache=True)
def _interpolated(image: NDArray[np.float64], y: float, x: float) -> float:
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    down, right = y - y0, x - x0
    above = (1 - right) * _at(image, y0, x0)
    below = 0.0
    if right > 0:
        above += right * _at(image, y0, x0 + 1)
    if down > 0:
        below = (1 - right) * _at(image, y0 + 1, x0)
        if right > 0:
            below += right * _at(image, y0 + 1, x0 + 1)
    return float((1 - down) * above + down * below)


@njit(nogil=True, cache=True)
def _count_on_image(
    labels: Labels,
    image: NDArray[np.float64],
    down: NDArray[np.float64],
    right: NDArray[np.float64],
    n: int,
    of_code: NDArray[np.int64],
) -> NDArray[np.float64]:
    result = np.zeros((n, N_PATTERNS))
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            if labels[y, x] <= 0:
                continue
            code = 0
            for p in range(down.size):
                if _interpolated(image, y + down[p], x + right[p]) >= image[y, x]:
                    code += 1 << p
            result[labels[y, x] - 1, of_code[code]] += 1
    return result


@operation
def local_binary_patterns(
    labels: Labels,
    image: NDArray[Any],
    radii: Iterable[float] = (1,),
    sampling: Sampling = "mahotas",
    padding: int = 0,
    pixels: ObjectPixels | None = None,
) -> dict[str, Column]:
    """Count the local binary patterns (LBP) of 8 points in all objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects; numbers may be missing.
    image : ndarray, same shape, any real dtype
        Intensities. An object with a NaN pixel gets NaN.
    radii
        Distances of the points from a pixel, px.
    sampling
        "mahotas": every pixel of the object's box counts, in which other pixels are 0, and points
        are the pixels that mahotas takes; "interpolated": pixels of the object on the image, with
        linear interpolation and 0 beyond the image.
    padding
        Width of a frame of zeros around each box with "mahotas", px; 1 with the first TissueMAPS.
    pixels
        What `object_pixels` returned for the labels, if it is known.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``LBP-radius-<radius>-<0 to 35>``; rows by label - 1.

    Notes
    -----
    A bit is set where a point is brighter than the pixel ("interpolated": as bright or brighter).

    Examples
    --------
    >>> flat = np.ones((5, 5), np.int32)
    >>> local_binary_patterns(flat, flat, (1,), "interpolated")["LBP-radius-1-35"]
    array([9.])
    """
    missing = with_nan(labels, image)
    if pixels is None:
        pixels = object_pixels(labels)
    boxes = boxes_of(pixels, labels.shape[1])
    values = flat_values(image)
    columns: dict[str, Column] = {}
    for radius in radii:
        # as mahotas divides the circle, to the last digit: its pixels hang on the sign of sin(pi)
        angles = np.linspace(0, 2 * np.pi, N_POINTS + 1)[:-1]
        if sampling == "mahotas":
            found = _count_in_boxes(
                pixels.start,
                pixels.position,
                values,
                labels.shape[1],
                boxes,
                (float(radius), angles, padding),
                _CLASS,
            )
        else:
            # points that are meant to be pixels are pixels
            down, right = (
                np.round(-radius * np.sin(angles), 5),
                np.round(radius * np.cos(angles), 5),
            )
            found = _count_on_image(
                np.ascontiguousarray(labels),
                values.reshape(image.shape),
                down,
                right,
                pixels.area.size,
                _CLASS,
            )
        found[(pixels.area == 0) | missing] = np.nan
        columns.update({f"LBP-radius-{radius:g}-{i}": found[:, i] for i in range(N_PATTERNS)})
    return columns
