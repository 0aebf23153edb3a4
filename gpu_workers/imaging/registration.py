"""How far one image is moved against another, to fractions of a pixel; entry points: `register`, `translate`.

A shift (y, x) says how the moving image must be moved to lie on the reference: the pixel of the
moving image at p belongs at p + shift, the convention of scikit-image's ``phase_cross_correlation``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]

COARSE_SIDE = 1024
"""Longest side (px) of the images that are searched; larger ones are first averaged in blocks."""
LEAST_SIDE = 16
"""Overlaps narrower than this (px) tell nothing."""
LEAST_OVERLAP = 0.3
"""Displacements that leave less than this part of the largest overlap are not believed."""
BLOCKS = (4, 4)
BLOCK_REACH = 4
"""How far (px) a part of an image is looked for around the shift of the whole."""

_DETAIL = 1.5  # sigma, px: finer structure is noise
_BACKGROUND = 19  # side of the two boxes (px) whose mean is background
_NEIGHBOURHOOD = 61  # side of the box (px) in which contrast is evened out
_CORRELATED = 4 * math.pi * _DETAIL**2  # px that a detail of noise covers after smoothing
_NOISE_PEAK = 5.0  # standard deviations that the highest of many random values reaches
_NOISE_POWER = 10.0  # frequencies count by how far their power is above so many times the noise's
_STEP = 20  # samples per px of the fine surface


@dataclass(frozen=True, slots=True)
class Shift:
    """Where an image belongs on another, px; see `register`.

    Attributes
    ----------
    confidence
        0 (nothing in common) to 1 (the same image): correlation of the structures above what chance
        gives in an overlap of this size.
    """

    y: float
    x: float
    confidence: float


class LocalShifts(NamedTuple):
    """Shifts of the parts of an image; arrays of float64, shape `BLOCKS`.

    `y` and `x` are absolute, px; `coherence` is the part of the spectrum that agrees, 0 to 1, above
    what chance gives.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    coherence: NDArray[np.float64]

    def residual(self, y: float, x: float, least: float = 0.05) -> NDArray[np.float64]:
        """Return how far (px) each part that tells something lies from a shift; 1-D, maybe empty."""
        told = self.coherence >= least
        return np.asarray(np.hypot(self.y[told] - y, self.x[told] - x))


def compress(image: NDArray[Any], clip_percent: float | None = None) -> Floats:
    """Return an image whose bright objects don't outweigh its dim ones.

    Parameters
    ----------
    image : ndarray, shape (height, width), any integer or float type
        NaN and infinities count as the darkest pixels.
    clip_percent
        Values above this percentile are set to it: dirt is often brighter than any cell.

    Returns
    -------
    ndarray of float32, shape (height, width)
        ``log(1 + 4 (image - low) / (high - low))``, low and high the 1st and 99th percentiles of a
        sixteenth of the pixels; 0 where all pixels are equal.
    """
    value = image.astype(np.float32)
    if image.dtype.kind == "f":
        finite = np.isfinite(value)
        if not finite.all():
            value[~finite] = value[finite].min() if finite.any() else 0
    sample = value[::4, ::4] if min(value.shape) >= 64 else value
    low, high = (float(p) for p in np.percentile(sample, (1, 99))) if value.size else (0.0, 0.0)
    if not high > low:
        low, high = (float(value.min()), float(value.max())) if value.size else (0.0, 0.0)
    if not high > low:
        return np.zeros(value.shape, np.float32)
    top = float(np.percentile(sample, clip_percent)) if clip_percent is not None else np.inf
    np.clip(value, low, max(top, low), out=value)
    value -= np.float32(low)
    value *= np.float32(4 / (high - low))
    return np.log1p(value, out=value)


def structure(compressed: Floats) -> Floats:
    """Return details of some pixels' size with about the same contrast everywhere.

    The difference of a Gaussian (sigma 1.5 px) and a wide mean, divided by its standard deviation
    in the neighbourhood (61 px), so that shading, staining and single bright things matter little.
    float32 of the same shape; 0 where nothing is.
    """
    side = (_BACKGROUND, _BACKGROUND)
    detail = cv2.GaussianBlur(compressed, (0, 0), _DETAIL, borderType=cv2.BORDER_REFLECT)
    mean = cv2.blur(compressed, side, borderType=cv2.BORDER_REFLECT)
    background = cv2.blur(mean, side, borderType=cv2.BORDER_REFLECT)
    detail = cv2.subtract(detail, background)
    around = (_NEIGHBOURHOOD, _NEIGHBOURHOOD)
    power = cv2.blur(cv2.multiply(detail, detail), around, borderType=cv2.BORDER_REFLECT)
    least = np.float32(0.3 * power.mean(dtype=np.float64) + 1e-12)
    return np.asarray(detail / np.sqrt(power + least), np.float32)


def _box_sums(
    image: NDArray[np.float64], y: tuple[Any, Any], x: tuple[Any, Any]
) -> NDArray[np.float64]:
    """Return sums over [y0, y1) x [x0, x1) for all pairs of row and column ranges."""
    table = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    np.cumsum(np.cumsum(image, axis=0), axis=1, out=table[1:, 1:])
    lower, upper = table[y[0]], table[y[1]]
    difference: NDArray[np.float64] = upper - lower
    return difference[:, x[1]] - difference[:, x[0]]


def correlation_surface(
    reference: Floats, moving: Floats, centre: tuple[int, int], reach: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return Pearson's correlation of two images at every displacement in a range.

    Parameters
    ----------
    reference, moving : ndarray of float32, shapes (h, w) and (h', w')
    centre, reach
        Displacements `centre` ± `reach` are tried: the moving image's pixel p lies on the
        reference's p + displacement.

    Returns
    -------
    (correlation, n) : ndarrays, shape (2 reach_y + 1, 2 reach_x + 1)
        Correlation in the overlap, 0 where either is constant in it, and its number of pixels.

    Notes
    -----
    One product of spectra gives the sums of products for all displacements, running sums give
    means and variances of the overlaps (J. P. Lewis, Fast normalized cross-correlation, 1995).
    """
    from scipy import fft

    a, b = (i.astype(np.float64) - i.mean(dtype=np.float64) for i in (reference, moving))
    (h, w), (h2, w2) = a.shape, b.shape
    ky = centre[0] + np.arange(-reach[0], reach[0] + 1)
    kx = centre[1] + np.arange(-reach[1], reach[1] + 1)
    size = fft.next_fast_len(h + h2, real=True), fft.next_fast_len(w + w2, real=True)
    # float32 is enough for the transforms, whose errors are relative to the whole image's energy.
    product = fft.rfft2(a.astype(np.float32), size)
    product *= np.conj(fft.rfft2(b.astype(np.float32), size))
    products = fft.irfft2(product, size)[np.ix_(ky % size[0], kx % size[1])].astype(np.float64)
    y0, y1 = np.clip(ky, 0, h), np.clip(ky + h2, 0, h)
    x0, x1 = np.clip(kx, 0, w), np.clip(kx + w2, 0, w)
    n = (y1 - y0)[:, None] * (x1 - x0)[None]
    own = (y0, y1), (x0, x1)
    other = tuple(
        (np.clip(p - k, 0, s), np.clip(q - k, 0, s))
        for p, q, k, s in ((y0, y1, ky, h2), (x0, x1, kx, w2))
    )
    count = np.maximum(n, 1)
    sum_a, sum_b = _box_sums(a, *own), _box_sums(b, *other)
    spread_a = _box_sums(a * a, *own) - sum_a**2 / count
    spread_b = _box_sums(b * b, *other) - sum_b**2 / count
    spread = np.sqrt(np.clip(spread_a, 0, None) * np.clip(spread_b, 0, None))
    floor = 1e-6 * math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    there = (n > 0) & (spread > floor)
    correlation = np.where(
        there, (products - sum_a * sum_b / count) / np.where(there, spread, 1), 0
    )
    return np.clip(correlation, -1, 1), n


def _vertex(before: float, peak: float, after: float) -> float:
    """Return where the parabola through three equidistant values has its vertex, -0.5 to 0.5."""
    curvature = before - 2 * peak + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0


def _peak(surface: NDArray[np.floating]) -> tuple[float, float, bool]:
    """Return row and column of the highest value, to fractions, and whether it is inside the borders."""
    i, j = (int(v) for v in np.unravel_index(int(surface.argmax()), surface.shape))
    inner_y, inner_x = 0 < i < surface.shape[0] - 1, 0 < j < surface.shape[1] - 1
    dy = _vertex(*(float(surface[i + k, j]) for k in (-1, 0, 1))) if inner_y else 0.0
    dx = _vertex(*(float(surface[i, j + k]) for k in (-1, 0, 1))) if inner_x else 0.0
    return i + dy, j + dx, inner_y and inner_x


def _window(n: int) -> NDArray[np.float32]:
    """Return weights that rise over the outer quarters and are 1 in the middle (Tukey's window).

    Of a narrow overlap that keeps more than one that rises up to the middle.
    """
    place = np.arange(1, n + 1) / (n + 1)
    rise = np.minimum(4 * np.minimum(place, 1 - place), 1)
    return np.asarray((1 - np.cos(np.pi * rise)) / 2, np.float32)


def _windowed_spectrum(image: Floats, size: tuple[int, int]) -> NDArray[np.complex64]:
    from scipy import fft

    rows, columns = (_window(n) for n in image.shape)
    value = image - image.mean(dtype=np.float64).astype(np.float32)
    value *= rows[:, None]
    value *= columns
    return np.asarray(fft.rfft2(value, size), np.complex64)


def _agreement(
    a: NDArray[np.complex64], b: NDArray[np.complex64], width: int
) -> tuple[NDArray[np.complex64], float, float]:
    """Return phase differences weighted by signal over noise, their total, and that of their squares."""
    fy, fx = np.fft.fftfreq(a.shape[0])[:, None], np.fft.rfftfreq(width)[None]
    noisy = fy**2 + fx**2 > 0.4**2
    weight = np.ones(a.shape, np.float32)
    for spectrum in (a, b):
        power = spectrum.real**2 + spectrum.imag**2
        floor = np.float32(_NOISE_POWER * power[noisy].mean(dtype=np.float64)) if noisy.any() else 0
        # A spectrum of nothing weighs nothing.
        weight *= np.clip(1 - floor / np.maximum(power, np.float32(1e-30)), 0, 1)
        weight[power <= 0] = 0
    # Half of the spectrum stands for both but for the columns that are their own mirror images.
    weight *= 2
    weight[:, 0] /= 2
    if width % 2 == 0:
        weight[:, -1] /= 2
    product = a * np.conj(b)
    product *= weight / np.maximum(np.abs(product), np.float32(1e-30))
    total = float(weight.sum(dtype=np.float64))
    return product, total, float((weight.astype(np.float64) ** 2).sum())


def _surface(
    product: NDArray[np.complex64], width: int, y: NDArray[np.floating], x: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the inverse transform of half a spectrum at chosen rows and columns only."""
    fy, fx = np.fft.fftfreq(product.shape[0]), np.fft.rfftfreq(width)
    rows = np.exp(2j * np.pi * np.outer(y, fy)).astype(np.complex64)
    columns = np.exp(2j * np.pi * np.outer(fx, x)).astype(np.complex64)
    return np.asarray(((rows @ product) @ columns).real, np.float32)


def phase_correlation(
    reference: Floats, moving: Floats, reach: int = BLOCK_REACH
) -> tuple[float, float, float]:
    """Return the shift of two images of one shape by the phases of their spectra.

    Parameters
    ----------
    reference, moving : ndarray of float32, shape (height, width)
        As `compress` makes them, shifted against each other by a small part of their size.
    reach
        Largest shift that is looked for, px.

    Returns
    -------
    (y, x, coherence) : tuple of float
        Shift, and the part of the weighted spectrum that agrees with it above what chance gives:
        0 where there is nothing to compare, or where the best shift lies at the reach.

    Notes
    -----
    A window keeps the borders out. Each frequency's phase counts by how far its power stands
    above the noise's, measured at the highest frequencies, in both images; so a camera's fixed
    pattern, equal in both, does not pull the shift to zero, as it does where all phases count
    equally. The peak is refined by the Fourier transform at 1/20 px around it (M. Guizar-Sicairos,
    S. T. Thurman, J. R. Fienup, Efficient subpixel image registration algorithms, 2008), then by
    a parabola.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((64, 64), np.float32)
    >>> image = cv2.GaussianBlur(image, (0, 0), 2)
    >>> y, x, _ = phase_correlation(image[2:60, 4:60], image[4:62, 3:59])
    >>> round(y), round(x)
    (2, -1)
    """
    from scipy import fft

    height, width = (fft.next_fast_len(n, real=True) for n in reference.shape)
    a = _windowed_spectrum(reference, (height, width))
    b = _windowed_spectrum(moving, (height, width))
    product, total, squares = _agreement(a, b, width)
    if total <= 0:
        return 0.0, 0.0, 0.0
    grid = np.arange(-reach - 1.0, reach + 2)
    coarse = _surface(product, width, grid, grid)
    i, j, inside = _peak(coarse)
    if not inside:
        return 0.0, 0.0, 0.0
    fine = np.arange(-_STEP, _STEP + 1) / _STEP
    y, x = grid[round(i)] + fine, grid[round(j)] + fine
    surface = _surface(product, width, y, x)
    i, j, _ = _peak(surface)
    chance = _NOISE_PEAK * math.sqrt(squares) / total
    height_of_peak = float(surface.max()) / total
    coherence = max(0.0, (height_of_peak - chance) / (1 - chance)) if chance < 1 else 0.0
    return float(y[0] + i / _STEP), float(x[0] + j / _STEP), coherence


def _overlapping(
    reference: NDArray[Any], moving: NDArray[Any], y: tuple[int, int], x: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the parts of both that overlap at any displacement in the given (least, largest) ranges."""
    (h, w), (h2, w2) = reference.shape, moving.shape
    own = slice(max(0, y[0]), min(h, h2 + y[1])), slice(max(0, x[0]), min(w, w2 + x[1]))
    other = slice(max(0, -y[1]), min(h2, h - y[0])), slice(max(0, -x[1]), min(w2, w - x[0]))
    return own, other


def _binned(image: Floats, factor: int) -> Floats:
    if factor == 1:
        return image
    height, width = (n // factor for n in image.shape)
    cut = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _search(
    a: Floats, b: Floats, centre: tuple[int, int], reach: int
) -> tuple[float, float, float, int]:
    """Return displacement, confidence and block side of the best match of structures."""
    factor = -(-max(*a.shape, *b.shape) // COARSE_SIDE)
    small = structure(_binned(a, factor)), structure(_binned(b, factor))
    middle = round(centre[0] / factor), round(centre[1] / factor)
    around = -(-reach // factor) + 1
    surface, n = correlation_surface(*small, middle, (around, around))
    # The smaller an overlap, the higher a correlation chance alone gives.
    chance = np.minimum(_NOISE_PEAK * np.sqrt(_CORRELATED / np.maximum(n, 1)), 0.9)
    surface = (surface - chance) / (1 - chance)
    surface[n < LEAST_OVERLAP * n.max()] = -1
    i, j, inside = _peak(surface)
    y, x = (i - around + middle[0]) * factor, (j - around + middle[1]) * factor
    confidence = max(0.0, float(surface.max())) if inside else 0.0
    return y, x, confidence, factor


def register(
    reference: NDArray[Any],
    moving: NDArray[Any],
    *,
    reach: int,
    expected: tuple[int, int] = (0, 0),
    clip_percent: float | None = None,
) -> Shift:
    """Find how the moving image must be moved to lie on the reference.

    Parameters
    ----------
    reference, moving : ndarray, shapes (h, w) and (h', w'), any integer or float type
        Compared where they overlap; with different sizes their upper left corners correspond.
    reach
        Largest difference from the expected shift, px.
    expected
        Shift (y, x) to start from, such as the nominal distance of neighbouring fields of view.
    clip_percent
        See `compress`.

    Returns
    -------
    Shift
        The expected one with confidence 0 where nothing can be told: an image is empty, they have
        nothing in common, or the best match lies at the edge of what was searched.

    Notes
    -----
    The best correlation of the structures is searched at reduced size, then the overlap it gives is
    refined by `phase_correlation` at full size.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((200, 200), np.float32)
    >>> image = cv2.GaussianBlur(image, (0, 0), 2)
    >>> found = register(image[20:180, 20:180], image[27:187, 15:175], reach=20)
    >>> round(found.y, 1), round(found.x, 1), found.confidence > 0.9
    (7.0, -5.0, True)
    """
    nothing = Shift(float(expected[0]), float(expected[1]), 0.0)
    reach = min(reach, max(*reference.shape, *moving.shape, 1))
    rows = expected[0] - reach, expected[0] + reach
    columns = expected[1] - reach, expected[1] + reach
    own, other = _overlapping(reference, moving, rows, columns)
    a, b = reference[own], moving[other]
    if min(*a.shape, *b.shape) < LEAST_SIDE:
        return nothing
    a, b = compress(a, clip_percent), compress(b, clip_percent)
    # A displacement of the parts becomes one of the images by where the parts begin.
    origin = own[0].start - other[0].start, own[1].start - other[1].start
    centre = expected[0] - origin[0], expected[1] - origin[1]
    y, x, confidence, factor = _search(a, b, centre, reach)
    if not confidence:
        return nothing
    dy, dx = round(y), round(x)
    part, counterpart = _overlapping(a, b, (dy, dy), (dx, dx))
    if min(a[part].shape) < LEAST_SIDE:
        return nothing
    fine_y, fine_x, coherence = phase_correlation(a[part], b[counterpart], factor + 1)
    if coherence:
        y, x = dy + fine_y, dx + fine_x
    return Shift(float(origin[0] + y), float(origin[1] + x), confidence)


def local_shifts(
    reference: NDArray[Any],
    moving: NDArray[Any],
    shift: tuple[float, float],
    *,
    clip_percent: float | None = None,
    blocks: tuple[int, int] = BLOCKS,
) -> LocalShifts:
    """Return how the parts of an image are shifted, which a single shift cannot show.

    The overlap at the rounded `shift` is cut into `blocks` rows and columns; each is found again
    within `BLOCK_REACH` px.
    """
    dy, dx = round(shift[0]), round(shift[1])
    own, other = _overlapping(reference, moving, (dy, dy), (dx, dx))
    found = np.zeros((3, *blocks))
    a, b = reference[own], moving[other]
    if a.size:
        a, b = compress(a, clip_percent), compress(b, clip_percent)
    ys, xs = (np.linspace(0, n, k + 1).astype(int) for n, k in zip(a.shape, blocks, strict=True))
    for i, j in np.ndindex(*blocks):
        part = np.s_[ys[i] : ys[i + 1], xs[j] : xs[j + 1]]
        if min(a[part].shape) >= LEAST_SIDE:
            found[:, i, j] = phase_correlation(a[part], b[part])
    return LocalShifts(found[0] + dy, found[1] + dx, found[2])


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
    own, other = _overlapping(image, image, (dy, dy), (dx, dx))
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
