"""Flat field and dark field from many images (BaSiC); entry point: `estimate_flatfield`.

Our own implementation of the method of Peng et al. 2017. It works on small images (`reduced`), since
illumination varies slowly, and its fields are enlarged to the size of the originals (`enlarged`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.illumination.solver import Decomposition, decompose, spectral_norm
from gpu_workers.imaging.opencv import cv2

WORKING_SIDE = 128
MAX_LEVELS = 256
MAX_REWEIGHTINGS = 10
REWEIGHTING_TOLERANCE = 1e-3
WEIGHT_FLOOR = 0.1
LEAST_FLAT = 0.05
"""Below this part of the mean a flat field is cut off: beyond twentyfold amplification is only noise."""


@dataclass(frozen=True, slots=True)
class FlatFieldEstimate:
    """What was estimated of a channel's illumination.

    Attributes
    ----------
    flat : ndarray of float32, shape (height, width)
        Part of the light that arrives at each place; mean 1.
    dark : ndarray of float32, same shape
        What the camera shows without light, in the images' units; zero if it was not asked for.
    n_images
        Images it was estimated from.
    smoothness
        Weight of the flat field's cosine coefficients that was chosen.
    n_iterations
        Iterations of the solver, all in all.
    """

    flat: NDArray[np.float32]
    dark: NDArray[np.float32]
    n_images: int
    smoothness: float
    n_iterations: int


def reduced(image: NDArray[Any], side: int = WORKING_SIDE) -> NDArray[np.float32]:
    """Return an image shrunk to at most `side` x `side` pixels, each the mean of the area it covers."""
    height, width = image.shape
    size = (min(side, width), min(side, height))
    small = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def enlarged(field: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a field at another size: the same sum of cosines, sampled at the other pixels' centres.

    Examples
    --------
    >>> enlarged(np.array([[1.0, 1.0], [3.0, 3.0]]), (4, 1)).round(2)
    array([[0.69],
           [1.46],
           [2.54],
           [3.31]], dtype=float32)
    """
    from scipy.fft import dctn

    coefficients = dctn(field.astype(np.float64), norm="ortho")
    rows, columns = (_cosines(n, known) for n, known in zip(shape, coefficients.shape, strict=True))
    return np.asarray(rows @ coefficients @ columns.T, np.float32)


def _cosines(n: int, known: int) -> NDArray[np.float64]:
    """Return the first `known` cosines of an orthonormal DCT-II of that length at `n` places, (n, known)."""
    places = (np.arange(n) + 0.5) / n
    waves: NDArray[np.float64] = np.cos(np.pi * places[:, None] * np.arange(known))
    waves *= np.sqrt(2 / known)
    waves[:, 0] /= np.sqrt(2)
    return waves


def levels(images: NDArray[np.float32], most: int = MAX_LEVELS) -> NDArray[np.float32]:
    """Return the values of each pixel in ascending order, in groups (at most `most`) averaged.

    Sorting makes the levels smooth and puts bright objects, which cover any place in a few images only,
    together at the end, where they are sparse. The method does not look at which image a value is from.
    """
    ordered = np.sort(images, axis=0)
    n = len(ordered)
    if n <= most:
        return ordered
    starts = np.arange(most) * n // most
    sizes = np.diff(np.append(starts, n)).astype(np.float32)
    grouped: NDArray[np.float32] = np.add.reduceat(ordered, starts, axis=0)
    return grouped / sizes[:, None, None]


def estimate_flatfield(
    images: NDArray[np.float32],
    *,
    darkfield: bool = True,
    smoothness: float | None = None,
) -> FlatFieldEstimate:
    """Estimate flat and dark field from images of different content.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)
        Small images (`reduced`) of one channel, finite.
    darkfield
        Estimate a dark field, too. It needs images of different brightness.
    smoothness
        Weight of the flat field's cosine coefficients; None: as published, from the mean image.

    Returns
    -------
    FlatFieldEstimate

    Raises
    ------
    UserError
        No image, or nothing but darkness in them (``no_signal``).

    Notes
    -----
    The model is ``I_n(x) = b_n S(x) + D(x) + E_n(x)``: one flat field S and one dark field D that are
    sparse in their cosine transforms, a level b_n per image, and content E_n that is sparse. It is solved
    by `decompose` with weights w = 1, then again with ``w_n(x) = 1 / (|E_n(x) / <b_n S + D>| + 0.1)``
    (scaled to mean 1), until S and D change by less than 0.1 % or ten times. Weights of the
    regularisation, from the mean image m: ``l_S = sum |DCT(m / <m>)| / 800``, ``l_D = l_S / 5``. All as
    published [1]_; of more than 256 images, 256 levels of intensity are taken (`levels`).

    References
    ----------
    .. [1] Peng, T. et al. A BaSiC tool for background and shading correction of optical microscopy
       images. Nat. Commun. 8, 14836 (2017). https://doi.org/10.1038/ncomms14836

    Examples
    --------
    >>> x = np.linspace(-1, 1, 32)
    >>> lamp = (1 - 0.5 * x**2) / (1 - 0.5 * x**2).mean()
    >>> levels = np.array([50, 80, 120, 200.0])[:, None, None]
    >>> found = estimate_flatfield((levels * np.tile(lamp, (32, 1))).astype(np.float32))
    >>> bool(np.abs(found.flat - lamp).max() < 0.02)
    True
    """
    from scipy.fft import dctn

    mean = images.mean(axis=0, dtype=np.float64) if len(images) else np.zeros((1, 1))
    scale = float(mean.mean())
    if not scale > 0:
        raise UserError(
            "there is no light in the images: their mean is not positive", code="no_signal"
        )
    wanted = smoothness or float(np.abs(dctn(mean / scale, norm="ortho")).sum()) / 800
    ordered = levels(images) / np.float32(scale)
    flat, dark, n_iterations = _reweighted(ordered, wanted, wanted / 5 if darkfield else None)
    flat = np.maximum(flat / flat.mean(), LEAST_FLAT)
    return FlatFieldEstimate(
        (flat / flat.mean()).astype(np.float32),
        (dark * scale).astype(np.float32),
        len(images),
        wanted,
        n_iterations,
    )


Fields = tuple[NDArray[np.float64], NDArray[np.float64], int]


def _reweighted(
    images: NDArray[np.float32], smoothness: float, dark_smoothness: float | None
) -> Fields:
    """Solve with weights that follow from the solution before, until it stays."""
    weights = np.ones_like(images)
    flat, dark = np.ones(images.shape[1:]), np.zeros(images.shape[1:])
    n_iterations, norm = 0, spectral_norm(images)
    for _ in range(MAX_REWEIGHTINGS):
        found = decompose(images, weights, smoothness, dark_smoothness, norm)
        n_iterations += found.n_iterations
        before, before_dark = flat, dark
        flat = found.flat / max(float(found.flat.mean()), np.finfo(np.float64).tiny)
        dark = found.dark
        weights = _weights(found)
        change = np.abs(flat - before).sum() / np.abs(before).sum()
        dark_change = np.abs(dark - before_dark).sum()
        if dark_change > 1e-7:
            change = max(change, dark_change / max(np.abs(before_dark).sum(), 1e-6))
        if change <= REWEIGHTING_TOLERANCE:
            break
    return flat, dark + found.constant * found.flat, n_iterations


def _weights(found: Decomposition) -> NDArray[np.float32]:
    level = found.baseline * found.flat.mean() + found.dark.mean()
    content = np.abs(found.sparse / (level + 1e-6).astype(np.float32)[:, None, None])
    weights: NDArray[np.float32] = 1 / (content + np.float32(WEIGHT_FLOOR))
    weights *= np.float32(1 / weights.mean(dtype=np.float64))
    return weights
