"""imextract: copy every plane of the source into the plates' OME-Zarr, with projections if asked.

Pixels are not changed. A plane that can't be read, or isn't what the layout says, is left out and
listed; the vendor's own projections are compared with ours and never stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gpu_workers import registry
from gpu_workers.errors import DataMissing, FileError
from gpu_workers.formats.files import read_plane
from gpu_workers.formats.listing import aggregate
from gpu_workers.messages import Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.metaextract import acquisition_folder
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import ome, paths, tables
from gpu_workers.storage.layout import AcquisitionLayout, Layout, PlateLayout, SiteLayout
from gpu_workers.storage.plates import (
    MissingPlane,
    PlateFolder,
    PlatesManifest,
    Projection,
    array_dtype,
    image_path,
    manifest_path,
    plate_path,
)
from gpu_workers.storage.shards import encode_shard, padded

BYTES_PER_JOB = 200_000_000
MAX_LISTED = 1000
Pixels = npt.NDArray[Any]


class ImExtractArguments(registry.Arguments):
    """Arguments of imextract."""

    projection: Literal["none", "max", "mean"] = Field(
        "none",
        title="Projection along z",
        description=(
            "Also store the maximum or mean of each z stack; later steps can then work on it. The planes "
            "themselves are always kept."
        ),
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=100_000,
        title="Sites per job",
        description="How many sites one job converts; by default as many as make about 200 MB.",
    )

    @property
    def stored(self) -> Projection | None:
        return None if self.projection == "none" else self.projection


class ImExtract(Step[ImExtractArguments]):
    name: ClassVar = "imextract"
    title: ClassVar = "Extract images"
    help: ClassVar = (
        "Copy the pixels of all planes into OME-Zarr, unchanged, with a projection if asked."
    )
    VERSION: ClassVar = 3
    requires: ClassVar = ("layout",)
    Arguments: ClassVar = ImExtractArguments

    def plan(self, context: StepContext, arguments: ImExtractArguments) -> Plan:
        """Return batches of sites."""
        layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
        planes = tables.read_table(_planes_path(context))
        projection = arguments.stored if layout.n_zplanes > 1 else None
        images = [(p.id, [(s.raw, s.height, s.width) for s in p.sites]) for p in layout.plates]
        orders = [(a.id, a.plate, a.index, a.n_tpoints) for a in layout.acquisitions]
        # Without a stack there is nothing to project, but the manifest still names what was asked. The
        # back end isn't part of the key: no pixel is computed on a GPU here, and raw data is kept once.
        key = paths.content_key(
            self.name, self.VERSION, arguments.stored, _digest(planes), images, orders,
            [c.dtype for c in layout.channels], layout.n_zplanes,
        )  # fmt: skip
        n_bytes = sum(
            n * p.sites[0].height * p.sites[0].width * array_dtype(layout.channels).itemsize
            for p, n in _plane_counts(layout, planes)
        )
        extra = n_bytes // layout.n_zplanes if projection else 0
        batches: list[Json] = list(_batches(layout, arguments, planes))
        return Plan(key=key, rounds=(tuple(batches),), bytes_to_write=n_bytes + extra)

    def run(self, context: StepContext, arguments: ImExtractArguments, batch: Json) -> StepOutput:
        """Write the images of one batch of sites; does nothing if they are all there already."""
        part = _part_path(context, batch)
        if part.is_file():
            done = paths.read_json(part)
        else:
            job = _Conversion(context, arguments)
            done = job.convert(str(batch["plate"]), int(batch["first"]), int(batch["count"]))
            paths.write_json(part, done)
        for problem in done["problems"]:
            context.problems.append(Problem.model_validate(problem))
        return StepOutput({name: done[name] for name in ("planes", "bytes", "n_missing")})

    def collect(self, context: StepContext, arguments: ImExtractArguments) -> StepOutput:
        """Write plate, well and image metadata and the manifest.

        Raises
        ------
        FileError
            Not one plane could be read.
        """
        layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
        planes = tables.read_table(_planes_path(context))
        parts = [
            (b["plate"], paths.read_json(_part_path(context, b)))
            for b in _batches(layout, arguments, planes)
        ]
        n_planes = sum(p["planes"] for _, p in parts)
        missing = [m for _, p in parts for m in p["missing"]]
        if not n_planes:
            raise FileError(
                "not one plane could be read", code="no_images",
                files=tuple(m["file"] for m in missing[:20]),
            )  # fmt: skip
        n_images = 0
        for plate in layout.plates:
            images = [tuple(i) for owner, p in parts if owner == plate.id for i in p["images"]]
            n_images += len(images)
            _write_groups(context.root, context.key, layout, plate, images)
        manifest = PlatesManifest(
            key=context.key,
            layout=context.inputs["layout"],
            projection=arguments.stored,
            images=n_images,
            planes=n_planes,
            bytes=sum(p["bytes"] for _, p in parts),
            n_missing=sum(p["n_missing"] for _, p in parts),
            plates=tuple(
                PlateFolder(id=p.id, slug=p.slug, path=plate_path(context.key, p))
                for p in layout.plates
            ),
            missing=tuple(MissingPlane.model_validate(m) for m in missing[:MAX_LISTED]),
            sources=str(_planes_path(context).relative_to(context.root)),
        )
        path = manifest_path(context.key)
        paths.write_json(context.root / path, manifest.model_dump(mode="json"))
        output = {
            "images": n_images,
            "planes": n_planes,
            "bytes": manifest.bytes,
            "missing": manifest.n_missing,
        }
        return StepOutput(output, {"plates": path})


def _planes_path(context: StepContext) -> Path:
    return (context.root / context.inputs["layout"]).with_name("planes.parquet")


def _part_path(context: StepContext, batch: Json) -> Path:
    name = f"{batch['plate']}-{batch['first']}-{batch['count']}.json"
    return context.root / paths.plates_folder(context.key) / "parts" / name


def _digest(planes: Any) -> str:
    """Return a digest of which page of which file is which plane."""
    digest = hashlib.blake2b(digest_size=16)
    for name in layouts.PLANE_TYPES:
        digest.update(repr((name, planes[name].to_pylist())).encode())
    return digest.hexdigest()


def _plane_counts(layout: Layout, planes: Any) -> list[tuple[PlateLayout, int]]:
    owners = np.asarray(planes["plate"].to_pylist(), dtype=object)
    real = np.asarray(planes["role"].to_pylist(), dtype=object) == "plane"
    return [(p, int(((owners == p.id) & real).sum())) for p in layout.plates]


def _batches(layout: Layout, arguments: ImExtractArguments, planes: Any) -> Iterator[Json]:
    """Yield consecutive sites of each plate, about 200 MB of pixels at a time."""
    itemsize = array_dtype(layout.channels).itemsize
    for plate, n_planes in _plane_counts(layout, planes):
        n_sites = len(plate.sites)
        size = plate.sites[0].height * plate.sites[0].width * itemsize
        fitting = int(BYTES_PER_JOB / max(1.0, size * n_planes / n_sites))
        count = arguments.batch_size or max(1, min(fitting, n_sites))
        for first in range(0, n_sites, count):
            yield {"plate": plate.id, "first": first, "count": min(count, n_sites - first)}


@dataclass(slots=True)
class _Conversion:
    """The work of one run job."""

    context: StepContext
    arguments: ImExtractArguments
    layout: Layout = field(init=False)
    images: list[tuple[int, int, str | None]] = field(default_factory=list)
    missing: list[Json] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    planes: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        self.layout = layouts.load_raw_layout(self.context.root, self.context.inputs["layout"])

    def convert(self, plate_id: str, first: int, count: int) -> Json:
        """Write the images of some sites and return the content of the part file."""
        plate = self.layout.plate(plate_id)
        filters = [("plate", "==", plate_id), ("site", ">=", first), ("site", "<", first + count)]
        rows: list[Json] = tables.read_table(
            _planes_path(self.context), filters=filters
        ).to_pylist()
        groups: dict[tuple[int, str], list[Json]] = {}
        for row in rows:
            groups.setdefault((row["site"], row["acquisition"]), []).append(row)
        folders = self._folders({a for _, a in groups})
        for done, ((site, acquisition), own) in enumerate(sorted(groups.items())):
            self.context.progress(done / len(groups), f"{done} of {len(groups)} images")
            owner = next(a for a in self.layout.acquisitions if a.id == acquisition)
            self._image(plate, plate.sites[site], owner, folders[acquisition], own)
        return {
            "images": self.images,
            "planes": self.planes,
            "bytes": self.bytes,
            "n_missing": len(self.missing),
            "missing": self.missing[:MAX_LISTED],
            "problems": [p.model_dump(mode="json") for p in self._problems()],
        }

    def _folders(self, acquisitions: set[str]) -> dict[str, Path]:
        known = {str(a.id): a for a in self.context.experiment.acquisitions}
        folders: dict[str, Path] = {}
        for identifier in sorted(acquisitions):
            if identifier not in known:
                raise DataMissing(
                    "the layout names an acquisition that the experiment no longer has"
                )
            folders[identifier] = acquisition_folder(self.context.root, known[identifier])
            # Without this check an unmounted share would look like thousands of missing files.
            if not folders[identifier].is_dir():
                raise FileError(
                    f"the folder of {known[identifier].name!r} is not there", code="no_folder"
                )
        return folders

    def _image(
        self,
        plate: PlateLayout,
        site: SiteLayout,
        acquisition: AcquisitionLayout,
        folder: Path,
        rows: list[Json],
    ) -> None:
        stacks: dict[tuple[int, int], list[Json]] = {}
        vendor: dict[tuple[int, int], Json] = {}
        for row in rows:
            place = row["t"], row["channel"]
            if row["role"] == "plane":
                stacks.setdefault(place, []).append(row)
            elif row["method"] in (None, "Maximum"):
                vendor[place] = row
        projection = self.arguments.stored if self.layout.n_zplanes > 1 else None
        stack_image = self._writer(plate, site, acquisition, None)
        projected = self._writer(plate, site, acquisition, projection) if projection else None
        for (t, c), planes in sorted(stacks.items()):
            whole = self._stack(plate, site, acquisition, folder, stack_image, planes)
            if projected and whole.n:
                self.bytes += projected.write(t, c, 0, whole.result())
                if projection == "max" and whole.n == len(planes) and (t, c) in vendor:
                    self._compare(folder, vendor[t, c], whole.result())
        for image in (stack_image, projected):
            if image and image.started:
                self.images.append((site.index, acquisition.index, image.projection))

    def _stack(
        self,
        plate: PlateLayout,
        site: SiteLayout,
        acquisition: AcquisitionLayout,
        folder: Path,
        image: _ImageWriter,
        rows: list[Json],
    ) -> _Projection:
        """Write the planes of one channel and time point; return their projection."""
        whole = _Projection(self.arguments.stored if self.layout.n_zplanes > 1 else None)
        for row in sorted(rows, key=lambda r: int(r["z"])):
            pixels = self._plane(plate, site, acquisition, folder, row)
            if pixels is not None:
                self.bytes += image.write(row["t"], row["channel"], row["z"], pixels)
                self.planes += 1
                whole.add(pixels)
        return whole

    def _writer(
        self,
        plate: PlateLayout,
        site: SiteLayout,
        acquisition: AcquisitionLayout,
        projection: Projection | None,
    ) -> _ImageWriter:
        well = next(w for w in plate.wells if w.name == site.well)
        folder = self.context.root / plate_path(self.context.key, plate)
        shape = (
            acquisition.n_tpoints, len(self.layout.channels), 1 if projection else self.layout.n_zplanes,
            site.height, site.width,
        )  # fmt: skip
        name = image_path(site, well, acquisition.index, projection)
        return _ImageWriter(
            folder / name / "0", shape, array_dtype(self.layout.channels), projection
        )

    def _plane(
        self,
        plate: PlateLayout,
        site: SiteLayout,
        acquisition: AcquisitionLayout,
        folder: Path,
        row: Json,
    ) -> Pixels | None:
        try:
            pixels = read_plane(folder, row["file"], row["page"], row["sample"])
            _require(pixels, site, self.layout.channels[row["channel"]].dtype, row["file"])
        except FileError as error:
            plane = MissingPlane(
                plate=plate.id, well=site.well, site=site.name, acquisition=acquisition.id, t=row["t"],
                channel=row["channel"], z=row["z"], file=row["file"], reason=error.message,
            )  # fmt: skip
            self.missing.append(plane.model_dump(mode="json"))
            return None
        return pixels

    def _compare(self, folder: Path, row: Json, ours: Pixels) -> None:
        try:
            theirs = read_plane(folder, row["file"], row["page"], row["sample"])
        except FileError as error:
            self.differing.append(f"{row['file']} ({error.code})")
            return
        if theirs.shape != ours.shape or not np.array_equal(theirs, ours):
            self.differing.append(row["file"])

    def _problems(self) -> tuple[Problem, ...]:
        return (
            *aggregate(
                "unreadable_planes",
                "{n} planes are left out: " + "; ".join(m["reason"] for m in self.missing[:5]),
                [m["file"] for m in self.missing], "error",
            ),
            *aggregate(
                "projection_differs",
                "{n} of the microscope's maximum projections differ from the maximum of their planes",
                self.differing,
            ),
        )  # fmt: skip


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


@dataclass(slots=True)
class _Projection:
    """Maximum or mean of planes that come one after the other."""

    kind: Projection | None
    n: int = 0
    _state: Pixels | None = None
    _dtype: np.dtype[Any] | None = None

    def add(self, pixels: Pixels) -> None:
        self.n += 1
        if self.kind is None:
            return
        if self._state is None:
            self._dtype = pixels.dtype
            exact = np.uint64 if pixels.dtype.kind == "u" else np.float64
            self._state = pixels.copy() if self.kind == "max" else pixels.astype(exact)
        elif self.kind == "max":
            np.maximum(self._state, pixels, out=self._state)
        else:
            self._state += pixels

    def result(self) -> Pixels:
        """Return the projection in the planes' own type; means of integers are rounded half up."""
        assert self._state is not None
        assert self._dtype is not None
        if self.kind == "max":
            return self._state
        if self._dtype.kind == "u":
            return ((self._state + np.uint64(self.n // 2)) // np.uint64(self.n)).astype(self._dtype)
        return (self._state / self.n).astype(self._dtype)


@dataclass(slots=True)
class _ImageWriter:
    """Writes planes of one image as shard files; the array's metadata comes with the first."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    projection: Projection | None
    started: bool = False

    def write(self, t: int, c: int, z: int, pixels: Pixels) -> int:
        """Write one plane and return the bytes it takes on disk."""
        if not self.started:
            shard = padded(self.shape[3]), padded(self.shape[4])
            ome.write_array(
                self.folder, ome.array_metadata(self.shape, str(self.dtype), shard=shard)
            )
            self.started = True
        data = encode_shard(pixels.astype(self.dtype, copy=False))
        assert data is not None
        paths.write_atomically(ome.shard_path(self.folder, t, c, z), data)
        return len(data)


def _write_groups(
    root: Path, key: str, layout: Layout, plate: PlateLayout, images: list[tuple[Any, ...]]
) -> None:
    """Write the metadata of a plate, its rows, wells and images."""
    folder = root / plate_path(key, plate)
    wells = {w.name: w for w in plate.wells}
    by_well: dict[str, list[tuple[str, int]]] = {}
    for site, acquisition, projection in images:
        well = wells[plate.sites[site].well]
        path = image_path(plate.sites[site], well, acquisition, projection)
        name = path.rpartition("/")[2]
        by_well.setdefault(well.name, []).append((name, acquisition))
        scales = ome.multiscales(
            name,
            pixel_size_um=layout.pixel_size_um,
            z_step_um=None if projection else layout.z_step_um,
        )
        ome.write_group(
            folder / path,
            {"multiscales": scales, "omero": ome.omero(layout.channels)},
        )
    # A plate names only wells that hold an image: others would be links to nothing.
    present = tuple(w for w in plate.wells if w.name in by_well)
    for well in present:
        ome.write_group(folder / ome.well_path(well), ome.well_metadata(by_well[well.name]))
        ome.write_group(folder / ome.row_name(well.row))
    acquisitions = [(a.index, a.name) for a in layout.acquisitions if a.plate == plate.id]
    most = max((len(i) for i in by_well.values()), default=1)
    shown = plate.model_copy(update={"wells": present})
    ome.write_group(folder, ome.plate_metadata(shown, acquisitions, most))
