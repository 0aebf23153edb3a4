"""Objects on disk: site labels, what jobs hand on, the manifest; entry points: `SiteLabels`, `ObjectsManifest`.

Below ``objects/<key>/``: ``objects.json`` (written last), ``<Type>/<plate>/sites.zarr`` (labels per
site: the truth), ``mosaic.zarr`` (dense indices on the plate, derived), ``features|outlines|index/
<well>.parquet``, and ``parts/`` with what run jobs hand to later rounds.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing
from gpu_workers.messages import Json, Message
from gpu_workers.storage import ome, paths
from gpu_workers.storage.layout import PlateLayout, SiteLayout, WellLayout
from gpu_workers.storage.pyramid import Pyramid
from gpu_workers.storage.shards import decode_shard, encode_shard, padded


class FeatureDescription(Message):
    """A feature and the spread of its values over the experiment; None where no value exists."""

    name: str
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    low: float | None = None
    """1st percentile."""
    high: float | None = None
    """99.9th percentile."""
    n_missing: int = 0


class WellObjects(Message):
    """The objects of a well: indices ``first … first + count - 1``."""

    name: str
    first: int
    count: int
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Plate pixels (y0, x0, y1, x1) that hold all its objects."""


class PlateObjects(Message):
    """The objects of one type on one plate; `path` is their folder below the experiment's."""

    id: str
    path: str
    n_objects: int
    shape: tuple[int, int, int, int, int]
    levels: tuple[Json, ...]
    tile: int = 512
    shard: int
    wells: tuple[WellObjects, ...]
    outlines: bool = True
    """Whether there are vector outlines; regions of the layout and points have none."""

    def well_of(self, index: int) -> WellObjects:
        """Return the well that holds an object.

        Raises
        ------
        DataMissing
            There is no such object (``unknown_object``).
        """
        for well in self.wells:
            if well.first <= index < well.first + well.count:
                return well
        raise DataMissing(
            f"there is no object {index}; they run from 1 to {self.n_objects}",
            code="unknown_object",
        )


class TypeObjects(Message):
    """One object type."""

    name: str
    parent: str | None = None
    representation: Literal["polygons", "points"] = "polygons"
    """points: label images show a small disc at each centre."""
    features: tuple[FeatureDescription, ...]
    plates: tuple[PlateObjects, ...]


class ObjectsManifest(Message):
    """``objects.json``."""

    version: Literal[1] = 1
    key: str
    layout: str
    pipeline: Json
    projection: str | None = None
    corrected: bool = False
    corrections: dict[str, str] = {}
    """Channel -> how its illumination was corrected."""
    illumination: str | None = None
    """The statistics of the correction: their manifest."""
    alignment: str | None = None
    """Key of the alignment, if its pixels were aligned."""
    regions: bool = False
    """Whether these are the regions of the layout and not what a pipeline found."""
    channels: dict[str, str] = {}
    """Variable of the pipeline -> channel."""
    dimensions: Literal[2, 3] = 2
    """3: an object reaches over several z planes, of which each label image shows its part."""
    given: dict[str, str] = {}
    """Label image or derived channel that was used -> manifest it came from."""
    modules: dict[str, int] = {}
    """Modules that were used, and the version of each."""
    code: str = ""
    """Version of the program."""
    types: tuple[TypeObjects, ...]

    def plate(self, object_type: str, plate_id: str) -> PlateObjects:
        """Return what is known of a type on a plate.

        Raises
        ------
        DataMissing
            Unknown type or plate (``unknown_object_type``, ``unknown_plate``).
        """
        for plate in self.type(object_type).plates:
            if plate.id == str(plate_id):
                return plate
        raise DataMissing(f"there are no {object_type} on plate {plate_id}", code="unknown_plate")

    def type(self, object_type: str) -> TypeObjects:
        """Return an object type; raises DataMissing if there is none of that name."""
        for found in self.types:
            if found.name == object_type:
                return found
        known = ", ".join(t.name for t in self.types)
        raise DataMissing(
            f"no object type is called {object_type!r}; known: {known}", code="unknown_object_type"
        )


def ordered_wells(plate: PlateLayout) -> list[WellLayout]:
    """Return a plate's wells in the order of indices."""
    return sorted(plate.wells, key=lambda w: (w.row, w.column, w.name))


def manifest_path(key: str) -> str:
    """Path of the manifest below the experiment's folder."""
    return f"{paths.objects_folder(key)}/objects.json"


def load_manifest(root: Path, path: str) -> ObjectsManifest:
    """Read a manifest named by ``inputs["objects"]``."""
    return ObjectsManifest.model_validate_json((root / path).read_bytes())


def plate_folder(key: str, object_type: str, plate: PlateLayout) -> str:
    """Folder of a type's objects on a plate, below the experiment's."""
    return f"{paths.objects_folder(key, object_type)}/{plate.slug}"


def index_pyramid(
    root: Path, key: str, object_type: str, plate: PlateLayout, n_tpoints: int, n_zplanes: int
) -> Pyramid:
    """Return the multiscale image of dense indices of a type on a plate."""
    return Pyramid(
        folder=root / plate_folder(key, object_type, plate) / "mosaic.zarr",
        shape=(n_tpoints, 1, n_zplanes, plate.height, plate.width),
        dtype="uint32",
        shard=plate.shard,
        n_levels=plate.n_levels,
    )


@dataclass(frozen=True, slots=True)
class SiteLabels:
    """The label images of a plate's sites: one OME-Zarr image ``<site>`` (t, 1, z, y, x) each."""

    folder: Path

    def write(self, site: SiteLayout, t: int, z: int, labels: NDArray[np.int32]) -> None:
        """Write the labels of one plane; without objects nothing is stored."""
        if not labels.any():
            return
        data = encode_shard(labels.astype(np.uint32))
        if data is not None:
            paths.write_atomically(self._shard(site, t, z), data)

    def read(self, site: SiteLayout, t: int, z: int) -> NDArray[np.uint32]:
        """Return the labels of one plane, (height, width); zeros where there are no objects."""
        try:
            data = self._shard(site, t, z).read_bytes()
        except FileNotFoundError:
            return np.zeros((site.height, site.width), np.uint32)
        side = (padded(site.height), padded(site.width))
        whole: NDArray[np.uint32] = decode_shard(data, side, "uint32")
        return whole[: site.height, : site.width]

    def write_metadata(
        self,
        site: SiteLayout,
        n_tpoints: int,
        n_zplanes: int,
        pixel_size_um: float | None,
        z_step_um: float | None = None,
    ) -> None:
        """Make a site's image known: group and array metadata."""
        group = self.folder / str(site.index)
        shape = (n_tpoints, 1, n_zplanes, site.height, site.width)
        side = (padded(site.height), padded(site.width))
        ome.write_array(group / "0", ome.array_metadata(shape, "uint32", shard=side))
        multiscales = ome.multiscales(
            site.name, pixel_size_um=pixel_size_um, z_step_um=z_step_um, sampled=True
        )
        ome.write_group(group, {"multiscales": multiscales, "image-label": {}})

    def write_group(self) -> None:
        """Write the metadata of the group of all sites."""
        ome.write_group(self.folder)

    def _shard(self, site: SiteLayout, t: int, z: int) -> Path:
        return ome.shard_path(self.folder / str(site.index) / "0", t, 0, z)


def site_labels(root: Path, key: str, object_type: str, plate: PlateLayout) -> SiteLabels:
    """Return the label images of a type on a plate."""
    return SiteLabels(root / plate_folder(key, object_type, plate) / "sites.zarr")


@dataclass(frozen=True, slots=True)
class SiteObjects:
    """All objects of one type in one site, over t and z; ordered by t, z, label.

    Attributes
    ----------
    label, t, z
        Number in its plane's label image, and the plane; that of the centroid in three dimensions.
    y, x
        float32: centroid, plate px.
    box
        int32, (n, 4): y0, x0, y1, x1, plate px, end excluded.
    z_range
        uint16, (n, 2): first z plane and the one after the last.
    is_border
        Whether it touches the edge of the site's image.
    owned
        Whether it counts: the site owns its centroid (or its parent's).
    features
        float32, (n, features).
    rings, points
        int64 offsets: object i has rings ``rings[i]:rings[i + 1]``, ring j the points
        ``points[j]:points[j + 1]``.
    dy, dx
        int16: corners of the outline from its box's corner.
    """

    label: NDArray[np.uint32]
    t: NDArray[np.uint16]
    z: NDArray[np.uint16]
    y: NDArray[np.float32]
    x: NDArray[np.float32]
    box: NDArray[np.int32]
    z_range: NDArray[np.uint16]
    is_border: NDArray[np.bool_]
    owned: NDArray[np.bool_]
    features: NDArray[np.float32]
    rings: NDArray[np.int64]
    points: NDArray[np.int64]
    dy: NDArray[np.int16]
    dx: NDArray[np.int16]

    @property
    def n(self) -> int:
        """Number of objects, counted or not."""
        return int(self.label.size)


def _nested(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join offset arrays that each start at 0."""
    lengths = [np.diff(p) for p in parts]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)


def join(parts: Iterable[SiteObjects]) -> SiteObjects:
    """Return several tables as one, in the order given (at least one)."""
    tables = list(parts)
    joined: dict[str, Any] = {}
    for f in fields(SiteObjects):
        values = [getattr(table, f.name) for table in tables]
        joined[f.name] = (
            _nested(values) if f.name in ("rings", "points") else np.concatenate(values)
        )
    return SiteObjects(**joined)


def _spans(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the children of `rows`, in order."""
    first, length = offsets[rows], offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(length)
    total = int(ends[-1]) if ends.size else 0
    return np.repeat(first - (ends - length), length) + np.arange(total)


def take(table: SiteObjects, rows: NDArray[np.int64]) -> SiteObjects:
    """Return the given rows of a table, in that order."""
    rings = _spans(table.rings, rows)
    points = _spans(table.points, rings)
    own = {
        f.name: getattr(table, f.name)[rows]
        for f in fields(SiteObjects)
        if f.name not in ("rings", "points", "dy", "dx")
    }
    return SiteObjects(
        **own,
        rings=np.concatenate([[0], np.cumsum(np.diff(table.rings)[rows])]).astype(np.int64),
        points=np.concatenate([[0], np.cumsum(np.diff(table.points)[rings])]).astype(np.int64),
        dy=table.dy[points],
        dx=table.dx[points],
    )


def part_path(key: str, plate: PlateLayout, site: int) -> str:
    """Path of what the job of a site hands to later rounds."""
    return f"{paths.objects_folder(key)}/parts/{plate.slug}/{site}.npz"


def indices_path(key: str, plate: PlateLayout) -> str:
    """Path of the first index of each site and time point of a plate."""
    return f"{paths.objects_folder(key)}/parts/{plate.slug}.npz"


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as one ``.npz``, atomically."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    paths.write_atomically(path, stream.getvalue())


def save_part(path: Path, types: Mapping[str, SiteObjects]) -> None:
    """Write the objects of one site."""
    save_arrays(
        path,
        {
            f"{name}/{f.name}": getattr(table, f.name)
            for name, table in types.items()
            for f in fields(SiteObjects)
        },
    )


def load_part(path: Path, object_type: str) -> SiteObjects:
    """Read the objects of one type that `save_part` wrote."""
    with np.load(path) as data:
        return SiteObjects(**{f.name: data[f"{object_type}/{f.name}"] for f in fields(SiteObjects)})


def load_columns(path: Path, object_type: str, *names: str) -> tuple[NDArray[Any], ...]:
    """Read only some columns of what `save_part` wrote."""
    with np.load(path) as data:
        return tuple(data[f"{object_type}/{name}"] for name in names)
