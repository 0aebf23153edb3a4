"""Molecular Devices ImageXpress: folders ``TimePoint_N/ZStep_N`` as MetaXpress exports or stores them.

The .HTD file says which wells, sites, channels, time points and z planes there should be. Stage
positions, calibration and wavelengths stand in the TIFF files (`gpu_workers.formats.files`).
``ZStep_0``, and files beside ``ZStep_N`` folders, are MetaXpress' own projections.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, shown
from gpu_workers.formats.metadata_text import read_text
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    well_name,
    well_position,
)
from gpu_workers.messages import Problem

_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
# The well is in capitals: else site s10 would be taken for well S10.
_FILE = re.compile(
    rf"(?P<plate>.*)_(?P<well>(?-i:[A-Z]{{1,2}}[0-9]{{2}}))(?:_s(?P<site>\d{{1,4}}?))?(?:_w(?P<wave>\d{{1,2}}?))?"
    rf"(?:_t(?P<time>\d{{1,5}}?))?(?P<thumb>_thumb)?(?:{_GUID})?\.tiff?",
    re.IGNORECASE,
)
_TIME = re.compile(r"TimePoint_(\d{1,6})", re.IGNORECASE)
_STEP = re.compile(r"ZStep_(\d{1,6})", re.IGNORECASE)
_MAX_EXPECTED = 3_000_000


@dataclass(frozen=True, slots=True)
class _Htd:
    """What an .HTD file says.

    Attributes
    ----------
    sites
        Numbers of the sites, from 1, row by row over the selected fields of the grid.
    """

    stem: str
    n_rows: int
    n_columns: int
    wells: tuple[str, ...]
    grid: tuple[int, int]
    sites: tuple[int, ...]
    waves: tuple[str, ...]
    n_tpoints: int
    n_zsteps: int
    named_sites: bool
    named_waves: bool


def _count(table: dict[str, list[str]], key: str, file: str, default: int, top: int) -> int:
    text = table.get(key, [str(default)])[0]
    if not text.isdecimal() or len(text) > 9 or int(text) > top:
        raise FileError(
            f"{file} says {key} is {shown(text)!r}; at most {top} can be",
            code="bad_metadata",
            files=(file,),
        )
    return int(text)


def _flags(table: dict[str, list[str]], key: str, n: int) -> list[bool]:
    values = [v.upper() == "TRUE" for v in table.get(key, [])]
    return (values + [False] * n)[:n]


def parse_htd(text: str, file: str) -> _Htd:
    """Return the content of an .HTD file.

    Raises
    ------
    FileError
        It isn't one, or a number in it is absurd.
    """
    try:
        rows = [r for r in csv.reader(text.splitlines(), skipinitialspace=True, strict=False) if r]
    except csv.Error as error:
        raise FileError(
            f"{file} cannot be parsed: {error}", code="bad_metadata", files=(file,)
        ) from error
    table = {r[0].strip(): [v.strip() for v in r[1:]] or [""] for r in rows}
    if "HTSInfoFile" not in table or "XWells" not in table:
        raise FileError(
            f"{file} is not an .HTD file of MetaXpress", code="bad_metadata", files=(file,)
        )
    n_columns = _count(table, "XWells", file, 1, 48)
    n_rows = _count(table, "YWells", file, 1, 32)
    wells = tuple(
        well_name(row, column)
        for row in range(n_rows)
        for column, chosen in enumerate(_flags(table, f"WellsSelection{row + 1}", n_columns))
        if chosen
    )
    grid = _count(table, "YSites", file, 1, 100), _count(table, "XSites", file, 1, 100)
    named_sites = _flags(table, "Sites", 1)[0]
    chosen = sum(sum(_flags(table, f"SiteSelection{r + 1}", grid[1])) for r in range(grid[0]))
    n_waves = _count(table, "NWavelengths", file, 1, 99)
    waves = tuple(table.get(f"WaveName{w + 1}", [""])[0] or f"w{w + 1}" for w in range(n_waves))
    z_series = _flags(table, "ZSeries", 1)[0]
    return _Htd(
        stem=file.rpartition("/")[2].rpartition(".")[0],
        n_rows=n_rows,
        n_columns=n_columns,
        wells=wells,
        grid=grid,
        sites=tuple(range(1, (chosen if named_sites else 1) + 1)) or (1,),
        waves=waves,
        n_tpoints=max(1, _count(table, "TimePoints", file, 1, 999_999)),
        n_zsteps=_count(table, "ZSteps", file, 1, 99_999) if z_series else 1,
        named_sites=named_sites,
        named_waves=_flags(table, "Waves", 1)[0] or n_waves > 1,
    )


def _number(pattern: re.Pattern[str], folder: str) -> int | None:
    found = next((m for part in folder.split("/") if (m := pattern.fullmatch(part))), None)
    return int(found[1]) if found else None


def _parse(entry: FileEntry) -> SourcePlane | None:
    """Return the plane that a file's name and folders describe; None for thumbnails and others."""
    match = _FILE.fullmatch(entry.name)
    if match is None or match["thumb"]:
        return None
    try:
        well = well_name(*well_position(match["well"]))
    except ValueError:
        return None
    step = _number(_STEP, entry.folder)
    return SourcePlane(
        file=entry.path,
        well=well,
        site=str(int(match["site"] or 1)),
        channel=f"w{int(match['wave'] or 1)}",
        z=-1 if step is None else step,
        t=_number(_TIME, entry.folder) or int(match["time"] or 1),
        role="projection" if step == 0 else "plane",
    )


def _resolved(planes: list[SourcePlane]) -> list[SourcePlane]:
    """Return the planes after deciding what files outside ``ZStep_N`` folders are.

    Beside z planes of the same field they are projections, on their own they are the only plane.
    """
    stacks = {(p.well, p.site, p.channel, p.t) for p in planes if p.z > 0}
    return [
        p
        if p.z >= 0
        else p._replace(z=0, role="projection")
        if (p.well, p.site, p.channel, p.t) in stacks
        else p._replace(z=1)
        for p in planes
    ]


class ImageXpressReader:
    name: ClassVar = "imagexpress"
    title: ClassVar = "Molecular Devices ImageXpress"
    help: ClassVar = "MetaXpress plates: an .HTD file with TimePoint_N and ZStep_N folders."
    VERSION: ClassVar = 2

    def score(self, listing: Listing) -> float:
        """Return 0.95 for an .HTD file, 0.6 for most names in MetaXpress' style in folders of its own.

        Without such folders it is 0.5 where the names number sites or wavelengths.
        """
        if listing.with_suffix(".htd"):
            return 0.95
        images = listing.images()
        found = [m for f in images if (m := _FILE.fullmatch(f.name))]
        if len(found) <= 0.5 * len(images):
            return 0.0
        if any(_TIME.search(f.folder) or _STEP.search(f.folder) for f in images):
            return 0.6
        return 0.5 if sum(bool(m["site"] or m["wave"]) for m in found) > 0.5 * len(images) else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes of the plate; those the .HTD file promises but which lack are absent.

        Raises
        ------
        FileError
            The .HTD file can't be parsed, or the folder holds several plates.
        """
        entry = self._description(listing)
        htd = parse_htd(read_text(listing, entry), shown(entry.path)) if entry else None
        parsed = [(f, _parse(f)) for f in listing.images()]
        planes = _resolved([p for _, p in parsed if p])
        unknown = [
            f.path
            for f, p in parsed
            if p is None and not ((m := _FILE.fullmatch(f.name)) and m["thumb"])
        ]
        problems = [*aggregate("unknown_name", "{n} image names were not understood", unknown)]
        absent: list[SourcePlane] = []
        if htd and entry:
            planes, others = _promised(planes, htd)
            problems += aggregate(
                "unlisted_files", f"{{n}} images are of wells or channels that {entry.path} doesn't name",
                others,
            )  # fmt: skip
            absent, more = _absent(planes, htd, entry.path)
            problems += more
        used = {p.file for p in planes}
        files = [f for f, _ in parsed if f.path in used]
        return Survey(_facts(htd, planes), planes, absent, problems, files)

    @staticmethod
    def _description(listing: Listing) -> FileEntry | None:
        found = listing.with_suffix(".htd")
        folders = {f.folder for f in found}

        def nested(folder: str) -> bool:
            above = folder
            while above:
                above = above.rpartition("/")[0]
                if above in folders:
                    return True
            return False

        roots = [f for f in found if not nested(f.folder)]
        if len(roots) > 1:
            raise FileError(
                f"the folder holds {len(roots)} plates; an acquisition is one of them",
                code="several_plates", files=tuple(f.path for f in roots),
            )  # fmt: skip
        return roots[0] if roots else None


def _promised(planes: list[SourcePlane], htd: _Htd) -> tuple[list[SourcePlane], list[str]]:
    wells = frozenset(htd.wells)
    waves = {f"w{n + 1}" for n in range(len(htd.waves))}
    kept = [p for p in planes if p.well in wells and p.channel in waves]
    chosen = {p.file for p in kept}
    return kept, [p.file for p in planes if p.file not in chosen]


def _facts(htd: _Htd | None, planes: list[SourcePlane]) -> VendorFacts:
    keys = sorted({p.channel for p in planes}, key=lambda k: int(k[1:]))
    if htd is None:
        return VendorFacts(
            reader="imagexpress", channels=tuple(ChannelFacts(key=k, name=k) for k in keys)
        )
    return VendorFacts(
        reader="imagexpress",
        plate_name=htd.stem,
        n_rows=htd.n_rows,
        n_columns=htd.n_columns,
        plate_format=htd.n_rows * htd.n_columns
        if htd.n_rows * htd.n_columns in PLATE_FORMATS
        else None,
        grid=htd.grid,
        channels=tuple(
            ChannelFacts(key=f"w{n + 1}", name=name) for n, name in enumerate(htd.waves)
        ),
    )


def _absent(
    planes: list[SourcePlane], htd: _Htd, file: str
) -> tuple[list[SourcePlane], list[Problem]]:
    """Return the planes that the .HTD file promises and no file holds, and the problem that names them."""
    steps: dict[str, set[int]] = defaultdict(set)
    for plane in planes:
        if plane.role == "plane":
            steps[plane.channel].add(plane.z)
    sites = _site_numbers(planes, htd)
    expected = len(htd.wells) * len(sites) * htd.n_tpoints * htd.n_zsteps * len(htd.waves)
    if expected > _MAX_EXPECTED:
        message = f"{file} promises {expected} images, {len(planes)} are there"
        return [], [Problem(severity="error", code="absent_files", message=message, files=(file,))]
    there = {(p.well, p.site, p.channel, p.t, p.z) for p in planes if p.role == "plane"}
    absent = [
        SourcePlane(
            _file_name(htd, well, site, wave, t, z, file), well, str(site), f"w{wave}", z, t
        )
        for wave in range(1, len(htd.waves) + 1)
        for z in _steps(steps[f"w{wave}"], htd)
        for t in range(1, htd.n_tpoints + 1)
        for well in htd.wells
        for site in sites
        if (well, str(site), f"w{wave}", t, z) not in there
    ]
    problem = aggregate(
        "absent_files", f"not there, although {file} promises them: {{n}} of {expected} images",
        [p.file for p in absent], "error",
    )  # fmt: skip
    return absent, list(problem)


def _steps(found: set[int], htd: _Htd) -> list[int]:
    # A channel may be taken in one plane while the others are stacks; one never seen is expected whole.
    if len(found) == 1 and htd.n_zsteps > 1:
        return sorted(found)
    return sorted(found | set(range(1, htd.n_zsteps + 1)))


def _site_numbers(planes: list[SourcePlane], htd: _Htd) -> list[int]:
    # With gaps in the selection some versions number all fields of the grid, others those selected.
    found = {int(p.site) for p in planes}
    promised = set(htd.sites)
    if found <= promised:
        return sorted(promised)
    return sorted(found)


def _file_name(htd: _Htd, well: str, site: int, wave: int, t: int, z: int, file: str) -> str:
    folder = file.rpartition("/")[0]
    parts = [folder] if folder else []
    parts.append(f"TimePoint_{t}")
    if htd.n_zsteps > 1:
        parts.append(f"ZStep_{z}")
    name = f"{htd.stem}_{well}"
    name += f"_s{site}" if htd.named_sites else ""
    name += f"_w{wave}" if htd.named_waves else ""
    return "/".join([*parts, f"{name}.TIF"])
