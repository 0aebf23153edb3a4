"""Pipelines of modules; entry points: `prepare` (check, once) and `Prepared.run` (per image plane).

A pipeline is data: which channels it uses under which variable, an ordered list of module uses whose
inputs and outputs are variables, and which label images become object types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.messages import Json, Message
from gpu_workers.modules.module import Features, Kind, Module
from gpu_workers.registry import Arguments

ALL_CHANNELS = "*"

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


# Name of each label image that came with the images -> the features that its tables hold.
Imported = Mapping[str, tuple[str, ...]]
NOTHING: Imported = {}

RESERVED = frozenset({"Plates", "Wells", "Sites"})  # storage.layout.REGION_TYPES


class ModuleUse(Message):
    """One use of a module: which variables go in, what its results are called."""

    module: str
    inputs: dict[str, str] = Field(
        default_factory=dict, description="input -> variable; '*' for all channels"
    )
    outputs: dict[str, Variable] = Field(default_factory=dict, description="output -> variable")
    arguments: Json = Field(default_factory=dict)


class ObjectOutput(Message):
    """A label image that becomes objects of a type."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$")
    labels: str
    parent: str | None = Field(
        None, description="type with the same labels that decides which overlapping copy counts"
    )


class Pipeline(Message):
    """An image-analysis pipeline as data."""

    version: Literal[1] = 1
    name: str = "pipeline"
    channels: dict[Variable, str] = Field(description="variable -> channel of the experiment")
    labels: dict[Variable, str] = Field(
        default_factory=dict, description="variable -> label image imported with the images"
    )
    modules: tuple[ModuleUse, ...]
    objects: tuple[ObjectOutput, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class PipelineProblem:
    """One thing wrong with a pipeline; `where` names the part at fault."""

    code: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class ObjectsFound:
    """Objects of one type in one plane.

    Attributes
    ----------
    labels
        int32, (height, width); numbers may be missing.
    columns
        Feature name -> float64 values; row i belongs to label i + 1.
    """

    labels: NDArray[np.int32]
    columns: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class ImportedObjects:
    """A label image that came with the images, and what tables beside it say of its objects.

    Attributes
    ----------
    labels
        int32, (height, width); 0 is background.
    columns
        Feature name -> float64 values; row i belongs to label i + 1, NaN is a missing value.
    """

    labels: NDArray[np.int32]
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FeatureName:
    """A feature that a pipeline measures."""

    name: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class _Use:
    where: str
    use: ModuleUse
    module: Module
    arguments: Arguments


@dataclass(slots=True)
class _Check:
    """Walks through a pipeline, collecting problems and the kind of each variable."""

    channels: tuple[str, ...]
    imported: Imported
    problems: list[PipelineProblem] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    uses: list[_Use] = field(default_factory=list)

    def report(self, code: str, where: str, message: str) -> None:
        self.problems.append(PipelineProblem(code, where, message))

    def check_channels(self, pipeline: Pipeline) -> None:
        for variable, channel in pipeline.channels.items():
            self.kinds[variable] = Kind.INTENSITY
            if channel not in self.channels:
                known = ", ".join(self.channels) or "none"
                self.report(
                    "unknown_channel",
                    f"channels.{variable}",
                    f"there is no channel {channel!r}; the experiment has: {known}",
                )

    def check_labels(self, pipeline: Pipeline) -> None:
        for variable, name in pipeline.labels.items():
            where = f"labels.{variable}"
            if variable in self.kinds:
                self.report("duplicate_variable", where, f"{variable!r} exists already")
            self.kinds[variable] = Kind.LABELS
            if name not in self.imported:
                known = ", ".join(self.imported) or "none"
                self.report(
                    "unknown_labels",
                    where,
                    f"no label image {name!r} was imported with the images; there are: {known}",
                )

    def check_use(self, number: int, use: ModuleUse) -> None:
        where = f"modules.{number} ({use.module})"
        try:
            module: Module = registry.load("modules", use.module)
        except UserError as error:
            self.report("unknown_module", where, error.message)
            self.kinds.update(dict.fromkeys(use.outputs.values(), Kind.FEATURES))
            return
        arguments = self._arguments(where, module, use)
        self._check_inputs(where, module, use)
        self._check_outputs(where, module, use)
        if arguments is not None:
            self.uses.append(_Use(where, use, module, arguments))

    def _arguments(self, where: str, module: Module, use: ModuleUse) -> Arguments | None:
        try:
            return module.Arguments.model_validate(use.arguments)
        except ValidationError as error:
            for e in error.errors():
                name = ".".join(map(str, e["loc"]))
                self.report("invalid_arguments", f"{where}.arguments.{name}", e["msg"])
            return None

    def _check_inputs(self, where: str, module: Module, use: ModuleUse) -> None:
        for name in module.inputs:
            if name not in use.inputs and name not in module.optional:
                self.report("missing_input", where, f"the input {name!r} is missing")
        for name, variable in use.inputs.items():
            here = f"{where}.inputs.{name}"
            wanted = module.inputs.get(name)
            if wanted is None:
                known = ", ".join(module.inputs)
                self.report("unknown_input", here, f"no such input; the module has: {known}")
            elif wanted is Kind.CHANNELS:
                if variable != ALL_CHANNELS:
                    self.report("wrong_type", here, f"takes all channels: write '{ALL_CHANNELS}'")
            elif variable not in self.kinds:
                self.report("unknown_variable", here, f"nothing before it is called {variable!r}")
            elif self.kinds[variable] is not wanted:
                is_ = self.kinds[variable].value
                self.report("wrong_type", here, f"{variable!r} is {is_}, {wanted.value} is needed")

    def _check_outputs(self, where: str, module: Module, use: ModuleUse) -> None:
        for name, variable in use.outputs.items():
            here = f"{where}.outputs.{name}"
            if name not in module.outputs:
                known = ", ".join(module.outputs)
                self.report("unknown_output", here, f"no such output; the module has: {known}")
            if variable in self.kinds:
                self.report("duplicate_variable", here, f"{variable!r} exists already")
        for name, kind in module.outputs.items():
            if name in use.outputs:
                self.kinds[use.outputs[name]] = kind
            elif kind is not Kind.FEATURES:
                self.report("missing_output", where, f"the output {name!r} needs a name")

    def check_objects(self, pipeline: Pipeline) -> None:
        names = [o.name for o in pipeline.objects]
        for number, output in enumerate(pipeline.objects):
            where = f"objects.{number} ({output.name})"
            kind = self.kinds.get(output.labels)
            if output.name in RESERVED:
                message = f"{output.name!r} is what the layout's regions are called"
                self.report("reserved_name", where, message)
            if names.index(output.name) != number:
                self.report("duplicate_object", where, "two object types have this name")
            if kind is None:
                self.report("unknown_variable", where, f"nothing is called {output.labels!r}")
            elif kind is not Kind.LABELS:
                self.report(
                    "wrong_type", where, f"{output.labels!r} is {kind.value}, labels is needed"
                )
            if output.parent is not None and output.parent not in names[:number]:
                self.report(
                    "unknown_parent", where, f"no object type before it is called {output.parent!r}"
                )


def _check(pipeline: Pipeline, channels: tuple[str, ...], imported: Imported) -> _Check:
    check = _Check(channels, imported)
    check.check_channels(pipeline)
    check.check_labels(pipeline)
    for number, use in enumerate(pipeline.modules):
        check.check_use(number, use)
    check.check_objects(pipeline)
    return check


def pipeline_problems(
    pipeline: Pipeline, channels: tuple[str, ...], imported: Imported = NOTHING
) -> tuple[PipelineProblem, ...]:
    """Return everything that is wrong with a pipeline for an experiment with these channels."""
    check = _check(pipeline, channels, imported)
    if check.problems:
        return tuple(check.problems)
    try:
        _features(Prepared(pipeline, channels, tuple(check.uses), imported=imported))
    except UserError as error:
        return (PipelineProblem(error.code, "modules", error.message),)
    return ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline that was checked for an experiment's channels."""

    pipeline: Pipeline
    channels: tuple[str, ...]
    uses: tuple[_Use, ...]
    features: Mapping[str, tuple[FeatureName, ...]] = field(default_factory=dict)
    imported: Imported = field(default_factory=dict)

    def fingerprint(self) -> Json:
        """Return what its results depend on: the pipeline and the versions of its modules."""
        versions = {u.module.name: u.module.VERSION for u in self.uses}
        arguments = [u.arguments.model_dump(mode="json") for u in self.uses]
        # Pipelines without imported labels keep the keys that they had before there were any.
        unused = {"name"} if self.pipeline.labels else {"name", "labels"}
        return {
            "pipeline": self.pipeline.model_dump(mode="json", exclude=unused),
            "versions": versions,
            "arguments": arguments,
        }

    def run(
        self,
        images: Mapping[str, NDArray[Any] | None],
        shape: tuple[int, int],
        imported: Mapping[str, ImportedObjects] | None = None,
    ) -> dict[str, ObjectsFound]:
        """Find and measure the objects of one plane.

        Parameters
        ----------
        images
            Channel -> image (height, width) or None for a missing plane. What needs a missing
            plane finds no objects; measurements of it are NaN.
        shape
            Height and width, px.
        imported
            Name of a label image -> its objects; one that isn't there has none.

        Raises
        ------
        UserError
            A module can't work with its input; the message names the module.
        """
        values, measured = self._values(images, shape, imported or {})
        result = {}
        for output in self.pipeline.objects:
            labels = values[output.labels]
            columns = measured.get(output.labels, Features({}, {})).columns
            result[output.name] = ObjectsFound(labels, dict(columns))
        return result

    def _values(
        self,
        images: Mapping[str, NDArray[Any] | None],
        shape: tuple[int, int],
        imported: Mapping[str, ImportedObjects],
    ) -> tuple[dict[str, Any], dict[str, Features]]:
        channels = {name: images.get(name) for name in self.channels}
        values: dict[str, Any] = {v: channels[c] for v, c in self.pipeline.channels.items()}
        measured: dict[str, Features] = {}
        for variable, name in self.pipeline.labels.items():
            own = imported.get(name) or self._no_objects(name, shape)
            values[variable] = own.labels
            measured[variable] = Features(own.columns, {})
        for use in self.uses:
            given: dict[str, Any] = {}
            for name, variable in use.use.inputs.items():
                is_all = use.module.inputs[name] is Kind.CHANNELS
                given[name] = channels if is_all else values[variable]
            outputs = _run_module(use, given, shape)
            for name, value in outputs.items():
                if use.module.outputs[name] is Kind.FEATURES:
                    _add_features(measured, use, value)
                else:
                    values[use.use.outputs[name]] = value
        return values, measured

    def _no_objects(self, name: str, shape: tuple[int, int]) -> ImportedObjects:
        none = {feature: np.zeros(0) for feature in self.imported.get(name, ())}
        return ImportedObjects(np.zeros(shape, np.int32), none)


def _run_module(use: _Use, given: dict[str, Any], shape: tuple[int, int]) -> dict[str, Any]:
    absent = [n for n, value in given.items() if value is None and n not in use.module.optional]
    if absent:
        return {
            name: np.zeros(shape, np.int32) if kind is Kind.LABELS else None
            for name, kind in use.module.outputs.items()
        }
    try:
        return use.module(use.arguments, given)
    except UserError as error:
        raise UserError(f"{use.where}: {error.message}", code=error.code) from error


def _add_features(measured: dict[str, Features], use: _Use, value: Features) -> None:
    labels = next(n for n, kind in use.module.inputs.items() if kind is Kind.LABELS)
    variable = use.use.inputs[labels]
    before = measured.get(variable, Features({}, {}))
    twice = before.columns.keys() & value.columns.keys()
    if twice:
        raise UserError(
            f"{use.where}: {min(twice)} of {variable!r} is measured twice", code="duplicate_feature"
        )
    measured[variable] = Features(
        {**before.columns, **value.columns}, {**before.units, **value.units}
    )


def _features(prepared: Prepared) -> dict[str, tuple[FeatureName, ...]]:
    """Return the features of each object type, found by measuring an empty image."""
    empty = np.zeros((8, 8), np.uint16)
    _, measured = prepared._values(dict.fromkeys(prepared.channels, empty), empty.shape, {})  # noqa: SLF001
    found = {}
    for output in prepared.pipeline.objects:
        features = measured.get(output.labels, Features({}, {}))
        found[output.name] = tuple(
            FeatureName(name, features.units.get(name)) for name in features.columns
        )
    return found


def prepare(
    pipeline: Pipeline, channels: tuple[str, ...], imported: Imported = NOTHING
) -> Prepared:
    """Check a pipeline before anything runs.

    Parameters
    ----------
    channels
        Names of the experiment's channels.
    imported
        Name of each label image that came with the images -> the features in its tables.

    Raises
    ------
    UserError
        Code of the first problem; the message names all of them.
    """
    problems = pipeline_problems(pipeline, channels, imported)
    if problems:
        text = "; ".join(f"{p.where}: {p.message}" for p in problems)
        raise UserError(f"the pipeline cannot run: {text}", code=problems[0].code)
    uses = tuple(_check(pipeline, channels, imported).uses)
    features = _features(Prepared(pipeline, channels, uses, imported=imported))
    return Prepared(pipeline, channels, uses, features, imported)


def parse_pipeline(data: Json) -> Pipeline:
    """Read a pipeline from JSON.

    Raises
    ------
    UserError
        A key is missing, unknown or of the wrong type; the message names it (``invalid_pipeline``).
    """
    try:
        return Pipeline.model_validate(data)
    except ValidationError as error:
        text = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"the pipeline is malformed: {text}", code="invalid_pipeline") from error
