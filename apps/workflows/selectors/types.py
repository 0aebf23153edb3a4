"""Types of workflows, and descriptions checked against them and against the steps' arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.core.errors import Invalid
from apps.workflows.errors import WorkflowErrorCode
from gpu_workers import registry
from gpu_workers.messages import Limits


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TypeStep(_Model):
    """A step's place in a type."""

    name: str
    uses: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    optional: bool = False
    active: bool = True


class TypeStage(_Model):
    """A stage of a type."""

    name: str
    title: str
    steps: tuple[TypeStep, ...]


class WorkflowType(_Model):
    """Stages and steps in their order."""

    title: str
    help: str
    stages: tuple[TypeStage, ...]

    def step(self, name: str) -> TypeStep | None:
        """Return a step by its name, or None."""
        return next((s for stage in self.stages for s in stage.steps if s.name == name), None)


class StepDescription(_Model):
    """A step as a user describes it."""

    name: str
    title: str = ""
    active: bool = True
    arguments: dict[str, Any] = Field(default_factory=dict)
    limits: Limits | None = Field(None, description="time and memory of one job")


class StageDescription(_Model):
    """A stage as a user describes it."""

    name: str
    title: str = ""
    active: bool = True
    steps: tuple[StepDescription, ...]


class Description(_Model):
    """What a user wants to have run."""

    type: str
    stages: tuple[StageDescription, ...]


@cache
def _types(extra: str) -> dict[str, WorkflowType]:
    files = [Path(__file__).parents[1] / "types.yaml", *([Path(extra)] if extra else [])]
    known = set(registry.names("steps"))
    found: dict[str, WorkflowType] = {}
    for file in files:
        for name, body in yaml.safe_load(file.read_text()).items():
            found[name] = _installed(WorkflowType.model_validate(body), known)
    return found


def _installed(kind: WorkflowType, known: set[str]) -> WorkflowType:
    """Return a type without its optional steps that are not registered."""
    stages = tuple(
        stage.model_copy(
            update={"steps": tuple(s for s in stage.steps if s.name in known or not s.optional)}
        )
        for stage in kind.stages
    )
    return kind.model_copy(update={"stages": stages})


def workflow_types() -> dict[str, WorkflowType]:
    """Return all types by name: ours and the administrator's."""
    return _types(os.environ.get("TISSUEMAPS_WORKFLOW_TYPES", ""))


def workflow_type(name: str) -> WorkflowType:
    """Return one type; raises Invalid with those there are."""
    types = workflow_types()
    if name not in types:
        raise Invalid(
            f"no workflow type is called {name!r}; known: {', '.join(sorted(types))}",
            code=WorkflowErrorCode.UNKNOWN_TYPE,
        )
    return types[name]


def _defaults(step: Any) -> dict[str, Any]:
    """Return the arguments of a step that have defaults, as JSON."""
    properties = step.Arguments.model_json_schema().get("properties", {})
    return {name: field["default"] for name, field in properties.items() if "default" in field}


def description_default(type_name: str) -> Description:
    """Return the description of a type with all defaults."""
    kind = workflow_type(type_name)
    stages = [
        StageDescription(
            name=stage.name,
            title=stage.title,
            steps=tuple(_default(step, active=step.active) for step in stage.steps),
        )
        for stage in kind.stages
    ]
    return Description(type=type_name, stages=tuple(stages))


def _default(step: TypeStep, *, active: bool) -> StepDescription:
    entry = registry.load("steps", step.name)
    return StepDescription(
        name=step.name, title=entry.title, active=active, arguments=_defaults(entry)
    )


def description_check(body: Any) -> Description:
    """Return a description that can be submitted, with titles and all arguments filled in.

    Raises
    ------
    Invalid
        The shape is wrong, a stage or step is unknown, missing or at another place, or a step's
        arguments are wrong; the message and `extra` name stage, step and argument.
    """
    try:
        described = Description.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Invalid(
            f"{where}: {first['msg']}",
            code=WorkflowErrorCode.BAD_DESCRIPTION,
            extra={"where": where},
        ) from error
    kind = workflow_type(described.type)
    _same_names("stages", (s.name for s in kind.stages), (s.name for s in described.stages))
    stages = []
    for wanted, stage in zip(kind.stages, described.stages, strict=True):
        stage = _completed(wanted, stage)
        where = f"steps of stage {stage.name}"
        _same_names(where, (s.name for s in wanted.steps), (s.name for s in stage.steps))
        steps = tuple(_step_check(stage, step) for step in stage.steps)
        stages.append(stage.model_copy(update={"title": wanted.title, "steps": steps}))
    return described.model_copy(update={"stages": tuple(stages)})


def _completed(wanted: TypeStage, stage: StageDescription) -> StageDescription:
    """Return a stage with the optional steps it does not mention, inactive.

    Descriptions may be older than the step.
    """
    given = {s.name for s in stage.steps}
    steps = list(stage.steps)
    for place, step in enumerate(wanted.steps):
        if step.optional and step.name not in given:
            steps.insert(place, _default(step, active=False))
    return stage.model_copy(update={"steps": tuple(steps)})


def _same_names(what: str, wanted: Iterable[str], given: Iterable[str]) -> None:
    expected, found = list(wanted), list(given)
    if expected != found:
        raise Invalid(
            f"{what} must be {', '.join(expected)} in this order, not {', '.join(found) or 'none'}",
            code=WorkflowErrorCode.BAD_DESCRIPTION,
            extra={"expected": expected, "found": found},
        )


def _step_check(stage: StageDescription, step: StepDescription) -> StepDescription:
    entry = registry.load("steps", step.name)
    try:
        valid = entry.Arguments.model_validate(step.arguments)
    except ValidationError as error:
        if not (step.active and stage.active):
            return step.model_copy(update={"title": entry.title})
        faults = [
            {"argument": ".".join(map(str, e["loc"])) or "arguments", "message": e["msg"]}
            for e in error.errors()
        ]
        text = "; ".join(f"argument {f['argument']}: {f['message']}" for f in faults)
        raise Invalid(
            f"stage {stage.name}, step {step.name}, {text}",
            code=WorkflowErrorCode.INVALID_ARGUMENTS,
            extra={"stage": stage.name, "step": step.name, "errors": faults, **faults[0]},
        ) from error
    return step.model_copy(
        update={"title": entry.title, "arguments": valid.model_dump(mode="json")}
    )
