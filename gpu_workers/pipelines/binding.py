"""Fitting a pipeline to the channels and objects there are; entry points: `bind`, `with_objects`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Kind, Module
from gpu_workers.pipelines.description import ModuleUse, ObjectOutput, Pipeline

NUCLEI: Final = re.compile(
    r"dapi|hoechst|dna|draq|nuc|h2b|\bhst|sytox|405|435|460|ha?ematoxylin", re.IGNORECASE
)
CELLS: Final = re.compile(
    r"cell.?mask|phalloidin|actin|tubulin|cyto|\bcell|wga|membran|\bagp\b|\brna\b|\ber\b|succ",
    re.IGNORECASE,
)
# What channels are called that may play a role; "" stands for any role that isn't listed.
_ROLES: Final[dict[str, re.Pattern[str]]] = {
    "DNA": NUCLEI,
    "DNA_R": re.compile(r"(?:^|[ _])(?:r|red)$", re.IGNORECASE),
    "DNA_G": re.compile(r"(?:^|[ _])(?:g|green)$", re.IGNORECASE),
    "DNA_B": re.compile(r"(?:^|[ _])(?:b|blue)$", re.IGNORECASE),
    "": CELLS,
}
OBJECTS: Final = "Objects"
"""The label image of templates that measure whatever objects they are given."""


def roles(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the names of channels that a pipeline asks for, each once."""
    return tuple(dict.fromkeys((*pipeline.channels.values(), *pipeline.stacks.values())))


def _play(role: str, free: list[str]) -> str | None:
    """Return the channel that plays a role by its name, or because no other is left."""
    pattern = _ROLES.get(role, _ROLES[""])
    named = next((name for name in free if pattern.search(name)), None)
    return named or (free[0] if len(free) == 1 else None)


def bind(
    pipeline: Pipeline, channels: Sequence[str], chosen: Mapping[str, str] | None = None
) -> Pipeline:
    """Put names of channels where a pipeline names roles.

    Parameters
    ----------
    channels
        Names of the channels there are.
    chosen
        Role -> channel, where a person says so.

    Returns
    -------
    Pipeline
        A role is played by the channel chosen for it, else by that of its own name, else by one
        whose name is that of a fitting stain, else by the only one that is left.

    Raises
    ------
    UserError
        A role stays without a channel (``missing_channel``), or what was chosen isn't there
        (``unknown_channel``); the message lists the channels.
    """
    known = ", ".join(channels) or "none"
    found: dict[str, str] = {}
    for role, name in (chosen or {}).items():
        if name not in channels:
            told = f"there is no channel {name!r}; there are: {known}"
            raise UserError(told, code="unknown_channel")
        found[role] = name
    wanted = roles(pipeline)
    found |= {role: role for role in wanted if role in channels and role not in found}
    for role in wanted:
        if role in found:
            continue
        played = _play(role, [name for name in channels if name not in found.values()])
        if played is None:
            raise UserError(
                f"the pipeline {pipeline.name} needs a channel {role!r} and none of those there are"
                f" ({known}) is called so or known to show it: say which one",
                code="missing_channel",
            )
        found[role] = played
    return pipeline.model_copy(
        update={
            "channels": {v: found[role] for v, role in pipeline.channels.items()},
            "stacks": {v: found[role] for v, role in pipeline.stacks.items()},
        }
    )


def _several(variable: str | tuple[str, ...]) -> tuple[str, ...]:
    return (variable,) if isinstance(variable, str) else variable


def _only_measures(use: ModuleUse) -> bool:
    """Return whether a use makes no image; an unknown module's is kept, for the check to name it."""
    try:
        module: Module = registry.load("modules", use.module)
    except UserError:
        return True
    return all(kind is Kind.FEATURES for kind in module.outputs.values())


def _needed(modules: Sequence[ModuleUse], wanted: set[str]) -> tuple[ModuleUse, ...]:
    """Return the uses on which some of the wanted variables depend, and those that measure."""
    kept: list[ModuleUse] = []
    wanted = set(wanted)
    for use in reversed(modules):
        if _only_measures(use) or wanted.intersection(use.outputs.values()):
            kept.append(use)
            for variable in use.inputs.values():
                wanted.update(_several(variable))
    return tuple(reversed(kept))


def with_objects(pipeline: Pipeline, given: Sequence[str]) -> Pipeline:
    """Let label images stand in for what a pipeline finds by itself.

    Parameters
    ----------
    given
        Names of object types whose labels are given. A template with the object type ``Objects``
        takes any names: it is repeated for each.

    Returns
    -------
    Pipeline
        The labels are inputs; modules that only served to find them are left out.

    Raises
    ------
    UserError
        The pipeline has no object type of that name (``unknown_objects``).
    """
    types = {o.name: o for o in pipeline.objects}
    missing = [name for name in given if name not in types]
    if missing and OBJECTS in types and OBJECTS in pipeline.labels.values():
        return _repeated(pipeline, given)
    if missing:
        known = ", ".join(types) or "none"
        raise UserError(
            f"the pipeline {pipeline.name} has no objects {missing[0]!r}; it has: {known}",
            code="unknown_objects",
        )
    labels = dict(pipeline.labels)
    modules = list(pipeline.modules)
    for name in given:
        variable = types[name].labels
        if variable in labels:
            labels[variable] = name
            continue
        labels[variable] = name
        modules = [_without_output(use, variable) for use in modules]
    kept = {o.labels for o in pipeline.objects} | {i.image for i in pipeline.images}
    used = _needed(modules, kept - labels.keys())
    asked = {v for use in used for named in use.inputs.values() for v in _several(named)} | kept
    return pipeline.model_copy(
        update={
            "labels": labels,
            "modules": used,
            "channels": {v: c for v, c in pipeline.channels.items() if v in asked},
            "stacks": {v: c for v, c in pipeline.stacks.items() if v in asked},
        }
    )


def _without_output(use: ModuleUse, variable: str) -> ModuleUse:
    """Return a use whose output is called otherwise, since its name is taken by a given image."""
    if variable not in use.outputs.values():
        return use
    outputs = {h: f"_found_{v}"[:64] if v == variable else v for h, v in use.outputs.items()}
    return use.model_copy(update={"outputs": outputs})


def _repeated(pipeline: Pipeline, given: Sequence[str]) -> Pipeline:
    """Repeat what a template does with ``Objects`` for each of the given names."""
    variable = next(v for v, name in pipeline.labels.items() if name == OBJECTS)
    modules: list[ModuleUse] = []
    labels: dict[str, str] = {}
    for number, name in enumerate(given):
        own = f"{variable}_{number}"
        labels[own] = name
        for use in pipeline.modules:
            inputs = {h: own if v == variable else v for h, v in use.inputs.items()}
            modules.append(use.model_copy(update={"inputs": inputs}))
    objects = tuple(
        ObjectOutput(name=name, labels=own) for own, name in zip(labels, given, strict=True)
    )
    return pipeline.model_copy(
        update={"labels": labels, "modules": tuple(modules), "objects": objects}
    )
