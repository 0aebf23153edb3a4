"""Module: objects without their inner objects, as cytoplasm = cell without nucleus."""

from __future__ import annotations

import numpy as np

from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class SubtractArguments(Arguments):
    pass


@module(
    title="Subtract objects",
    help="Takes inner objects (nuclei) out of outer ones (cells); what remains is their ring.",
    version=1,
    outputs=("labels",),
    dimensions=(2, 3),
    device=True,
)
def subtract(
    arguments: SubtractArguments,  # noqa: ARG001
    outer: LabelImage,
    inner: LabelImage,
) -> LabelImage:
    """Return the outer objects where there is no inner object; labels stay."""
    return np.where(inner > 0, np.int32(0), outer)
