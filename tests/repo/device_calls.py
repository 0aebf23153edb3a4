"""Calls of cupy and cucim against ``device_signatures.json``, from the source alone; entry point: `problems_in`.

Device code may never run where it is written, so a name that doesn't exist or a parameter that isn't
there must be found without a device. In a file a name stands for a module of the device where it is
imported from one, where it is what ``import_module``, `namespace`, `ndimage` or `skimage` of
`gpu_workers.xp` returned, or where it is a parameter called ``xp``.

What it can't see: methods of arrays (their type isn't known from the source; the stand-in of
`tests.unit.device` checks those that its tests reach), what parameters may hold, and functions whose
parameters cupy does not tell.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("device_signatures.json")
ROOTS = ("cupy", "cupyx", "cucim")
# What functions of gpu_workers.xp return, for arrays of a device.
SEAMS = {"namespace": "cupy", "ndimage": "cupyx.scipy.ndimage", "skimage": "cucim.skimage"}
# Keywords that every ufunc of cupy takes.
UFUNC = frozenset({"out", "dtype", "casting", "where"})


@cache
def snapshot() -> dict[str, dict[str, str]]:
    """Return module or class -> name -> what it is (see `tests.repo.device_snapshot`)."""
    names: dict[str, dict[str, str]] = json.loads(SNAPSHOT.read_text())["names"]
    return names


def described(path: str) -> str | None:
    """Return what a dotted path stands for; None where there is no such thing."""
    names = snapshot()
    holder, _, name = path.rpartition(".")
    text = names.get(holder, {}).get(name)
    if text is not None:
        return text
    above = path in names or any(known.startswith(f"{path}.") for known in names)
    return "module" if above else None


def call_signature(path: str) -> tuple[str | None, int]:
    """Return what is known of a call of this path, and how many arguments it gets by itself."""
    made = described(f"{path}.__init__") if path in snapshot() else None
    return (made, 1) if made is not None else (described(path), 0)


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters of a function: by position (the required first ones), by name, and the rest."""

    positional: tuple[str, ...]
    required: frozenset[str]
    names: frozenset[str]
    any_position: bool
    any_name: bool


def signature(text: str) -> Signature:
    """Read a line of the snapshot.

    Examples
    --------
    >>> signature("(input, size=, *, axes=)").positional
    ('input', 'size')
    """
    positional: list[str] = []
    required, names = set(), set()
    any_position = any_name = by_name = False
    for word in filter(None, text[1:-1].split(", ")):
        name = word.strip("/*=")
        if word.startswith("**"):
            any_name = True
        elif word.startswith("*"):
            by_name, any_position = True, any_position or word != "*"
        else:
            if not by_name:
                positional.append(name)
            if not word.startswith("/"):
                names.add(name)
            if not word.endswith("="):
                required.add(name)
    return Signature(
        tuple(positional), frozenset(required), frozenset(names), any_position, any_name
    )


def _misused_ufunc(text: str, n: int, keywords: frozenset[str]) -> str | None:
    _, n_in, n_out = text.split()
    if not int(n_in) <= n <= int(n_in) + int(n_out):
        return f"takes {n_in} arrays, not {n}"
    unknown = keywords - UFUNC
    return f"has no parameter {min(unknown)!r}" if unknown else None


def misuse(text: str, n: int, keywords: frozenset[str], *, spread: bool) -> str | None:
    """Return what is wrong with a call with `n` positional arguments and these keywords.

    `spread` says that the call also has ``*`` or ``**`` arguments: then none is missed.
    """
    if text.startswith("ufunc"):
        return None if spread else _misused_ufunc(text, n, keywords)
    if not text.startswith("("):
        return None if text in ("class", "callable", "value") else f"is a {text}, not a function"
    known = signature(text)
    unknown = keywords - known.names
    if unknown and not known.any_name:
        return f"has no parameter {min(unknown)!r}"
    if n > len(known.positional) and not known.any_position:
        return f"takes {len(known.positional)} positional arguments, not {n}"
    twice = keywords & set(known.positional[:n])
    if twice:
        return f"gets {min(twice)!r} twice"
    missing = known.required - keywords - set(known.positional[:n])
    return f"misses {min(missing)!r}" if missing and not spread else None


@dataclass(slots=True)
class _Names:
    """What the names of one file stand for, scopes taken together."""

    paths: dict[str, str] = field(default_factory=dict)
    seams: dict[str, str] = field(default_factory=dict)

    def collect(self, tree: ast.Module) -> None:
        seams = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._plain_import(node)
            elif isinstance(node, ast.ImportFrom) and node.module:
                self._import_from(node, seams)
        owns_xp = "xp" in self.paths
        self.seams = seams
        for node in ast.walk(tree):
            if isinstance(node, ast.arg) and node.arg == "xp" and not owns_xp:
                self.paths["xp"] = "cupy"
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, path = node.targets[0], self.path(node.value)
                if isinstance(target, ast.Name) and path is not None:
                    self.paths[target.id] = path

    def _plain_import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.partition(".")[0] in ROOTS:
                bound = alias.asname or alias.name.partition(".")[0]
                self.paths[bound] = alias.name if alias.asname else bound

    def _import_from(self, node: ast.ImportFrom, seams: dict[str, str]) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name
            if str(node.module).partition(".")[0] in ROOTS:
                self.paths[bound] = f"{node.module}.{alias.name}"
            elif node.module == "gpu_workers.xp" and alias.name in SEAMS:
                seams[bound] = SEAMS[alias.name]
            elif node.module == "gpu_workers" and alias.name == "xp":
                seams.update({f"{bound}.{name}": path for name, path in SEAMS.items()})
                self.paths[bound] = ""

    def path(self, node: ast.expr) -> str | None:
        """Return the dotted path of the device's libraries that an expression stands for."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id) or None
        if isinstance(node, ast.Attribute):
            holder = self.path(node.value)
            return f"{holder}.{node.attr}" if holder else None
        if isinstance(node, ast.Call):
            return self._returned(node)
        return None

    def _returned(self, call: ast.Call) -> str | None:
        named = ast.unparse(call.func)
        if named in self.seams:
            return self.seams[named]
        if named.endswith("import_module") and call.args:
            module = call.args[0]
            if isinstance(module, ast.Constant) and isinstance(module.value, str):
                return module.value if module.value.partition(".")[0] in ROOTS else None
        return None


def _wrong(names: _Names, node: ast.AST) -> tuple[int, str] | None:
    """Return line and complaint about one node; None where nothing is wrong with it."""
    if isinstance(node, ast.Call):
        path = names.path(node.func)
        text, own = call_signature(path) if path else (None, 0)
        if path is None or text is None:
            return None
        spread = any(isinstance(a, ast.Starred) for a in node.args)
        spread = spread or any(k.arg is None for k in node.keywords)
        n = own + sum(not isinstance(a, ast.Starred) for a in node.args)
        keywords = frozenset(k.arg for k in node.keywords if k.arg is not None)
        wrong = misuse(text, n, keywords, spread=spread)
        return (node.lineno, f"{path} {wrong}") if wrong else None
    if isinstance(node, ast.Attribute):
        holder = names.path(node.value)
        known = described(holder) == "module" or holder in snapshot() if holder else False
        if known and described(f"{holder}.{node.attr}") is None:
            return node.lineno, f"{holder}.{node.attr} does not exist"
    return None


def problems_in(source: str) -> Iterator[str]:
    """Yield ``line: what is wrong`` for each use of the device's libraries that can't work."""
    tree = ast.parse(source)
    names = _Names()
    names.collect(tree)
    for node in ast.walk(tree):
        found = _wrong(names, node)
        if found:
            yield f"{found[0]}: {found[1]}"


def uses_in(source: str) -> set[str]:
    """Return the dotted paths of the device's libraries that a source uses."""
    tree = ast.parse(source)
    names = _Names()
    names.collect(tree)
    nodes = (names.path(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute))
    return {path for path in nodes if path}
