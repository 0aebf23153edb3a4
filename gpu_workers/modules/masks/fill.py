"""Module: fill holes."""

from __future__ import annotations

from gpu_workers.imaging.morphology import fill_holes
from gpu_workers.modules.module import Mask, module
from gpu_workers.registry import Arguments


class FillArguments(Arguments):
    pass


@module(
    title="Fill holes",
    help="Fills background that is enclosed by foreground.",
    version=1,
    outputs=("mask",),
)
def fill(arguments: FillArguments, mask: Mask) -> Mask:  # noqa: ARG001
    """Return the mask without holes."""
    return fill_holes(mask)
