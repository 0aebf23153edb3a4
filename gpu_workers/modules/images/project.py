"""Module: one plane of a stack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.arithmetic import projected
from gpu_workers.modules.module import Intensity, Stack, module
from gpu_workers.registry import Arguments


class ProjectArguments(Arguments):
    method: Literal["max", "sum", "mean", "best_focus"] = Field(
        "max", title="Method", description="best_focus: the sharpest plane as a whole"
    )


@module(
    title="Project",
    help="Makes one image of the planes of a stack.",
    version=1,
    outputs=("projected_image",),
)
def project(arguments: ProjectArguments, image: Stack) -> Intensity:
    """Return maximum or sharpest plane in the stack's type, sum and mean as floats."""
    return projected(image, arguments.method)
