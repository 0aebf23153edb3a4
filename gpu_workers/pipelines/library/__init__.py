"""Pipelines that come with TissueMAPS, as YAML files beside this one; entry points: `names`, `load`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from gpu_workers.errors import UserError
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.text import read_pipeline

_SUFFIX = ".yaml"


@cache
def names() -> tuple[str, ...]:
    """Return the names of the templates, sorted."""
    found = (f.name for f in files(__name__).iterdir() if f.name.endswith(_SUFFIX))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


@cache
def load(name: str) -> Pipeline:
    """Return a template; its channels are roles (``DNA``) that are bound to channels later.

    Raises
    ------
    UserError
        There is none of this name (``unknown_template``); the message lists those there are.
    """
    if name not in names():
        known = ", ".join(names())
        raise UserError(
            f"no template is called {name!r}; there are: {known}", code="unknown_template"
        )
    return read_pipeline((files(__name__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8"))
