"""What is installed: steps, readers and image-analysis modules, each with its JSON Schema."""

from __future__ import annotations

import logging
from typing import Any

from apps.workflows.selectors.types import workflow_types
from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.pipelines.catalogue import describe
from gpu_workers.registry import Family

logger = logging.getLogger(__name__)


def _describe(family: Family) -> list[dict[str, Any]]:
    described = []
    for name in registry.names(family):
        try:
            entry = registry.load(family, name)
        except (ImportError, AttributeError):
            # A broken plug-in must not hide the others; whoever asks for it gets its error.
            logger.exception("%s %s cannot be loaded", family, name)
            continue
        arguments = getattr(entry, "Arguments", None) or getattr(entry, "arguments", None)
        described.append(
            {
                "name": name,
                "title": getattr(entry, "title", "") or name,
                "help": getattr(entry, "help", "") or "",
                "version": getattr(entry, "VERSION", getattr(entry, "version", 1)),
                "schema": arguments.model_json_schema() if arguments is not None else {},
            }
        )
    return described


def steps_describe() -> list[dict[str, Any]]:
    """Return name, title, help, version and argument schema of every step."""
    return _describe("steps")


def readers_describe() -> list[dict[str, Any]]:
    """Return name, title, help and version of every reader."""
    return _describe("readers")


def modules_describe() -> list[dict[str, Any]]:
    """Return what there is to know of every module: handles with their kinds, arguments, schema."""
    described = []
    for name in registry.names("modules"):
        try:
            described.append(describe(name))
        except (ImportError, AttributeError, UserError):
            logger.exception("modules %s cannot be loaded", name)
    return described


def types_describe() -> list[dict[str, Any]]:
    """Return name, title, help, version and stages (as `schema`) of every workflow type."""
    return [
        {
            "name": name,
            "title": kind.title,
            "help": kind.help,
            "version": 1,
            "schema": {"stages": [stage.model_dump(mode="json") for stage in kind.stages]},
        }
        for name, kind in sorted(workflow_types().items())
    ]
