"""Aligned pixels for the steps that ask for them; entry point: `alignment_of`."""

from __future__ import annotations

from typing import Literal

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.messages import Problem
from gpu_workers.registry import StepContext
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.layout import load_layout

Wanted = Literal["auto", "on", "off"]

TITLE = "Use the alignment"
DESCRIPTION = (
    "Move the cycles onto the reference and put sites where stitching found them. auto: if align has"
    " run on this layout."
)
SUBPIXEL_TITLE = "Align to fractions of a pixel"
SUBPIXEL_DESCRIPTION = (
    "Interpolate between pixels. Otherwise images are moved by whole pixels and keep their values."
)


def alignment_of(context: StepContext, wanted: Wanted) -> Alignment | None:
    """Return the alignment to read pixels with, None where they are read as they are.

    It is not used where it changes nothing, so that what is built then keeps its key. Its `layout`
    stands in for ``inputs["layout"]``.

    Raises
    ------
    DataMissing
        It was asked for and align has not run.
    UserError
        It was asked for and was made for another layout (``stale_alignment``).
    """
    path = context.inputs.get("alignment")
    if wanted == "off":
        return None
    if path is None:
        if wanted == "on":
            raise DataMissing("aligned images were asked for and align has not run")
        return None
    found = Alignment.open(context.root, path)
    layout = load_layout(context.root, context.inputs["layout"])
    if found.manifest.source_layout_key != layout.key:
        message = "the alignment was made for another layout: run align again"
        if wanted == "on":
            raise UserError(message, code="stale_alignment")
        if not context.key:
            context.problems.append(
                Problem(code="stale_alignment", message=f"{message}; it is left out")
            )
        return None
    return found if found.manifest.changes else None
