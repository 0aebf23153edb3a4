"""How far one image is moved against another, to fractions of a pixel; entry points: `register`, `local_shifts`.

A shift (y, x) says how the moving image must be moved to lie on the reference: the pixel of the
moving image at p belongs at p + shift, the convention of scikit-image's ``phase_cross_correlation``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.alignment.phases import NOISE_PEAK, peak_of, phase_correlation
from gpu_workers.imaging.alignment.translation import overlapping
from gpu_workers.imaging.opencv import cv2

Floats = NDArray[np.float32]

COARSE_SIDE = 1024
"""Longest side (px) of the images that are searched; larger ones are first averaged in blocks."""
FULL_SIDE = 6144
"""Longest side (px) of the images that are compared at full size: spectra of larger ones don't fit a worker."""
LEAST_SIDE = 16
"""Overlaps narrower than this (px) tell nothing."""
LEAST_OVERLAP = 0.3
"""Displacements that leave less than this part of the largest overlap are not believed."""
BLOCKS = (4, 4)

_DETAIL = 1.5  # sigma, px: finer structure is noise
_BACKGROUND = 19  # side of the two boxes (px) whose mean is background
_NEIGHBOURHOOD = 61  # side of the box (px) in which contrast is evened out
_CORRELATED = 4 * math.pi * _DETAIL**2  # px that a detail of noise covers after smoothing


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


def _binned(image: Floats, factor: int) -> Floats:
    if factor == 1:
        return image
    height, width = (n // factor for n in image.shape)
    cut = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _reduction(*images: NDArray[Any]) -> int:
    """Return the side of the blocks to average before anything else: 1 but for huge images."""
    return -(-max(max(image.shape, default=0) for image in images) // FULL_SIDE) or 1


def _reduced(image: NDArray[Any], factor: int) -> NDArray[Any]:
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        image = image.astype(np.float32)
    height, width = (n // factor for n in image.shape)
    if not height or not width:
        return np.zeros((height, width), np.float32)
    cut = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA))


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
    chance = np.minimum(NOISE_PEAK * np.sqrt(_CORRELATED / np.maximum(n, 1)), 0.9)
    surface = (surface - chance) / (1 - chance)
    surface[n < LEAST_OVERLAP * n.max()] = -1
    i, j, inside = peak_of(surface)
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
    refined by `phase_correlation` at full size (that of images with a side above `FULL_SIDE` at a part
    of it).

    Examples
    --------
    >>> image = np.random.default_rng(0).random((200, 200), np.float32)
    >>> image = cv2.GaussianBlur(image, (0, 0), 2)
    >>> found = register(image[20:180, 20:180], image[27:187, 15:175], reach=20)
    >>> round(found.y, 1), round(found.x, 1), found.confidence > 0.9
    (7.0, -5.0, True)
    """
    nothing = Shift(float(expected[0]), float(expected[1]), 0.0)
    if (factor := _reduction(reference, moving)) > 1:
        found = register(
            _reduced(reference, factor),
            _reduced(moving, factor),
            reach=-(-reach // factor),
            expected=(round(expected[0] / factor), round(expected[1] / factor)),
            clip_percent=clip_percent,
        )
        scaled = Shift(found.y * factor, found.x * factor, found.confidence)
        return scaled if found.confidence else nothing
    reach = min(reach, max(*reference.shape, *moving.shape, 1))
    rows = expected[0] - reach, expected[0] + reach
    columns = expected[1] - reach, expected[1] + reach
    own, other = overlapping(reference, moving, rows, columns)
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
    part, counterpart = overlapping(a, b, (dy, dy), (dx, dx))
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
    within `gpu_workers.imaging.alignment.phases.REACH` px.
    """
    if (factor := _reduction(reference, moving)) > 1:
        small = _reduced(reference, factor), _reduced(moving, factor)
        scaled = shift[0] / factor, shift[1] / factor
        local = local_shifts(*small, scaled, clip_percent=clip_percent, blocks=blocks)
        return LocalShifts(local.y * factor, local.x * factor, local.coherence)
    dy, dx = round(shift[0]), round(shift[1])
    own, other = overlapping(reference, moving, (dy, dy), (dx, dx))
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
