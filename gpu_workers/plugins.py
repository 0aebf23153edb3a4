"""Code that the administrator adds; entry points: `allowed_entries`, `entries_of_files`, `source_digest`.

Three environment variables allow it, nothing else does: ``TISSUEMAPS_PACKAGES`` names installed
distributions whose entry points count, ``TISSUEMAPS_MODULES`` Python files (or folders of them) with
modules for pipelines, ``TISSUEMAPS_PLUGINS`` mappings of entries.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

OWN = "tissuemaps"
PACKAGE = "tissuemaps_module_files"

# Name of a Python module made of a file -> digest of the source that ran.
_digests: dict[str, str] = {}
# File -> why it was not taken.
_problems: dict[str, str] = {}


def _listed(variable: str) -> list[str]:
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]


def _normal(name: str) -> str:
    """Return a distribution's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(entry: EntryPoint) -> str:
    return _normal(entry.dist.name) if entry.dist is not None else ""


def own_entries(family: str) -> dict[str, str]:
    """Return the entry points of this distribution: name -> ``module:attribute``."""
    found = entry_points(group=f"tissuemaps.{family}")
    return {e.name: e.value for e in found if _distribution(e) == OWN}


def allowed_entries(family: str) -> dict[str, str]:
    """Return entries of the packages and mappings that the administrator allows.

    ``TISSUEMAPS_PLUGINS`` lists ``module:attribute``, separated by commas; each attribute is a mapping
    such as ``{"steps": {"name": "module:Class"}}``. They win over entries of the same name.
    """
    allowed = {_normal(name) for name in _listed("TISSUEMAPS_PACKAGES")} - {OWN}
    found = {
        e.name: e.value
        for e in entry_points(group=f"tissuemaps.{family}")
        if _distribution(e) in allowed
    }
    for target in _listed("TISSUEMAPS_PLUGINS"):
        module, _, attribute = target.partition(":")
        found.update(getattr(import_module(module), attribute or "ENTRIES").get(family, {}))
    return found


def _files() -> Iterator[Path]:
    for item in _listed("TISSUEMAPS_MODULES"):
        path = Path(item).expanduser()
        if path.is_dir():
            yield from sorted(p for p in path.glob("*.py") if not p.name.startswith("_"))
        elif path.is_file():
            yield path
        else:
            _problems[str(path)] = "there is no such file or folder"


def _import_file(path: Path) -> ModuleType:
    """Run a file as a module of its own name; what ran is what `source_digest` tells of."""
    source = path.read_bytes()
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"{PACKAGE}.{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{place}"
    sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - the administrator's file
    except BaseException:
        del sys.modules[name]
        raise
    _digests[name] = hashlib.sha256(source).hexdigest()
    return module


def _is_pipeline_module(value: object) -> bool:
    """Whether a value is what `gpu_workers.modules.module.module` makes (a layer above this one)."""
    kind = type(value)
    return kind.__name__ == "Module" and kind.__module__ == "gpu_workers.modules.module"


@cache
def entries_of_files(taken: frozenset[str]) -> dict[str, str]:
    """Return the modules in the files that ``TISSUEMAPS_MODULES`` names; runs each file once.

    A file that fails is left out and told by `problems`; so is a module whose name is `taken`.
    """
    found: dict[str, str] = {}
    for path in _files():
        try:
            module = _import_file(path)
        except Exception as error:
            logger.exception("the module file %s could not be run", path)
            _problems[str(path)] = f"{type(error).__name__}: {error}"
            continue
        for attribute, value in vars(module).items():
            if not _is_pipeline_module(value) or value.function.__module__ != module.__name__:
                continue
            if value.name in taken or value.name in found:
                _problems[str(path)] = f"a module {value.name!r} exists already"
                logger.error("%s: %s", path, _problems[str(path)])
                continue
            found[value.name] = f"{module.__name__}:{attribute}"
    return found


def problems() -> dict[str, str]:
    """Return which module files could not be used, and why."""
    return dict(_problems)


def forget() -> None:
    """Forget what was read, so that files are run again; for tests and after a change."""
    entries_of_files.cache_clear()
    _package_digest.cache_clear()
    _problems.clear()
    for name in _digests:
        sys.modules.pop(name, None)
    _digests.clear()


@cache
def _package_digest(package: str) -> str:
    """Return the digest of every Python file of a package, with its name in the package."""
    spec = find_spec(package)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise ModuleNotFoundError(f"the package {package!r} has no source")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(p, p.relative_to(f).as_posix()) for f in folders for p in f.rglob("*.py")]
    if not folders:
        files = [(Path(str(spec.origin)), Path(str(spec.origin)).name)]
    digest = hashlib.sha256()
    for path, name in sorted(files, key=lambda item: item[1]):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def source_digest(target: str) -> str:
    """Return the SHA-256 of the source that ``module:attribute`` comes from.

    That is the file that ran, or all Python files of the top-level package.

    Raises
    ------
    ModuleNotFoundError
        There is no such package.
    """
    module = target.partition(":")[0]
    return _digests.get(module) or _package_digest(module.partition(".")[0])
