"""Planes from file names, by regular expressions with named groups; entry points: `compile_pattern`, `parse`.

Groups: `well` (B02), or `row` (B or 2) and `column`; `site`, or `x` and `y`, the column and row of the
site in the grid of its well; `channel`, `z`, `t`, `cycle`. What a pattern has no group for is left to
the file's contents.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.listing import FileEntry, aggregate, shown
from gpu_workers.formats.survey import (
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
    well_position,
)
from gpu_workers.messages import Problem

GROUPS: Final = ("well", "row", "column", "site", "x", "y", "channel", "z", "t", "cycle")
MAX_PATTERN: Final = 500
MAX_REPEATS: Final = 10_000
# One name takes microseconds; only a pattern that tries ever more ways to match takes seconds.
MAX_SECONDS, MAX_SECONDS_PER_NAME, MORE_PER_NAME = 5.0, 1.0, 0.0002
MAX_GRID: Final = 10_000
_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")
_PAIRS: Final = (("row", "column"), ("x", "y"))


def compile_pattern(pattern: str) -> Any:
    """Return the compiled pattern, for `parse`.

    Raises
    ------
    UserError
        It is too long, no regular expression of Python's, repeats absurdly often, or has unknown or
        contradicting groups (`bad_pattern`).
    """
    if len(pattern) > MAX_PATTERN:
        raise UserError(f"the pattern is longer than {MAX_PATTERN} characters", code="bad_pattern")
    try:
        # The syntax is that of Python's own module; the other one, which can be stopped, has more.
        groups = set(re.compile(pattern).groupindex)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise _bad(pattern, f"is no regular expression: {error}") from error
    repeats = 1
    for count in _REPEAT.findall(pattern):
        repeats *= max(1, int(count[:9]))
    if repeats > MAX_REPEATS:
        raise _bad(pattern, f"asks for more than {MAX_REPEATS} repetitions")
    _check_groups(pattern, groups)
    return _compiled(pattern)


def _check_groups(pattern: str, groups: set[str]) -> None:
    known = ", ".join(GROUPS)
    if unknown := sorted(groups - set(GROUPS)):
        raise _bad(pattern, f"has the group(s) {', '.join(unknown)}; known are {known}")
    if not groups:
        raise _bad(pattern, f"names none of the groups {known}")
    for first, second in _PAIRS:
        if (first in groups) != (second in groups):
            raise _bad(pattern, f"must have both {first} and {second}, or neither")
    if "well" in groups and "row" in groups:
        raise _bad(pattern, "must have either the group well or both row and column")
    if "site" in groups and "x" in groups:
        raise _bad(pattern, "must have either the group site or both x and y")


def _bad(pattern: str, why: str) -> UserError:
    return UserError(f"the pattern “{shown(pattern)}” {why}", code="bad_pattern")


@lru_cache(64)
def _compiled(pattern: str) -> Any:
    import regex  # type: ignore[import-untyped]

    try:
        return regex.compile(pattern)
    except (regex.error, ValueError, KeyError, IndexError, RecursionError, MemoryError) as error:
        raise _bad(pattern, f"is no regular expression: {error}") from error


class Match(NamedTuple):
    """What one name says, before it becomes a plane; `cell` is (y, x) in the grid of sites."""

    plane: SourcePlane
    cell: tuple[int, int] | None
    groups: dict[str, str]


@dataclass(slots=True)
class Parsed:
    """What a pattern makes of many names: matches, paths that don't match, and that match wrongly."""

    matches: list[Match] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def parse(paths: Iterable[str], pattern: Any) -> Parsed:
    """Return what a pattern makes of paths: it is sought in the name first, then in the whole path.

    Raises
    ------
    FileError
        It takes seconds for one name, or far longer than sane patterns for all (`bad_pattern`).
    """
    paths = list(paths)
    found = Parsed()
    end = time.monotonic() + MAX_SECONDS + MORE_PER_NAME * len(paths)
    for path in paths:
        try:
            match = _search(pattern, path, end)
        except TimeoutError:
            name = shown(path)
            raise FileError(
                f"the pattern {shown(pattern.pattern)!r} takes too long with {name}: avoid repetitions "
                "of repetitions such as (a+)+",
                code="bad_pattern", files=(name,),
            ) from None  # fmt: skip
        if match is None:
            found.unmatched.append(path)
            continue
        try:
            found.matches.append(_match(path, match.groupdict()))
        except ValueError:
            found.wrong.append(path)
    return found


def _search(pattern: Any, path: str, end: float) -> Any:
    folder, _, name = path.rpartition("/")
    for text in (name, path) if folder else (name,):
        # Letting other threads run costs nothing, and a server's other requests don't wait.
        limit = max(0.001, min(MAX_SECONDS_PER_NAME, end - time.monotonic()))
        if (match := pattern.search(text, timeout=limit, concurrent=True)) is not None:
            return match
    return None


def _integer(text: str | None) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{text[:20]!r} is not a number of at most nine digits")
    return int(text)


@lru_cache(4096)
def _well(name: str) -> str:
    return well_name(*well_position(name))


@lru_cache(4096)
def _well_at(row: str, column: str) -> str:
    number = int(row) - 1 if row.isdecimal() and len(row) < 9 else well_position(f"{row}1")[0]
    return well_name(number, _integer(column) - 1)


def label(text: str | None) -> str:
    """Return a site's or channel's key: numbers without leading zeros, other text as it is."""
    if not text:
        return ""
    return str(int(text)) if text.isdecimal() and len(text) <= 9 else text[:40]


def _match(path: str, groups: dict[str, str | None]) -> Match:
    """Return what the groups of a match say; ValueError if no plate has it."""
    known = {name: text for name, text in groups.items() if text}
    well = ""
    if "row" in known:
        well = _well_at(known["row"], known.get("column", ""))
    elif "well" in known:
        well = _well(known["well"])
    plane = SourcePlane(
        file=path,
        well=well,
        site=label(known.get("site")),
        channel=label(known.get("channel") or known.get("channel_name")),
        z=_integer(known.get("z")),
        t=_integer(known.get("t")),
        cycle=_integer(known["cycle"]) if "cycle" in known else None,
    )
    cell = (_integer(known["y"]), _integer(known["x"])) if "x" in known and "y" in known else None
    return Match(plane, cell, known)


def _numbered(matches: Sequence[Match]) -> tuple[list[SourcePlane], tuple[int, int] | None]:
    """Return the planes with sites numbered row by row where they have places in a grid, and its size.

    Cycles are numbered from 0 in their order.
    """
    planes = [m.plane for m in matches]
    cells = [m.cell for m in matches]
    grid = None
    if known := [c for c in cells if c is not None]:
        top, left = min(c[0] for c in known), min(c[1] for c in known)
        grid = max(c[0] for c in known) - top + 1, max(c[1] for c in known) - left + 1
        if grid[0] * grid[1] > MAX_GRID:
            raise UserError(
                f"x and y make a grid of {grid[0]} x {grid[1]} sites, more than {MAX_GRID}: they count "
                "columns and rows of sites, not pixels",
                code="bad_pattern",
            )
        planes = [
            p if c is None else p._replace(site=str((c[0] - top) * grid[1] + c[1] - left + 1))
            for p, c in zip(planes, cells, strict=True)
        ]
    rank = {c: n for n, c in enumerate(sorted({p.cycle for p in planes if p.cycle is not None}))}
    if rank:
        planes = [p if p.cycle is None else p._replace(cycle=rank[p.cycle]) for p in planes]
    return planes, grid


def survey_names(
    reader: str, images: Sequence[FileEntry], pattern: Any, *, ignored: Iterable[str] = ()
) -> Survey:
    """Return the survey of images whose names alone say what they are.

    Raises
    ------
    UserError
        The pattern takes too long, or makes an absurd grid of sites.
    """
    parsed = parse([f.path for f in images], pattern)
    planes, grid = _numbered(parsed.matches)
    channels = tuple(
        ChannelFacts(key=key, name=f"Channel{key}" if key.isdecimal() else key)
        for key in sorted({p.channel for p in planes} - {""}, key=natural)
    )
    named = {p.file for p in planes}
    return Survey(
        VendorFacts(reader=reader, channels=channels, grid=grid, own_sizes=grid is not None),
        planes,
        [],
        problems_of(parsed, ignored),
        [f for f in images if f.path in named],
    )


def problems_of(parsed: Parsed, ignored: Iterable[str] = ()) -> list[Problem]:
    """Return which names a pattern doesn't match, and which make no sense."""
    left_out = set(ignored)
    unmatched = [p for p in parsed.unmatched if p not in left_out]
    wrong = "{n} image names match but name no well or number"
    return [
        *aggregate("unknown_name", "{n} image names don't match the pattern", unmatched),
        *aggregate("bad_name", wrong, parsed.wrong, "error"),
    ]


def share(images: Sequence[FileEntry], *patterns: Any) -> float:
    """Return which part of a sample of the images has a name that one of the patterns matches."""
    sample = images[:: max(1, len(images) // 500)]
    fitting = sum(any(p.search(f.name) for p in patterns) for f in sample)
    return fitting / max(1, len(sample))
