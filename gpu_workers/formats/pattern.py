"""Plain image files whose names say what they are; entry points: `PatternReader`, `try_pattern`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Final

from gpu_workers.errors import UserError
from gpu_workers.formats.listing import FileEntry, Listing, shown
from gpu_workers.formats.names import (
    GROUPS,
    Match,
    compile_pattern,
    parse,
    problems_of,
    survey_names,
)
from gpu_workers.formats.survey import Survey, natural
from gpu_workers.messages import Message, Problem

N_SHOWN: Final = 50
N_VALUES: Final = 200
_END = r"\.(?i:tiff?|png|jpe?g|stk|btf|c01)$"
DEFAULT_PATTERNS: Final[tuple[str, ...]] = (
    # Yokogawa CellVoyager without its metadata
    r"_(?P<well>[A-P]\d{2})_T(?P<t>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<z>\d+)C(?P<channel>\d+)" + _END,
    # PerkinElmer Operetta and Phenix
    r"^r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<z>\d+)-ch(?P<channel>\d+)(?:sk|t)(?P<t>\d+)\w*" + _END,
    # Cellomics ArrayScan
    r"_(?P<well>[A-P]\d{2})f(?P<site>\d+)(?:d(?P<channel>\d+))?" + _END,
    # ImageXpress without folders
    r"_(?P<well>[A-P]\d{2})(?:_s(?P<site>\d+))?(?:_w(?P<channel>\d))?" + _END,
    # BioTek Cytation: well_step_channel_site_stain_time
    r"^(?P<well>[A-P]\d{1,2})_\d+_\d+(?:Z(?P<z>\d+))?_(?P<site>\d+)_(?P<channel>[^_]{1,30})_(?P<t>\d{3,5})" + _END,
    # Channel1-01-A-01.tif
    r"(?:^|/)(?P<channel>[A-Za-z]+\d*)-\d+-(?P<row>[A-P])-(?P<column>\d{2})" + _END,
    # a folder for each well: B02/site1_ch2.tif
    r"(?i)(?:^|/)(?P<well>[A-P]\d{1,2})/(?:[^/]*?[_\-\s])??(?:(?:t|time|tp)[_\-]?(?P<t>\d+)[_\-\s]*)?"
    r"(?:(?:s|f|site|field|fov)[_\-]?(?P<site>\d+)[_\-\s]*)?(?:z[_\-]?(?P<z>\d+)[_\-\s]*)?"
    r"(?:(?:w|c|ch|channel)[_\-]?(?P<channel>\d+)|(?P<channel_name>[A-Za-z]{2,12}\d{0,3}))?" + _END,
    # anything that starts with or has a well: plate_B02_site1_ch2_z3_t4.tif in this or a similar order
    r"(?i)(?:^|[_\-\s/])(?P<well>[A-P]\d{1,2})"
    r"(?:[_\-\s]*(?:t|time|tp)[_\-]?(?P<t>\d+))?"
    r"(?:[_\-\s]*(?:s|f|site|field|fov)[_\-]?(?P<site>\d+))?"
    r"(?:[_\-\s]*z[_\-]?(?P<z>\d+))?"
    r"(?:[_\-\s]*(?:w|c|ch|channel)[_\-]?(?P<channel>\d+)|[_\-](?P<channel_name>[A-Za-z]{2,12}\d{0,3}))?" + _END,
)  # fmt: skip


class GroupValue(Message):
    """A value of a group and how many names have it."""

    value: str
    n: int


class GroupValues(Message):
    """The values a group took: how many there are, and the first of them."""

    group: str
    n_values: int
    values: tuple[GroupValue, ...]


class TriedName(Message):
    """What a pattern makes of one name."""

    name: str
    well: str
    site: str
    channel: str
    z: int
    t: int
    cycle: int | None


class PatternTrial(Message):
    """What a pattern makes of a list of names: numbers of all, the first of each kind.

    `n_wrong` names match but name a well that no plate has, or a number that is none.
    """

    pattern: str
    n_matched: int
    n_unmatched: int
    n_wrong: int
    n_distinct: int
    groups: tuple[GroupValues, ...]
    matched: tuple[TriedName, ...]
    unmatched: tuple[str, ...]
    wrong: tuple[str, ...]
    problems: tuple[Problem, ...]


def try_pattern(names: Sequence[str], pattern: str) -> PatternTrial:
    """Return what a pattern makes of names (paths below a folder), for a person who is writing it.

    Raises
    ------
    UserError
        It is no pattern, or takes seconds for one name (`bad_pattern`).
    """
    found = parse(names, compile_pattern(pattern))
    cells = Counter(_identity(m) for m in found.matches)
    problems = problems_of(found)
    if twice := [m.plane.file for m in found.matches if cells[_identity(m)] > 1]:
        message = (
            f"{len(twice)} names are told apart by no group: a group for what differs is missing"
        )
        problems.append(
            Problem(
                code="duplicate_planes", message=message, files=tuple(map(shown, twice[:N_SHOWN]))
            )
        )
    return PatternTrial(
        pattern=pattern,
        n_matched=len(found.matches),
        n_unmatched=len(found.unmatched),
        n_wrong=len(found.wrong),
        n_distinct=len(cells),
        groups=_values(found.matches),
        matched=tuple(
            TriedName(name=shown(m.plane.file), **{f: getattr(m.plane, f) for f in _FIELDS})
            for m in found.matches[:N_SHOWN]
        ),
        unmatched=tuple(map(shown, found.unmatched[:N_SHOWN])),
        wrong=tuple(map(shown, found.wrong[:N_SHOWN])),
        problems=tuple(problems),
    )


_FIELDS = tuple(f for f in TriedName.model_fields if f != "name")


def _identity(match: Match) -> tuple[object, ...]:
    return (*match.plane[1:6], match.plane.cycle, match.cell)


def _values(matches: Sequence[Match]) -> tuple[GroupValues, ...]:
    found = []
    for group in GROUPS:
        counts = Counter(m.groups[group] for m in matches if group in m.groups)
        if counts:
            first = sorted(counts, key=natural)[:N_VALUES]
            values = tuple(GroupValue(value=shown(v), n=counts[v]) for v in first)
            found.append(GroupValues(group=group, n_values=len(counts), values=values))
    return tuple(found)


def best_default(images: Sequence[FileEntry]) -> tuple[str, float]:
    """Return the built-in pattern that understands most names, and which part of them it does."""
    sample = [f.path for f in images[:: max(1, len(images) // 500)]]
    best, found = "", 0
    for pattern in DEFAULT_PATTERNS:
        matches = parse(sample, _Trusted(pattern)).matches
        distinct = len({_identity(m) for m in matches})
        # A pattern that takes most names for the same planes overlooks something in them.
        if distinct > found and 2 * distinct > len(matches):
            best, found = pattern, distinct
    return best, found / max(1, len(sample))


class _Trusted:
    """A pattern of our own: it needs no limit, and Python's module is faster."""

    def __init__(self, pattern: str):
        self.pattern = pattern
        self._compiled = re.compile(pattern)

    def search(self, text: str, **_limits: object) -> re.Match[str] | None:
        return self._compiled.search(text)


class PatternReader:
    name: ClassVar = "pattern"
    title: ClassVar = "Images named by a pattern"
    help: ClassVar = (
        "Plain image files; a regular expression with the groups well (or row and column), site (or x and y, "
        "counted in sites), channel, z, t and cycle reads their names. Without one, common patterns are tried."
    )
    VERSION: ClassVar = 2

    def score(self, listing: Listing) -> float:
        """Return up to 0.4, by how many names the best built-in pattern understands."""
        return 0.4 * best_default(listing.images())[1]

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:
        """Return the planes that the names describe.

        Raises
        ------
        UserError
            The pattern is none, takes too long, or no built-in one fits.
        """
        images = listing.images()
        if pattern:
            return survey_names(self.name, images, compile_pattern(pattern))
        chosen, _ = best_default(images)
        if not chosen:
            raise UserError(
                "no built-in pattern understands the file names; give one with the groups "
                + ", ".join(GROUPS),
                code="bad_pattern",
            )
        return survey_names(self.name, images, _Trusted(chosen))


__all__ = [
    "DEFAULT_PATTERNS", "GROUPS", "PatternReader", "PatternTrial", "best_default", "compile_pattern", "try_pattern",
]  # fmt: skip
