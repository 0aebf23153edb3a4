"""Random objects and intensities for tests of features, and ways to change them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from gpu_workers.imaging.labels import expand_labels, label
from tests.unit.imaging.images import blobs


def touching(shape: tuple[int, int] = (80, 100), sigma: float = 2.5, seed: int = 2) -> np.ndarray:
    """Return labels of objects of which some touch and one number is missing."""
    labels = expand_labels(label(blobs(shape, sigma, seed)), 3)
    labels[labels == 2] = 0
    return labels


def smooth(shape: tuple[int, int] = (80, 100), seed: int = 3) -> np.ndarray:
    """Return 8-bit intensities that go from 0 to 255, some of them 0."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    low, high = np.percentile(field, (5, 100))
    return np.clip((field - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def crops(labels: np.ndarray, image: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Return row, mask and intensities (others' pixels are 0) of each object's box."""
    for row, box in enumerate(ndimage.find_objects(labels)):
        if box is not None:
            mask = labels[box] == row + 1
            yield row, mask, np.where(mask, image[box], 0).astype(image.dtype)
