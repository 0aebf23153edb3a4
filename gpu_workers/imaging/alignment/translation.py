"""Images moved by a shift, and what remains of them; entry points: `translate`, `intersection`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


def overlapping(
    reference: NDArray[Any], moving: NDArray[Any], y: tuple[int, int], x: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the parts of both that overlap at any displacement in the given (least, largest) ranges."""
    (h, w), (h2, w2) = reference.shape, moving.shape
    own = slice(max(0, y[0]), min(h, h2 + y[1])), slice(max(0, x[0]), min(w, w2 + x[1]))
    other = slice(max(0, -y[1]), min(h2, h - y[0])), slice(max(0, -x[1]), min(w2, w - x[0]))
    return own, other


def translate(
    image: NDArray[Any], shift: tuple[float, float], *, subpixel: bool = False
) -> NDArray[Any]:
    """Return an image of the same shape and type moved by (y, x) px; 0 where nothing comes to lie.

    Parameters
    ----------
    subpixel
        False: by the nearest whole number of pixels, values unchanged. True: linear interpolation,
        rounded for integers.

    Examples
    --------
    >>> translate(np.array([[1, 2, 3]], np.uint8), (0, 1.2))
    array([[0, 1, 2]], dtype=uint8)
    >>> translate(np.array([[10, 20, 30]], np.uint8), (0, 0.5), subpixel=True)
    array([[ 0, 15, 25]], dtype=uint8)
    """
    if not subpixel:
        return _moved(image, round(shift[0]), round(shift[1]))
    whole = math.floor(shift[0]), math.floor(shift[1])
    part = np.float32(shift[0] - whole[0]), np.float32(shift[1] - whole[1])
    value = image.astype(np.float32 if image.dtype.itemsize <= 4 else np.float64)
    result = np.zeros_like(value)
    lacking = np.ones_like(value)
    for dy, wy in ((0, 1 - part[0]), (1, part[0])):
        for dx, wx in ((0, 1 - part[1]), (1, part[1])):
            if wy * wx:
                result += _moved(value, whole[0] + dy, whole[1] + dx) * (wy * wx)
                lacking -= _moved(np.ones_like(value), whole[0] + dy, whole[1] + dx) * (wy * wx)
    result[lacking > 1e-3] = 0
    return (np.rint(result) if image.dtype.kind in "ui" else result).astype(image.dtype)


def _moved(image: NDArray[Any], dy: int, dx: int) -> NDArray[Any]:
    own, other = overlapping(image, image, (dy, dy), (dx, dx))
    result = np.zeros_like(image)
    if own[0].start < own[0].stop and own[1].start < own[1].stop:
        result[own] = image[other]
    return result


def intersection(shifts: list[tuple[float, float]], height: int, width: int) -> Box:
    """Return the pixels (y0, x0, y1, x1) of the reference that every moved image covers.

    `shifts` are rounded as `translate` rounds them; an empty intersection has y0 = y1 or x0 = x1.

    Examples
    --------
    >>> intersection([(0, 0), (-11.3, 3.65)], 912, 624)
    (0, 4, 901, 624)
    """
    ys, xs = [round(y) for y, _ in shifts], [round(x) for _, x in shifts]
    y0, x0 = (min(max(0, *v), n) for v, n in ((ys, height), (xs, width))) if shifts else (0, 0)
    y1, x1 = (n + min(0, *v) for v, n in ((ys, height), (xs, width))) if shifts else (height, width)
    return y0, x0, max(y0, y1), max(x0, x1)
