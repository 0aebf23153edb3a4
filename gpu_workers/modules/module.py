"""What an image-analysis module is; entry point: `module`.

A module is a function from typed images to typed images, with an argument model. It does no I/O and
keeps no state; `gpu_workers.pipelines.pipeline` joins modules to a pipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gpu_workers.registry import Arguments as BaseArguments


class Kind(StrEnum):
    """What a value between modules is."""

    INTENSITY = "intensity"
    MASK = "mask"
    LABELS = "labels"
    CHANNELS = "channels"
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


Intensity = Annotated[NDArray[Any], Kind.INTENSITY]
"""An image (height, width) of intensities."""
Mask = Annotated[NDArray[np.bool_], Kind.MASK]
"""An image of bool."""
LabelImage = Annotated[NDArray[np.int32], Kind.LABELS]
"""An image of int32: objects 1…n, 0 is background."""
Channels = Annotated[Mapping[str, NDArray[Any] | None], Kind.CHANNELS]
"""All channels by name; None for a plane that is missing."""
Measurements = Annotated[Features, Kind.FEATURES]
"""Measured values of the objects given as the input of kind labels."""


def _kind(annotation: Any) -> Kind:
    """Return the kind that an annotation (or its optional form) carries."""
    for candidate in (annotation, *get_args(annotation)):
        if get_origin(candidate) is Annotated:
            for extra in candidate.__metadata__:
                if isinstance(extra, Kind):
                    return extra
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

    def __call__(self, arguments: BaseArguments, images: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name."""
        result = self.function(arguments, **images)
        values = (result,) if len(self.outputs) == 1 else result
        return dict(zip(self.outputs, values, strict=True))


def module(
    *,
    title: str,
    help: str,  # noqa: A002
    version: int,
    outputs: tuple[str, ...],
) -> Callable[[Callable[..., Any]], Module]:
    """Make a module of a function ``f(arguments, image, …) -> image``.

    The first parameter's annotation is the argument model; the others' and the return annotation's
    kinds are those of inputs and outputs. A parameter with a default is optional.

    Parameters
    ----------
    version
        Raised with every change of results: it is part of the key of what a pipeline makes.
    outputs
        Names of what the function returns.
    """

    def make(function: Callable[..., Any]) -> Module:
        hints = get_type_hints(function, include_extras=True)
        returned = hints.pop("return")
        several = get_args(returned) if get_origin(returned) is tuple else (returned,)
        first, *rest = inspect.signature(function).parameters.values()
        return Module(
            name=function.__name__,
            title=title,
            help=help,
            VERSION=version,
            Arguments=hints[first.name],
            function=function,
            inputs={p.name: _kind(hints[p.name]) for p in rest},
            optional=frozenset(p.name for p in rest if p.default is not inspect.Parameter.empty),
            outputs=dict(zip(outputs, map(_kind, several), strict=True)),
        )

    return make
