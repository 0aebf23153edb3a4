"""Feature values by object index; entry points: `FeatureStore`, `write_features`, `write_index`.

One Parquet file per well and kind, one row group; row i of a well's files is the object with index
``first + i``.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing
from gpu_workers.storage import paths
from gpu_workers.storage.objects import ObjectsManifest, PlateObjects, SiteObjects, load_manifest

CACHED_BYTES = 512 * 1024**2
CACHED_FOOTERS = 2000


def _write(path: Path, columns: Mapping[str, NDArray[Any]], floats: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        row_group_size=max(1, table.num_rows),
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=list(floats) or False,
    )
    paths.write_atomically(path, buffer.getvalue())


def write_features(
    path: Path, first: int, names: Sequence[str], values: NDArray[np.float32]
) -> None:
    """Write a well's features: ``index`` and one float32 column per name; NaN is a missing value.

    Parameters
    ----------
    first
        Index of the first object.
    values
        float32, (objects, features).
    """
    index = np.arange(first, first + len(values), dtype=np.uint32)
    columns = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}
    _write(path, {"index": index, **columns}, names)


def write_index(
    path: Path,
    first: int,
    sites: NDArray[np.uint16],
    objects: SiteObjects,
    *,
    volumes: bool = False,
) -> None:
    """Write where a well's objects lie: site, t, z, label, centroid, box (plate px), is_border.

    With `volumes` also z0 and z1: their first z plane and the one after their last.
    """
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(first, first + objects.n, dtype=np.uint32),
        "site": sites,
        "t": objects.t,
        "z": objects.z,
        "label": objects.label,
        "y": objects.y,
        "x": objects.x,
    }
    for i, name in enumerate(("y0", "x0", "y1", "x1")):
        columns[name] = np.ascontiguousarray(objects.box[:, i])
    columns["is_border"] = objects.is_border
    if volumes:
        columns["z0"], columns["z1"] = (np.ascontiguousarray(c) for c in objects.z_range.T)
    _write(path, columns, ("y", "x"))


class FeatureStore:
    """Read features of one version of an experiment's objects; may be shared by threads.

    Parameters
    ----------
    root
        Folder of the experiment.
    manifest
        Path of ``objects.json`` below it, or its content.
    """

    def __init__(self, root: Path, manifest: str | ObjectsManifest):
        self.root = root
        self.manifest = load_manifest(root, manifest) if isinstance(manifest, str) else manifest
        self._lock = threading.Lock()
        self._footers: OrderedDict[Path, Any] = OrderedDict()
        self._columns: OrderedDict[tuple[str, str, str], NDArray[np.float32]] = OrderedDict()
        self._cached = 0

    def column(self, object_type: str, plate_id: str, name: str) -> NDArray[np.float32]:
        """Return a feature of all objects of a plate; value i is that of index i + 1, read-only.

        Raises
        ------
        DataMissing
            Unknown type, plate or feature (``unknown_feature``).
        """
        key = (object_type, str(plate_id), name)
        with self._lock:
            if key in self._columns:
                self._columns.move_to_end(key)
                return self._columns[key]
        values = self._read(object_type, str(plate_id), (name,))[name]
        with self._lock:
            if key not in self._columns:
                self._columns[key] = values
                self._cached += values.nbytes
            while self._cached > CACHED_BYTES and len(self._columns) > 1:
                self._cached -= self._columns.popitem(last=False)[1].nbytes
        return values

    def columns(
        self, object_type: str, plate_id: str, names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return several features of all objects of a plate by name; raises as `column`."""
        return self._read(object_type, str(plate_id), tuple(names))

    def positions(self, object_type: str, plate_id: str) -> dict[str, NDArray[Any]]:
        """Return the columns of the index (site, t, z, label, y, x, box, is_border) of a plate."""
        import pyarrow as pa

        plate = self.manifest.plate(object_type, plate_id)
        tables = [
            self._file(plate, "index", well.name).read() for well in plate.wells if well.count
        ]
        if not tables:
            return {}
        table = pa.concat_tables(tables)
        return {name: table[name].to_numpy() for name in table.column_names}

    def well(
        self, object_type: str, plate_id: str, well: str
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float32]]]:
        """Return the columns of the index and all features of a well's objects; ({}, {}) without any.

        Raises
        ------
        DataMissing
            Unknown type or plate.
        """
        plate = self.manifest.plate(object_type, plate_id)
        if not any(w.name == well and w.count for w in plate.wells):
            return {}, {}
        tables = [self._file(plate, kind, well).read() for kind in ("index", "features")]
        place, values = ({n: t[n].to_numpy() for n in t.column_names} for t in tables)
        values.pop("index")
        return place, values

    def object(self, object_type: str, plate_id: str, index: int) -> dict[str, Any]:
        """Return everything known of one object; features that are missing are None.

        Raises
        ------
        DataMissing
            Unknown type, plate or object.
        """
        plate = self.manifest.plate(object_type, plate_id)
        well = plate.well_of(index)
        row = index - well.first
        place = self._file(plate, "index", well.name).read().slice(row, 1).to_pylist()[0]
        values = self._file(plate, "features", well.name).read().slice(row, 1).to_pylist()[0]
        values.pop("index")
        return {
            "index": index,
            "well": well.name,
            **{name: place[name] for name in ("site", "t", "z", "label", "y", "x")},
            "box": [place[name] for name in ("y0", "x0", "y1", "x1")],
            "is_border": place["is_border"],
            "features": {
                n: v if v is not None and np.isfinite(v) else None for n, v in values.items()
            },
        }

    def _read(
        self, object_type: str, plate_id: str, names: tuple[str, ...]
    ) -> dict[str, NDArray[np.float32]]:
        known = {f.name for f in self.manifest.type(object_type).features}
        for name in names:
            if name not in known:
                raise DataMissing(f"{object_type} have no feature {name!r}", code="unknown_feature")
        plate = self.manifest.plate(object_type, plate_id)
        found = {name: np.full(plate.n_objects, np.nan, np.float32) for name in names}
        for well in plate.wells:
            if not well.count:
                continue
            table = self._file(plate, "features", well.name).read(columns=list(names))
            for name in names:
                found[name][well.first - 1 : well.first - 1 + well.count] = table[name].to_numpy()
        for values in found.values():
            values.flags.writeable = False
        return found

    def _file(self, plate: PlateObjects, kind: str, well: str) -> Any:
        """Open a well's Parquet file; its footer is parsed once."""
        import pyarrow.parquet as pq

        path = self.root / plate.path / kind / f"{well}.parquet"
        with self._lock:
            footer = self._footers.get(path)
        try:
            file = pq.ParquetFile(path, metadata=footer)
        except FileNotFoundError as error:
            raise DataMissing(f"{kind} of well {well} are missing: {path.name}") from error
        if footer is None:
            with self._lock:
                self._footers[path] = file.metadata
                if len(self._footers) > CACHED_FOOTERS:
                    self._footers.popitem(last=False)
        return file
