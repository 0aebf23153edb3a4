"""Units that an earlier version of the plates holds already: a plate that grows costs only what is new.

A unit's digest says from which pages of which files, of which size and time of change, its planes come
and in which form they are stored. Where an earlier version has the same unit, its shards are linked and
what was noted of them is copied. Each version keeps a table of its units, ``units.parquet``, in the order
of ``planes.parquet``, with the rows of ``checksums.parquet`` and ``focus.parquet`` that are theirs.
Units that lack a plane aren't in it: they are tried again. Entry points: `Earlier`, `join_units`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.registry import StepContext
from gpu_workers.steps.imextract.batches import part_path
from gpu_workers.steps.imextract.units import Unit
from gpu_workers.storage import ome, paths, tables
from gpu_workers.storage.planes import known_planes
from gpu_workers.storage.plates import Projection, array_dtype, manifest_path, plate_path
from gpu_workers.storage.reuse import earlier_version, take_over

UNITS: Final = "units.parquet"
UNIT_TYPES: Final = {
    "digest": "string", "plate": "string", "acquisition": "string", "site": "string", "t": "int32",
    "first": "int64", "count": "int32", "first_focus": "int64", "count_focus": "int32", "seen": "string",
}  # fmt: skip
# A few jobs' units: with what was seen of the pixels about 1 MB.
_GROUP: Final = 512
_SOURCE: Final = ("role", "method", "channel", "z", "file", "page", "sample", "size", "mtime_ns")


def unit_digest(unit: Unit, projection: Projection | None, version: int) -> str | None:
    """Return what decides all that is stored of a unit; None where nothing tells that files changed."""
    # A folder of chunks has no size of its own, and labels beside it.
    if any(r["size"] is None or r["mtime_ns"] is None or r["size"] < 0 for r in unit.rows):
        return None
    channels = unit.layout.channels
    rows = [[r[name] for name in _SOURCE] for r in unit.rows]
    types = {r["channel"]: channels[r["channel"]].dtype for r in unit.rows}
    what = [
        version, projection, str(array_dtype(channels)), sorted(types.items()),
        unit.site.height, unit.site.width, unit.place, rows,
    ]  # fmt: skip
    text = json.dumps(what).encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier version noted of a unit.

    Attributes
    ----------
    checksums, focus
        Its rows of the tables, with the places of that version.
    seen
        What else a job says of it: sample of its pixels, the vendor's projections that differ.
    """

    checksums: list[Json]
    focus: list[Json]
    seen: Json


@dataclass
class Earlier:
    """The units of a job that an earlier version may have."""

    root: Path
    base: str | None
    _rows: dict[tuple[str, str, str, int], Json] = field(default_factory=dict)
    _checksums: _Slice | None = None
    _focus: _Slice | None = None

    @classmethod
    def open(cls, context: StepContext, units: Sequence[Unit]) -> Earlier:
        """Return what the version before has at the places of these units."""
        own = context.root / paths.plates_folder(context.key)
        base = earlier_version(own, UNITS)
        if base is None or not units:
            return cls(context.root, None)
        folder = context.root / paths.plates_folder(base)
        sites = sorted({u.place[2] for u in units})
        plates = sorted({u.plate.id for u in units})
        try:
            rows = tables.read_table(
                folder / UNITS, filters=[("plate", "in", plates), ("site", "in", sites)]
            ).to_pylist()
        except (OSError, ValueError):
            return cls(context.root, None)  # deleted since it was chosen, or damaged
        wanted = {u.place for u in units}
        found = {(r["plate"], r["acquisition"], r["site"], r["t"]): r for r in rows}
        found = {place: row for place, row in found.items() if place in wanted}
        return cls(
            context.root, base, found,
            _Slice.of(folder / "checksums.parquet", found.values(), ""),
            _Slice.of(folder / "focus.parquet", found.values(), "_focus"),
        )  # fmt: skip

    def take(self, unit: Unit, digest: str | None) -> Kept | None:
        """Link all shards of a unit; None if the earlier version hasn't the same, whole."""
        row = self._rows.get(unit.place)
        if row is None or digest is None or row["digest"] != digest or self.base is None:
            return None
        checksums = self._checksums.rows(row) if self._checksums else []
        focus = self._focus.rows(row) if self._focus else []
        if len(checksums) != row["count"] or len(focus) != row["count_focus"]:
            return None
        pairs = [self._shards(unit, r) for r in checksums]
        sizes = (_size(source) for source, _ in pairs)
        # Those that were cut short are written anew; whether bits have changed shows when they are read back.
        if any(s != r["bytes"] for s, r in zip(sizes, checksums, strict=True)):
            return None
        if any(take_over(source, target) is None for source, target in pairs):
            return None
        return Kept(checksums, focus, json.loads(row["seen"]))

    def _shards(self, unit: Unit, row: Json) -> tuple[Path, Path]:
        """Return where a shard lies in the earlier version, and where it belongs in this."""
        place = row["t"], row["channel"], row["z"]
        folder = self.root / plate_path(str(self.base), unit.plate) / row["image"]
        target = unit.folder(row["projection"])
        return ome.shard_path(folder / "0", *place), ome.shard_path(target / "0", *place)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True, slots=True)
class _Slice:
    """The rows of a table that some units have, read at once: they lie beside each other."""

    first: int
    all: list[Json]
    suffix: str

    @classmethod
    def of(cls, path: Path, units: Any, suffix: str) -> _Slice | None:
        """Return the rows of a table of a version; None if it isn't there."""
        ranges = [(u["first" + suffix], u["count" + suffix]) for u in units]
        if not any(n for _, n in ranges):
            return cls(0, [], suffix)
        first = min(a for a, _ in ranges)
        end = max(a + n for a, n in ranges)
        try:
            rows = tables.read_slice(path, first, end - first).to_pylist()
        except (OSError, ValueError):
            return None
        return cls(first, rows, suffix)

    def rows(self, unit: Json) -> list[Json]:
        start = unit["first" + self.suffix] - self.first
        return self.all[start : start + unit["count" + self.suffix]]


def rows_to_write(
    context: StepContext, key: str, planes: Any, projection: Projection | None
) -> NDArray[np.bool_]:
    """Return which rows of the table of planes will hardly be linked: what is planned to be written."""
    base = earlier_version(context.root / paths.plates_folder(key), UNITS)
    every = np.ones(planes.num_rows, np.bool_)
    if base is None:
        return every
    try:
        before = paths.read_json(context.root / manifest_path(base))
    except (OSError, ValueError):
        return every
    if before["projection"] != projection:
        return every
    return ~known_planes(planes, context.root / before["sources"])


def join_units(context: StepContext, jobs: Sequence[Json]) -> None:
    """Write the table of all units, the last of a version's tables: later ones take from it."""
    import pyarrow as pa

    # Jobs of an earlier release left none.
    if not all(part_path(context, job, "-units.parquet").is_file() for job in jobs):
        return
    parts: list[Any] = []
    ahead = {"first": 0, "first_focus": 0}
    for job in jobs:
        part = tables.read_table(part_path(context, job, "-units.parquet"))
        for name, n in ahead.items():
            column = pa.array(part[name].to_numpy() + n, pa.int64())
            part = part.set_column(part.column_names.index(name), name, column)
        parts.append(part)
        ahead["first"] += tables.n_rows(part_path(context, job, ".parquet"))
        focus = part_path(context, job, "-focus.parquet")
        ahead["first_focus"] += tables.n_rows(focus) if focus.is_file() else 0
    path = context.root / paths.plates_folder(context.key) / UNITS
    whole = pa.concat_tables(parts)
    columns = {name: whole[name].combine_chunks() for name in UNIT_TYPES}
    tables.write_table(path, columns, UNIT_TYPES, row_group=_GROUP)
