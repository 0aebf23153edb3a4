"""Volumes and surfaces of objects from a map of their heights; entry point: `height_features`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.labels import Labels
from gpu_workers.imaging.regions import intensity_statistics
from gpu_workers.xp import operation

Column = NDArray[np.float64]

DESCRIPTIONS = (
    FeatureDescription("Morphology3D_max_height", "greatest height", "µm", "TissueMAPS"),
    FeatureDescription("Morphology3D_mean_height", "mean height of the pixels", "µm", "TissueMAPS"),
    FeatureDescription(
        "Morphology3D_volume_pL", "sum of heights times area of a pixel / 1000 µm³", "pL", "TissueMAPS"
    ),
    FeatureDescription(
        "Morphology3D_lower_surface_area", "area of the object in the plane", "µm²", "TissueMAPS"
    ),
    FeatureDescription(
        "Morphology3D_upper_surface_area",
        "area of two triangles between the heights at each four neighbouring pixels of the object",
        "µm²",
        "TissueMAPS",
    ),
    FeatureDescription(
        "Morphology3D_total_surface_area", "lower and upper surface; walls don't count", "µm²",
        "TissueMAPS",
    ),
)  # fmt: skip


@njit(nogil=True, cache=True)
def _upper(
    labels: Labels, heights: NDArray[Any], n: int, pixel_size: float, z_step: float
) -> Column:
    areas = np.zeros(n)
    base = pixel_size * pixel_size
    for y in range(labels.shape[0] - 1):
        for x in range(labels.shape[1] - 1):
            label = labels[y, x]
            if (
                label <= 0
                or labels[y + 1, x] != label
                or labels[y, x + 1] != label
                or labels[y + 1, x + 1] != label
            ):
                continue
            corner = float(heights[y, x])
            down = (float(heights[y + 1, x]) - corner) * z_step
            right = (float(heights[y, x + 1]) - corner) * z_step
            across = (float(heights[y + 1, x + 1]) - corner) * z_step
            # half the cross products of the diagonal with either side
            for side in (down, right):
                other = across - side
                steep = pixel_size * pixel_size * (side * side + other * other)
                areas[label - 1] += 0.5 * np.sqrt(base * base + steep)
    return areas


@operation
def height_features(
    labels: Labels, heights: NDArray[Any], pixel_size: float, z_step: float
) -> dict[str, Column]:
    """Measure volume and surface of objects whose heights are known.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width)
        Objects as seen from above.
    heights : ndarray, same shape, any real dtype
        Height of the object at each pixel, planes. An object with a NaN pixel gets NaN.
    pixel_size, z_step
        Distance of the centres of pixels and of planes, µm.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Names without class (see ``DESCRIPTIONS``), rows by label - 1; NaN for labels that don't occur.

    Examples
    --------
    >>> found = height_features(np.ones((10, 10), np.int32), np.full((10, 10), 5), 1.0, 2.0)
    >>> found["volume_pL"], found["upper_surface_area"]
    (array([1.]), array([81.]))
    """
    statistics = intensity_statistics(labels, heights)
    n = statistics.sum.size
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(np.float64) * pixel_size**2
    known = np.where(np.isnan(statistics.sum), np.nan, 1.0)
    values = np.ascontiguousarray(labels), np.ascontiguousarray(heights)
    upper = _upper(*values, n, float(pixel_size), float(z_step)) * known
    lower: Column = area * known
    return {
        "max_height": statistics.max * z_step,
        "mean_height": statistics.mean * z_step,
        "volume_pL": statistics.sum * pixel_size**2 * z_step / 1000,
        "lower_surface_area": lower,
        "upper_surface_area": upper,
        "total_surface_area": lower + upper,
    }
