"""Module: images of single stains from a brightfield image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.colour import darkness, separate
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments


class SeparateStainsArguments(Arguments):
    stain: Literal["darkness", "haematoxylin", "eosin", "dab"] = Field(
        "haematoxylin",
        title="Stain",
        description="whose amount is shown; darkness: missing red and green light, in which nuclei"
        " stand out whatever the stain",
    )
    counterstain: Literal["eosin", "dab"] = Field(
        "eosin", title="Other stain", description="of the section besides haematoxylin"
    )


@module(
    title="Separate stains",
    help="Shows how much of a stain lies where, from the three colours of a brightfield image.",
    version=1,
    outputs=("stain_image",),
    bytes_per_pixel=64,
)
def separate_stains(
    arguments: SeparateStainsArguments, red: Intensity, green: Intensity, blue: Intensity
) -> Intensity:
    """Return the amount of the stain (optical density, or missing light) as float32, bright on dark."""
    if arguments.stain == "darkness":
        return darkness(red, green, blue)
    other = arguments.stain if arguments.stain != "haematoxylin" else arguments.counterstain
    amounts = separate(red, green, blue, ("haematoxylin", other))
    stain: Intensity = amounts[0 if arguments.stain == "haematoxylin" else 1]
    return stain
