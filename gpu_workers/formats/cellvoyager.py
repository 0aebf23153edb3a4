"""Yokogawa CellVoyager 7000/8000 and CQ1: ``MeasurementData.mlf`` lists every image.

``MeasurementDetail.mrf`` adds pixel size and plate, the ``.mes`` file the filters and colours.
Stage positions are µm from the well's centre with y upwards.
"""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import ClassVar
from xml.etree.ElementTree import ParseError

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, safe_name, shown
from gpu_workers.formats.survey import (
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    well_name,
)
from gpu_workers.messages import Problem

Attributes = dict[str, str]
_CORRECTION = re.compile(r"(SC|DC|CAM)_.*", re.IGNORECASE)
MAX_CHANNEL_NAME = 60
_NUMBER = re.compile(r"\d+(\s*nm)?")
_FILTER = re.compile(r"\D*(\d{3})")


def _elements(data: bytes, tag: str, file: str) -> Iterator[tuple[Attributes, str]]:
    """Yield attributes (without name space) and text of all elements called `tag`."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        for _, element in ElementTree.iterparse(io.BytesIO(data)):
            if element.tag.rpartition("}")[2] == tag:
                attributes = {k.rpartition("}")[2]: v for k, v in element.attrib.items()}
                yield attributes, (element.text or "").strip()
                element.clear()
    except (ParseError, DefusedXmlException) as error:
        raise FileError(
            f"{shown(file)} is not the XML it should be: {error}",
            code="bad_metadata",
            files=(file,),
        ) from error


def _float(attributes: Attributes, name: str) -> float | None:
    try:
        return float(attributes[name])
    except (KeyError, ValueError):
        return None


def _int(attributes: Attributes, name: str, default: int) -> int:
    text = attributes.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= 9 else default


class CellVoyagerReader:
    name: ClassVar = "cellvoyager"
    title: ClassVar = "Yokogawa CellVoyager"
    help: ClassVar = (
        "CV7000, CV8000 and CQ1: a folder with MeasurementData.mlf and MeasurementDetail.mrf."
    )
    VERSION: ClassVar = 2

    def score(self, listing: Listing) -> float:
        """Return 1 for both metadata files, 0.9 for the list of images alone."""
        if not listing.with_suffix(".mlf"):
            return 0.0
        return 1.0 if listing.with_suffix(".mrf") else 0.9

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the .mlf file lists.

        Raises
        ------
        FileError
            There is no .mlf file, there are several, or one can't be parsed.
        """
        mlf = self._measurement(listing)
        records = list(_elements(listing.read_metadata(mlf), "MeasurementRecord", mlf.path))
        rows = _Records(listing, mlf.folder, mlf.path)
        rows.add_all(records)
        facts, problems = self._facts(listing, mlf, rows)
        return Survey(facts, rows.planes, rows.absent, [*rows.problems(), *problems])

    @staticmethod
    def _measurement(listing: Listing) -> FileEntry:
        found = listing.with_suffix(".mlf")
        if not found:
            raise FileError("there is no .mlf file", code="no_metadata")
        if len(found) > 1:
            raise FileError(
                f"the folder holds {len(found)} measurements; an acquisition is one of them",
                code="several_plates", files=tuple(f.path for f in found),
            )  # fmt: skip
        return found[0]

    @staticmethod
    def _facts(
        listing: Listing, mlf: FileEntry, rows: _Records
    ) -> tuple[VendorFacts, list[Problem]]:
        details = [f for f in listing.with_suffix(".mrf") if f.folder == mlf.folder]
        settings = [f for f in listing.with_suffix(".mes") if f.folder == mlf.folder]
        problems: list[Problem] = []
        if not details:
            problems.append(
                Problem(
                    code="no_metadata", message="there is no .mrf file: the pixel size is unknown"
                )
            )
        detail: Attributes = {}
        plate: Attributes = {}
        sizes: dict[str, Attributes] = {}
        filters: dict[str, Attributes] = {}
        if details:
            data = listing.read_metadata(details[0])
            detail = next((a for a, _ in _elements(data, "MeasurementDetail", details[0].path)), {})
            plate = next(
                (a for a, _ in _elements(data, "MeasurementSamplePlate", details[0].path)), {}
            )
            found = _elements(data, "MeasurementChannel", details[0].path)
            sizes = {a.get("Ch", ""): a for a, _ in found}
        if settings:
            found = _elements(listing.read_metadata(settings[0]), "Channel", settings[0].path)
            filters = {a.get("Ch", ""): a for a, _ in found}
        used = [sizes[ch] for ch in sorted(rows.channels) if ch in sizes]
        return _vendor_facts(detail, plate, used, rows.channel_facts(filters)), problems


def _vendor_facts(
    detail: Attributes,
    plate: Attributes,
    sizes: list[Attributes],
    channels: tuple[ChannelFacts, ...],
) -> VendorFacts:
    first = sizes[0] if sizes else {}
    height, width = _int(first, "VerticalPixels", 0), _int(first, "HorizontalPixels", 0)
    bits = _int(first, "InputBitDepth", 0)
    return VendorFacts(
        reader="cellvoyager",
        plate_name=plate.get("Name") or detail.get("Title") or None,
        n_rows=_int(detail, "RowCount", 0) or None,
        n_columns=_int(detail, "ColumnCount", 0) or None,
        channels=channels,
        pixel_size_um=_float(first, "HorizontalPixelDimension"),
        shape=(height, width) if height and width else None,
        dtype={8: "uint8", 16: "uint16"}.get(bits),
        y_sign=-1,
    )


class _Records:
    """Sorts the records of a .mlf file into planes, absent planes and problems."""

    def __init__(self, listing: Listing, folder: str, mlf: str) -> None:
        self.planes: list[SourcePlane] = []
        self.absent: list[SourcePlane] = []
        self.channels: set[str] = set()
        self._keys: dict[str, str] = {}
        self._listing = listing
        self._folder = folder
        self._mlf = mlf
        self._errors: list[str] = []
        self._unsafe: list[str] = []
        self._bad: list[str] = []
        self._named: set[str] = set()

    def add_all(self, records: list[tuple[Attributes, str]]) -> None:
        images = [r for r in records if r[0].get("Type", "IMG") == "IMG"]
        self._errors = [
            text or "a record without text" for a, text in records if a.get("Type") == "ERR"
        ]
        actions = defaultdict(set)
        for attributes, _ in images:
            actions[attributes.get("Ch", "")].add(attributes.get("ActionIndex", "1"))
        times = _tpoints(images)
        for attributes, name in images:
            self._add(attributes, name, len(actions[attributes.get("Ch", "")]) > 1, times)

    def _add(
        self, attributes: Attributes, name: str, repeated: bool, times: dict[tuple[int, int], int]
    ) -> None:
        if not name or not safe_name(name.replace("\\", "/")):
            self._unsafe.append(shown(name) or "a record without a name")
            return
        row, column = _int(attributes, "Row", 0) - 1, _int(attributes, "Column", 0) - 1
        try:
            well = well_name(row, column)
        except ValueError:
            self._bad.append(name)
            return
        file = self._find(name.replace("\\", "/"))
        channel = attributes.get("Ch", "")
        self.channels.add(channel)
        plane = SourcePlane(
            file=file.path if file else self._below(name),
            well=well,
            site=str(_int(attributes, "FieldIndex", 1)),
            channel=self._key(channel, attributes.get("ActionIndex", "1"), repeated),
            z=_int(attributes, "ZIndex", 1),
            t=times[_when(attributes)],
            role="projection" if attributes.get("ZImageProcessing") else "plane",
            stage_y_um=_float(attributes, "Y"),
            stage_x_um=_float(attributes, "X"),
            z_um=_float(attributes, "Z"),
            method=attributes.get("ZImageProcessing") or None,
        )
        (self.planes if file else self.absent).append(plane)
        self._named.add(plane.file)

    def _below(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _find(self, name: str) -> FileEntry | None:
        path = self._below(name)
        stem = path.rpartition(".")[0]
        candidates = (path, f"{stem}.tif", f"{stem}.tiff", f"{stem}.png")
        return next((f for c in candidates if (f := self._listing.get(c))), None)

    def _key(self, channel: str, action: str, repeated: bool) -> str:
        own = f"C{channel.zfill(2)}"
        key = f"A{action.zfill(2)}_{own}" if repeated else own
        self._keys[key] = channel
        return key

    def channel_facts(self, filters: dict[str, Attributes]) -> tuple[ChannelFacts, ...]:
        facts = []
        names = _names({ch: filters.get(ch, {}) for ch in self.channels})
        for key in sorted(self._keys):
            channel = self._keys[key]
            own = f"C{channel.zfill(2)}"
            setting = filters.get(channel, {})
            emission = _FILTER.match(setting.get("Acquisition", ""))
            color = setting.get("Color", "")
            facts.append(
                ChannelFacts(
                    key=key,
                    name=key.removesuffix(own) + names.get(channel, own),
                    wavelength_nm=float(emission[1]) if emission else None,
                    color=f"#{color[-6:].lower()}"
                    if re.fullmatch(r"#[0-9A-Fa-f]{8}", color)
                    else None,
                )
            )
        return tuple(facts)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records, one problem for each kind."""
        counts = Counter(self._errors)
        texts = [f"{text} ({n}×)" if n > 1 else text for text, n in counts.items()]
        summary = "; ".join(texts[:10]) + ("; …" if len(texts) > 10 else "")
        unlisted = [
            f.path for f in self._listing.images()
            if f.path not in self._named and not _CORRECTION.fullmatch(f.name)
        ]  # fmt: skip
        found: list[Problem] = []
        if self._errors:
            message = (
                f"the microscope reports {len(self._errors)} failures in {self._mlf}: {summary}"
            )
            found.append(Problem(code="acquisition_error", message=message, files=(self._mlf,)))
        found += aggregate(
            "absent_files", f"{{n}} images that {self._mlf} names are not there",
            [p.file for p in self.absent], "error",
        )  # fmt: skip
        found += aggregate(
            "unsafe_name",
            f"{{n}} names in {self._mlf} don't stay below the folder",
            self._unsafe,
            "error",
        )
        found += aggregate(
            "bad_metadata", f"{{n}} records of {self._mlf} name no well", self._bad, "error"
        )
        found += aggregate("unlisted_files", f"{{n}} images are not named in {self._mlf}", unlisted)
        return found


def _names(settings: dict[str, Attributes]) -> dict[str, str]:
    """Return what the settings call each channel: its fluorophore, else its target.

    A bare number (the laser's wavelength) is no name, and one that two channels share is neither's.
    """
    names: dict[str, str] = {}
    for channel, setting in settings.items():
        for attribute in ("Fluorophore", "Target"):
            name = setting.get(attribute, "").strip()
            if (
                name.isprintable()
                and 0 < len(name) <= MAX_CHANNEL_NAME
                and not _NUMBER.fullmatch(name)
            ):
                names[channel] = name
                break
    counts = Counter(names.values())
    return {channel: name for channel, name in names.items() if counts[name] == 1}


def _when(attributes: Attributes) -> tuple[int, int]:
    return _int(attributes, "TimelineIndex", 1), _int(attributes, "TimePoint", 1)


def _tpoints(images: list[tuple[Attributes, str]]) -> dict[tuple[int, int], int]:
    """Return the time point of each (timeline, time point) that occurs.

    Time points normally go on counting over the timelines. Where a timeline starts again and images
    the same field, the timelines are put one after the other.
    """
    pairs = sorted({_when(a) for a, _ in images})
    seen: dict[tuple[str, ...], int] = {}
    for attributes, _ in images:
        plane = tuple(
            attributes.get(k, "")
            for k in ("Row", "Column", "FieldIndex", "ZIndex", "Ch", "ActionIndex", "TimePoint")
        )
        line = _when(attributes)[0]
        if seen.setdefault(plane, line) != line:
            return {pair: number for number, pair in enumerate(pairs)}
    return {pair: pair[1] for pair in pairs}
