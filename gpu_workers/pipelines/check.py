"""What is wrong with a pipeline, before anything runs; entry point: `check_pipeline`.

Every problem names the module, the handle or argument, and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Kind, Module
from gpu_workers.pipelines.description import ALL_CHANNELS, RESERVED, ModuleUse, Pipeline
from gpu_workers.registry import Arguments

# Name of each label image that can be used -> the features that are known of its objects.
Imported = Mapping[str, tuple[str, ...]]
NOTHING: Imported = {}


@dataclass(frozen=True, slots=True)
class PipelineProblem:
    """One thing wrong with a pipeline; `where` names the part at fault."""

    code: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a module that was checked; `where` names it in messages."""

    where: str
    use: ModuleUse
    module: Module
    arguments: Arguments
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """What its outputs are."""

    @property
    def measured(self) -> str:
        """The variable whose objects the features of this use belong to; "" without features."""
        for handle in (self.module.measures, *self.module.inputs):
            kind = {**self.module.inputs, **self.module.outputs}.get(handle)
            variable = self.use.inputs.get(handle) or self.use.outputs.get(handle)
            if kind is Kind.LABELS and isinstance(variable, str):
                return variable
        return ""


@dataclass(slots=True)
class Check:
    """Walks through a pipeline, collecting problems and the kind of each variable."""

    channels: tuple[str, ...]
    imported: Imported
    dimensions: int = 2
    problems: list[PipelineProblem] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    def report(self, code: str, where: str, message: str) -> None:
        self.problems.append(PipelineProblem(code, where, message))

    def check_channels(self, part: str, named: Mapping[str, str], kind: Kind) -> None:
        for variable, channel in named.items():
            if variable in self.kinds:
                self.report("duplicate_variable", f"{part}.{variable}", "it exists already")
            self.kinds[variable] = kind
            if channel not in self.channels:
                known = ", ".join(self.channels) or "none"
                self.report(
                    "unknown_channel",
                    f"{part}.{variable}",
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
                    f"there are no objects or labels {name!r} for these images; there are: {known}",
                )

    def check_use(self, number: int, use: ModuleUse) -> None:
        where = f"modules.{number} ({use.module})"
        try:
            module: Module = registry.load("modules", use.module)
        except UserError as error:
            self.report("unknown_module", where, error.message)
            self.kinds.update(dict.fromkeys(use.outputs.values(), Kind.FEATURES))
            return
        if self.dimensions not in module.dimensions:
            told = f"it works on images of {module.dimensions[0]} dimensions only"
            self.report("wrong_dimensions", where, told)
        arguments = self._arguments(where, module, use)
        self._check_inputs(where, module, use)
        kinds = self._check_outputs(where, module, use)
        if arguments is not None:
            self.uses.append(Use(where, use, module, arguments, kinds))

    def _arguments(self, where: str, module: Module, use: ModuleUse) -> Arguments | None:
        try:
            return module.Arguments.model_validate(use.arguments)
        except ValidationError as error:
            for e in error.errors():
                name = ".".join(map(str, e["loc"]))
                at = f"{where}.arguments.{name}" if name else f"{where}.arguments"
                self.report("invalid_arguments", at, e["msg"])
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
                several = (variable,) if isinstance(variable, str) else variable
                variables = tuple(v for v in several if v != ALL_CHANNELS)
                self._check_variables(here, variables, (Kind.INTENSITY,))
            elif not isinstance(variable, str):
                self.report("wrong_type", here, "takes one variable, not a list")
            else:
                kinds = (Kind.LABELS,) if wanted is Kind.FEATURES else module.accepts(name)
                self._check_variables(here, (variable,), kinds)

    def _check_variables(
        self, here: str, variables: Iterable[str], wanted: tuple[Kind, ...]
    ) -> None:
        for variable in variables:
            if variable not in self.kinds:
                self.report("unknown_variable", here, f"nothing before it is called {variable!r}")
            elif self.kinds[variable] not in wanted:
                is_ = self.kinds[variable].value
                told = " or ".join(kind.value for kind in wanted)
                self.report("wrong_type", here, f"{variable!r} is {is_}, {told} is needed")

    def _check_outputs(self, where: str, module: Module, use: ModuleUse) -> dict[str, Kind]:
        named = {h: v for h, v in use.inputs.items() if isinstance(v, str)}
        kinds = module.output_kinds({h: self.kinds[v] for h, v in named.items() if v in self.kinds})
        for name, variable in use.outputs.items():
            here = f"{where}.outputs.{name}"
            if name not in module.outputs:
                known = ", ".join(module.outputs)
                self.report("unknown_output", here, f"no such output; the module has: {known}")
            if variable in self.kinds:
                self.report("duplicate_variable", here, f"{variable!r} exists already")
        for name, kind in kinds.items():
            if name in use.outputs:
                self.kinds[use.outputs[name]] = kind
            elif kind is not Kind.FEATURES:
                self.report("missing_output", where, f"the output {name!r} needs a name")
        return kinds

    def check_objects(self, pipeline: Pipeline) -> None:
        names = [o.name for o in pipeline.objects]
        for number, output in enumerate(pipeline.objects):
            where = f"objects.{number} ({output.name})"
            if output.name in RESERVED:
                message = f"{output.name!r} is what the layout's regions are called"
                self.report("reserved_name", where, message)
            if names.index(output.name) != number:
                self.report("duplicate_object", where, "two object types have this name")
            self._check_result(where, output.labels, Kind.LABELS)
            if output.parent is not None and output.parent not in names[:number]:
                self.report(
                    "unknown_parent", where, f"no object type before it is called {output.parent!r}"
                )

    def check_images(self, pipeline: Pipeline) -> None:
        names = [i.name for i in pipeline.images]
        for number, output in enumerate(pipeline.images):
            where = f"images.{number} ({output.name})"
            if names.index(output.name) != number:
                self.report("duplicate_image", where, "two images have this name")
            self._check_result(where, output.image, Kind.INTENSITY)
        if not pipeline.objects and not pipeline.images:
            self.report("no_result", "objects", "it names no objects and no images to keep")

    def _check_result(self, where: str, variable: str, wanted: Kind) -> None:
        kind = self.kinds.get(variable)
        if kind is None:
            self.report("unknown_variable", where, f"nothing is called {variable!r}")
        elif kind is not wanted:
            told = f"{variable!r} is {kind.value}, {wanted.value} is needed"
            self.report("wrong_type", where, told)


def check_pipeline(
    pipeline: Pipeline, channels: tuple[str, ...], imported: Imported = NOTHING
) -> Check:
    """Look for problems in how a pipeline is put together.

    Parameters
    ----------
    channels
        Names of the channels there are.
    imported
        Name of each label image that can be used -> the features that are known of its objects.
    """
    check = Check(channels, imported, pipeline.dimensions)
    check.check_channels("channels", pipeline.channels, Kind.INTENSITY)
    check.check_channels("stacks", pipeline.stacks, Kind.STACK)
    if pipeline.stacks and pipeline.dimensions == 3:
        check.report("wrong_dimensions", "stacks", "in three dimensions every channel is a stack")
    check.check_labels(pipeline)
    for number, use in enumerate(pipeline.modules):
        if use.active:
            check.check_use(number, use)
    check.check_objects(pipeline)
    check.check_images(pipeline)
    return check
