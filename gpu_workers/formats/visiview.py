"""Visitron VisiView and MetaMorph: an ``.nd`` file beside ``<name>_w1DAPI_s1_t1.stk`` (or ``.tif``).

The ``.nd`` file says which wavelengths, stage positions and time points there are; a stage list (``.stg``)
beside it has their coordinates. Each part of a name stands only where the acquisition varied it; several
``.nd`` files without stage positions are positions taken by hand.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, shown
from gpu_workers.formats.metadata_text import read_text
from gpu_workers.formats.metadata_xml import number, whole
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

_LINE = re.compile(r'"(?P<key>[A-Za-z]+\d*)"\s*,\s*(?P<value>.*)')
_END = r"(?:_w(?P<wave>\d{1,2})(?P<name>.*?))?(?:_s(?P<site>\d{1,5}))?(?:_t(?P<time>\d{1,6}))?\.(?:stk|tiff?)"
_PLATE = re.compile(
    r"row:\s*(?P<row>\w{1,2})\W+column:\s*(?P<column>\d{1,2})(?:\W+site:\s*(?P<site>\d{1,5}))?",
    re.IGNORECASE,
)
_WELL = re.compile(r"\W*(?P<well>[A-P]\d{1,2})(?:\D+(?P<site>\d{1,5}))?\W*")
_CELL = re.compile(r"Row_?(?P<y>\d{1,4})_Col_?(?P<x>\d{1,4})", re.IGNORECASE)
_STAGE = re.compile(r'"(?P<name>[^"]*)"\s*,\s*(?P<x>-?[\d.]+)\s*,\s*(?P<y>-?[\d.]+)')
_UNSTAINED = re.compile(r"bright|phase|\bdic\b|transmi|\bbf\b", re.IGNORECASE)
_START = re.compile(r"(\d{4})(\d{2})(\d{2}) (\d{2}:\d{2}:\d{2})(?:\.\d*)?")
Key = tuple[int, int, int]
MAX_COUNT: Final = 100_000
MAX_NAME: Final = 200
MAX_EXPECTED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an ``.nd`` file says; `stages` has a name for each position, `waves` for each wavelength."""

    path: str
    waves: tuple[str, ...] = ()
    in_name: bool = True
    stages: tuple[str, ...] = ()
    n_tpoints: int = 0
    z_step_um: float | None = None
    started: str | None = None

    @property
    def stem(self) -> str:
        return self.path.rpartition("/")[2].rpartition(".")[0]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


class _Place(NamedTuple):
    """Where a stage position belongs: well and site, both empty where its name says neither."""

    well: str
    site: str


@dataclass(slots=True)
class _Found:
    planes: list[SourcePlane] = field(default_factory=list)
    absent: list[SourcePlane] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def parse_nd(text: str, path: str) -> Experiment:
    """Return the content of an ``.nd`` file.

    Raises
    ------
    FileError
        It isn't one, or a number in it is absurd (`bad_metadata`).
    """
    lines = text.splitlines()
    # The description may go on over several lines; every other key starts one.
    values = {
        m["key"]: m["value"].strip().strip('"')[:MAX_NAME]
        for line in lines
        if (m := _LINE.match(line.strip()))
    }
    if "NDInfoFile" not in values:
        raise FileError(
            f"{shown(path)} is no .nd file of VisiView or MetaMorph",
            code="bad_metadata",
            files=(path,),
        )

    def on(key: str) -> bool:
        return values.get(key, "").upper() == "TRUE"

    def count(switch: str, key: str) -> int:
        if not on(switch):
            return 0
        found = whole(values.get(key), -1)
        if not 0 <= found <= MAX_COUNT:
            raise FileError(
                f"{shown(path)} says {key} is {shown(values.get(key, 'nothing'))!r}; at most {MAX_COUNT} can be",
                code="bad_metadata", files=(path,),
            )  # fmt: skip
        return found

    step = number(values.get("ZStepSize", "").replace(",", "."))
    started = _START.match(values.get("StartTime1", ""))
    return Experiment(
        path=path,
        waves=tuple(
            values.get(f"WaveName{n + 1}", "") for n in range(count("DoWave", "NWavelengths"))
        ),
        in_name=values.get("WaveInFileName", "TRUE").upper() == "TRUE",
        stages=tuple(
            values.get(f"Stage{n + 1}", "") for n in range(count("DoStage", "NStagePositions"))
        ),
        n_tpoints=count("DoTimelapse", "NTimePoints"),
        z_step_um=step if on("DoZSeries") and step and step > 0 else None,
        started=f"{started[1]}-{started[2]}-{started[3]}T{started[4]}" if started else None,
    )


class VisiViewReader:
    name: ClassVar = "visiview"
    title: ClassVar = "Visitron VisiView, MetaMorph"
    help: ClassVar = "An .nd file beside stacks called <name>_w1DAPI_s1_t1.stk."
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 0.96 for an .nd file with images that go with it."""
        found = listing.with_suffix(".nd")
        stems = tuple(f.path.rpartition(".")[0] for f in found)
        return 0.96 if found and any(f.path.startswith(stems) for f in listing.images()) else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that belong to the .nd files; those they promise but which lack are absent.

        Raises
        ------
        FileError
            There is no .nd file, several have stage positions, or one can't be parsed.
        """
        experiments = [parse_nd(read_text(listing, f), f.path) for f in listing.with_suffix(".nd")]
        if not experiments:
            raise FileError("there is no .nd file", code="no_metadata")
        if len(experiments) > 1 and any(e.stages for e in experiments):
            raise FileError(
                f"the folder holds {len(experiments)} acquisitions with stage positions; keep each in its own",
                code="several_plates", files=tuple(e.path for e in experiments),
            )  # fmt: skip
        found = _Found()
        coordinates = _coordinates(listing)
        grid = _grid(experiments[0].stages)
        images = _by_stem(listing, experiments)
        for experiment in experiments:
            site = experiment.stem if len(experiments) > 1 else ""
            _add(found, experiment, images[experiment.path], coordinates, site)
        unknown = [f.path for f in listing.images() if f.path not in found.used]
        names = ", ".join(e.path for e in experiments[:5])
        found.problems += aggregate(
            "unlisted_files",
            f"{{n}} images belong to no position, wavelength or time point of {names}",
            unknown,
        )
        first = experiments[0]
        facts = VendorFacts(
            reader=self.name,
            grid=grid,
            channels=tuple(_channels(experiments, {p.channel for p in found.planes})),
            z_step_um=first.z_step_um,
            acquired_at=first.started,
        )
        files = [f for f in listing.images() if f.path in found.used]
        return Survey(facts, found.planes, found.absent, found.problems, files)


def _by_stem(listing: Listing, experiments: list[Experiment]) -> dict[str, list[FileEntry]]:
    """Return the images of each experiment: those in its folder whose names go on from its own."""
    stems = sorted(((e.folder, e.stem, e.path) for e in experiments), key=lambda e: -len(e[1]))
    found: dict[str, list[FileEntry]] = {e.path: [] for e in experiments}
    longest: dict[str, list[tuple[str, str]]] = {}
    for folder, stem, path in stems:
        longest.setdefault(folder, []).append((stem, path))
    for image in listing.images():
        for stem, path in longest.get(image.folder, ()):
            if image.name.startswith(stem) and image.name[len(stem) : len(stem) + 1] in ("_", "."):
                found[path].append(image)
                break
    return found


def _add(
    found: _Found,
    experiment: Experiment,
    images: list[FileEntry],
    coordinates: dict[str, tuple[float, float]],
    site: str,
) -> None:
    """Add the planes of one experiment, and those it promises but which aren't there."""
    pattern = re.compile(re.escape(experiment.stem) + _END, re.IGNORECASE)
    places = _places(experiment.stages)
    there: set[Key] = set()
    for image in images:
        match = pattern.fullmatch(image.name)
        if match is None:
            continue
        wave, stage, t = (int(match[name] or 0) for name in ("wave", "site", "time"))
        if wave <= max(1, len(experiment.waves)) and stage <= max(1, len(experiment.stages)):
            key = (wave, stage, t)
            there.add(key)
            found.used.add(image.path)
            found.planes.append(_plane(image.path, experiment, places, coordinates, key, site))
    axes = tuple(
        range(1, n + 1) if n else range(1)
        for n in (len(experiment.waves), len(experiment.stages), experiment.n_tpoints)
    )
    expected = math.prod(map(len, axes))
    if expected > MAX_EXPECTED:
        message = f"{experiment.path} promises {expected} images, {len(there)} are there"
        problem = Problem(
            severity="error", code="absent_files", message=message, files=(experiment.path,)
        )
        found.problems.append(problem)
        return

    def needed(key: Key) -> tuple[int, ...]:
        # Where only one is taken, some versions leave its number out.
        return tuple(k if len(axis) > 1 else 0 for k, axis in zip(key, axes, strict=True))

    known = {needed(key) for key in there}
    below = f"{experiment.folder}/" if experiment.folder else ""
    absent = [
        _plane(f"{below}{_name(experiment, key)}", experiment, places, coordinates, key, site)
        for key in itertools.product(axes[0], axes[1], axes[2])
        if needed(key) not in known
    ]
    found.absent += absent
    found.problems += aggregate(
        "absent_files", f"not there, although {experiment.path} promises them: {{n}} of {expected} images",
        [p.file for p in absent], "error",
    )  # fmt: skip


def _plane(
    file: str,
    experiment: Experiment,
    places: list[_Place],
    coordinates: dict[str, tuple[float, float]],
    key: Key,
    site: str,
) -> SourcePlane:
    wave, stage, t = key
    place = (
        places[stage - 1] if stage and places else _Place("", site or (str(stage) if stage else ""))
    )
    name = experiment.stages[stage - 1] if stage and experiment.stages else ""
    y, x = coordinates.get(name, (None, None))
    return SourcePlane(
        file=file,
        well=place.well,
        site=place.site,
        channel=f"w{wave}" if wave else "",
        t=t,
        stage_y_um=y,
        stage_x_um=x,
    )


def _name(experiment: Experiment, key: Key) -> str:
    wave, stage, t = key
    name = experiment.stem
    if wave:
        name += f"_w{wave}" + (experiment.waves[wave - 1] if experiment.in_name else "")
    name += f"_s{stage}" if stage else ""
    name += f"_t{t}" if t else ""
    return f"{name}.{'stk' if experiment.z_step_um else 'tif'}"


def _places(stages: tuple[str, ...]) -> list[_Place]:
    """Return well and site of each stage position, by its name where that says them for all."""
    if (grid := _grid(stages)) is not None:
        cells = [(int(m["y"]), int(m["x"])) for s in stages if (m := _CELL.fullmatch(s))]
        top, left = min(y for y, _ in cells), min(x for _, x in cells)
        return [_Place("", str((y - top) * grid[1] + x - left + 1)) for y, x in cells]
    places: list[_Place] = []
    taken: dict[str, int] = {}
    for name in stages:
        match = _PLATE.search(name) or _WELL.fullmatch(name)
        well = _well(match) if match else None
        if match is None or well is None:
            return [_Place("", str(n + 1)) for n in range(len(stages))]
        taken[well] = taken.get(well, 0) + 1
        places.append(_Place(well, str(int(match["site"])) if match["site"] else str(taken[well])))
    if len(set(places)) < len(places):
        return [_Place(p.well, str(n)) for n, p in enumerate(places, 1)]
    return places


def _well(match: re.Match[str]) -> str | None:
    groups = match.groupdict()
    row = groups.get("row")
    try:
        if row and row.isdecimal():
            return well_name(int(row) - 1, int(groups["column"]) - 1)
        return well_name(*well_position(groups.get("well") or f"{row}{groups['column']}"))
    except ValueError:
        return None


def _grid(stages: tuple[str, ...]) -> tuple[int, int] | None:
    """Return rows and columns where all positions are called like ``Row0_Col3``, as slide scans are."""
    matches = [_CELL.fullmatch(s) for s in stages]
    cells = [(int(m["y"]), int(m["x"])) for m in matches if m]
    if not cells or len(cells) < len(stages) or len(set(cells)) < len(cells):
        return None
    (rows, columns) = (
        max(c[axis] for c in cells) - min(c[axis] for c in cells) + 1 for axis in (0, 1)
    )
    return (rows, columns) if rows * columns <= MAX_COUNT else None


def _coordinates(listing: Listing) -> dict[str, tuple[float, float]]:
    """Return y and x, µm, of the stage positions by name, from the stage list if there is just one."""
    lists = listing.with_suffix(".stg")
    if len(lists) != 1:
        return {}
    found: dict[str, tuple[float, float]] = {}
    for match in _STAGE.finditer(read_text(listing, lists[0])):
        y, x = number(match["y"]), number(match["x"])
        if y is not None and x is not None:
            found[match["name"]] = (y, x)
    return found


def _channels(experiments: list[Experiment], used: set[str]) -> Iterator[ChannelFacts]:
    waves = max((e.waves for e in experiments), key=len)
    for key in sorted(used - {""}, key=natural):
        n = int(key[1:])
        name = waves[n - 1].strip()[:60] if n <= len(waves) else ""
        unique = name and waves.count(waves[n - 1]) == 1
        yield ChannelFacts(
            key=key, name=name if unique else key, brightfield=bool(_UNSTAINED.search(name))
        )
