"""Module: objects followed over time."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.imaging.relations import highest
from gpu_workers.imaging.tracking import Limits, Tracks, advance
from gpu_workers.modules.module import (
    Before,
    Features,
    Intensity,
    LabelImage,
    Measurements,
    Setting,
    module,
)
from gpu_workers.registry import Arguments


class TrackObjectsArguments(Arguments):
    max_distance: float = Field(
        20,
        gt=0,
        le=1000,
        title="Furthest move (px)",
        description="of an object from one time point to the next; one that overlaps may move farther",
    )
    max_gap: int = Field(
        2,
        ge=0,
        le=50,
        title="Longest gap",
        description="time points for which an object may be lost and still be the same",
    )
    divisions: bool = Field(True, title="Divisions", description="an object may become two")
    max_division_distance: float = Field(
        30, gt=0, le=1000, title="Furthest daughter (px)", description="from its mother"
    )


def _features(tracks: Tracks, n: int, setting: Setting) -> Features:
    """Return a row per label: labels are the tracks' numbers."""
    seen = tracks[tracks.missed == 0]
    values = {
        "Track_number": seen.number,
        "Track_parent": np.where(seen.parent > 0, seen.parent, np.nan),
        "Track_age": seen.age,
        "Track_displacement": np.linalg.norm(seen.move, axis=1),
        "Track_dy": seen.move[:, -2],
        "Track_dx": seen.move[:, -1],
    }
    units = {"Track_age": "time points"}
    for name in ("displacement", "dy", "dx"):
        units[f"Track_{name}"] = "px"
        if setting.pixel_size_um is not None:
            values[f"Track_{name}_um"] = values[f"Track_{name}"] * setting.pixel_size_um
            units[f"Track_{name}_um"] = "µm"
    columns = {}
    for name, value in values.items():
        columns[name] = np.full(n, np.nan)
        columns[name][seen.number - 1] = value
    return Features(columns, units)


@module(
    title="Track objects",
    help="Follows objects over time: an object's label is the number of its track, through divisions.",
    version=1,
    outputs=("tracked", "memory", "features"),
    measures="tracked",
    dimensions=(2, 3),
    remembers=True,
)
def track_objects(
    arguments: TrackObjectsArguments, labels: LabelImage, setting: Setting, before: Before = None
) -> tuple[LabelImage, Intensity, Measurements]:
    """Return the objects with their tracks' numbers, what the next time point needs, and features.

    Notes
    -----
    `memory` is a table, not a picture: the highest number given so far, then a row per track that
    lives or may be found again. ``Track_age`` counts time points since the track's first,
    ``Track_displacement``, ``Track_dy`` and ``Track_dx`` are from where the object (a daughter: its
    mother) was seen last.
    """
    limits = Limits(**arguments.model_dump())
    tracks, previous = Tracks.none(labels.ndim), None
    if before is not None:
        tracks = Tracks.from_table(before.outputs["memory"])
        previous = before.outputs["tracked"]
    scale = None
    if labels.ndim == 3 and setting.z_step_um and setting.pixel_size_um:
        scale = (setting.z_step_um / setting.pixel_size_um, 1.0, 1.0)
    tracks, tracked = advance(tracks, previous, labels, limits, scale)
    return tracked, tracks.to_table(), _features(tracks, highest(tracked), setting)
