"""Yokogawa CellVoyager 7000/8000 and CQ1: ``MeasurementData.mlf`` lists every image.

``MeasurementDetail.mrf`` adds pixel size, plate and shading images, the ``.mes`` file filters and
colours. Stage positions are µm from the well's centre with y upwards.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, safe_name, shown
from gpu_workers.formats.metadata_xml import elapsed, elements, moment, number, whole
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    ChannelFacts,
    SourcePlane,
    Survey,
    VendorFacts,
    well_name,
)
from gpu_workers.messages import FlatField, Problem

Attributes = dict[str, str]
_CORRECTION = re.compile(r"(SC|DC|CAM)_.*", re.IGNORECASE)
_DARK = re.compile(r"DC_.*_CAM(\d{1,3})", re.IGNORECASE)
MAX_CHANNEL_NAME = 60
_NUMBER = re.compile(r"\d+(\s*nm)?")
_FILTER = re.compile(r"\D*(\d{3})")
_COLOR = re.compile(r"#[0-9A-Fa-f]{8}")
_UNSTAINED = re.compile(r"bright|phase|\bdic\b|transmi", re.IGNORECASE)


class _Image(NamedTuple):
    """What the list of images says of one image."""

    name: str
    row: int
    column: int
    field: int
    z: int
    channel: str
    action: str
    when: tuple[int, int]
    y_um: float | None
    x_um: float | None
    z_um: float | None
    method: str
    at: float | None

    @property
    def place(self) -> tuple[object, ...]:
        """Everything but the timeline: what a timeline that starts again repeats."""
        return (self.row, self.column, self.field, self.z, self.channel, self.action, self.when[1])


def _image(attributes: Attributes, name: str) -> _Image:
    return _Image(
        name=name.replace("\\", "/"),
        row=whole(attributes.get("Row")) - 1,
        column=whole(attributes.get("Column")) - 1,
        field=whole(attributes.get("FieldIndex"), 1),
        z=whole(attributes.get("ZIndex"), 1),
        channel=attributes.get("Ch", ""),
        action=attributes.get("ActionIndex", "1"),
        when=(whole(attributes.get("TimelineIndex"), 1), whole(attributes.get("TimePoint"), 1)),
        y_um=number(attributes.get("Y")),
        x_um=number(attributes.get("X")),
        z_um=number(attributes.get("Z")),
        method=attributes.get("ZImageProcessing", ""),
        at=moment(attributes.get("Time")),
    )


class CellVoyagerReader:
    name: ClassVar = "cellvoyager"
    title: ClassVar = "Yokogawa CellVoyager"
    help: ClassVar = (
        "CV7000, CV8000 and CQ1: a folder with MeasurementData.mlf and MeasurementDetail.mrf."
    )
    VERSION: ClassVar = 3

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
        mlf = _measurement(listing)
        images: list[_Image] = []
        errors: list[str] = []
        for record in elements(listing, mlf, {"MeasurementRecord"}):
            kind, text = record.attrib.get("Type", "IMG"), record.text or ""
            if kind == "IMG":
                images.append(_image(record.attrib, text))
            elif kind == "ERR":
                errors.append(text or "a record without text")
        settings = _Settings(listing, mlf)
        rows = _Rows(listing, mlf, images, settings.start)
        facts = settings.facts(listing, rows.keys)
        problems = [*_failures(errors, mlf.path), *rows.problems(), *settings.problems]
        names = {p.file for p in rows.planes}
        files = [f for f in listing.images() if f.path in names]
        return Survey(facts, rows.planes, rows.absent, problems, files)


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


def _failures(errors: list[str], mlf: str) -> Iterator[Problem]:
    if not errors:
        return
    texts = [f"{text} ({n}×)" if n > 1 else text for text, n in Counter(errors).items()]
    summary = "; ".join(texts[:10]) + ("; …" if len(texts) > 10 else "")
    message = f"the microscope reports {len(errors)} failures in {mlf}: {summary}"
    yield Problem(code="acquisition_error", message=message, files=(mlf,))


class _Rows:
    """Sorts the images of a .mlf file into planes, absent planes and problems."""

    def __init__(
        self, listing: Listing, mlf: FileEntry, images: list[_Image], start: float | None
    ) -> None:
        self.planes: list[SourcePlane] = []
        self.absent: list[SourcePlane] = []
        self.keys: dict[str, str] = {}
        self._listing = listing
        self._mlf = mlf
        self._unsafe: list[str] = []
        self._bad: list[str] = []
        actions = defaultdict(set)
        for image in images:
            actions[image.channel].add(image.action)
        self._repeated = {channel for channel, own in actions.items() if len(own) > 1}
        self._times = _tpoints(images)
        self._start = start or min((i.at for i in images if i.at), default=None)
        # Images are often converted: what counts is the name without its suffix.
        below = f"{mlf.folder}/" if mlf.folder else ""
        self._files = {_stem(f.path): f.path for f in listing.images()}
        for image in images:
            self._add(image, f"{below}{image.name}")

    def _add(self, image: _Image, path: str) -> None:
        if not image.name or not safe_name(image.name):
            self._unsafe.append(shown(image.name) or "a record without a name")
            return
        try:
            well = well_name(image.row, image.column)
        except ValueError:
            self._bad.append(path)
            return
        own = f"C{image.channel.zfill(2)}"
        key = f"A{image.action.zfill(2)}_{own}" if image.channel in self._repeated else own
        self.keys[key] = image.channel
        file = path if self._listing.get(path) else self._files.get(_stem(path))
        plane = SourcePlane(
            file=file or path,
            well=well,
            site=str(image.field),
            channel=key,
            z=image.z,
            t=self._times[image.when],
            role="projection" if image.method else "plane",
            stage_y_um=image.y_um,
            stage_x_um=image.x_um,
            z_um=image.z_um,
            method=image.method or None,
            time_s=elapsed(image.at, self._start),
        )
        (self.planes if file else self.absent).append(plane)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records, one problem for each kind."""
        name = self._mlf.path
        named = {p.file for p in self.planes} | set(self._bad)
        unlisted = [
            f.path for f in self._listing.images()
            if f.path not in named and not _CORRECTION.fullmatch(f.name)
        ]  # fmt: skip
        absent = f"{{n}} images that {name} names are not there"
        unsafe = f"{{n}} names in {name} don't stay below the folder"
        wrong = f"{{n}} records of {name} name no well"
        return [
            *aggregate("absent_files", absent, [p.file for p in self.absent], "error"),
            *aggregate("unsafe_name", unsafe, self._unsafe, "error"),
            *aggregate("bad_metadata", wrong, self._bad, "error"),
            *aggregate("unlisted_files", f"{{n}} images are not named in {name}", unlisted),
        ]


def _stem(path: str) -> str:
    return path.rpartition(".")[0].lower()


class _Settings:
    """What the files beside the list of images say: plate, pixels, filters, shading images."""

    def __init__(self, listing: Listing, mlf: FileEntry) -> None:
        self.detail: Attributes = {}
        self.plate: Attributes = {}
        self.sizes: dict[str, Attributes] = {}
        self.filters: dict[str, Attributes] = {}
        self.lasers: dict[str, float] = {}
        self.problems: list[Problem] = []
        self._sources: dict[str, str] = {}
        self._folder = mlf.folder
        for details in self._beside(listing, ".mrf"):
            self._read_details(listing, details)
        for settings in self._beside(listing, ".mes"):
            self._read_settings(listing, settings)
        if not self.sizes:
            message = f"there is no .mrf file beside {mlf.path}: the pixel size is unknown"
            self.problems.append(Problem(code="no_metadata", message=message, files=(mlf.path,)))

    @property
    def start(self) -> float | None:
        """When the measurement began."""
        return moment(self.detail.get("BeginTime"))

    def _beside(self, listing: Listing, suffix: str) -> list[FileEntry]:
        return [f for f in listing.with_suffix(suffix) if f.folder == self._folder][:1]

    def _read_details(self, listing: Listing, entry: FileEntry) -> None:
        for element in elements(listing, entry, {"MeasurementDetail"}):
            self.detail = dict(element.attrib)
            for part in element:
                if part.tag == "MeasurementSamplePlate":
                    self.plate = dict(part.attrib)
                elif part.tag == "MeasurementChannel":
                    self.sizes[part.attrib.get("Ch", "")] = dict(part.attrib)

    def _read_settings(self, listing: Listing, entry: FileEntry) -> None:
        for element in elements(listing, entry, {"Channel", "LightSource"}):
            if element.tag == "LightSource":
                length = number(element.attrib.get("WaveLength"))
                if length:
                    self.lasers[element.attrib.get("Name", "")] = length
                continue
            channel = element.attrib.get("Ch", "")
            self.filters[channel] = dict(element.attrib)
            self._sources[channel] = next(
                (part.text or "" for part in element if part.tag == "LightSourceName"), ""
            )

    def facts(self, listing: Listing, keys: dict[str, str]) -> VendorFacts:
        """Return the facts of an acquisition whose channels have the given keys."""
        used = sorted(set(keys.values()))
        first = next((self.sizes[channel] for channel in used if channel in self.sizes), {})
        optics = next((self.filters[channel] for channel in used if channel in self.filters), {})
        height, width = whole(first.get("VerticalPixels")), whole(first.get("HorizontalPixels"))
        rows, columns = whole(self.detail.get("RowCount")), whole(self.detail.get("ColumnCount"))
        return VendorFacts(
            reader="cellvoyager",
            plate_name=self.plate.get("Name") or self.detail.get("Title") or None,
            n_rows=rows or None,
            n_columns=columns or None,
            plate_format=rows * columns if rows * columns in PLATE_FORMATS else None,
            channels=tuple(self._channels(listing, keys)),
            pixel_size_um=number(first.get("HorizontalPixelDimension")),
            shape=(height, width) if height > 0 and width > 0 else None,
            dtype={8: "uint8", 16: "uint16"}.get(whole(first.get("InputBitDepth"))),
            y_sign=-1,
            objective=optics.get("Objective") or None,
            magnification=number(optics.get("Magnification")),
            acquired_at=self.detail.get("BeginTime") or None,
        )

    def _channels(self, listing: Listing, keys: dict[str, str]) -> Iterator[ChannelFacts]:
        names = _names({ch: self.filters.get(ch, {}) for ch in keys.values()})
        for key in sorted(keys):
            channel = keys[key]
            own = f"C{channel.zfill(2)}"
            setting = self.filters.get(channel, {})
            emission = _FILTER.match(setting.get("Acquisition", ""))
            color = setting.get("Color", "")
            unstained = bool(_UNSTAINED.search(setting.get("Kind", "")))
            yield ChannelFacts(
                key=key,
                name=key.removesuffix(own) + names.get(channel, own),
                wavelength_nm=float(emission[1]) if emission and not unstained else None,
                excitation_nm=self.lasers.get(self._sources.get(channel, "")),
                exposure_ms=number(setting.get("ExposureTime")),
                color=f"#{color[-6:].lower()}" if _COLOR.fullmatch(color) else None,
                brightfield=unstained,
                flatfield=self._flatfield(listing, channel),
            )

    def _flatfield(self, listing: Listing, channel: str) -> FlatField | None:
        """Return the shading image that the details name, and the dark image of the same camera."""
        sizes = self.sizes.get(channel, {})
        source = sizes.get("ShadingCorrectionSource", "")
        below = f"{self._folder}/" if self._folder else ""
        flat = listing.get(f"{below}{source}") if source and safe_name(source) else None
        if flat is None:
            return None
        dark = next(
            (
                f.path
                for f in listing.images()
                if f.folder == self._folder
                and (match := _DARK.match(f.name))
                and match[1] == sizes.get("CameraNumber")
            ),
            None,
        )
        return FlatField(kind="files", flat_file=flat.path, dark_file=dark)


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


def _tpoints(images: Iterable[_Image]) -> dict[tuple[int, int], int]:
    """Return the time point of each (timeline, time point) that occurs.

    Time points normally go on counting over the timelines. Where a timeline starts again and images
    the same field, the timelines are put one after the other.
    """
    seen: dict[tuple[object, ...], int] = {}
    pairs: set[tuple[int, int]] = set()
    restarts = False
    for image in images:
        pairs.add(image.when)
        restarts = restarts or seen.setdefault(image.place, image.when[0]) != image.when[0]
    if restarts:
        return {pair: n for n, pair in enumerate(sorted(pairs))}
    return {pair: pair[1] for pair in pairs}
