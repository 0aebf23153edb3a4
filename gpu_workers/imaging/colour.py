"""Stains of brightfield images; entry points: `separate` and `darkness`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Optical densities of stains in red, green and blue (A. Ruifrok, D. Johnston, 2001), not normalised.
STAINS: Final[dict[str, tuple[float, float, float]]] = {
    "haematoxylin": (0.65, 0.70, 0.29),
    "eosin": (0.07, 0.99, 0.11),
    "dab": (0.27, 0.57, 0.78),
}


def stain_matrix(names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return unit vectors of two stains and of the residual at right angles to both, one per row.

    Examples
    --------
    >>> stain_matrix(("haematoxylin", "eosin")).shape
    (3, 3)
    """
    rows = np.array([STAINS[name] for name in names], np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    residual = np.cross(rows[0], rows[1])
    return np.vstack([rows, residual / np.linalg.norm(residual)])


def white_level(image: NDArray[Any]) -> float:
    """Return the value of an empty, fully lit pixel: the type's largest, for floats 1 or the maximum."""
    if image.dtype.kind in "ub":
        return float(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else 1.0
    finite = image[np.isfinite(image)]
    return max(1.0, float(finite.max())) if finite.size else 1.0


def separate(
    red: NDArray[Any],
    green: NDArray[Any],
    blue: NDArray[Any],
    stains: tuple[str, str] = ("haematoxylin", "eosin"),
) -> NDArray[np.float32]:
    """Return how much of each stain lies in each pixel.

    Parameters
    ----------
    red, green, blue : ndarray, shape (height, width), one dtype
        Transmitted light.
    stains
        Names of two of `STAINS`.

    Returns
    -------
    ndarray of float32, shape (3, height, width)
        Amounts of the two stains and of the residual, as optical densities (base 10), at least 0.

    Notes
    -----
    Beer-Lambert: the densities -log10(value / white) of a pixel are sums of those of its stains, so
    amounts are densities times the inverse of the stains' matrix (A. Ruifrok, D. Johnston, 2001). The
    lowest value counts as one step above 0.

    Examples
    --------
    >>> grey = np.full((1, 1), 255, np.uint8)
    >>> separate(grey, grey, grey).ravel().tolist()
    [0.0, 0.0, 0.0]
    """
    white = max(white_level(c) for c in (red, green, blue))
    least = 1 / white if white > 1 else 1 / 65535
    light = np.stack([red, green, blue]).astype(np.float32) / np.float32(white)
    densities = np.maximum(-np.log10(np.clip(light, least, None)), 0)
    inverse = np.linalg.inv(stain_matrix(stains)).astype(np.float32)
    amounts = np.tensordot(inverse.T, densities, axes=1)
    return np.asarray(np.maximum(amounts, 0), np.float32)


def darkness(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> NDArray[np.float32]:
    """Return how much light is missing in red and green, in which nuclei are dark in any usual stain.

    Blue is left out: haematoxylin and Giemsa let it pass. Blood and eosin take away green alone, and
    so are half as dark as nuclei.

    Examples
    --------
    >>> white, dark = np.full((1, 1), 255, np.uint8), np.full((1, 1), 55, np.uint8)
    >>> darkness(dark, white, white).item()
    100.0
    """
    white = np.float32(max(white_level(c) for c in (red, green, blue)))
    return np.asarray(white - (red.astype(np.float32) + green.astype(np.float32)) / 2)
