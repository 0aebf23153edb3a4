"""Module: what does not lie under another mask."""

from __future__ import annotations

from gpu_workers.imaging.arithmetic import inside
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class ClipArguments(Arguments):
    pass


@module(
    title="Clip",
    help="Takes away pixels under a clipping mask, as nuclei from cells; objects keep their numbers.",
    version=1,
    outputs=("clipped_image",),
    dimensions=(2, 3),
    device=True,
)
def clip(
    arguments: ClipArguments,  # noqa: ARG001
    image: Mask | LabelImage,
    clipping_mask: Mask | LabelImage,
) -> Mask | LabelImage:
    """Return the mask or the objects where the clipping mask is 0."""
    return inside(image, clipping_mask == 0)
