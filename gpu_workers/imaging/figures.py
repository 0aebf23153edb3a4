"""Figures of measurements for people to look at; entry point: `histograms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2

MAX_FEATURES: Final = 12
COLUMNS: Final = 4
HEIGHT, WIDTH, MARGIN, TITLE = 150, 250, 10, 24
N_BINS: Final = 40
_PAPER, _BAR, _INK = (26, 27, 30), (61, 160, 255), (222, 226, 230)


def _write(panel: NDArray[np.uint8], text: str, y: int) -> None:
    """Write a line of text, cut to the panel's width; letters that the font lacks become ?."""
    plain = text.encode("ascii", "replace").decode()[:36]
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(panel, plain, (MARGIN, y), font, 0.36, _INK, 1, cv2.LINE_AA)


def _panel(name: str, values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the histogram of one feature between its percentiles 0.5 and 99.5."""
    panel = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    panel[:] = _PAPER
    _write(panel, name, 15)
    finite = values[np.isfinite(values)]
    if not finite.size:
        _write(panel, "no values", HEIGHT // 2)
        return panel
    low, high = np.percentile(finite, (0.5, 99.5))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(finite, N_BINS, (low, high))
    room = HEIGHT - TITLE - 2 * MARGIN - 8
    step = (WIDTH - 2 * MARGIN) // N_BINS
    bottom = TITLE + room
    for number, height in enumerate((counts * room / max(1, counts.max())).astype(int).tolist()):
        left = MARGIN + number * step
        panel[bottom - height : bottom, left : left + step - 1] = _BAR
    _write(panel, f"{low:.4g} to {high:.4g}, n {finite.size}", HEIGHT - 6)
    return panel


def histograms(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Draw the distributions of the first features of a table.

    Parameters
    ----------
    columns
        Feature -> values (n,); NaN is missing.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        At most 12 histograms in rows of four, each with its name, range and number of values.

    Examples
    --------
    >>> histograms({"Morphology_Area": np.arange(100.0)}).shape
    (150, 1000, 3)
    """
    named = list(columns.items())[:MAX_FEATURES]
    panels = [_panel(name, np.asarray(values, np.float64)) for name, values in named]
    rows = max(1, -(-len(panels) // COLUMNS))
    figure = np.empty((rows * HEIGHT, COLUMNS * WIDTH, 3), np.uint8)
    figure[:] = _PAPER
    for number, panel in enumerate(panels):
        y, x = number // COLUMNS * HEIGHT, number % COLUMNS * WIDTH
        figure[y : y + HEIGHT, x : x + WIDTH] = panel
    return figure
