"""PerkinElmer/Revvity Operetta and Opera Phenix: ``Index.idx.xml`` (or ``Index.xml``) lists every image.

Harmony 5 and 6 describe each image in full; version 7 keeps what its channel's images share in a map.
Positions are metres from the well's centre with y upwards.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, safe_name, shown
from gpu_workers.formats.metadata_xml import elapsed, elements, fields, moment, number, whole
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
)
from gpu_workers.messages import FlatField, Problem

Fields = dict[str, str]
_INDEX: Final = ("index.idx.xml", "index.xml", "index.ref.xml")
_SHARED: Final = frozenset(
    {
        "ChannelName", "ChannelType", "IlluminationType", "ImageResolutionX", "ImageSizeX", "ImageSizeY", "BinningX",
        "MainExcitationWavelength", "MainEmissionWavelength", "ObjectiveMagnification", "ObjectiveNA", "ExposureTime",
        "FlatfieldProfile",
    }
)  # fmt: skip
_UNSTAINED = re.compile(r"bright|phase|transmi|dpc", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_PAIR = r":\s*\[\s*([^\[\],]+)\s*,\s*([^\[\],]+)\s*\]"
_COEFFICIENTS = re.compile(r"Coefficients:\s*(\[\s*(?:\[[^\[\]]*\]\s*,?\s*)+\])")
_ROW = re.compile(r"\[([^\[\]]+)\]")
MAX_DEGREE: Final = 12


class HarmonyReader:
    name: ClassVar = "harmony"
    title: ClassVar = "PerkinElmer Operetta, Opera Phenix"
    help: ClassVar = (
        "Measurements exported from Harmony: a folder with Index.idx.xml or Index.xml and images "
        "called r01c01f01p01-ch1sk1fk1fl1.tiff."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 1 for an index with images named as Harmony names them, 0.9 for the index alone."""
        found = _indices(listing)
        if not found:
            return 0.0
        images = listing.images()
        return 1.0 if any(re.match(r"r\d+c\d+f\d+", f.name) for f in images) else 0.9

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the index lists.

        Raises
        ------
        FileError
            There is no index, there are several, or it can't be parsed.
        """
        index = _index(listing)
        facts, rows = _Facts(), _Rows(listing, index)
        for element in elements(listing, index, {"Plate", "Entry", "Image"}):
            own = fields(element)
            if element.tag == "Plate":
                facts.plate = facts.plate or own
            elif element.tag == "Entry":
                facts.add(element.attrib.get("ChannelID", ""), own)
            elif "URL" in own:
                facts.add(own.get("ChannelID", ""), own)
                rows.add(own)
            # Others only repeat which images a well has.
        if not facts.plate and not rows.planes and not rows.absent:
            raise FileError(
                f"{index.path} is no index of Harmony: it lists no images",
                code="bad_metadata", files=(index.path,),
            )  # fmt: skip
        start = facts.start or rows.first
        planes, absent = (
            [p._replace(time_s=elapsed(p.time_s, start)) for p in part]
            for part in (rows.planes, rows.absent)
        )
        files = {p.file for p in planes}
        return Survey(
            facts.vendor(),
            planes,
            absent,
            [*rows.problems(), *facts.problems(index.path)],
            [f for f in listing.images() if f.path in files],
        )


def _indices(listing: Listing) -> list[FileEntry]:
    return [f for f in listing.with_suffix(".xml") if f.name.lower() in _INDEX]


def _index(listing: Listing) -> FileEntry:
    found = _indices(listing)
    if not found:
        raise FileError("there is no Index.idx.xml or Index.xml", code="no_metadata")
    if len({f.folder for f in found}) > 1:
        raise FileError(
            f"the folder holds {len(found)} measurements; an acquisition is one of them",
            code="several_plates", files=tuple(f.path for f in found),
        )  # fmt: skip
    return min(found, key=lambda f: _INDEX.index(f.name.lower()))


class _Rows:
    """Sorts the images of an index into planes and problems; times are seconds since 1970 first."""

    def __init__(self, listing: Listing, index: FileEntry) -> None:
        self.planes: list[SourcePlane] = []
        self.absent: list[SourcePlane] = []
        self.first: float | None = None
        self._listing = listing
        self._index = index.path
        self._below = f"{index.folder}/" if index.folder else ""
        self._unsafe: list[str] = []
        self._bad: list[str] = []
        self._failed: Counter[str] = Counter()

    def add(self, own: Fields) -> None:
        """Take in one image."""
        name = own["URL"].replace("\\", "/")
        if not name or not safe_name(name):
            self._unsafe.append(shown(name) or "an image without a name")
            return
        path = f"{self._below}{name}"
        try:
            well = well_name(whole(own.get("Row")) - 1, whole(own.get("Col")) - 1)
        except ValueError:
            self._bad.append(path)
            return
        there = self._listing.get(path) is not None
        state = own.get("State", "Ok")
        if state.lower() != "ok":
            self._failed[state] += 1
            if not there:
                return
        at = moment(own.get("AbsTime"))
        if at is not None:
            self.first = at if self.first is None else min(at, self.first)
        plane = SourcePlane(
            file=path,
            well=well,
            site=str(whole(own.get("FieldID"), 1)),
            channel=own.get("ChannelID", ""),
            z=whole(own.get("PlaneID"), 1),
            t=whole(own.get("TimepointID")),
            stage_y_um=_micrometres(own.get("PositionY")),
            stage_x_um=_micrometres(own.get("PositionX")),
            z_um=_micrometres(own.get("PositionZ") or own.get("AbsPositionZ")),
            time_s=at,
        )
        (self.planes if there else self.absent).append(plane)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the images, one problem for each kind."""
        index = self._index
        if self._failed:
            kinds = ", ".join(f"{shown(s)} ({n}×)" for s, n in self._failed.most_common(10))
            message = f"the microscope reports failed images in {index}: {kinds}"
            yield Problem(code="acquisition_error", message=message, files=(index,))
        absent = f"{{n}} images that {index} names are not there"
        yield from aggregate("absent_files", absent, [p.file for p in self.absent], "error")
        unsafe = f"{{n}} names in {index} don't stay below the folder"
        yield from aggregate("unsafe_name", unsafe, self._unsafe, "error")
        yield from aggregate(
            "bad_metadata", f"{{n}} images of {index} name no well", self._bad, "error"
        )
        named = {p.file for p in self.planes} | set(self._bad)
        unlisted = [f.path for f in self._listing.images() if f.path not in named]
        yield from aggregate("unlisted_files", f"{{n}} images are not named in {index}", unlisted)


class _Facts:
    """What the index says of the plate and of each channel: the first value of each kind counts."""

    def __init__(self) -> None:
        self.plate: Fields = {}
        self._channels: dict[str, Fields] = {}
        self._unread: list[str] = []

    def add(self, channel: str, own: Fields) -> None:
        """Take in what an image, or an entry of a map, says of its channel."""
        known = self._channels.setdefault(channel, {})
        if len(known) < len(_SHARED):
            for name in _SHARED & own.keys() - known.keys():
                known[name] = own[name]

    @property
    def start(self) -> float | None:
        """When the measurement began, in seconds since 1970."""
        return moment(self.plate.get("MeasurementStartTime"))

    def vendor(self) -> VendorFacts:
        """Return the facts of the acquisition."""
        keys = sorted(self._channels, key=natural)
        names = Counter(self._channels[key].get("ChannelName", "") for key in keys)
        first = self._channels[keys[0]] if keys else {}
        rows, columns = whole(self.plate.get("PlateRows")), whole(self.plate.get("PlateColumns"))
        height, width = whole(first.get("ImageSizeY")), whole(first.get("ImageSizeX"))
        power, aperture = (
            number(first.get("ObjectiveMagnification")),
            number(first.get("ObjectiveNA")),
        )
        objective = f"{power:g}x" + (f"/{aperture:g}" if aperture else "") if power else None
        return VendorFacts(
            reader="harmony",
            plate_name=self.plate.get("Name") or self.plate.get("PlateID") or None,
            n_rows=rows if rows > 0 else None,
            n_columns=columns if columns > 0 else None,
            plate_format=rows * columns if rows * columns in PLATE_FORMATS else None,
            channels=tuple(self._channel(key, names) for key in keys),
            pixel_size_um=_micrometres(first.get("ImageResolutionX")),
            shape=(height, width) if height > 0 and width > 0 else None,
            y_sign=-1,
            objective=objective,
            magnification=power,
            acquired_at=self.plate.get("MeasurementStartTime") or None,
        )

    def _channel(self, key: str, names: Counter[str]) -> ChannelFacts:
        own = self._channels[key]
        name = own.get("ChannelName", "").strip()[:60]
        exposure = number(own.get("ExposureTime"))
        profile = own.get("FlatfieldProfile", "")
        flatfield = parse_profile(profile)
        if flatfield is None and "Polynomial" in profile:
            self._unread.append(name or key)
        return ChannelFacts(
            key=key,
            name=f"{name} {key}" if names[own.get("ChannelName", "")] > 1 else name or f"ch{key}",
            wavelength_nm=number(own.get("MainEmissionWavelength")) or None,
            excitation_nm=number(own.get("MainExcitationWavelength")) or None,
            exposure_ms=None if exposure is None else round(exposure * 1000, 6),
            brightfield=bool(
                _UNSTAINED.search(f"{own.get('ChannelType', '')} {own.get('IlluminationType', '')}")
            ),
            flatfield=flatfield,
        )

    def problems(self, index: str) -> Iterator[Problem]:
        """Yield what of the channels' facts could not be used; to be asked after `vendor`."""
        if self._unread:
            message = (
                f"the flat-field profile of {', '.join(self._unread)} in {index} was not understood"
            )
            yield Problem(code="bad_flatfield", message=message, files=(index,))


def _micrometres(metres: str | None) -> float | None:
    # A position's tenth digit is noise of the stage; a pixel's size is kept to the last.
    value = number(metres)
    return None if value is None else float(f"{value * 1e6:.12g}")


def parse_profile(text: str) -> FlatField | None:
    """Return the flat field of a profile in Harmony's own notation, None where it has no polynomial.

    The foreground's profile (fluorescence) is taken, that of the background where there is no other.
    Row i of the coefficients has those of x^i, x^(i-1) y, … y^i (with x and y in the other order the
    profile of a real plate doesn't follow its shading). Harmony gives places as (x, y).
    """
    plain = _QUOTED.sub('""', text)
    for part in ("Foreground", "Background"):
        section = _section(plain, part)
        if "Type: Polynomial" in section and (found := _polynomial(section)):
            return found
    return None


def _section(text: str, name: str) -> str:
    """Return what stands in braces after a name, inner braces included."""
    start = text.find(f"{name}: {{")
    if start < 0:
        return ""
    depth = 0
    for match in re.finditer(r"[{}]", text[start:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : start + match.end()]
    return ""


def _polynomial(section: str) -> FlatField | None:
    found = _COEFFICIENTS.search(section)
    origin, scale = (_pair(section, name) for name in ("Origin", "Scale"))
    if found is None or origin is None or scale is None:
        return None
    rows = [[number(c.strip()) for c in row.split(",")] for row in _ROW.findall(found[1])]
    if len(rows) > MAX_DEGREE or any(len(row) != i + 1 for i, row in enumerate(rows)):
        return None
    values = tuple(tuple(c for c in row if c is not None) for row in rows)
    if [len(v) for v in values] != [len(r) for r in rows]:
        return None
    return FlatField(kind="polynomial", coefficients=values, origin=origin[::-1], scale=scale[::-1])


def _pair(section: str, name: str) -> tuple[float, float] | None:
    found = re.search(name + _PAIR, section)
    first, second = (number(found[1]), number(found[2])) if found else (None, None)
    return None if first is None or second is None else (first, second)
