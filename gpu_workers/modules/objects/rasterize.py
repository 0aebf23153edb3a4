"""Module: existing objects as a label image."""

from __future__ import annotations

from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class RasterizeArguments(Arguments):
    pass


@module(
    title="Rasterize",
    help="Gives the label image of objects that exist already.",
    version=1,
    outputs=("label_image",),
    dimensions=(2, 3),
    device=True,
    bytes_per_pixel=0,
)
def rasterize(arguments: RasterizeArguments, objects: LabelImage) -> LabelImage:  # noqa: ARG001
    """Return the objects' own labels: they are kept as images, nothing has to be drawn."""
    return objects.copy()
