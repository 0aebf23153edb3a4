"""From what files and metadata say to one table of planes, with everything odd named and left out.

Entry point: `merge`. Tables are pandas frames with one row per plane of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.pattern import PatternReader
from gpu_workers.formats.survey import ChannelFacts, VendorFacts
from gpu_workers.messages import AcquisitionDescription, Problem
from gpu_workers.steps.metaextract import PLANE_TYPES
from gpu_workers.storage import paths, tables

RGB = ("red", "green", "blue")
_PLANE = ["well", "site", "channel", "z", "t", "role"]
_HEADER = [
    "file", "height", "width", "dtype", "n_pages", "samples", "stage_y_um", "stage_x_um", "z_um",
    "pixel_size_um", "wavelength_nm", "channel_name", "method", "code",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One acquisition's planes that can be used, and what is known of it as a whole."""

    acquisition: AcquisitionDescription
    facts: VendorFacts
    planes: Any


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
        raise FileError(
            "no image is left after checking: " + "; ".join(p.message for p in problems[:5]),
            code="no_images",
        )
    return used


def _source(
    root: Path,
    entry: dict[str, Any],
    acquisition: AcquisitionDescription,
    regex: str | None,
    problems: list[Problem],
) -> Source:
    folder = root / entry["folder"]
    facts = VendorFacts.model_validate(entry["facts"])
    planes, facts = _named(folder, facts, regex, problems)
    planes = _with_headers(folder, planes)
    readable = planes[planes["code"].isna()]
    unreadable = planes[~planes["code"].isna()]["file"].tolist()
    problems += aggregate(
        "left_out", f"{{n}} planes of {acquisition.name!r} are left out: their files can't be read",
        unreadable, "error",
    )  # fmt: skip
    planes = _paged(readable, acquisition.name, problems)
    planes = _promoted(planes, acquisition.name, problems)
    planes = _unique(planes, acquisition.name, problems)
    facts = facts.model_copy(update={"channels": _channels(planes, facts)})
    return Source(acquisition, facts, planes)


def _named(
    folder: Path, facts: VendorFacts, regex: str | None, problems: list[Problem]
) -> tuple[Any, VendorFacts]:
    import pandas as pd

    if regex is None:
        return tables.read_table(folder / "planes.parquet").to_pandas(), facts
    files = tables.read_table(folder / "files.parquet").to_pylist()
    listing = Listing(folder, tuple(FileEntry(f["path"], f["size"], f["mtime_ns"]) for f in files))
    survey = PatternReader().survey(listing, regex)
    problems += survey.problems
    frame = pd.DataFrame(survey.planes, columns=list(PLANE_TYPES))
    return frame, facts.model_copy(update={"channels": survey.facts.channels})


def _with_headers(folder: Path, planes: Any) -> Any:
    headers = tables.read_table(folder / "headers.parquet", _HEADER).to_pandas()
    files = tables.read_table(folder / "files.parquet").to_pandas().rename(columns={"path": "file"})
    joined = planes.merge(headers, on="file", how="left", suffixes=("", "_header"))
    joined = joined.merge(files, on="file", how="left")
    for name in ("stage_y_um", "stage_x_um", "z_um", "method"):
        own = joined[name]
        joined[name] = own.astype(joined[f"{name}_header"].dtype).where(
            own.notna(), joined[f"{name}_header"]
        )
    # A file that was named but never opened has no header: it can't be used.
    joined["code"] = joined["code"].where(
        joined["height"].notna() | joined["code"].notna(), "file_missing"
    )
    return joined.drop(columns=[c for c in joined if c.endswith("_header")])


def _paged(planes: Any, name: str, problems: list[Problem]) -> Any:
    """Return one row per page and colour component; pages are z planes, or time points of stacks."""
    planes = planes.copy()
    many = planes["n_pages"] > 1
    axis = next((a for a in ("z", "t") if planes[a].nunique() <= 1), None)
    if many.any() and axis is None:
        problems += aggregate(
            "extra_pages",
            f"{{n}} files of {name!r} hold several planes while their names give z and t; "
            "the first plane is used",
            planes.loc[many, "file"].tolist(),
        )
        planes.loc[many, "n_pages"] = 1
    n_samples = planes["samples"].astype(int)
    rows = planes.loc[planes.index.repeat(planes["n_pages"].astype(int) * n_samples)].copy()
    number = rows.groupby(level=0).cumcount()
    samples = rows["samples"].astype(int)
    rows["page"] = number // samples
    rows["sample"] = number % samples
    if axis is not None:
        rows[axis] = rows[axis] + rows["page"]
    colored = samples > 1
    rows.loc[colored, "channel"] = (
        rows.loc[colored, "channel"] + " " + rows.loc[colored, "sample"].map(dict(enumerate(RGB)))
    )
    return rows.reset_index(drop=True)


def _promoted(planes: Any, name: str, problems: list[Problem]) -> Any:
    """Return the planes with the vendor's projections as planes where a channel has nothing else."""
    stacked = set(planes.loc[planes["role"] == "plane", "channel"])
    alone = (planes["role"] == "projection") & ~planes["channel"].isin(stacked)
    if alone.any():
        planes = planes.copy()
        channels = ", ".join(sorted(set(planes.loc[alone, "channel"])))
        planes.loc[alone, "role"] = "plane"
        message = (
            f"{name!r} has only the microscope's projections of {channels}; they are used as planes"
        )
        problems.append(Problem(code="only_projections", message=message))
    return planes


def _unique(planes: Any, name: str, problems: list[Problem]) -> Any:
    double = planes.duplicated(_PLANE, keep=False)
    problems += aggregate(
        "several_files",
        f"{{n}} files of {name!r} claim planes that other files claim too; these planes are left out",
        sorted(planes.loc[double, "file"].unique()), "error",
    )  # fmt: skip
    return planes[~double]


def _channels(planes: Any, facts: VendorFacts) -> tuple[ChannelFacts, ...]:
    """Return the channels that occur, with names and wavelengths from headers where names are bare."""
    described = {c.key: c for c in facts.channels}
    order = {c.key: n for n, c in enumerate(facts.channels)}
    keys = sorted(planes["channel"].unique(), key=lambda k: (order.get(_base(k), 10**6), _rank(k)))
    channels: list[ChannelFacts] = []
    for key in keys:
        rows = planes[planes["channel"] == key]
        base = described.get(_base(key), ChannelFacts(key=key, name=key))
        wavelengths, names = rows["wavelength_nm"].dropna(), rows["channel_name"].dropna()
        bare = base.name == base.key and facts.reader == "imagexpress" and len(names) > 0
        name = str(names.value_counts().idxmax()) if bare else base.name
        suffix = key.removeprefix(_base(key)).strip()
        wavelength = base.wavelength_nm
        if wavelength is None and len(wavelengths):
            wavelength = float(wavelengths.median())
        color = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff"}.get(suffix, base.color)
        named = suffix if suffix and len(keys) == len(RGB) else f"{name} {suffix}".strip()
        channels.append(ChannelFacts(key=key, name=named, wavelength_nm=wavelength, color=color))
    return _distinct(channels)


def _base(key: str) -> str:
    base, _, last = key.rpartition(" ")
    return base if last in RGB and base else key


def _rank(key: str) -> tuple[int, str]:
    last = key.rpartition(" ")[2]
    return (RGB.index(last) if last in RGB else 0, key)


def _distinct(channels: list[ChannelFacts]) -> tuple[ChannelFacts, ...]:
    names = [c.name for c in channels]
    return tuple(
        c.model_copy(update={"name": f"{c.name} ({c.key})"}) if names.count(c.name) > 1 else c
        for c in channels
    )
