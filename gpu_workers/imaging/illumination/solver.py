"""Solver of BaSiC's low-rank and sparse decomposition; entry point: `decompose`.

One weighted problem of `gpu_workers.imaging.illumination.flatfield`, by the linearised alternating direction
method with an adaptive penalty (Lin, Liu & Su 2011; inexact augmented Lagrangian). The passes over all
pixels of all images are compiled and fused: three per iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOLERANCE = 1e-6
MAX_ITERATIONS = 500
FIRST_PENALTY = 12.5
GROWTH = 1.5
LARGEST_GROWTH = 1e7
POWER_ITERATIONS = 8
DARK_STEP = 10.0
"""How much more slowly the dark field moves than the rest."""

REORDER = {"reassoc", "nsz", "contract", "arcp"}
"""Sums in any order: vectorised, four times as fast; the same on every run of one machine."""

Image = NDArray[np.float64]
Stack = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``images = baseline * flat + dark + sparse``, all as in `decompose`.

    Attributes
    ----------
    flat, dark : float64, shape (height, width)
        Of the dark field, `constant` times the flat field is left out.
    baseline : float64, shape (n,)
    sparse : float32, shape (n, height, width)
    n_iterations
        Iterations it took.
    """

    flat: Image
    dark: Image
    constant: float
    baseline: NDArray[np.float64]
    sparse: Stack
    n_iterations: int


@njit(nogil=True, cache=True, fastmath=REORDER)
def _part(images, weights, multiplier, fitted, dark, baseline, penalty, bright, sparse):  # type: ignore[no-untyped-def]
    """Soft-threshold what the model leaves; sum what remains over each image, and over its bright half."""
    n, size = images.shape
    sums = np.zeros(n)
    halves = np.zeros(n)
    inverse = np.float32(1 / penalty)
    for i in range(n):
        b = np.float32(baseline[i])
        total = 0.0
        half = 0.0
        for p in range(size):
            rest = images[i, p] - b * fitted[p] - dark[p] + multiplier[i, p] * inverse
            threshold = weights[i, p] * inverse
            e = rest - min(max(rest, -threshold), threshold)
            sparse[i, p] = e
            kept = images[i, p] - e
            total += kept
            half += kept * bright[p]
        sums[i] = total
        halves[i] = half
    return sums, halves


@njit(nogil=True, cache=True, fastmath=REORDER)
def _mean_kept(images, sparse, chosen):  # type: ignore[no-untyped-def]
    """Return the mean of the chosen images without their sparse parts."""
    n, size = images.shape
    mean = np.zeros(size)
    count = 0
    for i in range(n):
        if chosen[i]:
            count += 1
            for p in range(size):
                mean[p] += images[i, p] - sparse[i, p]
    return mean / max(count, 1)


@njit(nogil=True, cache=True, fastmath=REORDER)
def _ascend(images, sparse, multiplier, fitted, dark, baseline, penalty, following):  # type: ignore[no-untyped-def]
    """Move the multipliers; return the squared misfit and the mean that the next step of the flat field needs."""
    n, size = images.shape
    mean = np.zeros(size)
    misfit = 0.0
    step = np.float32(penalty)
    inverse = np.float32(1 / following)
    for i in range(n):
        b = np.float32(baseline[i])
        own = 0.0
        for p in range(size):
            kept = images[i, p] - sparse[i, p]
            rest = kept - b * fitted[p] - dark[p]
            own += np.float64(rest) * rest
            moved = multiplier[i, p] + step * rest
            multiplier[i, p] = moved
            mean[p] += kept + moved * inverse
        misfit += own
    return misfit, mean / n


def decompose(
    images: Stack,
    weights: Stack,
    smoothness: float,
    dark_smoothness: float | None,
    norm: float,
) -> Decomposition:
    """Split images into a flat field times a level each, a dark field, and what is sparse.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)
        Of mean 1.
    weights : ndarray of float32, same shape
        Of the absolute values of the sparse part.
    smoothness
        Weight of the sum of absolute cosine coefficients of the flat field.
    dark_smoothness
        The same of the dark field, and of its absolute values; None: there is no dark field.
    norm
        `spectral_norm` of the images.

    Notes
    -----
    Minimises ``sum(w |E|) + l_S |DCT(S)|_1 + l_D (|DCT(D_R)|_1 + |D_R|_1)`` such that
    ``I_n = b_n S + D + E_n``, with mean(b) = 1 and ``0 <= D_z <= min(I)`` for the constant part D_z of the
    dark field D = D_z + D_R [1]_.

    .. [1] Peng, T. et al. A BaSiC tool for background and shading correction of optical microscopy
       images. Nat. Commun. 8, 14836 (2017), equations 3-6 and supplementary note 1.
    """
    n, height, width = images.shape
    penalty = FIRST_PENALTY / norm
    state = _State.first(images.reshape(n, -1), weights.reshape(n, -1), (height, width), penalty)
    size = float(np.sqrt(np.sum(np.square(images, dtype=np.float64))))
    iteration, misfit = 0, size
    while iteration < MAX_ITERATIONS and misfit >= TOLERANCE * size:
        iteration += 1
        state.move_flat(smoothness)
        level, contrast = state.move_sparse()
        if dark_smoothness is not None:
            state.move_dark(dark_smoothness, contrast / level)
        misfit = state.move_multiplier()
    sparse = state.sparse.reshape(images.shape)
    return Decomposition(state.flat, state.dark, state.constant, state.baseline, sparse, iteration)


@dataclass(slots=True)
class _State:
    """Where the solver stands; images and what goes with them as rows of pixels, fields as images."""

    images: Stack
    weights: Stack
    sparse: Stack
    multiplier: Stack
    coefficients: Image
    flat: Image
    dark: Image
    baseline: NDArray[np.float64]
    mean: NDArray[np.float64]
    """Mean over the images of what flat and dark field are to explain."""
    penalty: float
    largest: float
    least: float
    """Smallest value in the images."""
    constant: float = 0.0

    @classmethod
    def first(cls, images: Stack, weights: Stack, shape: tuple[int, int], penalty: float) -> _State:
        return cls(
            images=images,
            weights=weights,
            sparse=np.zeros_like(images),
            multiplier=np.zeros_like(images),
            coefficients=np.zeros(shape),
            flat=np.zeros(shape),
            dark=np.zeros(shape),
            baseline=np.ones(len(images)),
            mean=images.mean(axis=0, dtype=np.float64),
            penalty=penalty,
            largest=penalty * LARGEST_GROWTH,
            least=float(images.min()),
        )

    def move_flat(self, smoothness: float) -> None:
        from scipy.fft import dctn, idctn

        rest = self.mean.reshape(self.flat.shape) - self.flat * self.baseline.mean() - self.dark
        moved = self.coefficients + dctn(rest, norm="ortho")
        self.coefficients = _shrink(moved, smoothness / self.penalty)
        self.flat = idctn(self.coefficients, norm="ortho")

    def move_sparse(self) -> tuple[float, NDArray[np.float64]]:
        """Return the mean level, and by how much each image is brighter where the flat field is."""
        bright = self.flat >= self.flat.mean()
        sums, halves = _part(
            self.images, self.weights, self.multiplier, _row(self.flat), _row(self.dark),
            self.baseline, self.penalty, _row(bright), self.sparse,
        )  # fmt: skip
        size, n_bright = bright.size, int(bright.sum())
        level = max(float(sums.mean()), np.finfo(np.float64).tiny) / size
        self.baseline = np.maximum(sums / (level * size), 0)
        return level, halves / max(n_bright, 1) - (sums - halves) / max(size - n_bright, 1)

    def move_dark(self, smoothness: float, contrast: NDArray[np.float64]) -> None:
        # Dim images tell the dark field best.
        chosen = self.baseline < 1
        dim, mean = self.baseline[chosen], float(self.flat.mean())
        self.constant = _constant(dim, contrast[chosen], self.least, mean)
        kept = _mean_kept(self.images, self.sparse, chosen).reshape(self.flat.shape)
        threshold = smoothness / (DARK_STEP * self.penalty)
        self.dark = _dark(kept, self.flat, dim, self.constant, threshold)

    def move_multiplier(self) -> float:
        """Return how far images and model are apart (root of the sum of squares)."""
        following = min(self.penalty * GROWTH, self.largest)
        misfit, self.mean = _ascend(
            self.images, self.sparse, self.multiplier, _row(self.flat), _row(self.dark),
            self.baseline, self.penalty, following,
        )  # fmt: skip
        self.penalty = following
        return float(np.sqrt(misfit))


def _row(field: NDArray[Any]) -> NDArray[np.float32]:
    return field.astype(np.float32).ravel()


def _shrink(values: Image, threshold: float) -> Image:
    shrunk: Image = np.sign(values) * np.maximum(np.abs(values) - threshold, 0)
    return shrunk


def spectral_norm(images: Stack) -> float:
    """Return the largest singular value of the images as rows; they are much alike, so it is found at once."""
    rows = images.reshape(len(images), -1)
    side = np.full(len(rows), 1 / np.sqrt(len(rows)), np.float32)
    norm = least = float(np.finfo(np.float32).tiny)
    for _ in range(POWER_ITERATIONS):
        along = side @ rows
        norm = max(float(np.linalg.norm(along)), least)
        side = rows @ (along / np.float32(norm))
        side /= np.float32(max(float(np.linalg.norm(side)), least))
    return norm


def _constant(
    baseline: NDArray[np.float64], contrast: NDArray[np.float64], least: float, mean: float
) -> float:
    """Return the constant of the dark field in units of the flat field's.

    Contrast is proportional to the light that came through the lens: where the line through the dim
    images' (baseline, contrast) meets zero contrast, the baseline is the camera's own.
    """
    k = len(baseline)
    squares, levels = float(np.sum(baseline**2)), float(baseline.sum())
    contrasts, products = float(contrast.sum()), float(np.sum(baseline * contrast))
    slope = levels * contrasts - products * k
    if slope == 0 or mean <= 0:
        return 0.0
    found = float((squares * contrasts - levels * products) / slope)
    return min(max(found, 0.0), max(least, 0.0) / mean)


def _dark(
    kept: Image, flat: Image, baseline: NDArray[np.float64], constant: float, threshold: float
) -> Image:
    """Return the dark field without ``constant * flat``: smooth and sparse but for the constant's share."""
    from scipy.fft import dctn, idctn

    share = constant * (flat.mean() - flat)
    level = baseline.mean() if len(baseline) else 0.0
    rest = kept - level * flat
    rest = rest - rest.mean() - share
    smooth = idctn(_shrink(dctn(rest, norm="ortho"), threshold), norm="ortho")
    found: Image = _shrink(smooth, threshold) + share
    return found
