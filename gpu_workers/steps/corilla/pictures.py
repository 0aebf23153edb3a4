"""Pictures of what a correction does, as PNG of at most 170 KB; entry point: `side_by_side`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2

SIDE = 288
GAP = 8
Window = tuple[float, float]


def window_of(*images: NDArray[Any]) -> Window:
    """Return the percentiles 0.5 and 99.5 of the first image's values."""
    low, high = np.percentile(images[0], (0.5, 99.5))
    return float(low), float(high)


def range_of(*images: NDArray[Any]) -> Window:
    """Return the smallest and the largest value of all images."""
    return min(float(i.min()) for i in images), max(float(i.max()) for i in images)


def side_by_side(*panels: tuple[NDArray[Any], Window]) -> bytes:
    """Return images beside each other as a grey PNG; black is their window's low end, white its high end.

    Parameters
    ----------
    panels
        Each an image (height, width) of real values, and its window. They are fitted into 288 x 288 px.
    """
    shown = [_fitted(image, window) for image, window in panels]
    height = max(p.shape[0] for p in shown)
    gap = np.full((height, GAP), 255, np.uint8)
    row = []
    for panel in shown:
        padded = np.full((height, panel.shape[1]), 255, np.uint8)
        padded[: panel.shape[0]] = panel
        row += [gap, padded]
    _, data = cv2.imencode(".png", np.hstack(row[1:]))
    return bytes(data)


def _fitted(image: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    factor = SIDE / max(image.shape)
    size = (max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image.astype(np.float32), size, interpolation=how)
    low, high = window
    scaled = (small - low) / (high - low if high > low else 1.0)
    grey: NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(scaled), 0, 1) * 255).astype(np.uint8)
    return grey
