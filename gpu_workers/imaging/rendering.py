"""Pictures of images, masks and objects for people to look at; entry points: `grey_picture`, `label_picture`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2

PERCENTILES: Final = (0.5, 99.8)
_GOLDEN: Final = 0.6180339887498949


def flat(image: NDArray[Any]) -> NDArray[Any]:
    """Return a stack (z, height, width) as its highest values along z; an image as it is."""
    highest: NDArray[Any] = image.max(axis=0) if image.ndim == 3 else image
    return highest


def shrunk(image: NDArray[Any], max_side: int, *, smooth: bool = True) -> NDArray[Any]:
    """Return an image no side of which is longer than `max_side` px, by a whole factor.

    Parameters
    ----------
    smooth
        Mean of the pixels; False takes the upper left one (masks, labels).
    """
    factor = -(-max(image.shape) // max_side) if image.size else 1
    if factor <= 1:
        return image
    sampled: NDArray[Any] = image[::factor, ::factor]
    if not smooth:
        return np.ascontiguousarray(sampled)
    size = (sampled.shape[1], sampled.shape[0])
    values = np.ascontiguousarray(image, np.float32)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def window(image: NDArray[Any]) -> tuple[float, float]:
    """Return the intensities shown as black and as white: percentiles 0.5 and 99.8 of finite pixels."""
    values = image.ravel()[:: max(1, image.size >> 18)]
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def grey_picture(image: NDArray[Any], max_side: int = 1024) -> NDArray[np.uint8]:
    """Return an image of intensities in 8 bits, stretched over its own range; NaN is black.

    Examples
    --------
    >>> grey_picture(np.array([[0, 50, 100]], np.uint16))
    array([[  0, 127, 255]], dtype=uint8)
    """
    small = shrunk(flat(image), max_side)
    low, high = window(small)
    scaled = np.clip((small.astype(np.float32) - low) * (255 / (high - low)), 0, 255)
    return np.asarray(np.nan_to_num(scaled), np.uint8)


def colors_of(n: int) -> NDArray[np.uint8]:
    """Return colours for labels 0…n, (n + 1, 3): 0 is black, neighbours in number differ in hue."""
    hue = np.arange(n + 1) * _GOLDEN % 1.0 * 6
    offsets = np.array([0.0, 4.0, 2.0])
    ramp = np.clip(np.abs((hue[:, None] + offsets) % 6 - 3) - 1, 0, 1)
    colors: NDArray[np.uint8] = (90 + 165 * ramp).astype(np.uint8)
    colors[0] = 0
    return colors


def label_picture(
    labels: NDArray[np.int32], under: NDArray[Any] | None = None, max_side: int = 1024
) -> NDArray[np.uint8]:
    """Return objects in colours, (height, width, 3): filled faintly and outlined over an image.

    Parameters
    ----------
    labels
        Objects; 0 is background. A mask counts as one object.
    under
        Image to lay below, same shape.
    """
    small = shrunk(flat(labels), max_side, smooth=False).astype(np.int32)
    picture = np.zeros((*small.shape, 3), np.float32)
    if under is not None:
        picture += grey_picture(under, max_side)[..., None] * np.float32(0.8)
    n = int(small.max()) if small.size else 0
    colors = colors_of(n)[small].astype(np.float32)
    inside = small > 0
    picture[inside] = picture[inside] * 0.7 + colors[inside] * 0.3
    edge = inside & _is_edge(small)
    picture[edge] = colors[edge]
    return np.asarray(picture, np.uint8)


def _is_edge(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the pixels with a 4-neighbour of another label."""
    edge = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge
