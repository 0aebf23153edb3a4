"""Shifts to fractions of a pixel by the phases of two spectra; entry point: `phase_correlation`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NOISE_PEAK = 5.0
"""Standard deviations that the highest of many random values reaches."""
REACH = 4
"""Largest shift (px) that is looked for unless another is given."""

_NOISE_POWER = 10.0  # frequencies count by how far their power is above so many times the noise's
_STEP = 20  # samples per px of the fine surface


def _vertex(before: float, peak: float, after: float) -> float:
    """Return where the parabola through three equidistant values has its vertex, -0.5 to 0.5."""
    curvature = before - 2 * peak + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0


def peak_of(surface: NDArray[np.floating]) -> tuple[float, float, bool]:
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
    reference: Floats, moving: Floats, reach: int = REACH
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
    >>> from scipy.ndimage import gaussian_filter
    >>> image = gaussian_filter(np.random.default_rng(0).random((64, 64), np.float32), 2)
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
    i, j, inside = peak_of(coarse)
    if not inside:
        return 0.0, 0.0, 0.0
    fine = np.arange(-_STEP, _STEP + 1) / _STEP
    y, x = grid[round(i)] + fine, grid[round(j)] + fine
    surface = _surface(product, width, y, x)
    i, j, _ = peak_of(surface)
    chance = NOISE_PEAK * math.sqrt(squares) / total
    height_of_peak = float(surface.max()) / total
    coherence = max(0.0, (height_of_peak - chance) / (1 - chance)) if chance < 1 else 0.0
    return float(y[0] + i / _STEP), float(x[0] + j / _STEP), coherence
