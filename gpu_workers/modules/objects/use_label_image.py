"""Module: a channel that holds labels."""

from __future__ import annotations

from gpu_workers.imaging.labels import as_labels
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments


class UseLabelImageArguments(Arguments):
    pass


@module(
    title="Use label image",
    help="Takes a channel for labels, as another program made them.",
    version=1,
    outputs=("label_image",),
    dimensions=(2, 3),
    device=True,
)
def use_label_image(
    arguments: UseLabelImageArguments,  # noqa: ARG001
    input_image: Intensity,
) -> LabelImage:
    """Return the channel's values as numbers of objects.

    Raises
    ------
    UserError
        They are no whole numbers, or negative (``no_labels``).
    """
    return as_labels(input_image)
