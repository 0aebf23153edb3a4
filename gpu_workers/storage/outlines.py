"""Outlines as Parquet per well and as vector tiles; entry points: `write_outlines` and `tile`.

Vector tiles follow the Mapbox Vector Tile specification 2.1: one layer named as the object type,
extent 4096, feature id = object index, no attributes, y down, holes wound against their outer ring.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.storage import paths
from gpu_workers.storage.objects import ObjectsManifest, SiteObjects, load_manifest

EXTENT = 4096
CACHED_BYTES = 256 * 1024**2
CACHED_MANIFESTS = 64


class TooManyObjects(UserError):
    """A tile holds more outlines than a browser should draw; label tiles serve instead."""

    code = "too_many_objects"


def write_outlines(path: Path, first: int, objects: SiteObjects, *, volumes: bool = False) -> None:
    """Write a well's outlines: index, t, z, box, starts of rings, corners from the box's corner.

    With `volumes` also z0 and z1, the planes in which an outline is shown.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = objects.n
    ends = objects.points[objects.rings]
    starts = objects.points[:-1] - np.repeat(ends[:-1], np.diff(objects.rings))
    rings = pa.array(objects.rings.astype(np.int32))
    points = pa.array(ends.astype(np.int32))
    columns = {
        "index": pa.array(np.arange(first, first + n, dtype=np.uint32)),
        "t": pa.array(objects.t),
        "z": pa.array(objects.z),
        **{
            name: pa.array(np.ascontiguousarray(objects.box[:, i]))
            for i, name in enumerate(("y0", "x0", "y1", "x1"))
        },
        "parts": pa.ListArray.from_arrays(rings, pa.array(starts.astype(np.int32))),
        "dy": pa.ListArray.from_arrays(points, pa.array(objects.dy)),
        "dx": pa.ListArray.from_arrays(points, pa.array(objects.dx)),
    }
    if volumes:
        ends_z = (pa.array(np.ascontiguousarray(c)) for c in objects.z_range.T)
        columns["z0"], columns["z1"] = ends_z
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        buffer,
        row_group_size=max(1, n),
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
    )
    paths.write_atomically(path, buffer.getvalue())


@dataclass(frozen=True, slots=True)
class _WellOutlines:
    """A well's outlines, decoded: offsets and plate coordinates; `place` is t, first z, end of z."""

    place: NDArray[np.int32]
    box: NDArray[np.int32]
    rings: NDArray[np.int64]
    points: NDArray[np.int64]
    yx: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.place, self.box, self.rings, self.points, self.yx))


def _decode(path: Path) -> _WellOutlines:
    import pyarrow.parquet as pq

    table = pq.read_table(path).combine_chunks()
    column = {name: table[name].chunk(0) for name in table.column_names}
    box = np.stack([column[name].to_numpy() for name in ("y0", "x0", "y1", "x1")], axis=1)
    ends = column["dy"].offsets.to_numpy().astype(np.int64)
    rings = column["parts"].offsets.to_numpy().astype(np.int64)
    starts = column["parts"].values.to_numpy() + np.repeat(ends[:-1], np.diff(rings))
    corners = [column[name].values.to_numpy().astype(np.int32) for name in ("dy", "dx")]
    yx = np.stack(corners, axis=1) + np.repeat(box[:, :2], np.diff(ends), axis=0)
    names = ("t", "z0", "z1") if "z0" in column else ("t", "z", "z")
    place = np.stack([column[name].to_numpy().astype(np.int32) for name in names], axis=1)
    place[:, 2] += 0 if "z0" in column else 1
    return _WellOutlines(place, box, rings, np.append(starts, ends[-1]), yx)


class _Cache:
    """Decoded wells and manifests, least recently used out first; shared by threads.

    Everything below ``objects/<key>`` never changes, so nothing here can be stale.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wells: OrderedDict[Path, _WellOutlines] = OrderedDict()
        self._manifests: OrderedDict[Path, ObjectsManifest] = OrderedDict()
        self._bytes = 0

    def manifest(self, root: Path, path: str) -> ObjectsManifest:
        with self._lock:
            found = self._manifests.get(root / path)
        if found is None:
            found = load_manifest(root, path)
            with self._lock:
                self._manifests[root / path] = found
                if len(self._manifests) > CACHED_MANIFESTS:
                    self._manifests.popitem(last=False)
        return found

    def well(self, path: Path) -> _WellOutlines:
        with self._lock:
            if path in self._wells:
                self._wells.move_to_end(path)
                return self._wells[path]
        found = _decode(path)
        with self._lock:
            if path not in self._wells:
                self._wells[path] = found
                self._bytes += found.nbytes
            while self._bytes > CACHED_BYTES and len(self._wells) > 1:
                self._bytes -= self._wells.popitem(last=False)[1].nbytes
        return found


_cache = _Cache()


@njit(nogil=True, cache=True)
def _varint(buffer: NDArray[np.uint8], k: int, value: int) -> int:
    while value >= 128:
        buffer[k] = (value & 127) | 128
        value >>= 7
        k += 1
    buffer[k] = value
    return k + 1


@njit(nogil=True, cache=True)
def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


@njit(nogil=True, cache=True)
def _area(points: NDArray[Any]) -> int:
    """Twice the signed area of a ring of (y, x); positive where the object is on the right."""
    total = 0
    n = points.shape[0]
    for i in range(n):
        k = i + 1 if i + 1 < n else 0
        total += np.int64(points[i, 1]) * points[k, 0] - np.int64(points[k, 1]) * points[i, 0]
    return total


@njit(nogil=True, cache=True)
def _scale_ring(
    yx: NDArray[np.int32], origin: tuple[int, int], size: int, points: NDArray[np.int64]
) -> int:
    """Put a ring into tile units without repeated or collinear points; return its length."""
    m = 0
    for i in range(yx.shape[0]):
        y = ((yx[i, 0] - origin[0]) * EXTENT + size // 2) // size
        x = ((yx[i, 1] - origin[1]) * EXTENT + size // 2) // size
        if m > 0 and points[m - 1, 0] == y and points[m - 1, 1] == x:
            continue
        if m > 1 and (points[m - 1, 1] - points[m - 2, 1]) * (y - points[m - 2, 0]) == (
            points[m - 1, 0] - points[m - 2, 0]
        ) * (x - points[m - 2, 1]):
            m -= 1
        points[m, 0] = y
        points[m, 1] = x
        m += 1
    while m > 1 and points[0, 0] == points[m - 1, 0] and points[0, 1] == points[m - 1, 1]:
        m -= 1
    return m


@njit(nogil=True, cache=True)
def _write_ring(
    points: NDArray[np.int64], pen: NDArray[np.int64], out: NDArray[Any], k: int
) -> int:
    """Append MoveTo, LineTo… and ClosePath of a ring; `pen` is the last position (y, x)."""
    for i in range(points.shape[0]):
        if i == 0:
            k = _varint(out, k, 9)
        elif i == 1:
            k = _varint(out, k, 2 | ((points.shape[0] - 1) << 3))
        k = _varint(out, k, _zigzag(points[i, 1] - pen[1]))
        k = _varint(out, k, _zigzag(points[i, 0] - pen[0]))
        pen[0] = points[i, 0]
        pen[1] = points[i, 1]
    return _varint(out, k, 15)


@njit(nogil=True, cache=True)
def _geometry(
    rings: NDArray[np.int64],
    yx: NDArray[np.int32],
    view: tuple[tuple[int, int], int],
    points: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Encode an object's rings as commands; return the bytes used, 0 if nothing is left of it."""
    origin, size = view
    pen = np.zeros(2, np.int64)
    k = 0
    visible = False
    for j in range(rings.size - 1):
        ring = yx[rings[j] : rings[j + 1]]
        m = _scale_ring(ring, origin, size, points)
        area = _area(points[:m])
        if _area(ring) > 0:
            visible = area > 0
        # a part too small to be seen takes its holes along
        if visible and area != 0:
            k = _write_ring(points[:m], pen, out, k)
    return k


@njit(nogil=True, cache=True)
def _features(
    rows: NDArray[np.int64],
    first: int,
    well: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]],
    view: tuple[tuple[int, int], int],
    buffers: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]],
) -> int:
    """Encode the features of a layer; return the bytes used."""
    rings, offsets, yx = well
    out, geometry, points = buffers
    head = np.empty(16, np.uint8)
    k = 0
    for row in rows:
        n = _geometry(offsets[rings[row] : rings[row + 1] + 1], yx, view, points, geometry)
        if n == 0:
            continue
        # field 1 (id), field 3 (type: polygon), field 4 (geometry)
        head[0] = 0x08
        h = _varint(head, 1, first + row)
        head[h] = 0x18
        head[h + 1] = 3
        head[h + 2] = 0x22
        h = _varint(head, h + 3, n)
        out[k] = 0x12
        k = _varint(out, k + 1, h + n)
        out[k : k + h] = head[:h]
        out[k + h : k + h + n] = geometry[:n]
        k += h + n
    return k


def _length(value: int) -> bytes:
    buffer = np.empty(10, np.uint8)
    return buffer[: _varint(buffer, 0, value)].tobytes()


def encode_layer(name: str, features: bytes) -> bytes:
    """Return a vector tile of one layer around encoded features; empty without any."""
    if not features:
        return b""
    text = name.encode()
    layer = b"\x78\x02\x0a" + _length(len(text)) + text + features + b"\x28" + _length(EXTENT)
    return b"\x1a" + _length(len(layer)) + layer


def _encode(
    well: _WellOutlines, first: int, rows: NDArray[np.int64], view: tuple[tuple[int, int], int]
) -> bytes:
    starts = well.points[well.rings]
    lengths = (starts[1:] - starts[:-1])[rows]
    n_rings = (well.rings[1:] - well.rings[:-1])[rows]
    # at most 5 bytes a coordinate, 7 of commands a ring, 40 of heads a feature
    sizes = lengths * 10 + n_rings * 7 + 40
    buffers = (
        np.empty(int(sizes.sum()), np.uint8),
        np.empty(int(sizes.max()), np.uint8),
        np.empty((int(lengths.max()) + 1, 2), np.int64),
    )
    n = _features(rows, first, (well.rings, well.points, well.yx), view, buffers)
    return buffers[0][:n].tobytes()


def tile(
    root: Path,
    manifest: str,
    object_type: str,
    plate_id: str,
    y0: int,
    x0: int,
    size: int,
    limit: int = 2000,
    t: int = 0,
    z: int = 0,
) -> bytes:
    """Return the vector tile of the objects that touch a square of a plate.

    Parameters
    ----------
    manifest
        Path of ``objects.json`` below `root`.
    y0, x0, size
        The square in plate pixels.
    limit
        Most objects a tile may hold.
    t, z
        The plane.

    Returns
    -------
    bytes
        Empty where there is no object, and for regions of the layout, which have no outlines.
        Outlines reach beyond the tile; each object that touches several tiles is whole in each.

    Raises
    ------
    TooManyObjects
        More than `limit`.
    DataMissing
        Unknown type or plate.
    """
    plate = _cache.manifest(root, manifest).plate(object_type, plate_id)
    y1, x1 = y0 + size, x0 + size
    chosen = []
    total = 0
    for well in plate.wells if plate.outlines else ():
        top, left, bottom, right = well.box
        if not well.count or top >= y1 or left >= x1 or bottom <= y0 or right <= x0:
            continue
        outlines = _cache.well(root / plate.path / "outlines" / f"{well.name}.parquet")
        box = outlines.box
        here = (box[:, 0] < y1) & (box[:, 1] < x1) & (box[:, 2] > y0) & (box[:, 3] > x0)
        at_t, z0, z1 = outlines.place.T
        rows = np.flatnonzero(here & (at_t == t) & (z0 <= z) & (z1 > z))
        total += rows.size
        if total > limit:
            raise TooManyObjects(f"the tile holds more than {limit} {object_type}")
        if rows.size:
            chosen.append((outlines, well.first, rows))
    view = ((y0, x0), size)
    return encode_layer(
        object_type, b"".join(_encode(o, first, rows, view) for o, first, rows in chosen)
    )
