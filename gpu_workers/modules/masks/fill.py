"""Module: fill holes."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.shapes import filled
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class FillArguments(Arguments):
    max_area: float | None = Field(
        None, ge=0, title="Largest hole (px)", description="larger ones stay; all go if empty"
    )


@module(
    title="Fill holes",
    help="Fills background that is enclosed by foreground, or by one object.",
    version=2,
    outputs=("filled_mask",),
    dimensions=(2, 3),
    device=True,
)
def fill(arguments: FillArguments, mask: Mask | LabelImage) -> Mask | LabelImage:
    """Return the mask or the objects without holes; a gap between two objects is no hole."""
    return filled(mask, arguments.max_area)
