"""Raw planes of plates in OME-Zarr; entry points: `Plates` (reading) and `PlatesManifest`.

One image per site and acquisition at ``plates/<key>/plate-<id>.zarr/<row>/<column>/<number>a<acquisition>``
(projections beside it with the suffix ``mip``, ``mean`` or ``best``), one shard file per plane: a missing
plane is a missing file. Names of plates, wells and sites are no part of it: corrections move no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gpu_workers.messages import Message
from gpu_workers.storage import ome, paths
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    ChannelLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
    load_layout,
)
from gpu_workers.storage.shards import decode_shard

Projection = Literal["max", "mean", "best"]
SUFFIXES: dict[str, str] = {"max": "mip", "mean": "mean", "best": "best"}


class PlateFolder(Message):
    """Where a plate's images lie; `path` is below the experiment's folder."""

    id: str
    slug: str
    path: str


class MissingPlane(Message):
    """A plane that should be there and isn't; `reason` says why if a file was to blame."""

    plate: str
    well: str
    site: str
    acquisition: str
    t: int
    channel: int
    z: int
    file: str | None = None
    reason: str | None = None
    code: str | None = None


class IncompleteProjection(Message):
    """A projection of `n` planes where the source should have `expected`."""

    plate: str
    well: str
    site: str
    acquisition: str
    t: int
    channel: int
    n: int
    expected: int


class RemovedOriginals(Message):
    """Source files that were removed after every plane of theirs had been read back; `path` lists all.

    `files` names at most the first 1000, each as acquisition/path.
    """

    path: str
    n: int
    bytes: int
    files: tuple[str, ...]


class LabelImage(Message):
    """A label image that was imported with an image; `image` is that one's path in the plate.

    Attributes
    ----------
    n_objects
        Different labels in it.
    features
        What the tables beside it say of each object.
    flat
        It has one plane, which stands for all z planes of the image.
    cycle
        Round of staining on whose images it lies.
    """

    plate: str
    image: str
    name: str
    n_objects: int
    features: tuple[str, ...] = ()
    flat: bool = True
    cycle: int = 0


class LabelTable(Message):
    """A table that lay beside an image; `labels` is the label image that its rows are about, if any."""

    plate: str
    image: str
    name: str
    type: str
    rows: int
    columns: tuple[str, ...]
    labels: str | None = None


class PlatesManifest(Message):
    """``plates.json``: what imextract wrote.

    Attributes
    ----------
    layout
        Path of the layout it was written for; other layouts may share the pixels.
    missing, incomplete
        At most the first 1000 planes that couldn't be read, and projections that lack planes.
    checksums
        Table of all stored planes, see `gpu_workers.storage.verification`.
    focus
        Table of the planes that are the projection "best", columns `FOCUS_TYPES`.
    labels, tables
        What was imported beside the pixels (OME-Zarr); read with `gpu_workers.storage.labels`.
    """

    version: Literal[1] = 1
    key: str
    layout: str
    projection: Projection | None = None
    images: int
    planes: int
    bytes: int
    n_missing: int = 0
    plates: tuple[PlateFolder, ...]
    missing: tuple[MissingPlane, ...] = ()
    n_incomplete: int = 0
    incomplete: tuple[IncompleteProjection, ...] = ()
    sources: str
    checksums: str | None = None
    focus: str | None = None
    removed: RemovedOriginals | None = None
    labels: tuple[LabelImage, ...] = ()
    tables: tuple[LabelTable, ...] = ()


def manifest_path(key: str) -> str:
    """Return the path of ``plates.json`` below the experiment's folder."""
    return f"{paths.plates_folder(key)}/plates.json"


def plate_path(key: str, plate: PlateLayout) -> str:
    """Return the path of a plate's Zarr hierarchy below the experiment's folder.

    Without the plate's name: to call it something else must not mean to convert it again.
    """
    return f"{paths.plates_folder(key)}/{paths.slug('plate', plate.id)}.zarr"


def image_name(site: int, acquisition: int, projection: str | None = None) -> str:
    """Return the name of an image within its well, such as ``3a0`` or ``3a0mip``."""
    return f"{site}a{acquisition}{SUFFIXES[projection] if projection else ''}"


def site_path(site: SiteLayout, well: WellLayout) -> str:
    """Return where a site's images lie in the plate's Zarr hierarchy, but for the acquisition."""
    return site.raw or f"{ome.well_path(well)}/{site.index}"


def image_path(
    site: SiteLayout, well: WellLayout, acquisition: int, projection: str | None = None
) -> str:
    """Return the path of a site's image in the plate's Zarr hierarchy, such as ``B/3/0a1mip``."""
    folder, _, number = site_path(site, well).rpartition("/")
    return f"{folder}/{image_name(int(number), acquisition, projection)}"


FOCUS_TYPES = {
    "plate": "string", "well": "string", "site": "int32", "acquisition": "string", "t": "int32",
    "channel": "int32", "z": "int32", "score": "double",
}  # fmt: skip


def array_dtype(channels: tuple[ChannelLayout, ...]) -> np.dtype[Any]:
    """Return the type that holds all channels exactly; an image's channels share one array."""
    return np.result_type(*(np.dtype(c.dtype) for c in channels))


@dataclass(frozen=True, slots=True)
class Plates:
    """Reader of raw planes and stored projections."""

    root: Path
    manifest: PlatesManifest
    layout: Layout
    _wells: dict[tuple[str, str], WellLayout] = field(default_factory=dict, repr=False)
    _folders: dict[str, Path] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, root: Path, manifest: str, layout: Layout | None = None) -> Plates:
        """Return a reader of the product at a manifest's path below `root`.

        `layout` is the layout whose sites and time points are meant; by default the one the pixels
        were written for.
        """
        content = PlatesManifest.model_validate_json((root / manifest).read_bytes())
        chosen = layout or load_layout(root, content.layout)
        wells = {(p.id, w.name): w for p in chosen.plates for w in p.wells}
        return cls(root, content, chosen, wells, {p.id: root / p.path for p in content.plates})

    @property
    def projections(self) -> tuple[str, ...]:
        """Projections that can be read."""
        return (self.manifest.projection,) if self.manifest.projection else ()

    def n_zplanes(self, projection: str | None = None) -> int:
        """Return how many z planes `read` knows: 1 for projections."""
        return 1 if projection else self.layout.n_zplanes

    def dtype(self, c: int) -> np.dtype[Any]:
        """Return the type of a channel's pixels."""
        return np.dtype(self.layout.channels[c].dtype)

    def read(
        self, plate_id: str, site_index: int, t: int, c: int, z: int, projection: str | None = None
    ) -> npt.NDArray[Any] | None:
        """Return one plane, or None if it is missing.

        Parameters
        ----------
        plate_id, site_index
            As in the layout.
        t
            The experiment's time point.
        projection
            None for the stack, "max", "mean" or "best" for a stored projection, which has z = 0 only.

        Returns
        -------
        ndarray (y, x) or None
            In the channel's own type.

        Raises
        ------
        ValueError
            That projection isn't stored.
        BadShard
            The stored plane is damaged.
        """
        if projection is not None and projection not in self.projections:
            raise ValueError(f"the projection {projection!r} isn't stored")
        # Of a single plane no projection is stored: it would be the same pixels twice.
        stored = projection if self.layout.n_zplanes > 1 else None
        plate = self.layout.plate(plate_id)
        site = plate.sites[site_index]
        for acquisition in self._acquisitions(plate, t):
            image = self._image(plate, site, acquisition, stored)
            path = ome.shard_path(image / "0", t - acquisition.tpoint_offset, c, z)
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            pixels = decode_shard(
                data, (site.height, site.width), array_dtype(self.layout.channels)
            )
            return pixels.astype(self.dtype(c), copy=False)
        return None

    def exists(
        self, plate_id: str, site_index: int, t: int, c: int, z: int, projection: str | None = None
    ) -> bool:
        """Return whether `read` would find the plane, without reading it."""
        stored = projection if self.layout.n_zplanes > 1 else None
        plate = self.layout.plate(plate_id)
        site = plate.sites[site_index]
        return any(
            ome.shard_path(
                self._image(plate, site, a, stored) / "0", t - a.tpoint_offset, c, z
            ).is_file()
            for a in self._acquisitions(plate, t)
        )

    def images(
        self, plate_id: str, site_index: int, t: int
    ) -> list[tuple[Path, AcquisitionLayout]]:
        """Return the folder and the acquisition of each image that may show a site at `t`."""
        plate = self.layout.plate(plate_id)
        site = plate.sites[site_index]
        return [(self._image(plate, site, a, None), a) for a in self._acquisitions(plate, t)]

    def _acquisitions(self, plate: PlateLayout, t: int) -> list[AcquisitionLayout]:
        # In multiplexing several acquisitions cover one time point with different channels.
        return [
            a
            for a in self.layout.acquisitions
            if a.plate == plate.id and a.tpoint_offset <= t < a.tpoint_offset + a.n_tpoints
        ]

    def _image(
        self,
        plate: PlateLayout,
        site: SiteLayout,
        acquisition: AcquisitionLayout,
        projection: str | None,
    ) -> Path:
        well = self._wells[plate.id, site.well]
        return self._folders[plate.id] / image_path(site, well, acquisition.index, projection)
