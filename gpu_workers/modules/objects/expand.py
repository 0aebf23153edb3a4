"""Module: grow objects by a distance."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.labels import expand_labels
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class ExpandArguments(Arguments):
    distance: float = Field(5, ge=0, le=500, title="Distance (px)")


@module(
    title="Expand objects",
    help="Grows objects into the background without overlap; labels stay.",
    version=1,
    outputs=("labels",),
    dimensions=(2, 3),
    device=True,
)
def expand(arguments: ExpandArguments, labels: LabelImage) -> LabelImage:
    """Return the grown objects, each with the label of the one it grew from."""
    return expand_labels(labels, arguments.distance)
