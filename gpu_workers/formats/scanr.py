"""Olympus ScanR and EMBL names: parts between double hyphens, ``W`` well, ``P`` position, ``Z``, ``T``, channel.

For example ``B02--W00014--P00001--Z00000--T00000--DAPI.tif``, or ``x--empty--empty--W0002--P001--T00000--Z000--C.tif``
of the EMBL's advanced light microscopy facility. ``experiment_descriptor.xml`` adds pixel size and grid,
``metadata.ome.xml`` of newer software the places of the stage, channels and more (`scanr_ome`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from gpu_workers.formats import scanr_ome
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.metadata_xml import elements, number, whole
from gpu_workers.formats.names import label, share
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
    well_position,
)
from gpu_workers.messages import Problem

_NUMBERED = re.compile(r"(?:^|--)W\d{1,5}--P\d{1,5}--")
_PART = re.compile(r"([WPZT])(\d{1,8})")
_WELL = re.compile(r"[A-P]\d{1,2}|[A-P]{2}\d{1,2}")
_DESCRIPTOR: Final = "experiment_descriptor.xml"
_WELLS: Final = "well selection table + cdna"


@dataclass(frozen=True, slots=True)
class _Name:
    """What a name says; the number of the well counts row by row, from 1."""

    file: str
    well: str | None
    number: int
    site: int
    z: int
    t: int
    channel: str


class ScanrReader:
    name: ClassVar = "scanr"
    title: ClassVar = "Olympus ScanR"
    help: ClassVar = (
        "Files called …--W00001--P00001--Z00000--T00000--DAPI.tif, also those of the EMBL (ALMF)."
    )
    VERSION: ClassVar = 2

    def score(self, listing: Listing) -> float:
        """Return 0.95 for such names with a description of the experiment, up to 0.7 without."""
        part = share(listing.images(), _NUMBERED)
        if part <= 0.5:
            return 0.0
        told = _descriptor(listing) or scanr_ome.documents(listing)
        return 0.95 if told else 0.7 * part

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the names describe.

        Raises
        ------
        FileError
            A description of the experiment can't be parsed.
        """
        images = listing.images()
        parsed = [(f, _parse(f)) for f in images]
        names = [name for _, name in parsed if name]
        values = _values(listing)
        described = scanr_ome.described(listing)
        labels = _labels(values.get(_WELLS, []))
        columns = _columns(names, labels)
        planes: list[SourcePlane] = []
        wrong: list[str] = []
        for name in names:
            try:
                plane = _plane(name, labels, columns)
                planes.append(plane._replace(**described.places.get(name.file, {})))
            except ValueError:
                wrong.append(name.file)
        unknown = [f.path for f, name in parsed if name is None]
        problems: list[Problem] = [
            *described.problems,
            *aggregate("unknown_name", "{n} image names were not understood", unknown),
            *aggregate(
                "bad_name", "{n} image names are of wells that no plate has", wrong, "error"
            ),
        ]
        if numbered := [n.file for n in names if n.well is None and 1 < n.number not in labels]:
            problems += aggregate(
                "assumed_wells",
                f"{{n}} names number their wells; they were counted row by row on a plate of {columns} columns",
                numbered,
            )  # fmt: skip
        kept = {p.file for p in planes}
        return Survey(
            _facts(values, names, described),
            planes,
            [],
            problems,
            [f for f in images if f.path in kept],
        )


def _parse(entry: FileEntry) -> _Name | None:
    if not _NUMBERED.search(entry.name):
        return None
    parts = entry.name.rpartition(".")[0].split("--")
    numbers = {m[1]: int(m[2]) for p in parts if (m := _PART.fullmatch(p))}
    last = parts[-1]
    return _Name(
        file=entry.path,
        well=parts[0] if _WELL.fullmatch(parts[0]) else None,
        number=numbers.get("W", 1),
        site=numbers.get("P", 1),
        z=numbers.get("Z", 0),
        t=numbers.get("T", 0),
        channel="" if _PART.fullmatch(last) else label(last),
    )


def _values(listing: Listing) -> dict[str, list[str]]:
    """Return all values of the description by their names, in lower case."""
    entry = _descriptor(listing)
    found: dict[str, list[str]] = {}
    key = ""
    for element in elements(listing, entry, {"Name", "Val"}) if entry else ():
        text = element.text or ""
        if element.tag == "Val":
            found.setdefault(key, []).append(text)
        elif text:
            key = text.lower()
    return found


def _labels(values: list[str]) -> dict[int, str]:
    """Return the wells by number, from a list in which numbers and names take turns."""
    found: dict[int, str] = {}
    last = 0
    for value in values:
        if value.isdecimal():
            last = whole(value)
        elif last and _WELL.fullmatch(value):
            found[last] = value
    return found


def _columns(names: list[_Name], labels: dict[int, str]) -> int:
    """Return how many columns the plate has that all known wells agree with, the least from 12 up."""
    known = [n for n in names if n.well]
    known += [_Name("", well, n, 1, 0, 0, "") for n, well in labels.items()]
    most = max((n.number for n in [*names, *known]), default=1)
    sizes = [c for r, c in PLATE_FORMATS.values() if r * c >= max(most, 96)]
    fitting = (c for c in sizes if all(_agrees(n, c) for n in known))
    return next(fitting, sizes[0] if sizes else 48)


def _agrees(name: _Name, columns: int) -> bool:
    try:
        row, column = well_position(name.well or "")
    except ValueError:
        return True
    return row * columns + column + 1 == name.number


def _plane(name: _Name, labels: dict[int, str], columns: int) -> SourcePlane:
    """Return the plane of a name; ValueError if no plate has its well."""
    well = name.well or labels.get(name.number)
    position = well_position(well) if well else divmod(name.number - 1, columns)
    return SourcePlane(
        file=name.file,
        well=well_name(*position),
        site=str(name.site),
        channel=name.channel,
        z=name.z,
        t=name.t,
    )


def _descriptor(listing: Listing) -> FileEntry | None:
    return next((f for f in listing.with_suffix(".xml") if f.name.lower() == _DESCRIPTOR), None)


def _facts(
    values: dict[str, list[str]], names: list[_Name], described: scanr_ome.Described
) -> VendorFacts:
    def first(key: str) -> str:
        return values.get(key, [""])[0]

    told = {n.channel: described.channels[n.file] for n in names if n.file in described.channels}
    keys = sorted({n.channel for n in names} - {""}, key=natural)
    channels = [
        told[key].model_copy(update={"key": key, "name": key})
        if key in told
        else ChannelFacts(key=key, name=key)
        for key in keys
    ]
    grid = whole(first("rows/well")), whole(first("columns/well"))
    size = number(first("conversion factor um/pixel"))
    interval = number(first("timeloop delay [ms]"))
    facts = {
        "plate_name": first("plate name") or None,
        "grid": grid if 0 < grid[0] <= 100 and 0 < grid[1] <= 100 else None,
        "pixel_size_um": size if size and size > 0 else None,
        "t_step_s": interval / 1000 if interval and interval > 0 else None,
    }
    told_facts = {n: v for n, v in described.facts.items() if facts.get(n) is None}
    return VendorFacts(reader="scanr", channels=tuple(channels), **{**facts, **told_facts})
