"""The smooth, uneven level of an image's ground; entry point: `ground_surface`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TILES = 16
PERCENTILE = 10
ROUNDS = 12
SAMPLES = 4096


def _terms(y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack(
        [np.ones_like(y * x), y + 0 * x, x + 0 * y, y * y + 0 * x, y * x, x * x + 0 * y]
    )


def _dark_levels(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return a low percentile of each of at most 16 x 16 tiles."""
    rows = np.linspace(0, image.shape[0], min(TILES, image.shape[0]) + 1).astype(int)
    columns = np.linspace(0, image.shape[1], min(TILES, image.shape[1]) + 1).astype(int)
    levels = np.empty((rows.size - 1, columns.size - 1))
    for i in range(levels.shape[0]):
        for j in range(levels.shape[1]):
            tile = image[rows[i] : rows[i + 1], columns[j] : columns[j + 1]].ravel()
            levels[i, j] = np.percentile(tile[:: max(1, tile.size // SAMPLES)], PERCENTILE)
    return levels


def _fitted(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients of the surface below the levels, bright tiles losing their weight."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in levels.shape), indexing="ij")
    terms, z = _terms(y, x).reshape(6, -1).T, levels.ravel()
    weights = np.ones_like(z)
    coefficients: NDArray[Any] = np.zeros(6)
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(terms * root[:, None], z * root, rcond=None)[0]
        above = z - terms @ coefficients
        lower = above[above <= np.median(above)]
        spread = 1.4826 * float(np.median(np.abs(lower - np.median(lower)))) + 1e-9
        weights = np.where(above > 0, 1 / (1 + (above / spread) ** 2), 1.0)
    return coefficients


def ground_surface(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the ground below bright objects as a surface of second degree.

    It follows uneven light over the field of view, and is too stiff to follow objects: nothing of
    them is taken away with it.

    Parameters
    ----------
    image : ndarray, shape (height, width), any real dtype
        Finite intensities.

    Returns
    -------
    ndarray of float32, same shape

    Notes
    -----
    Least squares through the 10th percentiles of 16 x 16 tiles, 12 times; the weight of a tile that
    lies above the surface by r is 1 / (1 + (r / s)²), s being the spread of the lower half of tiles.

    Examples
    --------
    >>> slope = np.arange(64.0) * np.ones((64, 1))
    >>> bool(np.abs(ground_surface(slope) - slope).max() < 4)
    True
    """
    if not image.size:
        return np.zeros(image.shape, np.float32)
    coefficients = _fitted(_dark_levels(image)).astype(np.float32)
    y = np.linspace(-1, 1, image.shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, image.shape[1], dtype=np.float32)[None, :]
    one, by_y, by_x, by_yy, by_yx, by_xx = coefficients
    across = one + x * (by_x + by_xx * x)
    surface = across + y * (by_y + by_yy * y + by_yx * x)
    return np.asarray(surface, np.float32)
