"""What modules there are, in plain values for people and programs; entry points: `describe_all`, `describe`."""

from __future__ import annotations

from typing import Any

from gpu_workers import registry
from gpu_workers.messages import Json
from gpu_workers.modules.module import Kind, Module


def _handles(module: Module, part: str) -> list[Json]:
    kinds: dict[str, Kind] = dict(getattr(module, part))
    found = []
    for name, kind in kinds.items():
        kinds_ = module.alternatives.get(name, (kind,))
        entry: Json = {"name": name, "kind": " or ".join(k.value for k in kinds_)}
        if part == "inputs":
            entry["optional"] = name in module.optional
        found.append(entry)
    return found


def _arguments(schema: Json) -> list[Json]:
    """Return an argument model's fields in short: name, title, description, default, choices."""
    found = []
    for name, entry in schema.get("properties", {}).items():
        choices = entry.get("enum")
        found.append(
            {
                "name": name,
                "title": entry.get("title", name),
                "description": entry.get("description", ""),
                "default": entry.get("default"),
                "choices": choices,
            }
        )
    return found


def room(name: str) -> str:
    """Return what a module works on: images, masks, objects, measure, or "" of one that isn't ours."""
    target = registry.BUILT_IN["modules"].get(name, "")
    parts = target.partition(":")[0].split(".")
    return parts[2] if len(parts) == 4 else ""


def describe(name: str) -> Json:
    """Return a module's description.

    Raises
    ------
    UserError
        There is none of this name (``unknown_name``).
    """
    module: Module = registry.load("modules", name)
    schema: dict[str, Any] = module.Arguments.model_json_schema()
    return {
        "name": module.name,
        "title": module.title,
        "help": module.help,
        "version": module.VERSION,
        "works_on": room(name),
        "dimensions": list(module.dimensions),
        "device": module.device,
        "remembers": module.remembers,
        "inputs": _handles(module, "inputs"),
        "outputs": _handles(module, "outputs"),
        "arguments": _arguments(schema),
        "schema": schema,
    }


def describe_all() -> list[Json]:
    """Return the descriptions of all modules, by name."""
    return [describe(name) for name in registry.names("modules")]
