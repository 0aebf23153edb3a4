"""Are the stored planes still what was read from the source? Entry points: `plates_verify`, `checksum`.

imextract records a CRC-32C of every plane it writes, over the pixels in the type of their array, least
significant byte first, row after row: what `zarr` hands back from the shard must have the same. The table
``checksums.parquet`` beside ``plates.json`` has a row per stored plane (columns `CHECKSUM_TYPES`), in the
order of ``planes.parquet``; rows of projections have no file. `image` is the path of the image in its
plate's Zarr hierarchy, t the acquisition's own, `dtype` the type in the source, `bytes` the
size of the shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from gpu_workers.errors import DataMissing
from gpu_workers.messages import Json, Message
from gpu_workers.storage import ome
from gpu_workers.storage.plates import PlatesManifest
from gpu_workers.storage.shards import BadShard, require_sound

CHECKSUM_TYPES = {
    "plate": "string", "well": "string", "site": "int32", "acquisition": "string", "t": "int32",
    "channel": "int32", "z": "int32", "projection": "string", "file": "string", "page": "int32",
    "sample": "int32", "image": "string", "dtype": "string", "checksum": "uint32", "bytes": "int64",
}  # fmt: skip
MAX_LISTED = 1000
_AT_ONCE = 50_000


class DamagedPlane(Message):
    """A stored plane that isn't what was read; `path` is its shard below the experiment's folder."""

    plate: str
    well: str
    site: int
    acquisition: str
    t: int
    channel: int
    z: int
    projection: str | None = None
    file: str | None = None
    path: str
    reason: str


class Verification(Message):
    """What reading everything back has shown; `damaged` names at most the first 1000 planes."""

    planes: int
    bytes: int
    n_damaged: int = 0
    damaged: tuple[DamagedPlane, ...] = ()


def checksum(pixels: npt.NDArray[Any]) -> int:
    """Return the CRC-32C of an array's bytes, little-endian and in C order."""
    value = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return int(google_crc32c.value(value))


def plates_verify(
    root: Path, manifest: str, progress: Callable[[float, str], None] = lambda _f, _m: None
) -> Verification:
    """Read every stored plane and projection back, through zarr, and compare the recorded checksums.

    Parameters
    ----------
    root
        Folder of the experiment.
    manifest
        Path of ``plates.json`` below it.

    Raises
    ------
    DataMissing
        The plates were converted before checksums were recorded.
    """
    import pyarrow.parquet as pq

    content = PlatesManifest.model_validate_json((root / manifest).read_bytes())
    if content.checksums is None:
        raise DataMissing("no checksums were recorded when these plates were converted")
    folders = {p.id: root / p.path for p in content.plates}
    n_planes, n_bytes, n_damaged = 0, 0, 0
    damaged: list[DamagedPlane] = []
    with pq.ParquetFile(root / content.checksums) as table:
        total = table.metadata.num_rows
        for part in table.iter_batches(_AT_ONCE):
            rows = part.to_pylist()
            for found in verify_rows(root, folders, rows):
                n_damaged += 1
                damaged += [found] if n_damaged <= MAX_LISTED else []
            n_planes += len(rows)
            n_bytes += sum(r["bytes"] for r in rows)
            progress(n_planes / total, f"{n_planes} of {total} planes")
    return Verification(planes=n_planes, bytes=n_bytes, n_damaged=n_damaged, damaged=tuple(damaged))


def verify_rows(
    root: Path, folders: dict[str, Path], rows: Iterable[Json], *, durable: bool = False
) -> Iterator[DamagedPlane]:
    """Yield the planes of some rows of ``checksums.parquet`` that don't read back as recorded.

    Parameters
    ----------
    folders
        Each plate's Zarr hierarchy.
    durable
        Bring every shard to the disk first and read it from there, not from memory.
    """
    image, array = None, None
    for row in rows:
        folder = folders[row["plate"]] / row["image"] / "0"
        if folder != image:
            image, array = folder, _opened(folder)
        path = ome.shard_path(folder, row["t"], row["channel"], row["z"])
        reason = _damage(path, array, row, durable)
        if reason is not None:
            own = {name: row[name] for name in DamagedPlane.model_fields if name in row}
            yield DamagedPlane(**own, path=str(path.relative_to(root)), reason=reason)


def _opened(folder: Path) -> Any:
    """Return a Zarr array, or None if its metadata is missing or damaged."""
    import zarr

    try:
        return zarr.open_array(folder, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damage(path: Path, array: Any, row: Json, durable: bool) -> str | None:
    """Return what is wrong with a stored plane, None if nothing is."""
    if array is None or array.ndim != 5:
        return "the array's metadata is missing or damaged"
    try:
        data = _read(path, durable)
    except FileNotFoundError:
        return "the shard is missing"
    if len(data) != row["bytes"]:
        return f"the shard has {len(data)} bytes, not {row['bytes']}"
    try:
        require_sound(data, array.shape[3:], array.dtype)
        pixels = array[row["t"], row["channel"], row["z"]]
    except (BadShard, ValueError, RuntimeError, IndexError) as error:
        return str(error) or type(error).__name__
    found = checksum(np.asarray(pixels))
    return (
        None
        if found == row["checksum"]
        else f"its checksum is {found:08x}, not {row['checksum']:08x}"
    )


def _read(path: Path, durable: bool) -> bytes:
    with path.open("rb") as stream:
        if durable:
            os.fsync(stream.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return stream.read()
