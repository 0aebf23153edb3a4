"""Kernels of the mosaic: paste, count, quantise, halve; entry points are the public functions.

All work on whole arrays on the CPU; the encoding of what they make costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable

import numba
import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.ownership import Field

Counts = NDArray[np.uint64]
N_VALUES = 65536


@numba.njit(nogil=True, cache=True)
def _halve(image, out):  # type: ignore[no-untyped-def]
    for y in range(out.shape[0]):
        upper, lower = image[2 * y], image[2 * y + 1]
        for x in range(out.shape[1]):
            total = np.uint32(upper[2 * x]) + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]
            out[y, x] = (total + np.uint32(2)) >> np.uint32(2)


@numba.njit(nogil=True, cache=True)
def _halve_covered(image, covered, out, empty):  # type: ignore[no-untyped-def]
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = np.uint32(0)
            count = np.uint32(0)
            for dy in range(2):
                for dx in range(2):
                    if covered[2 * y + dy, 2 * x + dx]:
                        total += np.uint32(image[2 * y + dy, 2 * x + dx])
                        count += np.uint32(1)
            if count == 4:
                out[y, x] = (total + np.uint32(2)) >> np.uint32(2)
            elif count > 0:
                out[y, x] = (total + count // np.uint32(2)) // count
            else:
                out[y, x] = empty


def downsample_mean(
    image: NDArray[np.unsignedinteger],
    covered: NDArray[np.bool_] | None = None,
    empty: int = 0,
) -> NDArray[np.unsignedinteger]:
    """Halve an image: each pixel is the mean of the existing ones of its 2x2 block.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (h, w)
    covered : ndarray of bool, shape (h, w), optional
        Which pixels exist; without it all do. Pixels beyond an odd edge never exist.
    empty : int
        What to give where no pixel exists.

    Returns
    -------
    ndarray, shape (ceil(h / 2), ceil(w / 2)), same dtype
        Means rounded to the nearest integer, halves up; `empty` where no pixel exists.

    Raises
    ------
    TypeError
        Other pixel types: their sums would need other arithmetic.

    Notes
    -----
    Counting the empty pixels beside a site as zeros would draw a dark rim round every well: at its
    border, half the signal is lost at level 1 for a site that starts at an odd pixel.

    Examples
    --------
    >>> downsample_mean(np.array([[1, 2, 9], [3, 4, 0]], np.uint16))
    array([[3, 5]], dtype=uint16)
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"the mean of {image.dtype} pixels is not defined here")
    height, width = image.shape
    if height % 2 or width % 2:
        if covered is None:
            covered = np.ones(image.shape, bool)
        rim = ((0, height % 2), (0, width % 2))
        image, covered = np.pad(image, rim), np.pad(covered, rim)
    out = np.empty((image.shape[0] // 2, image.shape[1] // 2), image.dtype)
    if covered is None:
        _halve(image, out)
    else:
        _halve_covered(image, covered, out, image.dtype.type(empty))
    return out


def downsample_labels(labels: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Halve a label image: each pixel is the upper left one of its 2x2 block, so labels stay labels.

    Examples
    --------
    >>> downsample_labels(np.array([[1, 2, 9], [3, 4, 0]], np.uint32))
    array([[1, 9]], dtype=uint32)
    """
    return np.ascontiguousarray(labels[::2, ::2])


def coverage(
    sites: Iterable[Field], level: int, y: int, x: int, height: int, width: int
) -> NDArray[np.bool_]:
    """Return which pixels of a region of one level show at least a part of a site.

    Parameters
    ----------
    sites
        Sites in pixels of level 0.
    level
        Pixels of this level are ``2 ** level`` pixels of level 0 wide.
    y, x, height, width
        The region, in pixels of `level`.

    Returns
    -------
    ndarray of bool, shape (height, width)
    """
    covered = np.zeros((height, width), bool)
    for site in sites:
        y0, x0 = (site.y >> level) - y, (site.x >> level) - x
        y1 = -(-(site.y + site.height) >> level) - y
        x1 = -(-(site.x + site.width) >> level) - x
        covered[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return covered


@numba.njit(nogil=True, cache=True)
def _paste(target, image, counts):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x]
            target[y, x] = value
            counts[x & 1, value] += np.uint64(1)


@numba.njit(nogil=True, cache=True)
def _paste_owned(target, image, owned, counts):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if owned[y, x]:
                value = image[y, x]
                target[y, x] = value
                counts[x & 1, value] += np.uint64(1)


def new_counts() -> Counts:
    """Return an empty histogram for `paste`: two banks, whose sum counts each 16-bit value."""
    return np.zeros((2, N_VALUES), np.uint64)


def paste(
    target: NDArray[np.uint16],
    image: NDArray[np.unsignedinteger],
    owned: NDArray[np.bool_] | None,
    counts: Counts,
) -> None:
    """Copy the owned pixels of an image into a view of the mosaic and count their values.

    Parameters
    ----------
    target : ndarray of uint16, shape (h, w)
        Written in place.
    image : ndarray of uint8 or uint16, shape (h, w)
    owned : ndarray of bool, shape (h, w), or None
        Which pixels to copy; None: all.
    counts
        From `new_counts`; added to. (Two banks, because consecutive pixels are often equal and a
        processor waits when it adds to the same counter twice in a row.)
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"{image.dtype} pixels must be mapped to uint16 first")
    if owned is None:
        _paste(target, image, counts)
    else:
        _paste_owned(target, image, owned, counts)


@numba.njit(nogil=True, cache=True)
def _range(image):  # type: ignore[no-untyped-def]
    low, high, bad = np.inf, -np.inf, 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x]
            if np.isfinite(value):
                low = min(low, value)
                high = max(high, value)
            else:
                bad += 1
    return low, high, bad


def finite_range(image: NDArray[np.floating]) -> tuple[float, float, int]:
    """Return minimum and maximum of the finite pixels (inf and -inf if none) and how many are not."""
    low, high, bad = _range(image)
    return float(low), float(high), int(bad)


@numba.njit(nogil=True, cache=True)
def _quantise(image, offset, scale, out):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x]
            if np.isfinite(value):
                step = np.floor((value - offset) / scale + 0.5)
                out[y, x] = np.uint16(min(max(step, 0.0), 65535.0))
            else:
                out[y, x] = 0


def quantise(image: NDArray[np.floating], offset: float, scale: float) -> NDArray[np.uint16]:
    """Map floats to uint16 so that ``stored * scale + offset`` is within half a step of the value.

    Values outside the range are clipped to it; NaN and infinities become 0, the range's minimum.

    Examples
    --------
    >>> quantise(np.array([[-1.0, 0.5, np.nan, 9.0]]), -1.0, 0.5).tolist()
    [[0, 3, 0, 20]]
    """
    out = np.empty(image.shape, np.uint16)
    _quantise(image, float(offset), float(scale), out)
    return out


def percentile(counts: NDArray[np.integer], q: float) -> int:
    """Return the smallest value that at least `q` percent of the counted pixels don't exceed.

    Parameters
    ----------
    counts : ndarray of int, shape (n,)
        ``counts[v]`` pixels have the value v.
    q : float
        Percent, 0 to 100.

    Notes
    -----
    ``numpy.percentile(..., method="inverted_cdf")``. 0 if nothing was counted.

    Examples
    --------
    >>> percentile(np.array([0, 5, 90, 5]), 1), percentile(np.array([0, 5, 90, 5]), 50)
    (1, 2)
    """
    cumulative = np.cumsum(counts, dtype=np.float64)
    total = cumulative[-1]
    if not total:
        return 0
    wanted = max(total * q / 100, 1)
    return int(np.searchsorted(cumulative, wanted, side="left"))
