"""What an image-analysis module is; entry point: `module`.

A module is a function from typed images to typed images, with an argument model. It does no I/O and
keeps no state; `gpu_workers.pipelines` joins modules to a pipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gpu_workers import registry
from gpu_workers.registry import Arguments as BaseArguments


class Kind(StrEnum):
    """What a value between modules is."""

    INTENSITY = "intensity"
    MASK = "mask"
    LABELS = "labels"
    CHANNELS = "channels"
    STACK = "stack"
    FEATURES = "features"


@dataclass(frozen=True, slots=True)
class Features:
    """Measurements of the objects of one label image.

    Attributes
    ----------
    columns
        Feature name -> float array whose row i belongs to label i + 1; NaN is a missing value.
    units
        Feature name -> unit; names that are not in it have none.
    """

    columns: Mapping[str, NDArray[np.float64]]
    units: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a module may know besides pixels.

    Attributes
    ----------
    names
        Input -> what its variable is called: the channel, the object type, else the variable.
    pixel_size_um, z_step_um
        Distance of pixel and plane centres, µm; None where it isn't known.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    pixel_size_um: float | None = None
    z_step_um: float | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What a module was given and gave at the time point before, by the names of its handles."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


Intensity = Annotated[NDArray[Any], Kind.INTENSITY]
"""An image (height, width) of intensities; (z, height, width) in pipelines of three dimensions."""
Mask = Annotated[NDArray[np.bool_], Kind.MASK]
"""An image of bool."""
LabelImage = Annotated[NDArray[np.int32], Kind.LABELS]
"""An image of int32: objects 1…n (numbers may be missing), 0 is background."""
Channels = Annotated[Mapping[str, NDArray[Any] | None], Kind.CHANNELS]
"""Channels by name; None for a plane that is missing."""
Stack = Annotated[NDArray[Any], Kind.STACK]
"""All planes of a channel (z, height, width), in pipelines of two dimensions."""
Measurements = Annotated[Features, Kind.FEATURES]
"""Values of objects: an output measures them, an input takes what was measured so far."""
Before = Past | None
"""The time point before, for modules that remember; None at the first one."""


def _kinds(annotation: Any) -> tuple[Kind, ...]:
    """Return the kinds that an annotation (or its optional form, or a union of them) carries."""
    found: dict[Kind, None] = {}
    for candidate in (annotation, *get_args(annotation)):
        if get_origin(candidate) is Annotated:
            found.update({e: None for e in candidate.__metadata__ if isinstance(e, Kind)})
    if found:
        return tuple(found)
    raise TypeError(f"{annotation!r} is not one of the image types of gpu_workers.modules.module")


@dataclass(frozen=True, slots=True)
class Module:
    """A registered module; call it with its arguments and images.

    Attributes
    ----------
    inputs
        Name -> kind, in the order of the function's parameters.
    optional
        Inputs that may be left out.
    outputs
        Name -> kind; the function returns one value for one output, else a tuple in this order.
    measures
        The input or output of kind labels whose objects its features belong to; "" without features.
    dimensions
        Of the images it works on: 2, 3 or both.
    remembers
        Whether it is told what it made of the time point before.
    device
        Whether it also works on images in the memory of a GPU.
    bytes_per_pixel
        Memory that it takes besides its inputs and outputs.
    alternatives
        Inputs and outputs of several kinds -> all of them; `inputs` and `outputs` have the first.
    """

    name: str
    title: str
    help: str
    VERSION: int
    Arguments: type[BaseArguments]
    function: Callable[..., Any]
    inputs: Mapping[str, Kind]
    optional: frozenset[str]
    outputs: Mapping[str, Kind]
    measures: str = ""
    dimensions: tuple[int, ...] = (2,)
    remembers: bool = False
    device: bool = False
    bytes_per_pixel: float = 16
    setting: str | None = None
    alternatives: Mapping[str, tuple[Kind, ...]] = field(default_factory=dict)

    def accepts(self, name: str) -> tuple[Kind, ...]:
        """Return the kinds that an input takes."""
        return self.alternatives.get(name, (self.inputs[name],))

    def output_kinds(self, given: Mapping[str, Kind]) -> dict[str, Kind]:
        """Return the kind of each output when inputs are of the given kinds.

        An output of several kinds is of the kind of the first input that has the same choice.
        """
        kinds = dict(self.outputs)
        for name in self.outputs.keys() & self.alternatives.keys():
            choice = self.alternatives[name]
            likewise = (i for i in self.inputs if self.alternatives.get(i) == choice)
            kind = next((given[i] for i in likewise if i in given), kinds[name])
            kinds[name] = kind if kind in choice else kinds[name]
        return kinds

    def __reduce__(self) -> tuple[Any, ...]:
        # Other processes load the module by its name; its function is not found by its own.
        return registry.load, ("modules", self.name)

    def __call__(
        self,
        arguments: BaseArguments,
        images: Mapping[str, Any],
        setting: Setting | None = None,
        before: Before = None,
    ) -> dict[str, Any]:
        """Return the outputs by name."""
        more: dict[str, Any] = {}
        if self.setting is not None:
            more[self.setting] = setting or Setting()
        if self.remembers:
            more["before"] = before
        result = self.function(arguments, **images, **more)
        values = (result,) if len(self.outputs) == 1 else result
        return dict(zip(self.outputs, values, strict=True))


def _measured(inputs: Mapping[str, Kind], outputs: Mapping[str, Kind], named: str | None) -> str:
    """Return the handle whose objects the features of a module belong to."""
    if Kind.FEATURES not in outputs.values():
        return ""
    if named is not None:
        if {**inputs, **outputs}.get(named) is not Kind.LABELS:
            raise TypeError(f"{named!r} is no input or output of kind labels")
        return named
    return next(name for name, kind in inputs.items() if kind is Kind.LABELS)


def module(
    *,
    title: str,
    help: str,  # noqa: A002
    version: int,
    outputs: tuple[str, ...],
    measures: str | None = None,
    dimensions: tuple[int, ...] = (2,),
    remembers: bool = False,
    device: bool = False,
    bytes_per_pixel: float = 16,
) -> Callable[[Callable[..., Any]], Module]:
    """Make a module of a function ``f(arguments, image, …) -> image``.

    The first parameter's annotation is the argument model; the others' and the return annotation's
    kinds are those of inputs and outputs. A parameter with a default is optional; one annotated
    `Setting` gets the names of the inputs and sizes of pixels, one called ``before`` the time point
    before if the module `remembers`. ``Mask | LabelImage`` takes either kind; a result annotated so
    is of the kind of the first input with the same choice.

    Parameters
    ----------
    version
        Raised with every change of results: it is part of the key of what a pipeline makes.
    outputs
        Names of what the function returns; those of inputs and outputs must differ.
    measures
        The handle of kind labels that its features describe; by default its first input of them.
    """

    def make(function: Callable[..., Any]) -> Module:
        hints = get_type_hints(function, include_extras=True)
        returned = hints.pop("return")
        several = get_args(returned) if get_origin(returned) is tuple else (returned,)
        first, *rest = inspect.signature(function).parameters.values()
        settings = [p.name for p in rest if hints[p.name] is Setting]
        images = [
            p for p in rest if p.name not in settings and not (remembers and p.name == "before")
        ]
        taken = {p.name: _kinds(hints[p.name]) for p in images}
        given = dict(zip(outputs, map(_kinds, several), strict=True))
        inputs = {name: kinds[0] for name, kinds in taken.items()}
        made = {name: kinds[0] for name, kinds in given.items()}
        return Module(
            name=function.__name__,
            title=title,
            help=help,
            VERSION=version,
            Arguments=hints[first.name],
            function=function,
            inputs=inputs,
            optional=frozenset(p.name for p in images if p.default is not inspect.Parameter.empty),
            outputs=made,
            measures=_measured(inputs, made, measures),
            dimensions=dimensions,
            remembers=remembers,
            device=device,
            bytes_per_pixel=bytes_per_pixel,
            setting=settings[0] if settings else None,
            alternatives={n: k for n, k in {**taken, **given}.items() if len(k) > 1},
        )

    return make
