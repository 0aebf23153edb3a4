"""From which page of which file each stored plane was made; entry points: `Origins`, `known_planes`.

Two planes of the same origin hold the same pixels, in whichever version they lie: versions that add
wells recognise by it what they need not make again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.storage import tables
from gpu_workers.storage.layout import Layout, PlateLayout, load_raw_layout, raw_sites
from gpu_workers.storage.plates import site_path

_SOURCE = ("file", "page", "sample", "size", "mtime_ns")
PLACED = ["plate", "acquisition", "t", "channel", "z", "role", *_SOURCE]
_COLUMNS = ["site", "acquisition", "t", "channel", "z", "role", *_SOURCE]
Place = tuple[int, int, int]  # t, c, z of the experiment


@dataclass(frozen=True, slots=True)
class Origins:
    """Digests of the sources of the planes of some sites of a plate.

    Attributes
    ----------
    digests
        (site index, t, c) -> source of each z plane.
    """

    digests: dict[tuple[int, int, int], dict[int, str]] = field(default_factory=dict)

    @classmethod
    def load(
        cls, root: Path, manifest: str, layout: Layout, plate: PlateLayout, sites: Iterable[int]
    ) -> Origins:
        """Return the sources of the planes of a layout's sites.

        Parameters
        ----------
        manifest
            Path of the ``layout.json`` that imextract was given, whose ``planes.parquet`` lies beside it.
        layout, plate, sites
            The layout in use (corrected, stitched), one of its plates, and indices of its sites.

        Returns
        -------
        Origins
            Of no plane, if there is no table beside the layout.
        """
        raw = load_raw_layout(root, manifest)
        known = raw_sites(raw.plate(plate.id))
        wells = {w.name: w for w in plate.wells}
        of_raw: dict[int, int] = {}
        for index in sites:
            site = plate.sites[index]
            of_raw[known.get(site_path(site, wells[site.well]), site.index)] = site.index
        path = (root / manifest).with_name("planes.parquet")
        filters = [("plate", "==", plate.id), ("site", "in", list(of_raw))]
        if not path.is_file():
            return cls()
        table = tables.read_table(path, _COLUMNS, filters=filters).to_pydict()
        offsets = {a.id: a.tpoint_offset for a in layout.acquisitions}
        found: dict[tuple[int, int, int], dict[int, str]] = {}
        for row in _rows(table):
            if row["role"] != "plane" or row["acquisition"] not in offsets:
                continue
            place = (
                of_raw[row["site"]],
                row["t"] + offsets[row["acquisition"]],
                row["channel"],
            )
            source = "\0".join(str(row[name]) for name in _SOURCE)
            found.setdefault(place, {})[row["z"]] = f"{row['acquisition']}\0{source}"
        return cls(found)

    def of(self, site: int, place: Place, projection: str | None) -> str | None:
        """Return what a plane, or a projection of its stack, was made of; None if it isn't known."""
        t, c, z = place
        stack = self.digests.get((site, t, c))
        if stack is None:
            return None
        if projection is None:
            return stack.get(z)
        digest = hashlib.blake2b(projection.encode(), digest_size=16)
        for number in sorted(stack):
            digest.update(f"{number}\0{stack[number]}\1".encode(errors="surrogateescape"))
        return digest.hexdigest()


def known_planes(planes: Any, earlier: Path) -> NDArray[np.bool_]:
    """Return which rows of a table of planes an earlier table has, too: same source, same place.

    Parameters
    ----------
    planes
        The table, or its columns that `PLACED` names.
    earlier
        Path of the other one; where it is gone, nothing is known.
    """
    known = np.zeros(planes.num_rows, np.bool_)
    try:
        before = tables.read_table(earlier, PLACED)
    except (OSError, ValueError):
        return known
    rows = planes.select(PLACED).append_column("row", [np.arange(planes.num_rows)])
    found = rows.join(before, PLACED, join_type="left semi")["row"]
    known[found.to_numpy()] = True
    return known


def _rows(table: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    names = list(table)
    for values in zip(*table.values(), strict=True):
        yield dict(zip(names, values, strict=True))
