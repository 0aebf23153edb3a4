"""Module: objects of a mask or of labels."""

from __future__ import annotations

from gpu_workers.imaging.labels import objects_of
from gpu_workers.modules.module import LabelImage, Mask, module
from gpu_workers.registry import Arguments


class RegisterObjectsArguments(Arguments):
    pass


@module(
    title="Register objects",
    help="Makes objects of a mask's connected parts, or of labels as they are.",
    version=1,
    outputs=("objects",),
    dimensions=(2, 3),
    device=True,
)
def register_objects(
    arguments: RegisterObjectsArguments,  # noqa: ARG001
    mask: Mask | LabelImage,
) -> LabelImage:
    """Return labels; objects that touch stay apart if they were labelled before."""
    return objects_of(mask)
