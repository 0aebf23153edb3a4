"""A pipeline as data: what is stored, sent and written by hand; entry point: `Pipeline`.

A pipeline says which channels it uses under which variable, lists uses of modules whose inputs and
outputs are variables, and names the label images that become object types.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from gpu_workers.messages import Json, Message

ALL_CHANNELS: Final = "*"
RESERVED: Final = frozenset({"Plates", "Wells", "Sites"})  # storage.layout.REGION_TYPES
MAX_USES: Final = 200

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=4000)]


class ModuleUse(Message):
    """One use of a module: which variables go in, what its results are called."""

    module: str
    inputs: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="input -> variable; where several channels are taken also a list of variables,"
        " or '*' for all channels",
    )
    outputs: dict[str, Variable] = Field(default_factory=dict, description="output -> variable")
    arguments: Json = Field(default_factory=dict)
    active: bool = Field(True, description="false: left out, as if it were not there")


class ObjectOutput(Message):
    """A label image that becomes objects of a type."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$")
    labels: str
    parent: str | None = Field(
        None, description="type with the same labels that decides which overlapping copy counts"
    )
    representation: Literal["polygons", "points"] = Field(
        "polygons", description="points: only centres are kept, as for spots"
    )


class ImageOutput(Message):
    """An image made in the pipeline that becomes a channel of its own."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    image: str


class Pipeline(Message):
    """An image-analysis pipeline."""

    version: Literal[1] = 1
    name: str = Field("pipeline", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")
    title: Text = ""
    description: Text = ""
    dimensions: Literal[2, 3] = Field(
        2, description="3: all z planes of a site are one image (z, y, x)"
    )
    scale: Literal["raw", "unit"] = Field(
        "raw",
        description="unit: whole-number intensities are divided by the largest value of their type"
        " (255, 65535), as CellProfiler does",
    )
    channels: dict[Variable, str] = Field(
        default_factory=dict, description="variable -> channel of the experiment"
    )
    stacks: dict[Variable, str] = Field(
        default_factory=dict,
        description="variable -> channel of which all z planes are taken, in two dimensions",
    )
    labels: dict[Variable, str] = Field(
        default_factory=dict,
        description="variable -> label image: imported with the images, uploaded, or the objects"
        " of an existing type",
    )
    modules: tuple[ModuleUse, ...] = Field(max_length=MAX_USES)
    objects: tuple[ObjectOutput, ...] = Field((), max_length=50)
    images: tuple[ImageOutput, ...] = Field((), max_length=50)
