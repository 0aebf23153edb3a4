"""What a folder of microscope files holds, seen without converting it; entry point: `inspect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from gpu_workers.errors import FileError
from gpu_workers.formats import channels
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.expansion import (
    IMAGE_TYPES,
    NAMED_TYPES,
    PAGE_TYPES,
    Expanded,
    expand,
    frame,
    image_rows,
)
from gpu_workers.formats.files import read_contents
from gpu_workers.formats.listing import Listing, aggregate, scan
from gpu_workers.formats.reader import Reader, choose, survey_of
from gpu_workers.formats.survey import (
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_position,
)
from gpu_workers.messages import Json, Message, Problem

MAX_HEADERS = 4000
MAX_TRIES = 5
_PLACES = ("stage_y_um", "stage_x_um", "z_um", "y_px", "x_px")


class SiteFacts(Message):
    """One field of view with the position its files state, in the vendor's axes."""

    well: str
    name: str
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    y_px: float | None = None
    x_px: float | None = None
    height: int | None = None
    width: int | None = None


class PlateFacts(Message):
    """The plate as the files describe it."""

    name: str | None
    n_rows: int | None
    n_columns: int | None
    wells: tuple[str, ...]


class Inspection(Message):
    """What a reader sees in a folder; `n_absent` planes are named by metadata but have no file.

    `n_opened` of the `n_images` image files were opened; the others were taken to be like those of
    their channel. `shape` and `dtype` are the commonest of `shapes` and `dtypes`.
    """

    reader: str
    n_files: int
    n_bytes: int
    n_planes: int
    n_projections: int
    n_absent: int
    plates: tuple[PlateFacts, ...]
    wells: tuple[str, ...]
    sites: tuple[SiteFacts, ...]
    channels: tuple[ChannelFacts, ...]
    z: tuple[int, ...]
    t: tuple[int, ...]
    shape: tuple[int, int] | None
    dtype: str | None
    pixel_size_um: float | None
    problems: tuple[Problem, ...]
    title: str = ""
    n_images: int = 0
    n_opened: int = 0
    cycles: tuple[int, ...] = ()
    z_step_um: float | None = None
    t_step_s: float | None = None
    objective: str | None = None
    magnification: float | None = None
    plate_format: int | None = None
    grid: tuple[int, int] | None = None
    acquired_at: str | None = None
    y_sign: int = 1
    unplaced: tuple[str, ...] = ()
    shapes: tuple[tuple[int, int], ...] = ()
    dtypes: tuple[str, ...] = ()


def inspect(folder: Path, microscope: str | None = None, pattern: str | None = None) -> Inspection:
    """Return what a folder holds: plates, wells, sites, channels, planes, and what is wrong.

    Where names and metadata tell everything, one image of each channel is opened, and one of each site
    if no metadata states the positions; else all are, up to 4000.

    Parameters
    ----------
    folder
        Folder with one acquisition of one plate.
    microscope
        Name of the reader; by default the one that fits best.
    pattern
        Regular expression for the file names, for the pattern reader.

    Raises
    ------
    FileError
        The folder is missing or empty, no reader fits, or metadata can't be parsed.
    UserError
        The pattern or the reader's name is wrong.
    """
    listing = scan(Path(folder))
    reader = choose(listing, microscope, pattern)
    survey = survey_of(reader, listing, pattern)
    opened = _Opened(Path(folder))
    opened.look(survey)
    found = opened.expanded(survey)
    problems = [*listing.problems, *survey.problems, *opened.problems, *found.problems]
    if found.planes.empty:
        if survey.planes:
            message = "no image could be read"
        else:
            message = "none of the images is there" if survey.absent else "there is no image"
        problems.append(Problem(severity="error", code="no_images", message=message))
    return _answer(reader, listing, survey, opened, found, tuple(problems))


class _Opened:
    """The files that were opened for an inspection, and what they say."""

    def __init__(self, folder: Path):
        self.contents: dict[str, tuple[ImageContent, ...]] = {}
        self.problems: list[Problem] = []
        self._folder = folder
        self._failed: set[str] = set()

    def __len__(self) -> int:
        return len(self.contents) + len(self._failed)

    def look(self, survey: Survey) -> None:
        """Open as many files as it takes to know what all are."""
        planes = survey.planes
        if all(p.well and p.site and p.channel for p in planes):
            self._samples(planes)
            first = {(p.well, p.site): p for p in reversed(planes)}
            placed = any(p.stage_x_um is not None or p.x_px is not None for p in first.values())
            told = any(i.stage_x_um is not None for c in self.contents.values() for i in c)
            # Files of a format that doesn't tell: there's no use in opening more of them.
            if told and not placed:
                self._each(p.file for p in first.values())
            return
        self._each(f.path for f in survey.files or [])
        self._each(p.file for p in planes)

    def _samples(self, planes: list[SourcePlane]) -> None:
        """Open a file of each channel, and the next few where it is damaged."""
        alike: dict[tuple[str, str], list[str]] = {}
        for p in planes:
            alike.setdefault((p.channel, p.role), []).append(p.file)
        for files in alike.values():
            for file in dict.fromkeys(files[:MAX_TRIES]):
                self._each([file])
                if file in self.contents:
                    break

    def _each(self, files: Any) -> None:
        left: list[str] = []
        for file in sorted(set(files), key=natural):
            if file in self.contents or file in self._failed:
                continue
            if len(self) >= MAX_HEADERS:
                left.append(file)
                continue
            try:
                self.contents[file] = read_contents(self._folder, file)
            except FileError as error:
                self._failed.add(file)
                self.problems.append(
                    Problem(
                        severity="error", code=error.code, message=error.message, files=error.files
                    )
                )
        self.problems += aggregate("not_opened", "{n} files weren't opened to be inspected", left)

    def expanded(self, survey: Survey) -> Expanded:
        """Return the planes of all files; those that weren't opened are taken to be like the others."""
        images: list[Json] = []
        pages: list[Json] = []
        for file, contents in self.contents.items():
            rows = image_rows(file, contents)
            images += rows[0]
            pages += rows[1]
        images += [{"file": f, "image": 0, "code": "unreadable"} for f in sorted(self._failed)]
        images += self._alike(survey.planes, images)
        return expand(
            frame(survey.planes, NAMED_TYPES), frame(images, IMAGE_TYPES), frame(pages, PAGE_TYPES)
        )

    def _alike(self, planes: list[SourcePlane], images: list[Json]) -> list[Json]:
        """Return rows for unopened files: those of an opened one of their channel, without its place."""
        by_file: dict[str, list[Json]] = {}
        for row in images:
            if not row.get("listed") and row.get("code") is None:
                by_file.setdefault(row["file"], []).append(row)
        patterns: dict[tuple[str, str], list[Json]] = {}
        for p in planes:
            if p.file in by_file:
                patterns.setdefault((p.channel, p.role), by_file[p.file])
        nowhere = dict.fromkeys(_PLACES)
        rows: list[Json] = []
        done = set(self.contents) | self._failed
        for p in planes:
            if p.file not in done:
                done.add(p.file)
                like = patterns.get((p.channel, p.role), [])
                rows += [{**row, **nowhere, "file": p.file} for row in like]
        return rows


def _rank(well: str) -> tuple[int, int]:
    try:
        return well_position(well)
    except ValueError:
        return (-1, -1)


def _answer(
    reader: Reader,
    listing: Listing,
    survey: Survey,
    opened: _Opened,
    found: Expanded,
    problems: tuple[Problem, ...],
) -> Inspection:
    facts, planes = survey.facts, found.planes
    images = [i for contents in opened.contents.values() for i in contents]
    shapes = _commonest([(i.height, i.width) for i in images])
    dtypes = _commonest([i.dtype for i in images])
    stack = planes[planes["role"] == "plane"]
    wells = tuple(sorted({*planes["well"], *_named(survey.absent, "well")}, key=_rank))
    known = [*survey.planes, *survey.absent]
    times = {p.t for p in survey.absent}
    depths = {p.z for p in survey.absent if p.role == "plane"}
    return Inspection(
        reader=reader.name,
        title=reader.title,
        n_files=len(listing.files),
        n_images=len(survey.files if survey.files is not None else listing.images()),
        n_opened=len(opened),
        n_bytes=sum(f.size for f in listing.files),
        n_planes=len(stack),
        n_projections=len(planes) - len(stack),
        n_absent=len(survey.absent),
        plates=_plates(facts, images, wells),
        wells=wells,
        sites=_sites(planes, survey.absent),
        channels=channels.described(planes, found, facts) or facts.channels,
        z=tuple(sorted(depths.union((stack if len(stack) else planes)["z"].astype(int)))),
        t=tuple(sorted(times.union(planes["t"].astype(int)))),
        cycles=tuple(sorted({p.cycle for p in known if p.cycle is not None})),
        shape=shapes[0] if shapes else facts.shape,
        dtype=dtypes[0] if dtypes else facts.dtype,
        shapes=shapes or ((facts.shape,) if facts.shape else ()),
        dtypes=dtypes or ((facts.dtype,) if facts.dtype else ()),
        pixel_size_um=facts.pixel_size_um or _common([i.pixel_size_um for i in images]),
        z_step_um=facts.z_step_um or _common([i.z_step_um for i in images]),
        t_step_s=facts.t_step_s or _common([i.t_step_s for i in images]),
        objective=facts.objective or _common([i.objective for i in images]),
        magnification=facts.magnification or _common([i.magnification for i in images]),
        acquired_at=facts.acquired_at or _common([i.acquired_at for i in images]),
        plate_format=facts.plate_format,
        grid=facts.grid,
        y_sign=facts.y_sign,
        unplaced=tuple(survey.unplaced),
        problems=problems,
    )


def _named(planes: list[SourcePlane], name: str) -> set[str]:
    return {value for p in planes if (value := getattr(p, name))}


def _commonest(values: list[Any]) -> tuple[Any, ...]:
    """Return the values that aren't None, each once, the most common first."""
    return tuple(v for v, _ in Counter(v for v in values if v is not None).most_common())


def _common(values: list[Any]) -> Any:
    """Return the most common value that isn't None, or None."""
    return next(iter(_commonest(values)), None)


def _plates(
    facts: VendorFacts, images: list[ImageContent], wells: tuple[str, ...]
) -> tuple[PlateFacts, ...]:
    named = list(dict.fromkeys(i.plate for i in images if i.plate))
    names: list[str | None] = [*named] if facts.plate_name is None else [facts.plate_name]
    return tuple(
        PlateFacts(name=name, n_rows=facts.n_rows, n_columns=facts.n_columns, wells=wells)
        for name in names or [None]
    )


def _sites(planes: Any, absent: list[SourcePlane]) -> tuple[SiteFacts, ...]:
    """Return every site with the first position that one of its planes has."""
    columns = ["stage_y_um", "stage_x_um", "y_px", "x_px", "height", "width"]
    first = planes.groupby(["well", "site"], sort=False)[columns].first()
    sites = {
        key: {n: None if v != v else v for n, v in zip(columns, row, strict=True)}
        for key, row in zip(first.index, first.to_numpy(dtype=float).tolist(), strict=True)
    }
    for plane in absent:
        sites.setdefault((plane.well, plane.site), {n: getattr(plane, n) for n in columns[:4]})
    ordered = sorted(sites, key=lambda key: (_rank(key[0]), natural(key[1])))
    return tuple(SiteFacts(well=well, name=name, **sites[well, name]) for well, name in ordered)
