"""Shards that an earlier mosaic has already: a mosaic that adds wells makes only what changed.

A **node** is a shard of some level. Its digest says what it shows: the sites that touch it, where, and
from which pages of which files their planes came. Two nodes of the same digest have the same pixels,
wherever they lie, and so has all below them; the later one is linked. What differs is made, and so are
its ancestors, whose digests differ with it. Each version keeps a table of its nodes, with the counts of
the values of those of level 0, in ``units.parquet``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.steps.illuminati.planning import BuildBatch, SiteTable
from gpu_workers.storage import mosaics, paths
from gpu_workers.storage.layout import PlateLayout
from gpu_workers.storage.planes import Origins
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.pyramid import Place, Pyramid
from gpu_workers.storage.reuse import take_over

NODE_TYPES = {
    "digest": "string", "path": "string", "level": "int8", "t": "int32", "c": "int32", "z": "int32",
    "sy": "int32", "sx": "int32", "first": "int32",
}  # fmt: skip
Spot = tuple[int, Place, int, int]  # level, (t, c, z), row and column of shards
GROUP = 32
"""Rows of the table that are read together: with the counts about 1 MB."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where a shard lies, and of level 0 how often each stored value occurs in what was pasted."""

    digest: str
    path: str
    spot: Spot
    first: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass
class Digests:
    """Says of the shards of a plate's mosaic what they show.

    Parameters
    ----------
    signature
        For each channel all else that decides the stored pixels (value map, correction…).
    """

    root: Path
    plates: Plates
    plate: PlateLayout
    projection: str | None
    signature: dict[int, Json]
    _table: SiteTable = field(init=False)
    _planes: dict[tuple[int, Place], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._table = SiteTable.of(self.plate)

    def of(self, pyramid: Pyramid, work: BuildBatch) -> dict[Spot, str]:
        """Return the digests of all nodes that a batch makes; of those without a site there is none."""
        side = pyramid.shard << work.top
        touched = {
            int(i)
            for sy, sx in work.shards
            for i in self._table.inside(sy * side, sx * side, side, side)
        }
        origins = Origins.load(
            self.root, self.plates.manifest.layout, self.plates.layout, self.plate, touched
        )
        found: dict[Spot, str] = {}
        for sy, sx in work.shards:
            for level in range(work.bottom, work.top + 1):
                n = 1 << (work.top - level)
                for i, j in np.ndindex(n, n):
                    row, column = sy * n + int(i), sx * n + int(j)
                    for place in work.places:
                        digest = self._digest(pyramid, level, place, row, column, origins)
                        if digest is not None:
                            found[level, place, row, column] = digest
        return found

    def _digest(
        self, pyramid: Pyramid, level: int, place: Place, row: int, column: int, origins: Origins
    ) -> str | None:
        side = pyramid.shard << level
        y, x = row * side, column * side
        inside = self._table.inside(y, x, side, side)
        if not inside.size:
            return None
        shown: list[Json] = []
        for i in inside:
            site = self.plate.sites[i]
            source = self._source(site.index, place, origins)
            if source == "":
                return ""  # nothing tells where it came from: it is made anew
            box = [site.y - y, site.x - x, site.height, site.width]
            shown.append({"box": box, "source": source})
        rows, columns = pyramid.grid(0)
        what = {
            "shard": pyramid.shard, "level": level, "sites": shown,
            "channel": self.signature[place[1]],
            # Beyond the plate's edge nothing is made, not even padding.
            "edge": [min(rows - (row << level), 1 << level), min(columns - (column << level), 1 << level)],
        }  # fmt: skip
        text = json.dumps(what, sort_keys=True)
        return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    def _source(self, site: int, place: Place, origins: Origins) -> str | None:
        """Return what a plane was made of; None where it is missing, "" where nothing says it."""
        if (site, place) not in self._planes:
            there = self.plates.exists(self.plate.id, site, *place, self.projection)
            source = (origins.of(site, place, self.projection) or "") if there else None
            self._planes[site, place] = source
        return self._planes[site, place]


@dataclass
class Earlier:
    """The nodes of the earlier mosaic that a batch can take over, and what has been taken."""

    root: Path
    pyramid: Pyramid
    bottom: int
    digests: dict[Spot, str]
    nodes: dict[str, Node]
    linked: int = 0

    @classmethod
    def open(
        cls, root: Path, base: str | None, pyramid: Pyramid, bottom: int, digests: dict[Spot, str]
    ) -> Earlier:
        """Return the nodes of the mosaic `base` that have one of the digests."""
        wanted = sorted(set(digests.values()) - {""})
        found: list[Node] = []
        if base is not None and wanted:
            found = read_nodes(root / mosaics.units_path(base), wanted)
        nodes = {n.digest: n for n in found if (root / n.path).is_dir()}
        return cls(root, pyramid, bottom, digests, nodes)

    def take(self, level: int, place: Place, sy: int, sx: int) -> bool:
        """Link a shard and all below it that the round makes, if the earlier mosaic has them."""
        node = self.nodes.get(self.digests.get((level, place, sy, sx), ""))
        if node is None:
            return False
        _, old_place, old_y, old_x = node.spot
        source = dataclasses.replace(self.pyramid, folder=self.root / node.path)
        for lower in range(self.bottom, level + 1):
            n = 1 << (level - lower)
            for i, j in np.ndindex(n, n):
                old = source.shard_path(lower, old_place, old_y * n + i, old_x * n + j)
                new = self.pyramid.shard_path(lower, place, sy * n + i, sx * n + j)
                self.linked += take_over(old, new) or 0
        return True


def write_nodes(path: Path, nodes: Sequence[Node]) -> None:
    """Write nodes, by digest, so that a few of them are found without reading all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(nodes, key=lambda n: n.digest)
    rows = [
        (n.digest, n.path, n.spot[0], *n.spot[1], n.spot[2], n.spot[3], n.first) for n in ordered
    ]
    columns: list[list[Any]] = [list(c) for c in zip(*rows, strict=True)] or [
        [] for _ in NODE_TYPES
    ]
    types = [pa.type_for_alias(t) for t in NODE_TYPES.values()]
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    ends = np.cumsum([0, *(len(n.counts) for n in ordered)])
    flat = np.concatenate([n.counts for n in ordered] or [np.zeros(0, np.int64)])
    arrays.append(pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(flat)))
    table = pa.Table.from_arrays(arrays, names=[*NODE_TYPES, "counts"])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=GROUP)
    paths.write_atomically(path, sink.getvalue().to_pybytes())


def read_nodes(path: Path, digests: Sequence[str] | None = None) -> list[Node]:
    """Return the nodes of a table, or those of some digests; none if there is no table."""
    import pyarrow.parquet as pq

    filters = None if digests is None else [("digest", "in", list(digests))]
    try:
        rows = pq.read_table(path, filters=filters).to_pylist()
    except FileNotFoundError:
        return []
    return [
        Node(
            digest=row["digest"],
            path=row["path"],
            spot=(row["level"], (row["t"], row["c"], row["z"]), row["sy"], row["sx"]),
            first=row["first"],
            counts=np.array(row["counts"], np.int64),
        )
        for row in rows
    ]
