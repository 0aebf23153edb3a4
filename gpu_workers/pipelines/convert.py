"""Pipelines of TissueMAPS before version 1 (``pipeline.yaml`` and ``handles/``); entry point: `convert_project`.

What has no counterpart is told: as a note where results do not depend on it, else as an error that
names file and key. Nothing that a project holds is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import ValidationError

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.messages import Json
from gpu_workers.modules.module import Kind, Module
from gpu_workers.pipelines.check import check_pipeline
from gpu_workers.pipelines.description import RESERVED, Pipeline
from gpu_workers.pipelines.handles import Handle, HandlesFile, Project, read_handles, read_project
from gpu_workers.pipelines.text import parse_pipeline

# Values of these types are arguments; all others but figures are images, objects or measurements.
CONSTANTS: Final = frozenset({"Numeric", "Character", "Boolean", "Scalar", "Sequence", "Set"})
FIGURES: Final = frozenset({"Plot", "Figure"})
MEASUREMENTS: Final = "Measurement"
_FOREIGN: Final = {".m": "Matlab", ".r": "R", ".jl": "Julia"}
# How one kind of image becomes another: module, its inputs, its output, arguments.
_BRIDGES: Final[dict[tuple[Kind, Kind], tuple[str, tuple[str, ...], str, Json]]] = {
    (Kind.LABELS, Kind.MASK): (
        "combine_masks", ("mask_1", "mask_2"), "combined_mask", {"logical_operation": "OR"},
    ),
    (Kind.INTENSITY, Kind.MASK): ("threshold_manual", ("image",), "mask", {"threshold": 0}),
    (Kind.MASK, Kind.LABELS): ("label", ("mask",), "label_image", {}),
    (Kind.INTENSITY, Kind.LABELS): ("use_label_image", ("input_image",), "label_image", {}),
    (Kind.MASK, Kind.INTENSITY): ("convert_to_intensity", ("image",), "intensity_image", {}),
    (Kind.LABELS, Kind.INTENSITY): ("convert_to_intensity", ("image",), "intensity_image", {}),
}  # fmt: skip


def _wrong(told: str) -> UserError:
    return UserError(f"the project cannot be converted: {told}", code="invalid_project")


@dataclass(slots=True)
class _Conversion:
    """What was made so far of a project.

    Attributes
    ----------
    variables, kinds
        Key in the project's store -> variable; variable -> its kind.
    objects
        Key of objects that a module registered -> variable.
    """

    notes: dict[str, None] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    stacks: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    modules: list[Json] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)

    def note(self, told: str) -> None:
        self.notes[told] = None

    def variable(self, key: str) -> str:
        """Return a free variable that is called like a key."""
        stem = re.sub(r"\W+", "_", key, flags=re.ASCII).strip("_")[:56] or "image"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        name, number = stem, 1
        while name in self.kinds:
            number += 1
            name = f"{stem}_{number}"
        return name

    def add(self, key: str, kind: Kind) -> str:
        variable = self.variable(key)
        self.kinds[variable] = kind
        self.variables[key] = variable
        return variable

    def take_inputs(self, project: Project) -> None:
        for channel in project.input.channels:
            self.channels[self.add(channel.name, Kind.INTENSITY)] = channel.name
            if channel.correct:
                self.note(
                    f"pipeline.yaml: input.channels: {channel.name!r} was corrected for uneven"
                    " illumination; choose it for the step that runs the pipeline"
                )
        for given in project.input.objects:
            variable = self.add(given.name, Kind.LABELS)
            self.labels[variable] = given.name
            self.objects[given.name] = variable

    def stack(self, variable: str, where: str) -> str:
        """Return the stack of the channel that a variable is."""
        if variable not in self.channels:
            raise _wrong(f"{where}: a stack is needed, {variable!r} is no channel")
        channel = self.channels[variable]
        found = next((v for v, c in self.stacks.items() if c == channel), None)
        if found is None:
            found = self.variable(f"{channel}_stack")
            self.kinds[found] = Kind.STACK
            self.stacks[found] = channel
        return found

    def bridged(self, variable: str, wanted: Kind, where: str) -> str:
        """Return a variable of the kind that is wanted, with a module in between if there must be."""
        kind = self.kinds[variable]
        if wanted is Kind.STACK:
            return self.stack(variable, where)
        if (kind, wanted) not in _BRIDGES:
            told = f"{where}: {variable!r} is {kind.value}, {wanted.value} is needed"
            raise _wrong(told)
        name, inputs, output, arguments = _BRIDGES[kind, wanted]
        made = self.variable(f"{variable}_{wanted.value}")
        self.kinds[made] = wanted
        self.modules.append(
            {
                "module": name,
                "inputs": dict.fromkeys(inputs, variable),
                "outputs": {output: made},
                "arguments": arguments,
            }
        )
        self.note(f"{where}: {name} makes {wanted.value} of {variable!r}, which is {kind.value}")
        return made


def _module_of(conversion: _Conversion, handles: HandlesFile, source: str) -> Module:
    """Return the module that stands for a source file."""
    path = PurePosixPath(source.replace("\\", "/"))
    language = _FOREIGN.get(path.suffix.lower())
    if path.stem not in registry.names("modules"):
        what = f"a module in {language}" if language else "a module that is not installed"
        raise _wrong(
            f"{handles.file}: source {source!r} is {what}; write it as a Python module, or set"
            " active: false"
        )
    if language or len(path.parts) > 1:
        what = f"{language} code" if language else "a file of its own"
        conversion.note(
            f"{handles.file}: source {source!r} was {what}; the built-in module {path.stem} is used"
        )
    module: Module = registry.load("modules", path.stem)
    return module


def _constant(value: Any) -> Any:
    """Return a value as arguments take it: 8.0 is 8."""
    if isinstance(value, list):
        return [_constant(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _arguments(
    conversion: _Conversion, module: Module, handles: HandlesFile, constants: list[Handle]
) -> Json:
    known = module.Arguments.model_fields
    found: Json = {}
    for handle in constants:
        where = f"{handles.file}: input {handle.name!r}"
        if handle.value is None:
            continue
        if handle.name in known:
            found[handle.name] = _constant(handle.value)
        elif "test" in handle.name or "plot" in handle.name:
            conversion.note(f"{where}: only for figures, left out")
        else:
            raise _wrong(f"{where}: the module {module.name} has no such argument")
    found = _as_before(module.name, handles.version, found)
    try:
        module.Arguments.model_validate(found)
    except ValidationError as error:
        names = ", ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise _wrong(f"{handles.file}: input {names}") from error
    return found


def _as_before(name: str, version: str, arguments: Json) -> Json:
    """Add arguments with which a module does what it did under these names before."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", version))
    if name == "combine_channels" and numbers and numbers < (0, 0, 3):
        return arguments | {"stretch": True}
    if name == "smooth" and arguments.get("filter_name") == "bilateral":
        return arguments | {"sigma_intensity": arguments.get("filter_size", 1)}
    return arguments


def _inputs(
    conversion: _Conversion, module: Module, handles: HandlesFile, images: list[Handle]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for handle in images:
        where = f"{handles.file}: input {handle.name!r}"
        if handle.name not in module.inputs:
            raise _wrong(f"{where}: the module {module.name} has no such input")
        if not handle.key:
            if handle.name not in module.optional:
                raise _wrong(f"{where}: it has no key")
            continue
        if handle.key not in conversion.variables:
            raise _wrong(f"{where}: nothing before it has the key {handle.key!r}")
        variable = conversion.variables[handle.key]
        wanted = module.accepts(handle.name)
        wanted = (Kind.INTENSITY,) if wanted == (Kind.CHANNELS,) else wanted
        if conversion.kinds[variable] not in wanted:
            variable = conversion.bridged(variable, wanted[0], where)
        found[handle.name] = variable
    return found


def _outputs(
    conversion: _Conversion, module: Module, handles: HandlesFile, inputs: dict[str, str]
) -> dict[str, str]:
    keys: dict[str, str] = {}
    for handle in handles.output:
        if handle.type in FIGURES or handle.type == MEASUREMENTS:
            continue
        if handle.name not in module.outputs:
            told = f"output {handle.name!r}: the module {module.name} has no such output"
            raise _wrong(f"{handles.file}: {told}")
        keys[handle.name] = handle.key or f"{handles.name}.{handle.name}"
    kinds = module.output_kinds({n: conversion.kinds[v] for n, v in inputs.items()})
    found: dict[str, str] = {}
    for name, kind in kinds.items():
        if kind is Kind.FEATURES:
            continue
        key = keys.get(name, f"{handles.name}.{name}")
        if key in conversion.variables:
            raise _wrong(f"{handles.file}: output {name!r}: the key {key!r} exists already")
        found[name] = conversion.add(key, kind)
        if kind is Kind.LABELS:
            conversion.objects[key] = found[name]
    return found


def _use(conversion: _Conversion, handles: HandlesFile, source: str) -> None:
    """Add the use of a module that a file of handles describes."""
    module = _module_of(conversion, handles, source)
    figures = [h for h in handles.input if h.type in FIGURES and h.value]
    for handle in figures:
        conversion.note(f"{handles.file}: input {handle.name!r}: figures are part of a preview now")
    constants = [h for h in handles.input if h.type in CONSTANTS]
    images = [h for h in handles.input if h.type not in CONSTANTS | FIGURES]
    arguments = _arguments(conversion, module, handles, constants)
    inputs = _inputs(conversion, module, handles, images)
    outputs = _outputs(conversion, module, handles, inputs)
    conversion.modules.append(
        {"module": module.name, "inputs": inputs, "outputs": outputs, "arguments": arguments}
    )


def _type_name(conversion: _Conversion, name: str, taken: set[str]) -> str:
    """Return a name that an object type may have."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:44]
    if not stem or not stem[0].isalpha():
        stem = f"Objects_{stem}".rstrip("_")
    free, number = stem, 1
    while free in taken | RESERVED:
        number += 1
        free = f"{stem}_{number}"
    if free != name:
        conversion.note(f"pipeline.yaml: output.objects: {name!r} is called {free!r} now")
    return free


def _results(conversion: _Conversion, project: Project) -> Json:
    objects: list[Json] = []
    for output in project.output.objects:
        if output.name not in conversion.objects:
            known = ", ".join(conversion.objects) or "none"
            told = f"no module makes objects {output.name!r}; there are: {known}"
            raise _wrong(f"pipeline.yaml: output.objects: {told}")
        objects.append(
            {
                "name": _type_name(conversion, output.name, {o["name"] for o in objects}),
                "labels": conversion.objects[output.name],
                "representation": "polygons" if output.as_polygons else "points",
            }
        )
    images = []
    for image in project.output.images:
        variable = conversion.variables.get(image.name)
        if variable is None:
            raise _wrong(f"pipeline.yaml: output.images: no module makes {image.name!r}")
        where = "pipeline.yaml: output.images"
        if conversion.kinds[variable] is not Kind.INTENSITY:
            variable = conversion.bridged(variable, Kind.INTENSITY, where)
        name = re.sub(r"[^A-Za-z0-9 ._-]+", "_", image.name).strip("_. -")[:64] or variable
        images.append({"name": name, "image": variable})
    return {"objects": objects, "images": images}


def convert_project(folder: Path) -> tuple[Pipeline, tuple[str, ...]]:
    """Make a pipeline of a project folder of TissueMAPS before version 1.

    Parameters
    ----------
    folder
        Holds ``pipeline.yaml`` and the files of handles that it names; nothing outside it is read.

    Returns
    -------
    Pipeline
        Every active module is a use of the module of that name; keys such as
        ``smooth.smoothed_image`` are variables (``smooth_smoothed_image``); objects are object types.
    notes
        What was left out or is done otherwise, one sentence each, with file and key.

    Raises
    ------
    UserError
        A file is missing, no YAML, too large or malformed, or something in it has no counterpart
        (``invalid_project``); the message names file and key.
    """
    project = read_project(folder)
    conversion = _Conversion()
    conversion.take_inputs(project)
    for number, use in enumerate(project.pipeline):
        if not use.active:
            conversion.note(
                f"pipeline.yaml: pipeline.{number}: {use.handles} is not active, left out"
            )
            continue
        _use(conversion, read_handles(folder, use.handles), use.source)
    pipeline = _parsed(
        {
            "name": _pipeline_name(folder),
            "description": project.description,
            "channels": conversion.channels,
            "stacks": conversion.stacks,
            "labels": conversion.labels,
            "modules": conversion.modules,
            **_results(conversion, project),
        }
    )
    _check(pipeline)
    return pipeline, tuple(conversion.notes)


def _pipeline_name(folder: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9 ._-]+", "-", folder.resolve().name).strip("-. _")[:100]
    return name or "converted"


def _parsed(data: Json) -> Pipeline:
    try:
        return parse_pipeline(data)
    except UserError as error:
        raise _wrong(error.message.removeprefix("the pipeline is malformed: ")) from error


def _check(pipeline: Pipeline) -> None:
    """Complain about whatever else the checks of pipelines find."""
    imported = dict.fromkeys(pipeline.labels.values(), ())
    check = check_pipeline(pipeline, tuple(pipeline.channels.values()), imported)
    if check.problems:
        told = "; ".join(f"{p.where}: {p.message}" for p in check.problems)
        raise _wrong(told)
