"""Pipelines as text, YAML or JSON; entry points: `parse_pipeline`, `read_pipeline`, `write_pipeline`.

Text comes from people we don't know: its size, depth and number of parts are bounded, YAML's aliases
and tags are refused, and every complaint says where.
"""

from __future__ import annotations

from typing import Any, Final

import yaml
from pydantic import ValidationError
from yaml import events

from gpu_workers.errors import UserError
from gpu_workers.messages import Json
from gpu_workers.pipelines.description import Pipeline

MAX_TEXT: Final = 262_144
MAX_DEPTH: Final = 20
MAX_NODES: Final = 20_000


def _malformed(text: str) -> UserError:
    return UserError(f"the pipeline is malformed: {text}", code="invalid_pipeline")


def _inspect(text: str) -> None:
    """Walk through the events of YAML text before anything is built of it."""
    depth, nodes = 0, 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, events.AliasEvent) or getattr(event, "anchor", None):
            raise _malformed(
                f"line {line}: aliases and anchors (& and *) are not allowed; quote '*'"
            )
        if isinstance(event, events.MappingStartEvent | events.SequenceStartEvent):
            depth += 1
        elif isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
            depth -= 1
        nodes += isinstance(event, events.NodeEvent)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise _malformed(f"line {line}: it is too deep or has too many parts")


class _UniqueLoader(yaml.SafeLoader):
    """YAML as it is, but a key that stands twice in one place is an error."""


def _mapping(loader: _UniqueLoader, node: yaml.MappingNode) -> Json:
    found: Json = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise _malformed(f"line {line}: the key {key!r} is no text")
        if key in found:
            raise _malformed(f"line {line}: {key!r} stands here twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_UniqueLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml(text: str) -> Any:
    """Return what YAML (or JSON) text says, in plain values.

    Raises
    ------
    UserError
        It is no YAML, too large, or uses anchors, aliases or tags (``invalid_pipeline``); the message
        names the line.
    """
    if len(text) > MAX_TEXT:
        raise _malformed(f"it has {len(text)} characters, more than the {MAX_TEXT} that are read")
    try:
        _inspect(text)
        return yaml.load(text, Loader=_UniqueLoader)  # noqa: S506 - a SafeLoader
    except UserError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise _malformed(f"{where}{error.problem or error.context or 'no YAML'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _malformed(str(error)) from error


def parse_pipeline(data: Json) -> Pipeline:
    """Read a pipeline from plain values.

    Raises
    ------
    UserError
        A key is missing, unknown or of the wrong type; the message names it (``invalid_pipeline``).
    """
    try:
        return Pipeline.model_validate(data)
    except ValidationError as error:
        text = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise _malformed(text) from error


def read_pipeline(text: str) -> Pipeline:
    r"""Read a pipeline from YAML or JSON text.

    Raises
    ------
    UserError
        The text is no YAML, or no pipeline (``invalid_pipeline``); the message says where.

    Examples
    --------
    >>> read_pipeline("channels: {dna: DAPI}\nmodules: []").channels
    {'dna': 'DAPI'}
    """
    data = load_yaml(text)
    if not isinstance(data, dict):
        raise _malformed("it is no mapping of keys to values")
    return parse_pipeline(data)


def write_pipeline(pipeline: Pipeline) -> str:
    """Return a pipeline as YAML text that `read_pipeline` reads; defaults are left out."""
    data = pipeline.model_dump(mode="json", exclude_defaults=True)
    return str(yaml.safe_dump({"version": 1, **data}, sort_keys=False, width=100))
