"""The pages docs/modules.md and docs/features.md, made of the code; entry point: ``python -m`` this module.

python -m gpu_workers.pipelines.documentation docs
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from gpu_workers.imaging import features
from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.messages import Json
from gpu_workers.pipelines import library
from gpu_workers.pipelines.binding import roles
from gpu_workers.pipelines.catalogue import describe_all

ROOMS = {
    "images": "Images",
    "masks": "Masks",
    "objects": "Objects",
    "measure": "Measurements",
    "": "Others",
}
_MADE = "<!-- Made by `python -m gpu_workers.pipelines.documentation docs`; don't edit. -->"


def _cell(text: object) -> str:
    """Return text that stays within its cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def _handles(entries: list[Json]) -> str:
    told = []
    for entry in entries:
        optional = ", optional" if entry.get("optional") else ""
        told.append(f"`{entry['name']}` ({entry['kind']}{optional})")
    return ", ".join(told) or "none"


def _default(argument: Json) -> str:
    value = argument["default"]
    return "" if value is None else f"`{value}`"


def _module(entry: Json) -> list[str]:
    """Return the part of the page that tells of one module."""
    facts = [f"version {entry['version']}"]
    facts.append(" and ".join(f"{n}-D" for n in entry["dimensions"]))
    if entry["device"]:
        facts.append("also on a GPU")
    if entry["remembers"]:
        facts.append("remembers the time point before")
    lines = [
        f"### {entry['name']}",
        "",
        f"{entry['title']}. {entry['help']} ({', '.join(facts)})",
        "",
        f"In: {_handles(entry['inputs'])}. Out: {_handles(entry['outputs'])}.",
        "",
    ]
    if entry["arguments"]:
        rows = [
            (
                f"`{a['name']}`",
                _default(a),
                ". ".join(filter(None, (a["title"], a["description"], _choices(a)))),
            )
            for a in entry["arguments"]
        ]
        lines += [*_table(("argument", "default", "meaning"), rows), ""]
    return lines


def _choices(argument: Json) -> str:
    return f"One of {', '.join(map(str, argument['choices']))}" if argument["choices"] else ""


def modules_page() -> str:
    """Return docs/modules.md: every module with its handles and arguments, and the templates."""
    entries = describe_all()
    lines = [
        "# Modules and templates",
        "",
        _MADE,
        "",
        "A pipeline (docs/contracts.md) joins uses of these modules. `python -m gpu_workers pipeline modules`"
        " and `/api/v1/modules/` tell the same.",
        "",
        "## Templates",
        "",
    ]
    rows = []
    for name in library.names():
        pipeline = library.load(name)
        objects = ", ".join(o.name for o in pipeline.objects)
        rows.append((f"`{name}`", pipeline.description, ", ".join(roles(pipeline)), objects))
    lines += [*_table(("template", "what it does", "channels", "objects"), rows), ""]
    for room, title in ROOMS.items():
        own = [entry for entry in entries if entry["works_on"] == room]
        if own:
            lines += [f"## {title}", ""]
        for entry in own:
            lines += _module(entry)
    return "\n".join(lines).rstrip() + "\n"


def families() -> dict[str, tuple[str, tuple[FeatureDescription, ...]]]:
    """Return family -> first line of its docstring, its features; in the order of names."""
    found = {}
    for info in pkgutil.iter_modules(features.__path__):
        module: ModuleType = import_module(f"{features.__name__}.{info.name}")
        told: tuple[FeatureDescription, ...] = getattr(module, "DESCRIPTIONS", ())
        if told and module.__doc__:
            title = module.__doc__.strip().splitlines()[0].partition("; entry point")[0]
            found[info.name] = (title.rstrip(".") + ".", told)
    return found


def _peers(feature: FeatureDescription) -> str:
    equal = [f"= {library_} `{column}`" for library_, column in feature.peers.items()]
    other = [f"not {library_}: {why}" for library_, why in feature.differs.items()]
    return "; ".join([*equal, *other])


def features_page() -> str:
    """Return docs/features.md: names, formulas, units, sources, and the peers' equal columns."""
    lines = [
        "# Features",
        "",
        _MADE,
        "",
        "Names stand without the channel, which follows after `_`; what varies is in braces. Lengths and areas in"
        " px are also measured in µm where the size of a pixel is known (`_um`, `_um2`, `_um3`). `=` names the"
        " column of another program with equal values (`tests/unit/features` compares them). Features of other"
        " objects carry their name before (`Nuclei_…`); those gathered per parent begin with `Mean_`, `Std_`,"
        " `Sum_`, `Count_`.",
        "",
    ]
    shown: set[str] = set()
    for family, (title, told) in families().items():
        fresh = [feature for feature in told if feature.name not in shown]
        shown.update(feature.name for feature in fresh)
        if not fresh:
            continue
        rows = [
            (
                f"`{f.name}`",
                f.formula,
                f.unit or "1",
                " and ".join(f"{n}-D" for n in f.dimensions),
                f.source,
                _peers(f),
            )
            for f in fresh
        ]
        head = ("feature", "what is computed", "unit", "images", "source", "other programs")
        lines += [f"## {family}", "", title, "", *_table(head, rows), ""]
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"modules.md": modules_page, "features.md": features_page}


def main(folder: Path) -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
