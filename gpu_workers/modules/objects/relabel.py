"""Module: numbers without gaps."""

from __future__ import annotations

from gpu_workers.imaging.labels import relabel as renumber
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class RelabelArguments(Arguments):
    pass


@module(
    title="Relabel",
    help="Numbers objects 1…n without gaps, from top to bottom.",
    version=1,
    outputs=("relabeled_image",),
    dimensions=(2, 3),
    device=True,
)
def relabel(arguments: RelabelArguments, label_image: LabelImage) -> LabelImage:  # noqa: ARG001
    """Return the same objects with new numbers, in the order of first pixels."""
    return renumber(label_image)
