"""Module: objects that the image cuts off."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.relations import areas, at_border, without
from gpu_workers.modules.module import Features, LabelImage, Measurements, module
from gpu_workers.registry import Arguments


class ExcludeBorderObjectsArguments(Arguments):
    action: Literal["remove", "flag"] = Field(
        "remove", title="Action", description="flag: keep them, and say which they are"
    )
    distance: int = Field(
        0,
        ge=0,
        le=10000,
        title="Distance (px)",
        description="how far from the edge an object counts as cut off; 0: it touches the edge",
    )


@module(
    title="Exclude border objects",
    help="Removes or flags objects at the edge of the image; the others keep their numbers.",
    version=1,
    outputs=("kept", "features"),
    measures="kept",
    dimensions=(2, 3),
    device=True,
)
def exclude_border_objects(
    arguments: ExcludeBorderObjectsArguments, labels: LabelImage
) -> tuple[LabelImage, Measurements]:
    """Return the objects, and ``Border_is_cut``: 1 for those at the edge, else 0."""
    cut = at_border(labels, arguments.distance)
    kept = without(labels, cut) if arguments.action == "remove" else labels
    present = areas(kept) > 0
    flag = np.where(present, cut[: present.size].astype(np.float64), np.nan)
    return kept, Features({"Border_is_cut": flag}, {})
