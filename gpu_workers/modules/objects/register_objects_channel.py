"""Module: objects of a channel that holds a mask or labels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.labels import as_labels, label
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments


class RegisterObjectsChannelArguments(Arguments):
    values: Literal["auto", "labels", "mask"] = Field(
        "auto",
        title="Values are",
        description="labels: each number is an object; mask: each connected part above 0; auto: a"
        " mask if there is one value besides 0",
    )


@module(
    title="Register objects of a channel",
    help="Makes objects of a channel that was uploaded as a mask or as labels.",
    version=1,
    outputs=("objects",),
    dimensions=(2, 3),
)
def register_objects_channel(
    arguments: RegisterObjectsChannelArguments, mask: Intensity
) -> LabelImage:
    """Return labels.

    Raises
    ------
    UserError
        Values are to be labels and aren't (``no_labels``).
    """
    foreground = mask > 0
    found = mask[foreground]
    is_mask = bool(found.size) and bool((found == found[0]).all())
    if arguments.values == "mask" or (arguments.values == "auto" and is_mask):
        return label(np.asarray(foreground))
    return as_labels(mask)
