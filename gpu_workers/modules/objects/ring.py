"""Module: rings around objects, as cytoplasm around nuclei."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.imaging.shapes import dilate
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments
from gpu_workers.xp import namespace


class RingArguments(Arguments):
    width: float = Field(5, ge=1, le=500, title="Width (px)")
    gap: float = Field(
        0, ge=0, le=500, title="Gap (px)", description="between the object and its ring"
    )


@module(
    title="Ring",
    help="Makes a ring around each object, with the object's number.",
    version=1,
    outputs=("ring",),
    dimensions=(2, 3),
    device=True,
)
def ring(
    arguments: RingArguments, objects: LabelImage, limit: Mask | LabelImage | None = None
) -> LabelImage:
    """Return rings without the objects; where rings would overlap the nearest object takes the pixel.

    With a limit rings end at it: at the foreground of a mask, or of labels at the cell with the
    object's own number.
    """
    around = dilate(objects, arguments.gap + arguments.width)
    xp = namespace(objects)
    rings: LabelImage = xp.where(dilate(objects, arguments.gap) > 0, xp.int32(0), around)
    if limit is None:
        return rings
    within = limit if limit.dtype == np.bool_ else limit == rings
    limited: LabelImage = xp.where(within, rings, xp.int32(0))
    return limited
