"""Plain TIFF and PNG files whose names say what they are, by a regular expression with named groups."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, shown
from gpu_workers.formats.survey import (
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
    well_position,
)

GROUPS: Final = ("well", "row", "column", "site", "channel", "z", "t")
MAX_PATTERN: Final = 500
MAX_SECONDS, SECONDS_PER_NAME = 3.0, 0.001
_END = r"\.(?i:tiff?|png)$"
DEFAULT_PATTERNS: Final[tuple[str, ...]] = (
    # Yokogawa CellVoyager without its metadata
    r"_(?P<well>[A-P]\d{2})_T(?P<t>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<z>\d+)C(?P<channel>\d+)" + _END,
    # PerkinElmer Operetta and Phenix
    r"^r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<z>\d+)-ch(?P<channel>\d+)sk(?P<t>\d+)\w*" + _END,
    # Cellomics ArrayScan
    r"_(?P<well>[A-P]\d{2})f(?P<site>\d+)(?:d(?P<channel>\d+))?" + _END,
    # ImageXpress without folders
    r"_(?P<well>[A-P]\d{2})(?:_s(?P<site>\d+))?(?:_w(?P<channel>\d))?" + _END,
    # Channel1-01-A-01.tif
    r"(?:^|/)(?P<channel>[A-Za-z]+\d*)-\d+-(?P<row>[A-P])-(?P<column>\d{2})" + _END,
    # anything that starts with or has a well: plate_B02_site1_ch2_z3_t4.tif in this or a similar order
    r"(?i)(?:^|[_\-\s/])(?P<well>[A-P]\d{1,2})"
    r"(?:[_\-\s]*(?:t|time|tp)[_\-]?(?P<t>\d+))?"
    r"(?:[_\-\s]*(?:s|f|site|field|fov)[_\-]?(?P<site>\d+))?"
    r"(?:[_\-\s]*z[_\-]?(?P<z>\d+))?"
    r"(?:[_\-\s]*(?:w|c|ch|channel)[_\-]?(?P<channel>\d+)|[_\-](?P<channel_name>[A-Za-z]{2,12}\d{0,3}))?" + _END,
)  # fmt: skip


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern.

    Raises
    ------
    UserError
        It is too long, no regular expression, or has unknown or contradicting groups.
    """
    if len(pattern) > MAX_PATTERN:
        raise UserError(f"the pattern is longer than {MAX_PATTERN} characters", code="bad_pattern")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(
            f"the pattern is no regular expression: {error}", code="bad_pattern"
        ) from error
    groups = set(compiled.groupindex)
    unknown = sorted(groups - set(GROUPS))
    known = ", ".join(GROUPS)
    if unknown:
        raise UserError(
            f"the pattern has the group(s) {', '.join(unknown)}; known are {known}",
            code="bad_pattern",
        )
    if not groups:
        raise UserError(f"the pattern names none of the groups {known}", code="bad_pattern")
    if ("well" in groups and groups & {"row", "column"}) or ("row" in groups) != (
        "column" in groups
    ):
        raise UserError(
            "the pattern must have either the group well or both row and column", code="bad_pattern"
        )
    return compiled


class _TooSlow(Exception):
    """The time for matching names is spent."""


@contextmanager
def _limited(n_names: int) -> Iterator[None]:
    """Raise _TooSlow when names take more processor time than any sane pattern needs.

    Nested repetitions such as ``(a+)+`` can take years for one name. The matcher looks for signals,
    which only a main thread gets: elsewhere only the job's own limit holds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_SECONDS + n_names * SECONDS_PER_NAME)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _search(pattern: re.Pattern[str], entry: FileEntry) -> re.Match[str] | None:
    """Return where a pattern fits: the name first, then the path, for patterns that name folders."""
    return pattern.search(entry.name) or (pattern.search(entry.path) if entry.folder else None)


def _integer(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{text[:20]!r} is not a number of at most nine digits")
    return int(text)


def _row(text: str) -> int:
    return int(text) - 1 if text.isdecimal() else well_position(f"{text}1")[0]


def _plane(entry: FileEntry, match: re.Match[str]) -> SourcePlane:
    """Return the plane a name describes; ValueError if no plate has it."""
    groups = match.groupdict()
    if groups.get("row") is not None:
        well = well_name(_row(groups["row"]), _integer(groups["column"]) - 1)
    else:
        well = well_name(*well_position(groups.get("well") or "A01"))
    site = groups.get("site") or "1"
    channel = groups.get("channel") or groups.get("channel_name") or "1"
    return SourcePlane(
        file=entry.path,
        well=well,
        site=str(int(site)) if site.isdecimal() and len(site) <= 9 else site[:40],
        channel=str(int(channel)) if channel.isdecimal() and len(channel) <= 9 else channel[:40],
        z=_integer(groups.get("z")),
        t=_integer(groups.get("t")),
    )


def _matches(
    images: list[FileEntry], pattern: re.Pattern[str]
) -> list[tuple[FileEntry, re.Match[str] | None]]:
    """Return where the pattern fits each name; FileError with the name at which time ran out."""
    found: list[tuple[FileEntry, re.Match[str] | None]] = []
    try:
        with _limited(len(images)):
            found.extend((entry, _search(pattern, entry)) for entry in images)
    except _TooSlow:
        slow = shown(images[min(len(found), len(images) - 1)].path)
        raise FileError(
            f"the pattern takes too long with {slow}: avoid repetitions of repetitions such as (a+)+",
            code="bad_pattern", files=(slow,),
        ) from None  # fmt: skip
    return found


def _parse(
    images: list[FileEntry], pattern: re.Pattern[str]
) -> tuple[list[SourcePlane], list[str], list[str]]:
    """Return planes, names that don't match, and names that match but make no sense."""
    planes: list[SourcePlane] = []
    unmatched: list[str] = []
    absurd: list[str] = []
    for entry, match in _matches(images, pattern):
        if match is None:
            unmatched.append(entry.path)
            continue
        try:
            planes.append(_plane(entry, match))
        except ValueError:
            absurd.append(entry.path)
    return planes, unmatched, absurd


def best_default(images: list[FileEntry]) -> tuple[str, float]:
    """Return the built-in pattern that understands most names, and which part of them it does."""
    sample = images[:: max(1, len(images) // 500)]
    best, found = "", 0
    for pattern in DEFAULT_PATTERNS:
        planes, _, _ = _parse(sample, re.compile(pattern))
        distinct = len({p[1:7] for p in planes})
        # A pattern that takes most names for the same planes overlooks something in them.
        if distinct > found and 2 * distinct > len(planes):
            best, found = pattern, distinct
    return best, found / max(1, len(sample))


class PatternReader:
    name: ClassVar = "pattern"
    title: ClassVar = "Images named by a pattern"
    help: ClassVar = (
        "Plain TIFF or PNG files; a regular expression with the groups well (or row and column), site, "
        "channel, z and t reads their names. Without one, common patterns are tried."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return up to 0.4, by how many names the best built-in pattern understands."""
        return 0.4 * best_default(listing.images())[1]

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:
        """Return the planes that the names describe.

        Raises
        ------
        UserError
            The pattern is none, or no built-in one fits.
        """
        images = listing.images()
        if pattern:
            compiled = compile_pattern(pattern)
        else:
            chosen, _ = best_default(images)
            if not chosen:
                raise UserError(
                    "no built-in pattern understands the file names; give one with the groups "
                    + ", ".join(GROUPS),
                    code="bad_pattern",
                )
            compiled = re.compile(chosen)
        planes, unmatched, absurd = _parse(images, compiled)
        problems = [
            *aggregate("unknown_name", "{n} image names don't match the pattern", unmatched),
            *aggregate(
                "bad_name", "{n} image names match but name no well or number", absurd, "error"
            ),
        ]
        keys = sorted({p.channel for p in planes}, key=natural)
        channels = tuple(
            ChannelFacts(key=k, name=f"Channel{k}" if k.isdecimal() else k) for k in keys
        )
        return Survey(VendorFacts(reader="pattern", channels=channels), planes, [], problems)
