"""Costes' automatic thresholds of one object; entry point: `costes_thresholds`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Values = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _line(a: Values, b: Values) -> tuple[float, float]:
    """Return slope and offset of the orthogonal regression over pixels that aren't 0 in both.

    NaN where there is none: fewer than three such pixels, a flat channel, no covariance.
    """
    count = 0
    mean_a, mean_b = 0.0, 0.0
    for i in range(a.size):
        if a[i] > 0 or b[i] > 0:
            count += 1
            mean_a += a[i]
            mean_b += b[i]
    if count < 3:
        return np.nan, np.nan
    mean_a /= count
    mean_b /= count
    aa, bb, ab = 0.0, 0.0, 0.0
    for i in range(a.size):
        if a[i] > 0 or b[i] > 0:
            aa += (a[i] - mean_a) ** 2
            bb += (b[i] - mean_b) ** 2
            ab += (a[i] - mean_a) * (b[i] - mean_b)
    if abs(ab) <= 8 * np.finfo(np.float64).eps * max(aa, bb):
        return np.nan, np.nan
    slope = (bb - aa + np.sqrt((bb - aa) ** 2 + 4 * ab * ab)) / (2 * ab)
    return slope, mean_b - slope * mean_a


@njit(nogil=True, cache=True)
def _correlation_below(a: Values, b: Values, limit_a: float, limit_b: float) -> float:
    """Return Pearson's correlation of the pixels below a threshold; NaN where there is none."""
    count = 0
    mean_a, mean_b = 0.0, 0.0
    for i in range(a.size):
        if a[i] < limit_a or b[i] < limit_b:
            count += 1
            mean_a += a[i]
            mean_b += b[i]
    if count < 3:
        return np.nan
    mean_a /= count
    mean_b /= count
    aa, bb, ab = 0.0, 0.0, 0.0
    for i in range(a.size):
        if a[i] < limit_a or b[i] < limit_b:
            aa += (a[i] - mean_a) ** 2
            bb += (b[i] - mean_b) ** 2
            ab += (a[i] - mean_a) * (b[i] - mean_b)
    # rounding of a mean must not make a flat channel vary
    tiny = 1e-26 * count
    if aa <= tiny * mean_a * mean_a or bb <= tiny * mean_b * mean_b:
        return np.nan
    return float(ab / np.sqrt(aa) / np.sqrt(bb))


@njit(nogil=True, cache=True)
def costes_thresholds(a: Values, b: Values, n_steps: float) -> tuple[float, float]:
    """Return the thresholds below which the two channels of an object aren't correlated.

    Parameters
    ----------
    a, b : ndarray of float64, shape (pixels,)
        Intensities between 0 and 1.
    n_steps
        Number of steps between 0 and 1 that the first threshold may take.

    Returns
    -------
    tuple of float
        NaN where they aren't defined.

    Notes
    -----
    The thresholds lie on the orthogonal regression line (S. V. Costes et al., Biophys. J. 86, 2004);
    the search is CellProfiler's "Faster": of the window of candidates the one a sixth below its top
    is tried, and the window ends there or begins there.

    Examples
    --------
    >>> costes_thresholds(np.zeros(4), np.ones(4), 255)
    (nan, nan)
    """
    nothing = (np.nan, np.nan)
    if a.size < 3 or a.min() < 0 or b.min() < 0:
        return nothing
    slope, offset = _line(a, b)
    if not (np.isfinite(slope) and np.isfinite(offset)):
        return nothing
    left, right = 1.0, n_steps
    middle = (right - left) // (6 / 5) + left
    last, valid = 0.0, -1.0
    for _ in range(256):
        if last == middle:
            break
        limit = middle / n_steps
        correlation = _correlation_below(a, b, limit, slope * limit + offset)
        if np.isfinite(correlation) and correlation >= 0:
            right = middle + 1
            valid = middle
        else:
            left = middle - 1
        last = middle
        middle = (right - left) // (6 / 5 if right - left > 6 else 2) + left
    if valid < 0 or last != middle:
        return nothing
    limit = (valid - 1) / n_steps
    other = slope * limit + offset
    if not np.isfinite(_correlation_below(a, b, limit, other)):
        return nothing
    return limit, other
