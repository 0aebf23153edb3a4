"""Module: dark becomes bright."""

from __future__ import annotations

from gpu_workers.imaging.arithmetic import inverted
from gpu_workers.modules.module import Intensity, Mask, module
from gpu_workers.registry import Arguments


class InvertArguments(Arguments):
    pass


@module(
    title="Invert",
    help="Turns dark into bright, and the background of a mask into its foreground.",
    version=1,
    outputs=("inverted_image",),
    dimensions=(2, 3),
    device=True,
)
def invert(
    arguments: InvertArguments,  # noqa: ARG001
    image: Intensity | Mask,
) -> Intensity | Mask:
    """Return the type's largest value minus the image (for floats the image's own), or the mask's rest."""
    return inverted(image)
