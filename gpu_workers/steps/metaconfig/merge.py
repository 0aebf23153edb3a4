"""From what files and metadata say to one table of planes, with everything odd named and left out.

Entry point: `merge`. Tables are pandas frames with one row per plane of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_workers.errors import FileError
from gpu_workers.formats import channels
from gpu_workers.formats.expansion import NAMED_TYPES, Expanded, expand, frame
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.pattern import PatternReader
from gpu_workers.formats.survey import VendorFacts
from gpu_workers.messages import AcquisitionDescription, Problem
from gpu_workers.storage import paths, tables

_PLANE = ["well", "site", "cycle", "channel", "z", "t", "role"]


@dataclass(frozen=True, slots=True)
class Source:
    """One acquisition's planes that can be used, and what is known of it as a whole.

    Attributes
    ----------
    planes
        As `Expanded.planes`, with `size` and `mtime_ns` of the files; cycles are counted from 0.
    images
        What the files say of their images.
    absent
        Planes that metadata names but whose files are not there.
    """

    acquisition: AcquisitionDescription
    facts: VendorFacts
    planes: Any
    images: Any
    absent: Any


def merge(
    root: Path,
    manifest: str,
    acquisitions: tuple[AcquisitionDescription, ...],
    regex: str | None,
    problems: list[Problem],
) -> list[Source]:
    """Return the usable planes of every acquisition that metaextract could read.

    Parameters
    ----------
    manifest
        Path of ``metadata.json`` below `root`.
    regex
        Pattern for the file names instead of what the reader found.
    problems
        What was left out is appended here.

    Raises
    ------
    FileError
        No plane is left.
    """
    known = {str(a.id): a for a in acquisitions}
    sources = [
        _source(root, entry, known[entry["id"]], regex, problems)
        for entry in paths.read_json(root / manifest)["acquisitions"]
        if entry["id"] in known
    ]
    used = [s for s in sources if len(s.planes)]
    if not used:
        raise nothing_left(problems)
    return used


def nothing_left(problems: list[Problem]) -> FileError:
    """Return the error for an experiment of which no plane can be used, with the first reasons."""
    reasons = "; ".join(p.message for p in problems[:5])
    return FileError(
        "no image is left after checking" + (f": {reasons}"[:1000] if reasons else ""),
        code="no_images", files=tuple(dict.fromkeys(f for p in problems for f in p.files))[:20],
    )  # fmt: skip


def _source(
    root: Path,
    entry: dict[str, Any],
    acquisition: AcquisitionDescription,
    regex: str | None,
    problems: list[Problem],
) -> Source:
    folder = root / entry["folder"]
    name = acquisition.name
    facts = VendorFacts.model_validate(entry["facts"])
    files = tables.read_table(folder / "files.parquet").to_pandas()
    named, facts = _named(folder, files, facts, regex, problems)
    images = tables.read_table(folder / "images.parquet").to_pandas()
    pages = tables.read_table(folder / "pages.parquet").to_pandas()
    found = expand(named, images, pages)
    problems += found.problems
    problems += _missing(found, name)
    sizes = files.drop_duplicates("path").set_index("path")
    planes = found.planes
    for column in ("size", "mtime_ns"):
        # Files that only another file describes may lack in the listing: what isn't known isn't compared.
        planes[column] = planes["file"].map(sizes[column]).fillna(-1).astype(np.int64)
    planes["cycle"] = planes["cycle"].rank(method="dense").fillna(1).astype(np.int64) - 1
    planes = _promoted(planes, name, problems)
    planes = _unique(planes, name, problems)
    listed = channels.described(planes, found, facts)
    absent = tables.read_table(folder / "absent.parquet").to_pandas()
    facts = facts.model_copy(update={"channels": listed})
    return Source(acquisition, facts, planes, found.images, absent)


def _missing(found: Expanded, name: str) -> tuple[Problem, ...]:
    """Name the files that can't be used at all, and those without the page that metadata names."""
    short = [file for file, code in found.missing if code == "missing_page"]
    return (
        *aggregate(
            "left_out", f"{{n}} {{file|files}} of {name!r} {{is|are}} left out: {{it|they}} can't be read",
            [file for file, code in found.missing if code != "missing_page"], "error",
        ),
        *aggregate(
            "missing_page",
            f"{{n}} {{file|files}} of {name!r} {{has|have}} fewer planes than the metadata says", short,
            "error",
        ),
    )  # fmt: skip


def _named(
    folder: Path, files: Any, facts: VendorFacts, regex: str | None, problems: list[Problem]
) -> tuple[Any, VendorFacts]:
    """Return the planes as the reader, or the user's pattern, describes them."""
    if regex is None:
        return tables.read_table(folder / "planes.parquet").to_pandas(), facts
    opened = files[files["opened"]]
    entries = zip(opened["path"], opened["size"], opened["mtime_ns"], strict=True)
    listing = Listing(folder, tuple(FileEntry(p, int(s), int(m)) for p, s, m in entries))
    survey = PatternReader().survey(listing, regex)
    problems += survey.problems
    return frame(survey.planes, NAMED_TYPES), facts.model_copy(
        update={"channels": survey.facts.channels, "grid": survey.facts.grid or facts.grid}
    )


def _promoted(planes: Any, name: str, problems: list[Problem]) -> Any:
    """Return the planes with the vendor's projections as planes where a channel has nothing else."""
    stacked = set(planes.loc[planes["role"] == "plane", "channel"])
    alone = (planes["role"] == "projection") & ~planes["channel"].isin(stacked)
    if alone.any():
        names = ", ".join(sorted(set(planes.loc[alone, "channel"]))[:20])
        planes = planes.assign(role=planes["role"].where(~alone, "plane"))
        message = (
            f"{name!r} has only the microscope's projections of {names}; they are used as planes"
        )
        problems.append(Problem(code="only_projections", message=message))
    return planes


def _unique(planes: Any, name: str, problems: list[Problem]) -> Any:
    """Return the planes without those that several files, or pages of a file, claim to be."""
    double = planes.duplicated(_PLANE, keep=False)
    if not double.any():
        return planes
    rows = planes[double]
    first = rows.iloc[0]
    problems += aggregate(
        "several_files",
        f"{{n}} {{file|files}} of {name!r} {{claims|claim}} planes that are claimed more than once, such as "
        f"well {first['well']} site {first['site']} channel {first['channel']} z {first['z']} t {first['t']}; "
        "these planes are left out",
        sorted(rows["file"].unique()), "error",
    )  # fmt: skip
    return planes[~double]
