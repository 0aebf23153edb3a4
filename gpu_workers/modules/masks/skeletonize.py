"""Module: lines in the middle of a mask."""

from __future__ import annotations

from gpu_workers.imaging.shapes import skeleton
from gpu_workers.modules.module import Mask, module
from gpu_workers.registry import Arguments


class SkeletonizeArguments(Arguments):
    pass


@module(
    title="Skeletonize",
    help="Thins a mask to lines one pixel wide: for neurites, filaments and vessels.",
    version=1,
    outputs=("skeleton",),
    dimensions=(2, 3),
)
def skeletonize(arguments: SkeletonizeArguments, mask: Mask) -> Mask:  # noqa: ARG001
    """Return the skeleton, with the same connections as the mask."""
    return skeleton(mask)
