"""A step or module whose source changed must say so in its VERSION: results are reused by it.

`versions.json` holds what was last agreed. After a change that alters results, raise the VERSION;
then (or when results are the same as before) renew the file: ``python -m tests.repo.test_versions``.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path

import pytest

from gpu_workers import registry

AGREED = Path(__file__).with_name("versions.json")
FAMILIES: tuple[registry.Family, ...] = ("steps", "modules", "tools")


def _sources(family: registry.Family, name: str) -> list[Path]:
    """Return the file that defines an entry, or all files of its package."""
    module = import_module(registry.BUILT_IN[family][name].partition(":")[0])
    assert module.__file__ is not None
    file = Path(module.__file__)
    package = file.parent
    alone = family == "modules" or package.name in {"steps", "tools"}
    return [file] if alone else sorted(package.glob("*.py"))


def _now(family: registry.Family, name: str) -> dict[str, object]:
    entry = registry.load(family, name)
    text = b"\n".join(path.read_bytes() for path in _sources(family, name))
    return {
        "version": entry.VERSION,
        "source": hashlib.blake2b(text, digest_size=8).hexdigest(),
    }


def _entries() -> list[tuple[registry.Family, str]]:
    return [(family, name) for family in FAMILIES for name in registry.BUILT_IN[family]]


@pytest.mark.parametrize(("family", "name"), _entries())
def test_a_changed_source_comes_with_a_new_version(family: registry.Family, name: str) -> None:
    agreed = json.loads(AGREED.read_text())[family].get(name)
    now = _now(family, name)

    assert agreed is not None, f"{family}/{name} is new: renew {AGREED.name}"
    if agreed["source"] == now["source"]:
        return
    assert now["version"] != agreed["version"], (
        f"the source of {family}/{name} changed and its VERSION is still {now['version']}: raise it"
        f" if results may differ, then renew {AGREED.name}"
    )
    pytest.fail(f"{family}/{name} has a new VERSION: renew {AGREED.name}")


def main() -> None:
    """Write what the sources are now."""
    found = {
        family: {name: _now(family, name) for name in registry.BUILT_IN[family]}
        for family in FAMILIES
    }
    AGREED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
