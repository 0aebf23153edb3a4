"""How the table of planes is cut into jobs, and which files a job leaves.

A job is a range of rows of ``planes.parquet``, which is ordered by plate, site, acquisition and time
point; it never splits the planes of one time point of one site, so no two jobs write the same file of
pixels and a projection is made by one job. What a job has done lies in ``plates/<key>/parts``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.messages import Json
from gpu_workers.registry import StepContext
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths, tables
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.plates import array_dtype

BYTES_PER_JOB: Final = 200_000_000
_MISSING: Final = -(2**31)


def planes_path(context: StepContext) -> Path:
    """Return the table of the source's planes."""
    return (context.root / context.inputs["layout"]).with_name("planes.parquet")


def part_path(context: StepContext, batch: Json, suffix: str = ".json") -> Path:
    """Return a file that a job leaves: ``.json`` what it did, ``.parquet`` checksums, … ."""
    name = f"{batch['first']}-{batch['count']}{suffix}"
    return context.root / paths.plates_folder(context.key) / "parts" / name


def digest(planes: Any) -> str:
    """Return a digest of a table of planes: which page of which file is which plane."""
    found = hashlib.blake2b(digest_size=16)
    for name in layouts.PLANE_TYPES:
        column = planes[name].combine_chunks()
        found.update(name.encode())
        found.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
        if layouts.PLANE_TYPES[name] == "string":
            coded = column.dictionary_encode()
            found.update("\0".join(map(str, coded.dictionary.to_pylist())).encode(errors="replace"))
            column = coded.indices
        filled = column.fill_null(_MISSING).to_numpy(zero_copy_only=False)
        found.update(filled.tobytes())
    return found.hexdigest()


def batches(planes: Any, layout: Layout, batch_size: int | None) -> list[Json]:
    """Return the ranges of rows that are one job each.

    Parameters
    ----------
    planes
        The table of planes.
    batch_size
        How many sites a job has; None: as many time points of sites as make about 200 MB of pixels, but
        at least one.

    Raises
    ------
    ValueError
        The rows are not in their order.
    """
    if not planes.num_rows:
        return []
    sites = ("plate", "site") if batch_size else ("plate", "site", "acquisition", "t")
    starts = _starts([_codes(planes[name]) for name in sites])
    ends = np.append(starts[1:], planes.num_rows)
    if batch_size:
        firsts, lasts = (
            starts[::batch_size],
            np.append(starts[batch_size::batch_size], planes.num_rows),
        )
        return [_batch(f, e) for f, e in zip(firsts, lasts, strict=True)]
    sizes = np.add.reduceat(plane_bytes(planes, layout), starts)
    total = np.cumsum(sizes)
    found: list[Json] = []
    unit = 0
    while unit < len(starts):
        done = int(total[unit - 1]) if unit else 0
        after = max(unit + 1, int(np.searchsorted(total, done + BYTES_PER_JOB, "right")))
        found.append(_batch(starts[unit], ends[after - 1]))
        unit = after
    return found


def plane_bytes(planes: Any, layout: Layout) -> npt.NDArray[np.int64]:
    """Return how many bytes the pixels of each row are; none for the vendor's projections."""
    itemsize = array_dtype(layout.channels).itemsize
    real = np.asarray(planes["role"].to_numpy(zero_copy_only=False)) == "plane"
    sizes = np.zeros(planes.num_rows, np.int64)
    owner = np.asarray(planes["plate"].to_numpy(zero_copy_only=False))
    site = planes["site"].to_numpy()
    for plate in layout.plates:
        area = np.array([s.height * s.width for s in plate.sites], np.int64)
        own = (owner == plate.id) & real
        sizes[own] = area[site[own]] * itemsize
    return sizes


def _batch(first: Any, end: Any) -> Json:
    return {"first": int(first), "count": int(end - first)}


def _codes(column: Any) -> npt.NDArray[np.int64]:
    """Return a number for each value, by its first appearance."""
    return np.asarray(column.combine_chunks().dictionary_encode().indices, np.int64)


def _starts(columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return the first row of each run of equal values; ValueError where a run comes twice."""
    table = np.stack(columns)
    starts = np.flatnonzero(np.append(True, (table[:, 1:] != table[:, :-1]).any(axis=0)))
    if len(np.unique(table[:, starts], axis=1).T) != len(starts):
        raise ValueError("the rows of planes.parquet are not in order")
    return starts


def read_planes(context: StepContext) -> Any:
    """Return the whole table of planes."""
    return tables.read_table(planes_path(context))
