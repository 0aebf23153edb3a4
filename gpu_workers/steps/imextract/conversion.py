"""One job: the planes of some units are read once, written once, and projected on the way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import IMAGE_SUFFIXES, aggregate
from gpu_workers.imaging.focus import tenengrad
from gpu_workers.messages import Json, Problem
from gpu_workers.registry import StepContext
from gpu_workers.steps.imextract.arguments import VERSION, ImExtractArguments
from gpu_workers.steps.imextract.batches import part_path, planes_path
from gpu_workers.steps.imextract.labels import LabelImport, Target
from gpu_workers.steps.imextract.originals import Originals
from gpu_workers.steps.imextract.projection import Stack, state_bytes
from gpu_workers.steps.imextract.reuse import UNIT_TYPES, Earlier, Kept, unit_digest
from gpu_workers.steps.imextract.units import Unit, pages, units
from gpu_workers.steps.imextract.windows import Sample
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import ome, paths, tables
from gpu_workers.storage.labels import table_path
from gpu_workers.storage.layout import Layout, SiteLayout
from gpu_workers.storage.plates import (
    FOCUS_TYPES,
    IncompleteProjection,
    MissingPlane,
    Projection,
    array_dtype,
)
from gpu_workers.storage.shards import encode_shard, padded
from gpu_workers.storage.verification import CHECKSUM_TYPES, checksum

Pixels = npt.NDArray[Any]
MAX_LISTED: Final = 1000
PROJECTION_BYTES: Final = 256_000_000


def convert(context: StepContext, arguments: ImExtractArguments, batch: Json) -> Json:
    """Write the planes and projections of some rows of the table of planes; return what was done.

    What an earlier version has is taken from there. Checksums, planes in focus and units lie beside the
    part file, which is written last.
    """
    layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
    rows = tables.read_slice(planes_path(context), batch["first"], batch["count"]).to_pylist()
    with Originals(context) as originals:
        job = _Conversion(context, layout, arguments.made(layout), originals)
        job.n_rows = len(rows)
        own = list(units(context.root, context.key, layout, rows))
        earlier = Earlier.open(context, own)
        for unit in own:
            job.add(unit, earlier)
    _write(part_path(context, batch, ".parquet"), job.checksums, CHECKSUM_TYPES)
    if job.projection == "best":
        _write(part_path(context, batch, "-focus.parquet"), job.focus, FOCUS_TYPES)
    _write(part_path(context, batch, "-units.parquet"), job.units, UNIT_TYPES)
    report = job.report()
    paths.write_json(part_path(context, batch), report)
    return report


def _write(path: Path, rows: list[Json], types: dict[str, str]) -> None:
    tables.write_table(path, {name: [r.get(name) for r in rows] for name in types}, types)


@dataclass(slots=True)
class _Conversion:
    """What a job has written so far."""

    context: StepContext
    layout: Layout
    projection: Projection | None
    originals: Originals
    images: dict[tuple[str, int, int, str | None], None] = field(default_factory=dict)
    checksums: list[Json] = field(default_factory=list)
    focus: list[Json] = field(default_factory=list)
    missing: list[MissingPlane] = field(default_factory=list)
    incomplete: list[IncompleteProjection] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    labels: LabelImport = field(default_factory=LabelImport)
    sample: Sample = field(default_factory=Sample)
    units: list[Json] = field(default_factory=list)
    planes: int = 0
    bytes: int = 0
    linked: int = 0
    n_rows: int = 0

    def add(self, unit: Unit, earlier: Earlier) -> None:
        """Take one time point of an image from an earlier version, or write it."""
        digest = unit_digest(unit, self.projection, VERSION)
        first, first_focus = len(self.checksums), len(self.focus)
        n_missing, n_differing = len(self.missing), len(self.differing)
        sample = Sample()
        kept = earlier.take(unit, digest)
        if kept is None:
            self._convert(unit, sample)
        else:
            self._keep(unit, kept, sample)
        if unit.planes and self._has_labels(unit):
            self._labels(unit, self.originals.folder(unit.acquisition.id))
        counts = sample.counts()
        self.sample.merge(counts)
        if digest is None or len(self.missing) > n_missing:
            return
        place = dict(zip(("plate", "acquisition", "site", "t"), unit.place, strict=True))
        seen = {"sample": counts, "differing": self.differing[n_differing:]}
        self.units.append(
            {
                **place, "digest": digest, "seen": json.dumps(seen),
                "first": first, "count": len(self.checksums) - first,
                "first_focus": first_focus, "count_focus": len(self.focus) - first_focus,
            }
        )  # fmt: skip

    def _keep(self, unit: Unit, kept: Kept, sample: Sample) -> None:
        """Note a unit whose shards were linked."""
        for row in kept.checksums:
            self._array(unit, row["projection"])
            image = unit.path(row["projection"])
            self.checksums.append({**row, **_place(unit), "image": image})
            self.planes += row["projection"] is None
            self.bytes += row["bytes"]
            self.linked += row["bytes"]
        self.focus += [{**row, **_place(unit)} for row in kept.focus]
        self.differing += kept.seen["differing"]
        sample.merge(kept.seen["sample"])
        self._tell()

    def _convert(self, unit: Unit, sample: Sample) -> None:
        """Write one time point of an image."""
        planes = unit.planes
        counts = Counter(row["channel"] for row in planes)
        stacks = {c: Stack(self.projection, n) for c, n in counts.items()}
        itemsize = array_dtype(self.layout.channels).itemsize
        state = state_bytes(self.projection, unit.site.height, unit.site.width, itemsize)
        for page in pages(planes, PROJECTION_BYTES // max(state, 1)):
            self._page(unit, page, stacks, sample)
            for channel in dict.fromkeys(row["channel"] for row in page):
                if not stacks[channel].left:
                    self._project(unit, channel, stacks.pop(channel))

    def _has_labels(self, unit: Unit) -> bool:
        """Return whether there can be labels beside an image of which some plane is stored."""
        hierarchy = PurePosixPath(unit.planes[0]["file"]).suffix.lower() not in IMAGE_SUFFIXES
        place = unit.plate.id, unit.site.index, unit.acquisition.index, None
        return hierarchy and place in self.images

    def _labels(self, unit: Unit, source: Path) -> None:
        """Take over the labels beside an image: all of them, in the job that has its first time point."""
        if not (source / unit.planes[0]["file"]).is_dir():
            return
        own = [(n, "==", _place(unit)[n]) for n in ("plate", "site", "acquisition")]
        rows = tables.read_table(planes_path(self.context), filters=own).to_pylist()
        if unit.t > min(r["t"] for r in rows):
            return
        side = unit.site.height, unit.site.width
        target = Target(
            plate=unit.plate.id,
            folder=unit.folder(),
            image=unit.path(),
            tables=(unit.root / table_path(unit.key, unit.plate, unit.path(), "")).parent,
            shape=(unit.acquisition.n_tpoints, self.layout.n_zplanes, *side),
            cycles=tuple(c.cycle for c in self.layout.channels),
        )
        self.labels.add(source, rows, target)

    def _page(self, unit: Unit, page: list[Json], stacks: dict[int, Stack], sample: Sample) -> None:
        """Write the planes of one page of a file: one, or one for each colour."""
        found = [(row, self._read(unit, row)) for row in page]
        score = 0.0
        if self.projection == "best":
            # One figure for all colours of a page, or each might be in focus elsewhere.
            score = sum(tenengrad(pixels) for _, pixels in found if pixels is not None)
        for row, pixels in found:
            stack = stacks[row["channel"]]
            stack.left -= 1
            if pixels is None:
                continue
            sample.add(row["channel"], pixels)
            self._store(unit, row, pixels, None)
            stack.add(pixels, row["z"], score)
            self.planes += 1
        self._tell()

    def _tell(self) -> None:
        self.context.progress(self.planes / self.n_rows, f"{self.planes} of {self.n_rows} planes")

    def _read(self, unit: Unit, row: Json) -> Pixels | None:
        try:
            pixels = self._cut(unit, self.originals.read(row))
            _require(pixels, unit.site, self.layout.channels[row["channel"]].dtype, row["file"])
        except FileError as error:
            plane = MissingPlane(
                plate=unit.plate.id, well=unit.site.well, site=unit.site.name, acquisition=unit.acquisition.id,
                t=unit.t, channel=row["channel"], z=row["z"], file=row["file"], reason=error.message,
                code=error.code,
            )  # fmt: skip
            self.missing.append(plane)
            return None
        return pixels

    def _cut(self, unit: Unit, pixels: Pixels) -> Pixels:
        """Return what the layout keeps of an image: its upper left part where sizes differ."""
        height, width = unit.site.height, unit.site.width
        if self.layout.cropped and pixels.shape[0] >= height and pixels.shape[1] >= width:
            return pixels[:height, :width]
        return pixels

    def _project(self, unit: Unit, channel: int, stack: Stack) -> None:
        """Write the projection of a channel, all of whose planes have come."""
        kind = self.projection
        if kind is None or not stack.n:
            return
        pixels = stack.result()
        place = {"channel": channel, "z": 0, "file": None, "page": None, "sample": None}
        self._store(unit, place, pixels, kind)
        if kind == "best":
            self.focus.append(
                {**_place(unit), "channel": channel, "z": stack.z, "score": stack.score}
            )
        if stack.n < stack.expected:
            self.incomplete.append(
                IncompleteProjection(
                    plate=unit.plate.id, well=unit.site.well, site=unit.site.name,
                    acquisition=unit.acquisition.id, t=unit.t, channel=channel, n=stack.n,
                    expected=stack.expected,
                )
            )  # fmt: skip
        elif kind == "max":
            self._compare(unit, channel, pixels)

    def _compare(self, unit: Unit, channel: int, ours: Pixels) -> None:
        """Compare a maximum with the vendor's, of which the last one counts."""
        vendor = [
            row
            for row in unit.rows
            if row["role"] == "projection"
            and row["method"] in (None, "Maximum")
            and row["channel"] == channel
        ]
        if not vendor:
            return
        try:
            theirs = self._cut(unit, self.originals.read(vendor[-1]))
        except FileError as error:
            self.differing.append(f"{vendor[-1]['file']} ({error.code})")
            return
        if theirs.shape != ours.shape or not np.array_equal(theirs, ours):
            self.differing.append(vendor[-1]["file"])

    def _array(self, unit: Unit, projection: Projection | None) -> Path:
        """Return the folder of an image's array; its metadata is written before its first plane."""
        folder = unit.folder(projection) / "0"
        place = unit.plate.id, unit.site.index, unit.acquisition.index, projection
        if place not in self.images:
            shape = (
                unit.acquisition.n_tpoints, len(self.layout.channels),
                1 if projection else self.layout.n_zplanes, unit.site.height, unit.site.width,
            )  # fmt: skip
            side = padded(unit.site.height), padded(unit.site.width)
            dtype = str(array_dtype(self.layout.channels))
            ome.write_array(folder, ome.array_metadata(shape, dtype, shard=side))
            self.images[place] = None
        return folder

    def _store(self, unit: Unit, row: Json, pixels: Pixels, projection: Projection | None) -> None:
        """Write one plane and record its checksum."""
        folder = self._array(unit, projection)
        dtype = array_dtype(self.layout.channels)
        stored = pixels.astype(dtype, copy=False)
        data = encode_shard(stored)
        assert data is not None
        paths.write_atomically(ome.shard_path(folder, unit.t, row["channel"], row["z"]), data)
        self.bytes += len(data)
        self.checksums.append(
            {
                **_place(unit), "channel": row["channel"], "z": row["z"], "projection": projection,
                "file": row["file"], "page": row["page"], "sample": row["sample"],
                "image": unit.path(projection), "dtype": str(pixels.dtype), "checksum": checksum(stored),
                "bytes": len(data),
            }
        )  # fmt: skip

    def report(self) -> Json:
        """Return the content of the part file."""
        return {
            "images": list(self.images),
            "planes": self.planes,
            "bytes": self.bytes + self.labels.bytes,
            "linked": self.linked,
            "n_missing": len(self.missing),
            "missing": [m.model_dump(mode="json") for m in self.missing[:MAX_LISTED]],
            "n_incomplete": len(self.incomplete),
            "incomplete": [i.model_dump(mode="json") for i in self.incomplete[:MAX_LISTED]],
            "sample": self.sample.counts(),
            "labels": self.labels.part(),
            "problems": [p.model_dump(mode="json") for p in self._problems()],
        }

    def _problems(self) -> tuple[Problem, ...]:
        changed = [m for m in self.missing if m.code == "file_changed"]
        others = [m for m in self.missing if m.code != "file_changed"]
        return (
            *self.labels.problems,
            *aggregate(
                "file_changed",
                "{n} planes are left out: their files have changed since their metadata was read; extract "
                "metadata again",
                _files(changed), "error",
            ),
            *aggregate(
                "unreadable_planes",
                "{n} planes are left out: " + "; ".join(dict.fromkeys(str(m.reason) for m in others[:5])),
                _files(others), "error",
            ),
            *aggregate(
                "incomplete_projection",
                "{n} projections lack planes that could not be read",
                [f"{i.well} site {i.site}" for i in self.incomplete],
            ),
            *aggregate(
                "projection_differs",
                "{n} of the microscope's maximum projections differ from the maximum of their planes",
                self.differing,
            ),
        )  # fmt: skip


def _place(unit: Unit) -> Json:
    return {
        "plate": unit.plate.id,
        "well": unit.site.well,
        "site": unit.site.index,
        "acquisition": unit.acquisition.id,
        "t": unit.t,
    }


def _files(missing: list[MissingPlane]) -> list[str]:
    return [str(m.file) for m in missing]


def _require(pixels: Pixels, site: SiteLayout, dtype: str, file: str) -> None:
    if pixels.shape != (site.height, site.width):
        raise FileError(
            f"{file} has {pixels.shape[0]} x {pixels.shape[1]} px, not {site.height} x {site.width}",
            code="other_size", files=(file,),
        )  # fmt: skip
    # A channel's type holds those of all its acquisitions: an 8-bit plate beside a 16-bit one.
    if not np.can_cast(pixels.dtype, np.dtype(dtype), "safe"):
        raise FileError(
            f"{file} has pixels of type {pixels.dtype}, not {dtype}",
            code="other_type",
            files=(file,),
        )
