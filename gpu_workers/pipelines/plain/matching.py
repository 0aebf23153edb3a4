"""Which plain image files belong together; entry point: `match`."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_workers.errors import UserError

_TOKENS: Final = re.compile(r"\*\*/|\*|\?|\[[^\]]+\]|[^*?\[]+|\[")
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The files of one image.

    Attributes
    ----------
    stem
        What the image is called: the stem of its first channel's file, or of its first labels.
    channels, objects
        Channel or object type -> file; None where this image has none.
    """

    stem: str
    channels: Mapping[str, Path | None]
    objects: Mapping[str, Path | None]


def _expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression whose groups are what a pattern's wildcards stand for."""
    parts = []
    for token in _TOKENS.findall(pattern):
        if token == "**/":  # noqa: S105 - a wildcard
            parts.append(r"(?:(.*)/)?")
        elif token == "*":  # noqa: S105
            parts.append(r"([^/]*)")
        elif token == "?":  # noqa: S105
            parts.append(r"([^/])")
        elif len(token) > 1 and token.startswith("["):
            inner = token[1:-1].replace("\\", r"\\")
            parts.append(f"([{'^' + inner[1:] if inner.startswith('!') else inner}])")
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _files(name: str, pattern: str) -> dict[Key, Path]:
    """Return the files of a pattern by what its wildcards stand for, in the order of names."""
    expression = _expression(pattern)
    found: dict[Key, Path] = {}
    for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - absolute patterns, too
        fits = expression.match(path)
        if Path(path).is_file():
            key = tuple(g or "" for g in fits.groups()) if fits else (path,)
            found[key] = Path(path)
    if not found:
        raise UserError(f"no file fits the pattern of {name}: {pattern}", code="no_files")
    return found


def _paired(tables: Mapping[str, dict[Key, Path]]) -> tuple[list[dict[str, Path | None]], str]:
    """Return the files of each image, and how they were brought together."""
    first = next(iter(tables.values()))
    if len({len(next(iter(table))) for table in tables.values()}) == 1:
        keys = dict.fromkeys(key for table in tables.values() for key in table)
        shared = [key for key in keys if all(key in table for table in tables.values())]
        if shared:
            rows = [{n: table.get(key) for n, table in tables.items()} for key in keys]
            return rows, "wildcards"
    sizes = {name: len(table) for name, table in tables.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{n} {name}" for name, n in sizes.items())
        raise UserError(
            f"the patterns fit different numbers of files ({told}) and their wildcards stand for"
            " different texts: files can't be brought together",
            code="unmatched_files",
        )
    lists = {name: list(table.values()) for name, table in tables.items()}
    return [{n: files[i] for n, files in lists.items()} for i in range(len(first))], "order"


def _stems(rows: list[dict[str, Path | None]]) -> list[str]:
    """Return what each image is called; folders are added where stems repeat."""
    paths = [next(path for path in row.values() if path is not None) for row in rows]
    for depth in range(1, 20):
        stems = ["_".join((*p.parts[:-1][len(p.parts) - depth :], p.stem)) for p in paths]
        if len(set(stems)) == len(stems):
            return stems
    raise UserError("several images have the same name", code="duplicate_name")


def match(
    channels: Mapping[str, str], objects: Mapping[str, str] | None = None
) -> tuple[tuple[ImageSet, ...], str]:
    """Return the images that patterns of files describe, in the order of their names.

    Parameters
    ----------
    channels, objects
        Channel or object type -> pattern with ``*``, ``?``, ``[…]`` and ``**/``.

    Returns
    -------
    images, how
        Files belong together where the wildcards of their patterns stand for the same texts
        (``"wildcards"``); if none do and there are equally many, in their order (``"order"``).

    Raises
    ------
    UserError
        A pattern fits no file (``no_files``), or they can't be brought together
        (``unmatched_files``).
    """
    tables = {("channel", n): _files(f"channel {n}", p) for n, p in channels.items()}
    tables |= {("objects", n): _files(f"objects {n}", p) for n, p in (objects or {}).items()}
    if not tables:
        raise UserError("name images: --channel NAME=PATTERN", code="no_files")
    named = {f"{kind}/{name}": table for (kind, name), table in tables.items()}
    rows, how = _paired(named)
    images = []
    for stem, row in zip(_stems(rows), rows, strict=True):
        parts: dict[str, dict[str, Path | None]] = {"channel": {}, "objects": {}}
        for name, path in row.items():
            kind, _, short = name.partition("/")
            parts[kind][short] = path
        images.append(ImageSet(stem, parts["channel"], parts["objects"]))
    return tuple(images), how
