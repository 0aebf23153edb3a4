"""Measurements as bytes: one value per object, in the order of the object index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quantised(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Return 0 for missing values and 1 to 255 for values over [low, high], clipped to it.

    Examples
    --------
    >>> quantised(np.array([-1.0, 0.0, 0.5, 1.0, np.nan]), 0.0, 1.0).tolist()
    [1, 1, 128, 255, 0]
    """
    span = high - low if high > low else 1.0
    steps = np.floor((values - low) * (254 / span) + 0.5)
    inside = np.clip(np.nan_to_num(steps, posinf=254, neginf=0), 0, 254) + 1
    return np.where(np.isnan(values), 0, inside).astype(np.uint8)
