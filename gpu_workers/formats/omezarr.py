"""OME-Zarr 0.4 and 0.5: plates, series of bioformats2raw, single images; entry point: `OmeZarrReader`.

From the top of the folder down, groups are opened until images are found: of a plate its own metadata
and that of its wells; never what lies below an image (levels, chunks, labels, tables).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, shown
from gpu_workers.formats.ngff import groups, multiscales, series
from gpu_workers.formats.ngff.groups import Attributes
from gpu_workers.formats.reader import require_planes
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
    well_position,
)
from gpu_workers.messages import Json, Problem

METADATA: Final = frozenset({"zarr.json", ".zattrs", ".zgroup"})
MAX_LISTED: Final = 100
_SIGNS: Final = frozenset({"plate", "well", "multiscales", "bioformats2raw.layout"})
# How our own plates call their images: site, acquisition, projection.
_OURS: Final = re.compile(r"(?P<site>\d+)a(?P<acquisition>\d+)(?P<projection>mip|mean|best)?")
_METHODS: Final = {"mip": "Maximum", "mean": "Mean", "best": "Best focus"}
_WELL: Final = re.compile(r"(?<![^_\-. ])([A-P]|A[A-F])(?:[_\-](\d{1,2})|(\d\d))(?![^_\-. ])")


class OmeZarrReader:
    """OME-Zarr hierarchies."""

    name: ClassVar = "ome_zarr"
    title: ClassVar = "OME-Zarr"
    help: ClassVar = (
        "OME-Zarr 0.4 and 0.5: plates (rows, columns, fields, acquisitions), what bioformats2raw writes,"
        " or single images, with their labels and tables."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return how surely there are OME-Zarr images; opens some of the topmost metadata files."""
        for path in sorted(_groups(listing), key=lambda path: (_depth(path), path))[:20]:
            try:
                found = groups.attributes(listing.folder, path).ome
            except FileError:
                continue
            if not _SIGNS.isdisjoint(found):
                return 0.95
        return 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the image groups, and where plates say that they belong."""
        walk = _Walk(listing, frozenset(_groups(listing)))
        for path in sorted(walk.folders, key=lambda p: (_depth(p), natural(p))):
            walk.visit(path)
        facts, planes = walk.chosen()
        survey = Survey(
            facts, planes, problems=walk.problems, files=_entries(listing, {p.file for p in planes})
        )
        return require_planes(survey, listing)


def _groups(listing: Listing) -> set[str]:
    """Return the folders that hold the metadata of a group (or of an array of version 3)."""
    return {f.folder or "." for f in listing.files if f.name in METADATA}


def _depth(path: str) -> int:
    return 0 if path == "." else path.count("/") + 1


def _above(path: str) -> Iterable[str]:
    """Yield a path and all folders above it."""
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
    yield "."


def _entries(listing: Listing, images: set[str]) -> list[FileEntry]:
    """Return one entry per image group: the bytes of its files and the time of the last change."""
    sizes = dict.fromkeys(images, 0)
    times = dict.fromkeys(images, 0)
    for file in listing.files:
        owner = next((path for path in _above(file.folder or ".") if path in sizes), None)
        if owner is not None:
            sizes[owner] += file.size
            times[owner] = max(times[owner], file.mtime_ns)
    return [FileEntry(path, sizes[path], times[path]) for path in sorted(images, key=natural)]


@dataclass(slots=True)
class _Plate:
    """A plate's images and facts."""

    path: str
    facts: Json
    planes: list[SourcePlane] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Walk:
    """Goes through the groups of a folder, from the top."""

    listing: Listing
    folders: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    plates: list[_Plate] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    converted: list[str] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)

    def visit(self, path: str) -> None:
        """Look at one group unless it lies within a plate or an image."""
        if any(above in self._done for above in _above(path)):
            return
        try:
            found = groups.attributes(self.listing.folder, path)
            if "plate" in found.ome:
                self._done.add(path)
                self._plate(path, found)
            elif multiscales.is_image(found):
                self._done.add(path)
                if "image-label" not in found.ome:
                    self.images.append(path)
            elif "bioformats2raw.layout" in found.ome:
                self.converted.append(path)
        except FileError as error:
            self._done.add(path)
            self._failed(error)

    def _failed(self, error: FileError) -> None:
        self.problems.append(
            Problem(severity="error", code=error.code, message=error.message, files=error.files)
        )

    def _plate(self, path: str, found: Attributes) -> None:
        described = found.ome["plate"]
        try:
            plate = _Plate(path, _plate_facts(described))
            cycles = _cycles(described)
            wells = [(_well_of(w, described), str(w["path"])) for w in described["wells"]]
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise groups.bad(found.file, repr(error)) from error
        if not wells:
            plate.missing.append(path)
        for name, below in wells:
            try:
                self._well(plate, name, groups.joined(path, below), cycles)
            except FileError as error:
                self._failed(error)
        self.plates.append(plate)

    def _well(self, plate: _Plate, well: str, path: str, cycles: dict[int, int]) -> None:
        """Add the images of one well."""
        if path not in self.folders:
            plate.missing.append(path)
            return
        ranks: dict[int, int] = {}
        images = self._images(path, min(cycles, default=0))
        if not images:
            plate.missing.append(path)
        for name, acquisition in images:
            file = groups.joined(path, name)
            ranks[acquisition] = ranks.get(acquisition, 0) + 1
            if file not in self.folders:
                plate.missing.append(file)
                continue
            ours = _OURS.fullmatch(name)
            site = name if len(cycles) < 2 else str(ranks[acquisition])
            projection = ours["projection"] if ours else None
            plate.planes.append(
                SourcePlane(
                    file=file,
                    well=well,
                    site=ours["site"] if ours else site,
                    channel="",
                    role="projection" if projection else "plane",
                    method=_METHODS[projection] if projection else None,
                    cycle=cycles.get(acquisition) if len(cycles) > 1 else None,
                )
            )

    def _images(self, well: str, first: int) -> list[tuple[str, int]]:
        """Return path and acquisition of each image that a well names."""
        found = groups.attributes(self.listing.folder, well)
        try:
            return [
                (
                    str(image["path"]),
                    int(first if image.get("acquisition") is None else image["acquisition"]),
                )
                for image in found.ome["well"]["images"]
            ]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise groups.bad(found.file, repr(error)) from error

    def chosen(self) -> tuple[VendorFacts, list[SourcePlane]]:
        """Return the facts and images of the one plate, or of all single images."""
        if not self.plates:
            planes, problems = _single(self.images)
            self.problems += problems
            for root in self.converted:
                planes = self._series(root, planes)
            return VendorFacts(reader=OmeZarrReader.name, own_sizes=True), planes
        plate, *others = self.plates
        self.problems += aggregate(
            "several_plates",
            f"an acquisition is one plate: {shown(plate.path)} is read, {{n}} others are left out",
            [p.path for p in others], "error",
        )  # fmt: skip
        self.problems += aggregate(
            "beside_the_plate", "{n} images that belong to no plate are left out", self.images
        )
        self.problems += aggregate(
            "missing_image",
            "{n} wells or images that the plate names aren't there",
            plate.missing,
            "error",
        )
        return VendorFacts(reader=OmeZarrReader.name, **plate.facts), plate.planes

    def _series(self, root: str, planes: list[SourcePlane]) -> list[SourcePlane]:
        """Return the images with what the OME-XML of one hierarchy of bioformats2raw says of its own."""
        own = [p for p in planes if root in _above(p.file)]
        try:
            return [p for p in planes if p not in own] + series.located(self.listing, root, own)
        except FileError as error:
            self._failed(error)
            return planes


def _plate_facts(described: Json) -> Json:
    size = len(described["rows"]), len(described["columns"])
    formats = [number for number, whole in PLATE_FORMATS.items() if whole == size and number > 1]
    name = described.get("name")
    return {
        "plate_name": shown(name) if isinstance(name, str) and name else None,
        "plate_format": formats[0] if formats else None,
    }


def _cycles(described: Json) -> dict[int, int]:
    """Return the order of the acquisitions by their identifiers."""
    numbers = sorted({int(a["id"]) for a in described.get("acquisitions") or []})
    return {number: order for order, number in enumerate(numbers)}


def _well_of(well: Json, described: Json) -> str:
    """Return a well's name: by the names of its row and column, else by their order."""
    parts = str(well["path"]).split("/")
    row, column = int(well.get("rowIndex", -1)), int(well.get("columnIndex", -1))
    names = [
        f"{described['rows'][row]['name']}{described['columns'][column]['name']}"
        if row >= 0 and column >= 0
        else "",
        "".join(parts[-2:]),
    ]
    for name in names:
        try:
            return well_name(*well_position(name))
        except ValueError:
            continue
    return well_name(row, column)


def _single(images: list[str]) -> tuple[list[SourcePlane], tuple[Problem, ...]]:
    """Return images that belong to no plate: of one well unless each one's name tells its own."""
    wells = [_well_in(path) for path in images]
    named = all(wells)
    sites: dict[str, int] = {}
    planes = []
    for path, well in zip(images, wells, strict=True):
        own = well if named else ""
        sites[own] = sites.get(own, 0) + 1
        planes.append(SourcePlane(file=path, well=own, site=str(sites[own]), channel=""))
    if max(sites.values(), default=0) <= 1:
        # Of a well's only image the regions of a large plane are the sites.
        planes = [plane._replace(site="") for plane in planes]
    message = "the {name|names} of {n} {image|images} {tells|tell} {its well|their wells}"
    return planes, aggregate("wells_from_names", message, images if named else [])


def _well_in(path: str) -> str:
    found = _WELL.findall(path)
    if len(found) != 1:
        return ""
    letters, separate, joined = found[0]
    try:
        return well_name(*well_position(f"{letters}{separate or joined}"))
    except ValueError:
        return ""
