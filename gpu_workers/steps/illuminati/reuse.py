"""Shards that an earlier mosaic has already: a mosaic that adds wells makes only what changed.

A **node** is a shard of some level. Its digest says what it shows: the sites that touch it, where, and
from which pages of which files their planes came. Two nodes of the same digest have the same pixels,
wherever they lie, and so has all below them; the later one is linked. What differs is made, and so are
its ancestors, whose digests differ with it. Each version keeps a table of its nodes, with the counts of
the values of those of level 0, in ``units.parquet``, and one of those of the images of regions in ``regions.parquet``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.steps.illuminati.planning import BuildBatch, SiteTable
from gpu_workers.storage import mosaics, paths, tables
from gpu_workers.storage.layout import PlateLayout, planes_path
from gpu_workers.storage.planes import PLACED, Origins, known_planes
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.pyramid import Place, Pyramid
from gpu_workers.storage.reuse import earlier_version, take_over

NODE_TYPES = {
    "digest": "string", "path": "string", "level": "int8", "t": "int32", "c": "int32", "z": "int32",
    "sy": "int32", "sx": "int32", "first": "int32",
}  # fmt: skip
Spot = tuple[int, Place, int, int]  # level, (t, c, z), row and column of shards
GROUP = 32
"""Rows of the table that are read together: with the counts about 1 MB."""
PART = 8192
"""As many of a part, which is read whole, and of a table without counts."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where a shard lies, and of level 0 how often each stored value occurs in what was pasted."""

    digest: str
    path: str
    spot: Spot
    first: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def nodes_of(pyramid: Pyramid, work: BuildBatch) -> Iterator[tuple[int, int, int]]:
    """Yield level, row and column of all shards that a batch makes."""
    for sy, sx in work.shards:
        for level in range(work.bottom, work.top + 1):
            n = 1 << (work.top - level)
            rows, columns = pyramid.grid(level)
            for i, j in np.ndindex(n, n):
                row, column = sy * n + int(i), sx * n + int(j)
                if row < rows and column < columns:
                    yield level, row, column


def node_digest(
    pyramid: Pyramid,
    plate: PlateLayout,
    inside: Sequence[int],
    spot: Spot,
    sources: Sequence[Any],
    signature: Any,
) -> str:
    """Return the digest of a shard.

    Parameters
    ----------
    inside
        Positions of the sites that touch it.
    sources
        Of each of these, what it shows.
    signature
        All else that decides the stored pixels.
    """  # fmt: skip
    level, _, row, column = spot
    side = pyramid.shard << level
    sites = [plate.sites[i] for i in inside]
    boxes = [[s.y - row * side, s.x - column * side, s.height, s.width] for s in sites]
    rows, columns = pyramid.grid(0)
    what = {
        "shard": pyramid.shard, "level": level,
        "sites": [{"box": b, "source": s} for b, s in zip(boxes, sources, strict=True)],
        "channel": signature,
        # Beyond the plate's edge nothing is made, not even padding.
        "edge": [min(rows - (row << level), 1 << level), min(columns - (column << level), 1 << level)],
    }  # fmt: skip
    text = json.dumps(what, sort_keys=True)
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()


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
        for level, row, column in nodes_of(pyramid, work):
            side = pyramid.shard << level
            inside = self._table.inside(row * side, column * side, side, side).tolist()
            for place in work.places if inside else ():
                spot = level, place, row, column
                found[spot] = self._digest(pyramid, spot, inside, origins)
        return found

    def _digest(self, pyramid: Pyramid, spot: Spot, inside: list[int], origins: Origins) -> str:
        place = spot[1]
        sources = [self._source(self.plate.sites[i].index, place, origins) for i in inside]
        if "" in sources:
            return ""  # nothing tells where it came from: it is made anew
        signature = self.signature[place[1]]
        return node_digest(pyramid, self.plate, inside, spot, sources, signature)

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
        cls, root: Path, table: Path | None, pyramid: Pyramid, bottom: int, digests: dict[Spot, str]
    ) -> Earlier:
        """Return the nodes in an earlier version's table that have one of the digests."""
        wanted = sorted(set(digests.values()) - {""})
        found = read_nodes(table, wanted) if table is not None and wanted else []
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


def earlier_table(root: Path, key: str, path_of: Callable[[str], str]) -> Path | None:
    """Return a table of nodes of the mosaic to take from; None if there is no earlier one."""
    base = earlier_version(root / paths.mosaic_folder(key), mosaics.UNITS)
    return None if base is None else root / path_of(base)


def share_to_write(root: Path, key: str, sources: Path, like: Mapping[str, Any]) -> float:
    """Return which part of a mosaic will hardly be linked, 0 … 1: what is planned to be written.

    Parameters
    ----------
    sources
        The table of planes of the layout.
    like
        Fields of the manifest in which the earlier mosaic must be equal.
    """
    table = earlier_table(root, key, mosaics.manifest_path)
    try:
        before = paths.read_json(table) if table is not None else None
    except (OSError, ValueError):
        before = None
    if before is None or any(before.get(name) != value for name, value in like.items()):
        return 1.0
    known = known_planes(tables.read_table(sources, PLACED), root / planes_path(before["layout"]))
    # Levels above the first are a quarter of all; where wells have moved they are made anew.
    return 1.0 - 0.75 * float(known.mean()) if known.size else 1.0


def write_nodes(path: Path, nodes: Sequence[Node], group: int = GROUP) -> None:
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
    pq.write_table(table, sink, compression="zstd", row_group_size=group)
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
