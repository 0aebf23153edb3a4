"""What a folder of microscope files holds, seen without converting it; entry point: `inspect`."""

from __future__ import annotations

from pathlib import Path

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents
from gpu_workers.formats.listing import scan
from gpu_workers.formats.reader import choose, survey_of
from gpu_workers.formats.survey import ChannelFacts, SourcePlane, Survey, natural, well_position
from gpu_workers.messages import Message, Problem

MAX_HEADERS = 4000


class SiteFacts(Message):
    """One field of view with the stage position its files state."""

    well: str
    name: str
    stage_y_um: float | None = None
    stage_x_um: float | None = None


class PlateFacts(Message):
    """The plate as the files describe it."""

    name: str | None
    n_rows: int | None
    n_columns: int | None
    wells: tuple[str, ...]


class Inspection(Message):
    """What a reader sees in a folder; `n_absent` planes are named by metadata but have no file."""

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


def inspect(folder: Path, microscope: str | None = None, pattern: str | None = None) -> Inspection:
    """Return what a folder holds: plates, wells, sites, channels, planes, and what is wrong.

    Opens at most one image per site, and none where metadata state the positions.

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
    sites, headers, problems = _open_sites(Path(folder), survey)
    known = [*survey.planes, *survey.absent]
    wells = tuple(sorted({p.well for p in known}, key=well_position))
    header = headers[0] if headers else None
    facts = survey.facts
    if not survey.planes:
        message = "none of the images is there" if survey.absent else "there is no image"
        problems.append(Problem(severity="error", code="no_images", message=message))
    return Inspection(
        reader=reader.name,
        n_files=len(listing.files),
        n_bytes=sum(f.size for f in listing.files),
        n_planes=sum(p.role == "plane" for p in survey.planes),
        n_projections=sum(p.role == "projection" for p in survey.planes),
        n_absent=len(survey.absent),
        plates=(
            PlateFacts(
                name=facts.plate_name, n_rows=facts.n_rows, n_columns=facts.n_columns, wells=wells
            ),
        ),
        wells=wells,
        sites=sites,
        channels=facts.channels,
        z=tuple(sorted({p.z for p in known if p.role == "plane"} or {p.z for p in known})),
        t=tuple(sorted({p.t for p in known})),
        shape=(header.height, header.width) if header else facts.shape,
        dtype=header.dtype if header else facts.dtype,
        pixel_size_um=(header.pixel_size_um if header else None) or facts.pixel_size_um,
        problems=(*listing.problems, *survey.problems, *problems),
    )


def _open_sites(
    folder: Path, survey: Survey
) -> tuple[tuple[SiteFacts, ...], list[ImageContent], list[Problem]]:
    """Return the sites, the headers that were read, and what was wrong with those files."""
    first: dict[tuple[str, str], SourcePlane] = {}
    for plane in [*survey.planes, *survey.absent]:
        first.setdefault((plane.well, plane.site), plane)
    known = any(p.stage_x_um is not None for p in first.values())
    present = {p.file for p in survey.planes}
    budget = 1 if known else MAX_HEADERS
    headers: list[ImageContent] = []
    problems: list[Problem] = []
    sites: list[SiteFacts] = []
    for (well, site), plane in sorted(
        first.items(), key=lambda item: (well_position(item[0][0]), natural(item[0][1]))
    ):
        y, x = plane.stage_y_um, plane.stage_x_um
        if plane.file in present and budget > 0:
            budget -= 1
            try:
                header = read_contents(folder, plane.file)[0]
            except FileError as error:
                problems.append(
                    Problem(
                        severity="error", code=error.code, message=error.message, files=error.files
                    )
                )
            else:
                headers.append(header)
                y = header.stage_y_um if y is None else y
                x = header.stage_x_um if x is None else x
                # Files of this format don't tell: there's no use in opening more of them.
                budget = budget if known or header.stage_x_um is not None else 0
        sites.append(SiteFacts(well=well, name=site, stage_y_um=y, stage_x_um=x))
    return tuple(sites), headers, problems
