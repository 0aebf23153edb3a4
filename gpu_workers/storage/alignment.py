"""What align found: shifts between cycles, and a layout with stitched positions; entry point: `Alignment`.

``alignment/<key>/alignment.json`` is the manifest, ``shifts.parquet`` beside it has one row per plate,
site and cycle, and ``layout.json`` is the layout with the positions that stitching found (absent
without stitching). Shifts are (y, x) in px: where a cycle's image must be moved to lie on the
reference cycle's.
"""

from __future__ import annotations

from typing import Literal

from gpu_workers.messages import Message
from gpu_workers.storage import paths

SHIFT_TYPES = {
    "plate": "string", "site": "int32", "cycle": "int32", "y": "double", "x": "double",
    "measured_y": "double", "measured_x": "double", "confidence": "double", "outlier": "bool",
    "residual_px": "double",
}  # fmt: skip


class AlignmentManifest(Message):
    """``alignment.json``.

    Attributes
    ----------
    layout
        Path below the experiment's folder of the layout to use with it: the stitched one, or that
        which align was given.
    layout_key
        Its key: mosaics and objects built with the alignment name it.
    shifts
        Path of ``shifts.parquet``; None without a second cycle.
    """

    version: Literal[1] = 1
    key: str
    layout: str
    layout_key: str
    stitched: bool = False
    reference_cycle: int | None = None
    reference_channel: str | None = None
    shifts: str | None = None
    n_outliers: int = 0
    median_residual_px: float | None = None


def manifest_path(key: str) -> str:
    """Return the path of ``alignment.json`` below the experiment's folder."""
    return f"{paths.alignment_folder(key)}/alignment.json"
