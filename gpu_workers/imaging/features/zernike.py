"""Zernike moments of the shapes of objects; entry points: `zernike_moments`, `legacy_zernike_moments`.

A Zernike polynomial is a polynomial of y and x: moments ``sum y^a x^b`` of an object, taken once,
give all of them. Runs of a row are differences of running sums of the powers of x.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.chrystal import chrystal_circles
from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

if TYPE_CHECKING:
    from gpu_workers.imaging.regions import RegionGeometry

Column = NDArray[np.float64]

_LEGACY_SIDE = 200

DESCRIPTIONS = (
    FeatureDescription(
        "Morphology_Zernike-{n}-{m}",
        "|sum of the Zernike polynomial V_nm over the pixels| / (pi R²); R: radius of the smallest "
        "circle round the pixels' centres, which is the unit circle; of the pixels on it those are left "
        "out that rounding puts outside",
        "",
        "CellProfiler; Boland et al. 1998",
        {"cp_measure": "Zernike_{n}_{m}"},
        {
            "mahotas": "circle of half the box's longer side round the centre of mass, pixels outside "
            "it left out, divided by the area, times (n + 1) / pi",
            "TissueMAPS before 2020": "the box with a margin of a pixel stretched to 200 x 200 "
            "pixels, circle of radius 100 round the centre of mass, else as mahotas: the argument "
            "``zernike_convention: legacy`` gives these",
        },
    ),
)


def zernike_indices(degree: int) -> tuple[tuple[int, int], ...]:
    """Return all (n, m) with 0 <= m <= n <= degree and n - m even, in the order of n, then m.

    Examples
    --------
    >>> zernike_indices(3)
    ((0, 0), (1, 1), (2, 0), (2, 2), (3, 1), (3, 3))
    """
    return tuple((n, m) for n in range(degree + 1) for m in range(n % 2, n + 1, 2))


def _radial(n: int, m: int, k: int) -> float:
    """Return the coefficient of r^(n - 2k) in the radial polynomial."""
    below = factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k)
    return float((-1) ** k * factorial(n - k) / below)


@cache
def zernike_polynomials(degree: int) -> NDArray[np.complex128]:
    """Return coefficients of V_nm(y, x) with z = y + i x, shape (moments, powers of y, of x).

    Examples
    --------
    >>> zernike_polynomials(2)[2].real
    array([[-1.,  0.,  2.],
           [ 0.,  0.,  0.],
           [ 2.,  0.,  0.]])
    """
    side = degree + 1

    def times(a: NDArray[np.complex128], terms: dict[tuple[int, int], complex]) -> NDArray:
        product = np.zeros_like(a)
        for (p, q), factor in terms.items():
            product[p:, q:] += factor * a[: side - p, : side - q]
        return product

    one = np.zeros((side, side), np.complex128)
    one[0, 0] = 1
    found = []
    for n, m in zernike_indices(degree):
        total, power = np.zeros_like(one), one
        for _ in range(m):
            power = times(power, {(1, 0): 1, (0, 1): 1j})
        for k in range((n - m) // 2, -1, -1):
            total = total + _radial(n, m, k) * power
            power = times(power, {(2, 0): 1, (0, 2): 1})
        found.append(total)
    return np.stack(found)


@njit(nogil=True, cache=True)
def _running_powers(x: Column, degree: int) -> NDArray[np.float64]:
    """Return sums of x^b over the columns before each, shape (columns + 1, degree + 1)."""
    sums = np.zeros((x.size + 1, degree + 1))
    for i in range(x.size):
        power = 1.0
        for b in range(degree + 1):
            sums[i + 1, b] = sums[i, b] + power
            power *= x[i]
    return sums


@njit(nogil=True, cache=True)
def _add_row(row: Column, y: float, degree: int, moments: NDArray[np.float64]) -> None:
    """Add y^a times the row's sums of x^b to the moments of order a + b up to the degree."""
    power = 1.0
    for a in range(degree + 1):
        for b in range(degree + 1 - a):
            moments[a, b] += power * row[b]
        power *= y


@njit(nogil=True, cache=True)
def _run_in_circle(x: Column, first: int, last: int, y: float) -> tuple[int, int]:
    """Shorten a run [first, last) to what lies in the unit circle, to the last digit."""
    while first < last and x[first] * x[first] + y * y > 1:
        first += 1
    while first < last and x[last - 1] * x[last - 1] + y * y > 1:
        last -= 1
    return first, last


@njit(nogil=True, cache=True)
def _moments(
    labels: Labels, boxes: NDArray[np.int32], circles: NDArray[np.float64], degree: int
) -> NDArray[np.float64]:
    """Sum y^a x^b over each object's pixels in its unit circle."""
    n = boxes.shape[0]
    moments = np.zeros((n, degree + 1, degree + 1))
    row = np.empty(degree + 1)
    for k in range(n):
        cy, cx, radius = circles[k]
        if not radius > 0:
            continue
        y0, x0, y1, x1 = boxes[k]
        columns = np.empty(x1 - x0)
        for x in range(x1 - x0):
            columns[x] = (x0 + x - cx) / radius
        sums = _running_powers(columns, degree)
        for line in range(y0, y1):
            y = (line - cy) / radius
            row[:] = 0
            x = x0
            while x < x1:
                start = x
                while x < x1 and labels[line, x] == k + 1:
                    x += 1
                if x > start:
                    first, last = _run_in_circle(columns, start - x0, x - x0, y)
                    for b in range(degree + 1):
                        row[b] += sums[last, b] - sums[first, b]
                x += 1
            _add_row(row, y, degree, moments[k])
    return moments


def _magnitudes(moments: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Return |sum of V_nm|, shape (n, number of moments)."""
    polynomials = zernike_polynomials(degree).reshape(-1, (degree + 1) ** 2)
    flat = moments.reshape(-1, (degree + 1) ** 2)
    return np.hypot(flat @ polynomials.real.T, flat @ polynomials.imag.T)


@operation
def zernike_moments(
    labels: Labels, geometry: RegionGeometry, degree: int = 9
) -> NDArray[np.float64]:
    """Return the magnitudes of the Zernike moments of each object's shape.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    geometry
        What `region_geometry` returned for them.
    degree
        Highest n.

    Returns
    -------
    ndarray of float64, shape (n, number of moments)
        In the order of `zernike_indices`; NaN for labels that don't occur and for single pixels.

    Notes
    -----
    ``|sum V_nm(y, x)| / (pi R^2)`` in the smallest circle round the pixels' centres, as CellProfiler
    (M. V. Boland et al. 1998). Of the two or three pixels on the circle itself those are left out that
    rounding puts outside, as there: a shape at another place may differ by that.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> y, x = np.mgrid[-50:51, -50:51]
    >>> disc = (y**2 + x**2 <= 2500).astype(np.int32)
    >>> zernike_moments(disc, region_geometry(disc), 2).round(2)
    array([[1., 0., 0., 0.]])
    """
    circles = chrystal_circles(object_pixels(labels), max(1, labels.shape[1]))
    moments = _moments(np.ascontiguousarray(labels), geometry.box, circles, degree)
    radius = circles[:, 2]
    area = np.where(radius > 0, np.pi * radius**2, np.nan)
    return _magnitudes(moments, degree) / area[:, None]


@njit(nogil=True, cache=True)
def _stretched(labels: Labels, label: int, box: NDArray[np.int32], side: int) -> NDArray[np.bool_]:
    """Stretch the object with a margin of one pixel to a square; each pixel is one of its own."""
    y0, x0, y1, x1 = box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1
    square = np.zeros((side, side), np.bool_)
    columns = np.empty(side, np.int64)
    for x in range(side):
        columns[x] = x0 + 1 + int(np.floor(x * ((x1 - x0 - 1) / (side - 1))))
    for y in range(side):
        row = y0 + 1 + int(np.floor(y * ((y1 - y0 - 1) / (side - 1))))
        if row < box[2]:
            for x in range(side):
                square[y, x] = columns[x] < box[3] and labels[row, columns[x]] == label
    return square


@njit(nogil=True, cache=True)
def _square_moments(square: NDArray[np.bool_], degree: int, moments: NDArray[np.float64]) -> int:
    """Add up the moments of pixels within half a side of the centre of mass; return their number."""
    side = square.shape[0]
    cy, cx, area = 0.0, 0.0, 0
    for y in range(side):
        for x in range(side):
            if square[y, x]:
                cy, cx, area = cy + y, cx + x, area + 1
    cy, cx, radius = cy / area, cx / area, side / 2
    row = np.empty(degree + 1)
    count = 0
    for y in range(side):
        row[:] = 0
        v = (y - cy) / radius
        for x in range(side):
            u = (x - cx) / radius
            if square[y, x] and np.sqrt(u * u + v * v) <= 1:
                count += 1
                power = 1.0
                for b in range(degree + 1):
                    row[b] += power
                    power *= u
        _add_row(row, v, degree, moments)
    return count


@njit(nogil=True, cache=True)
def _legacy_moments(
    labels: Labels, boxes: NDArray[np.int32], area: Column, degree: int, side: int
) -> NDArray[np.float64]:
    n = area.size
    moments = np.full((n, degree + 1, degree + 1), np.nan)
    for k in range(n):
        if area[k] > 0:
            found = np.zeros((degree + 1, degree + 1))
            square = _stretched(labels, k + 1, boxes[k], side)
            count = _square_moments(square, degree, found)
            for a in range(degree + 1):
                for b in range(degree + 1):
                    moments[k, a, b] = found[a, b] / count
    return moments


@operation
def legacy_zernike_moments(
    labels: Labels, geometry: RegionGeometry, degree: int = 12
) -> NDArray[np.float64]:
    """Return Zernike moments as TissueMAPS measured them up to 2020.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects 1…n.
    geometry
        What `region_geometry` returned for them.
    degree
        Highest n.

    Returns
    -------
    ndarray of float64, shape (n, number of moments)
        In the order of `zernike_indices`; NaN for labels that don't occur.

    Notes
    -----
    The object's box with a margin of one pixel is stretched to 200 x 200 pixels, whatever its shape,
    as ``mahotas.imresize`` does it (the next pixel, not the nearest one), then
    ``mahotas.features.zernike_moments(radius=100)``: ``(n + 1) / pi`` times the mean of V_nm over the
    pixels within the radius of the centre of mass. Elongation doesn't show in these numbers.

    Examples
    --------
    >>> from gpu_workers.imaging.regions import region_geometry
    >>> bar = np.ones((2, 9), np.int32)
    >>> legacy_zernike_moments(bar, region_geometry(bar), 0).round(4)
    array([[0.3183]])
    """
    moments = _legacy_moments(
        np.ascontiguousarray(labels), geometry.box, geometry.area, degree, _LEGACY_SIDE
    )
    weight = np.array([(n + 1) / np.pi for n, _ in zernike_indices(degree)])
    weighted: NDArray[np.float64] = _magnitudes(moments, degree) * weight
    return weighted
