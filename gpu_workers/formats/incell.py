"""GE/Cytiva IN Cell Analyzer: an ``.xdce`` file lists every image, ``A - 01(fld 01 wv UV - DAPI).tif``.

Positions are µm from the well's centre with y upwards. Several ``.xdce`` files of one plate are rounds of
staining; without one the names alone are read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar
from xml.etree.ElementTree import Element

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, safe_name, shown
from gpu_workers.formats.metadata_xml import elapsed, elements, number, whole
from gpu_workers.formats.names import share
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

_NAME = re.compile(
    r"(?P<row>[A-P]{1,2}) - (?P<column>\d{1,2})\((?P<rest>fld [^()]*)\)\.(?:tiff?|TIFF?|png)"
)
_FIELD = re.compile(r"fld (\d{1,4})")
_Z = re.compile(r"\bz (\d{1,4})")
_T = re.compile(r"\b(?:t|time|time point) (\d{1,6})(?: - \d+ ms)?")
_WAVE = re.compile(r"\bwv (.+?)(?= z \d| t \d| time | fld \d|$)")
_UNSTAINED = re.compile(r"\bTL\b|bright|transmi|\bDIC\b|phase", re.IGNORECASE)
_PARTS = frozenset({"Image", "Wavelength"})
_HEADS = frozenset(
    {"ImageStack", "Creation", "ObjectiveCalibration", "Size", "Plate", "ZDimensionParameters"}
)


class InCellReader:
    name: ClassVar = "incell"
    title: ClassVar = "GE/Cytiva IN Cell Analyzer"
    help: ClassVar = (
        "IN Cell 1000 to 6000: an .xdce file with images called A - 01(fld 01 wv UV - DAPI).tif."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 1 for an .xdce file, up to 0.7 for names of this kind alone."""
        if listing.with_suffix(".xdce"):
            return 1.0
        part = share(listing.images(), _NAME)
        return 0.7 * part if part > 0.5 else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the .xdce files list, or the names describe.

        Raises
        ------
        FileError
            The .xdce files are of several plates, or one can't be parsed.
        """
        found = listing.with_suffix(".xdce")
        if not found:
            return _by_names(listing)
        stacks = [_Stack(listing, f, n if len(found) > 1 else None) for n, f in enumerate(found)]
        if len({s.plate for s in stacks}) > 1:
            raise FileError(
                f"the folder holds {len(found)} plates; an acquisition is one of them",
                code="several_plates", files=tuple(f.path for f in found),
            )  # fmt: skip
        planes = [p for s in stacks for p in s.planes]
        named = {p.file for p in planes}
        images = listing.images()
        unlisted = [f.path for f in images if f.path not in named]
        names = ", ".join(f.path for f in found[:5])
        return Survey(
            stacks[0].facts(),
            planes,
            [p for s in stacks for p in s.absent],
            [
                *(p for s in stacks for p in s.problems()),
                *aggregate("unlisted_files", f"{{n}} images are not named in {names}", unlisted),
            ],
            [f for f in images if f.path in named],
        )


class _Stack:
    """One .xdce file; a round of staining if it has a number."""

    def __init__(self, listing: Listing, entry: FileEntry, cycle: int | None) -> None:
        self.planes: list[SourcePlane] = []
        self.absent: list[SourcePlane] = []
        self._listing = listing
        self._path = entry.path
        self._below = f"{entry.folder}/" if entry.folder else ""
        self._cycle = cycle
        self._unsafe: list[str] = []
        self._bad: list[str] = []
        self._doubtful: list[str] = []
        self._heads: dict[str, dict[str, str]] = {}
        self._waves: dict[str, Element] = {}
        first: float | None = None
        for element in elements(listing, entry, _PARTS, _HEADS):
            if element.tag == "Wavelength":
                self._waves[element.attrib.get("index", str(len(self._waves)))] = element
            elif element.tag == "Image":
                at = self._add(element)
                first = at if first is None or (at is not None and at < first) else first
            else:
                self._heads.setdefault(element.tag, dict(element.attrib))
        if "ImageStack" not in self._heads:
            raise FileError(
                f"{shown(entry.path)} is no .xdce file of an IN Cell Analyzer",
                code="bad_metadata", files=(entry.path,),
            )  # fmt: skip
        for part in (self.planes, self.absent):
            part[:] = [p._replace(time_s=elapsed(p.time_s, first)) for p in part]

    @property
    def plate(self) -> str:
        """The plate's own name."""
        return self._heads["ImageStack"].get("PlateID", "")

    def _add(self, image: Element) -> float | None:
        """Take in one image and return when it was taken, seconds since 1970."""
        name = image.attrib.get("filename", "").replace("\\", "/")
        if not name or not safe_name(name):
            self._unsafe.append(shown(name) or "an image without a name")
            return None
        parts = {part.tag: part for part in image}
        place, offset, focus = (
            parts[tag].attrib if tag in parts else {}
            for tag in ("Identifier", "OffsetFromWellCenter", "FocusPosition")
        )
        at = number(image.attrib.get("timestamp_sec"))
        try:
            wells = _wells(parts.get("Well"))
        except ValueError:
            self._bad.append(f"{self._below}{name}")
            return None
        if wells[0] != wells[-1]:
            self._doubtful.append(f"{self._below}{name}")
        wave = place.get("wave_index", "0")
        mode = self._mode(wave)
        plane = SourcePlane(
            file=f"{self._below}{name}",
            well=wells[0],
            site=str(whole(place.get("field_index")) + 1),
            channel=wave,
            z=whole(place.get("z_index")),
            t=whole(place.get("time_index")),
            role="projection" if mode else "plane",
            stage_y_um=number(offset.get("y")),
            stage_x_um=number(offset.get("x")),
            z_um=number(focus.get("z")),
            method=mode,
            cycle=self._cycle,
            time_s=at,
        )
        (self.planes if self._listing.get(plane.file) else self.absent).append(plane)
        return at

    def _mode(self, wave: str) -> str | None:
        """Return how the software projected the planes of a wavelength, if it did."""
        element = self._waves.get(wave)
        mode = element.attrib.get("imaging_mode", "") if element is not None else ""
        return mode if "projection" in mode.lower() else None

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the images, one problem for each kind."""
        path = self._path
        absent = f"{{n}} images that {path} names are not there"
        yield from aggregate("absent_files", absent, [p.file for p in self.absent], "error")
        unsafe = f"{{n}} names in {path} don't stay below the folder"
        yield from aggregate("unsafe_name", unsafe, self._unsafe, "error")
        yield from aggregate(
            "bad_metadata", f"{{n}} images of {path} name no well", self._bad, "error"
        )
        doubtful = (
            f"{{n}} images of {path} name one well by label and another by number; the label counts"
        )
        yield from aggregate("doubtful_well", doubtful, self._doubtful)

    def facts(self) -> VendorFacts:
        """Return the facts of the acquisition."""
        lens, plate, size, made, stack = (
            self._heads.get(tag, {})
            for tag in ("ObjectiveCalibration", "Plate", "Size", "Creation", "ZDimensionParameters")
        )
        rows, columns = whole(plate.get("rows")), whole(plate.get("columns"))
        height, width = whole(size.get("height")), whole(size.get("width"))
        date = f"{made.get('date', '')}T{made.get('time', '')}"
        used = {p.channel for p in (*self.planes, *self.absent)}
        projected = all(self._mode(wave) for wave in used)
        return VendorFacts(
            reader="incell",
            plate_name=self.plate or None,
            n_rows=rows if rows > 0 else None,
            n_columns=columns if columns > 0 else None,
            plate_format=rows * columns if rows * columns in PLATE_FORMATS else None,
            channels=tuple(self._channels(used)),
            pixel_size_um=number(lens.get("pixel_width")),
            z_step_um=None if projected else number(stack.get("step")),
            shape=(height, width) if height > 0 and width > 0 else None,
            y_sign=-1,
            objective=lens.get("objective_name") or None,
            magnification=number(lens.get("magnification")),
            acquired_at=date if len(date) > 10 else None,
        )

    def _channels(self, used: set[str]) -> Iterator[ChannelFacts]:
        found = {}
        for wave in sorted(used, key=natural):
            element = self._waves.get(wave)
            parts = {part.tag: part.attrib for part in element} if element is not None else {}
            found[wave] = [
                parts.get(tag, {}) for tag in ("ExcitationFilter", "EmissionFilter", "Exposure")
            ]
        names = Counter(emission.get("name", "") for _, emission, _ in found.values())
        for wave, (excitation, emission, exposure) in found.items():
            own = emission.get("name", "")
            unstained = bool(_UNSTAINED.search(f"{excitation.get('name', '')} {own}"))
            yield ChannelFacts(
                key=wave,
                name=(f"{excitation.get('name', wave)} - {own}" if names[own] > 1 else own)
                or f"wv {wave}",
                wavelength_nm=None if unstained else number(emission.get("wavelength")) or None,
                excitation_nm=number(excitation.get("wavelength")) or None,
                exposure_ms=number(exposure.get("time")),
                brightfield=unstained,
            )


def _wells(element: Element | None) -> list[str]:
    """Return the wells an image names by label such as ``C - 3`` and by row and column, which agree.

    ValueError if it names none that a plate has.
    """
    if element is None:
        raise ValueError("no well")
    found = []
    label = element.attrib.get("label", "").replace(" ", "").replace("-", "")
    if label:
        found.append(well_name(*well_position(label)))
    numbers = {part.tag: whole(part.attrib.get("number")) for part in element}
    if numbers or not found:
        found.append(well_name(numbers.get("Row", 0) - 1, numbers.get("Column", 0) - 1))
    return found


def _by_names(listing: Listing) -> Survey:
    """Return the planes that names such as ``A - 01(fld 01 wv UV - DAPI z 3).tif`` describe."""
    planes: list[SourcePlane] = []
    unknown: list[str] = []
    images = listing.images()
    for entry in images:
        plane = _named(entry)
        if plane is None:
            unknown.append(entry.path)
        else:
            planes.append(plane)
    kept = {p.file for p in planes}
    return Survey(
        VendorFacts(reader="incell", channels=tuple(_named_channels(planes))),
        planes,
        [],
        list(aggregate("unknown_name", "{n} image names were not understood", unknown)),
        [f for f in images if f.path in kept],
    )


def _named(entry: FileEntry) -> SourcePlane | None:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        return None
    rest = match["rest"]
    field, z, t, wave = (p.search(rest) for p in (_FIELD, _Z, _T, _WAVE))
    try:
        well = well_name(*well_position(f"{match['row']}{match['column']}"))
    except ValueError:
        return None
    return SourcePlane(
        file=entry.path,
        well=well,
        site=str(int(field[1]) if field else 1),
        channel=wave[1].strip()[:60] if wave else "1",
        z=int(z[1]) if z else 0,
        t=int(t[1]) if t else 0,
    )


def _named_channels(planes: Sequence[SourcePlane]) -> Iterator[ChannelFacts]:
    keys = sorted({p.channel for p in planes}, key=natural)
    names = Counter(key.rpartition(" - ")[2] for key in keys)
    for key in keys:
        name = key.rpartition(" - ")[2]
        yield ChannelFacts(
            key=key,
            name=name if names[name] == 1 else key,
            brightfield=bool(_UNSTAINED.search(key)),
        )
