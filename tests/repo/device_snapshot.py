"""Write ``device_signatures.json``: what cupy and cucim offer, for `tests.repo.device_calls`.

Runs where both are installed; no device is needed:
``python tests/repo/device_snapshot.py tests/repo/device_signatures.json``. It needs nothing of ours.

A function is its parameters in one line: ``input, size=None, *, axes=`` has a default for two of
three, and the last only by name. ``ufunc 2 1`` takes two arrays and gives one; ``class`` and
``callable`` say nothing of their parameters; ``value`` is a constant or a type of numbers;
``module`` has an entry of its own.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

MODULES = (
    "cupy",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.linalg",
    "cupy.fft",
    "cupyx",
    "cupyx.scipy.fft",
    "cupyx.scipy.ndimage",
    "cupyx.scipy.signal",
    "cupyx.scipy.special",
    *(
        f"cucim.skimage.{name}"
        for name in (
            "exposure",
            "feature",
            "filters",
            "measure",
            "morphology",
            "registration",
            "restoration",
            "segmentation",
            "transform",
            "util",
        )
    ),
)
CLASSES = ("cupy.ndarray", "cupy.cuda.Stream", "cupy.cuda.Event", "cupy.cuda.Device")
PACKAGES = ("cupy-cuda12x", "cucim-cu12")


def parameters(function: Any) -> str | None:
    """Return the parameters in one line; None where the function does not tell them."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    words, by_name = [], False
    for p in found:
        if p.kind is p.KEYWORD_ONLY and not by_name:
            words.append("*")
            by_name = True
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        by_name = by_name or p.kind is p.VAR_POSITIONAL
        default = "" if p.default is p.empty else "="
        words.append(f"{star}{p.name}{default}")
        if p.kind is p.POSITIONAL_ONLY:
            words[-1] = f"/{words[-1]}"
    return ", ".join(words)


def described(value: Any) -> str:
    """Return what a name stands for, in one line."""
    if inspect.ismodule(value):
        return "module"
    if type(value).__name__ == "ufunc":
        return f"ufunc {value.nin} {value.nout}"
    if inspect.isclass(value):
        return "value" if value.__module__ == "numpy" else "class"
    if not callable(value):
        return "value"
    known = parameters(value)
    return "callable" if known is None else f"({known})"


def members(holder: types.ModuleType | type) -> dict[str, str]:
    """Return the public names (a class also has its special methods) of a module or class."""
    found = {}
    for name in dir(holder):
        special = inspect.isclass(holder) and name.startswith("__")
        if name.startswith("_") and not special:
            continue
        try:
            found[name] = described(getattr(holder, name))
        except (AttributeError, ImportError):
            continue
    return found


def main(file: str) -> None:
    """Write what is installed here."""
    warnings.simplefilter("ignore")
    names = {m: members(importlib.import_module(m)) for m in MODULES}
    for path in CLASSES:
        module, _, name = path.rpartition(".")
        names[path] = members(getattr(importlib.import_module(module), name))
    made = {"packages": {p: version(p) for p in PACKAGES}, "names": names}
    Path(file).write_text(json.dumps(made, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
