"""A short answer to what a reader or a pattern makes of a folder; entry point: `examine`.

Unlike `inspect` it opens no image and its answer doesn't grow with the folder: a person who tries
patterns waits for it.
"""

from __future__ import annotations

from pathlib import Path

from gpu_workers.formats.listing import scan
from gpu_workers.formats.reader import choose, survey_of
from gpu_workers.formats.survey import ChannelFacts, SourcePlane, natural, well_position
from gpu_workers.messages import Message, Problem

N_EXAMPLES = 50
N_CHANNELS = 200


class PlaneExample(Message):
    """What one file was taken for."""

    file: str
    well: str
    site: str
    channel: str
    z: int
    t: int
    cycle: int | None
    role: str


class Examination(Message):
    """What a reader sees without opening images; lists are bounded, numbers are not.

    `n_unused` image files are part of no plane (their names don't match, say).
    """

    reader: str
    pattern: str | None
    plate_name: str | None
    n_files: int
    n_images: int
    n_planes: int
    n_absent: int
    n_unused: int
    n_wells: int
    n_sites: int
    n_z: int
    n_t: int
    n_cycles: int
    wells: tuple[str, ...]
    channels: tuple[ChannelFacts, ...]
    examples: tuple[PlaneExample, ...]
    unused: tuple[str, ...]
    problems: tuple[Problem, ...]


def _well_rank(name: str) -> tuple[int, int]:
    try:
        return well_position(name)
    except ValueError:
        return (-1, -1)


def _example(plane: SourcePlane) -> PlaneExample:
    return PlaneExample(**{name: getattr(plane, name) for name in PlaneExample.model_fields})


def examine(folder: Path, microscope: str | None = None, pattern: str | None = None) -> Examination:
    """Return what a reader (the one that fits best unless named) makes of the files of a folder.

    Raises
    ------
    FileError
        The folder is missing or empty, no reader fits, or metadata can't be parsed.
    UserError
        The pattern or the reader's name is wrong.
    """
    listing = scan(folder)
    reader = choose(listing, microscope, pattern)
    survey = survey_of(reader, listing, pattern)
    known = [*survey.planes, *survey.absent]
    used = {p.file for p in survey.planes}
    # Those of the reader, folders that are images among them, and what it took for none.
    images = list(dict.fromkeys(f.path for f in (*(survey.files or ()), *listing.images())))
    unused = [path for path in images if path not in used]
    wells = sorted({p.well for p in known if p.well}, key=_well_rank)
    step = max(1, len(survey.planes) // N_EXAMPLES)
    return Examination(
        reader=reader.name,
        pattern=pattern,
        plate_name=survey.facts.plate_name,
        n_files=len(listing.files),
        n_images=len(images),
        n_planes=len(survey.planes),
        n_absent=len(survey.absent),
        n_unused=len(unused),
        n_wells=len(wells),
        n_sites=len({(p.well, p.site) for p in known}),
        n_z=len({p.z for p in known if p.role == "plane"}),
        n_t=len({p.t for p in known}),
        n_cycles=len({p.cycle for p in known}),
        wells=tuple(wells[:1536]),
        channels=survey.facts.channels[:N_CHANNELS],
        examples=tuple(_example(p) for p in survey.planes[::step][:N_EXAMPLES]),
        unused=tuple(sorted(unused, key=natural)[:N_EXAMPLES]),
        problems=(*listing.problems, *survey.problems)[:N_EXAMPLES],
    )
