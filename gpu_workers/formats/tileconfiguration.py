"""Fiji's Grid/Collection stitching: ``TileConfiguration.txt`` gives each tile's place in pixels.

``TileConfiguration.registered.txt``, what the stitching found, counts before the nominal grid. Tiles that the
list leaves out belong to no place: they are reported and left out.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, safe_name, shown
from gpu_workers.formats.metadata_text import read_text
from gpu_workers.formats.metadata_xml import number
from gpu_workers.formats.survey import SourcePlane, Survey, VendorFacts
from gpu_workers.messages import Problem

_LIST = re.compile(r"tileconfiguration(?P<registered>[.\-_]?registered)?[^/]*\.txt", re.IGNORECASE)
_LINE = re.compile(r"(?P<name>[^;]+);(?P<series>[^;]*);\s*\((?P<place>[^()]*)\)\s*")
MAX_PLACE = 10_000_000.0


class TileConfigurationReader:
    name: ClassVar = "tileconfiguration"
    title: ClassVar = "Tiles with a TileConfiguration.txt"
    help: ClassVar = "Overlapping tiles whose places in pixels stand in a TileConfiguration.txt, as Fiji writes it."
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 0.92 where there is such a list: vendors' own files know more."""
        return 0.92 if _lists(listing) else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the tiles with their places; those the list leaves out are `unplaced`.

        Raises
        ------
        FileError
            There is no such list, there are several, or it can't be parsed.
        """
        entry = _list(listing)
        rows = _Rows(listing, entry)
        images = listing.images()
        unplaced = [f.path for f in images if f.path not in rows.named]
        planes = [p for p in rows.planes if listing.get(p.file)]
        absent = [p for p in rows.planes if not listing.get(p.file)]
        named = {p.file for p in planes}
        return Survey(
            VendorFacts(reader=self.name),
            planes,
            absent,
            [
                *rows.problems(),
                *aggregate(
                    "absent_files", f"{{n}} tiles that {entry.path} names are not there",
                    [p.file for p in absent], "error",
                ),
                *aggregate(
                    "unplaced_files", f"{{n}} images have no place in {entry.path} and are left out", unplaced
                ),
            ],
            [f for f in images if f.path in named],
            unplaced,
        )  # fmt: skip


def _lists(listing: Listing) -> list[FileEntry]:
    return [f for f in listing.with_suffix(".txt") if _LIST.fullmatch(f.name)]


def _list(listing: Listing) -> FileEntry:
    found = _lists(listing)
    if not found:
        raise FileError("there is no TileConfiguration.txt", code="no_metadata")
    registered = [f for f in found if (m := _LIST.fullmatch(f.name)) and m["registered"]]
    chosen = registered or found
    if len(chosen) > 1:
        raise FileError(
            f"the folder holds {len(chosen)} lists of tiles; an acquisition has one of them",
            code="several_plates", files=tuple(f.path for f in chosen),
        )  # fmt: skip
    return chosen[0]


class _Rows:
    """The tiles of a list in its order; sites are numbered so, from 1."""

    def __init__(self, listing: Listing, entry: FileEntry) -> None:
        self.planes: list[SourcePlane] = []
        self.named: set[str] = set()
        self._entry = entry
        self._bad: list[str] = []
        self._unsafe: list[str] = []
        self._twice: list[str] = []
        self._below = f"{entry.folder}/" if entry.folder else ""
        for line in read_text(listing, entry).splitlines():
            if line.strip() and not line.lstrip().startswith("#") and ";" in line:
                self._add(line)
        if not self.planes:
            raise FileError(
                f"{shown(entry.path)} is no list of tiles: no line gives a place as name; ; (x, y)",
                code="bad_metadata", files=(entry.path,),
            )  # fmt: skip

    def _add(self, line: str) -> None:
        match = _LINE.fullmatch(line.strip())
        place = [number(v.strip()) for v in match["place"].split(",")] if match else []
        known = [v for v in place if v is not None and math.fabs(v) <= MAX_PLACE]
        if match is None or len(known) != len(place) or len(known) not in (2, 3):
            self._bad.append(shown(line.strip()))
            return
        name = match["name"].strip().replace("\\", "/")
        if not safe_name(name):
            self._unsafe.append(shown(name))
            return
        path = f"{self._below}{name}"
        if path in self.named or match["series"].strip() not in ("", "0"):
            # Another series of one file: which image that is only the file's reader knows.
            self._twice.append(path)
            return
        self.named.add(path)
        site = str(len(self.planes) + 1)
        self.planes.append(SourcePlane(path, "", site, "", y_px=known[1], x_px=known[0]))

    def problems(self) -> list[Problem]:
        """Return what is wrong with the lines, one problem for each kind."""
        name = self._entry.path
        found = []
        if self._bad:
            message = f"{len(self._bad)} lines of {name} give no place, such as {self._bad[0]!r}"
            found.append(
                Problem(severity="error", code="bad_metadata", message=message, files=(name,))
            )
        unsafe = f"{{n}} names in {name} don't stay below the folder"
        twice = f"{{n}} lines of {name} name a tile again, or one of several images of a file"
        return [
            *found,
            *aggregate("unsafe_name", unsafe, self._unsafe, "error"),
            *aggregate("duplicate_tiles", twice, self._twice),
        ]
