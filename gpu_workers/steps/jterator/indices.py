"""Rounds 2 and 3: one dense index per plate and type, then the tables of wells in its order.

Indices run 1…N over wells (by row, then column), time points, sites, z planes and labels, so that a
well's objects are one range. Entry points: `assign_indices`, `write_well`, `SiteIndices`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.storage import paths
from gpu_workers.storage.features import write_features, write_index
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.objects import (
    SiteObjects,
    indices_path,
    join,
    load_columns,
    load_part,
    ordered_wells,
    part_path,
    plate_folder,
    save_arrays,
    take,
)
from gpu_workers.storage.outlines import write_outlines


def well_sites(plate: PlateLayout, well: str) -> list[SiteLayout]:
    """Return a well's sites in the order of indices."""
    return sorted((s for s in plate.sites if s.well == well), key=lambda s: s.index)


def first_indices(
    counts: NDArray[np.int64], wells: Iterable[list[int]]
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Return the first index of each site and time point, and (first, count) of each well.

    Parameters
    ----------
    counts : ndarray of int64, shape (sites, time points)
        Objects that count.
    wells
        Rows of `counts` that belong to each well, in the order of indices.

    Examples
    --------
    >>> first, wells = first_indices(np.array([[2, 1], [3, 0]]), [[0, 1]])
    >>> first.tolist(), wells
    ([[1, 6], [3, 7]], [(1, 6)])
    """
    first = np.zeros_like(counts)
    ranges = []
    at = 1
    for rows in wells:
        own = counts[rows].T.ravel()  # time points outside, sites inside
        starts = at + np.cumsum(own) - own
        first[rows] = starts.reshape(counts.shape[1], len(rows)).T
        ranges.append((at, int(own.sum())))
        at += int(own.sum())
    return first, ranges


def assign_indices(
    root: Path, key: str, plate: PlateLayout, types: tuple[str, ...], n_tpoints: int
) -> dict[str, int]:
    """Give the objects of a plate their indices; return how many there are of each type."""
    n_sites = max((s.index for s in plate.sites), default=-1) + 1
    wells = [[s.index for s in well_sites(plate, w.name)] for w in ordered_wells(plate)]
    arrays: dict[str, NDArray[np.int64]] = {}
    totals = {}
    for name in types:
        counts = np.zeros((n_sites, n_tpoints), np.int64)
        for site in plate.sites:
            t, owned = load_columns(root / part_path(key, plate, site.index), name, "t", "owned")
            counts[site.index] = np.bincount(t[owned], minlength=n_tpoints)
        arrays[f"{name}/first"], ranges = first_indices(counts, wells)
        arrays[f"{name}/wells"] = np.array(ranges, np.int64).reshape(-1, 2)
        totals[name] = int(counts.sum())
    save_arrays(root / indices_path(key, plate), arrays)
    return totals


def well_ranges(
    root: Path, key: str, plate: PlateLayout, object_type: str
) -> dict[str, tuple[int, int]]:
    """Return (first index, count) of each well of a plate."""
    with np.load(root / indices_path(key, plate)) as data:
        ranges = data[f"{object_type}/wells"].tolist()
    names = [w.name for w in ordered_wells(plate)]
    return {name: (first, count) for name, (first, count) in zip(names, ranges, strict=True)}


def boxes_path(key: str, plate: PlateLayout, well: str) -> str:
    """Path of the boxes that hold a well's objects, by type."""
    return f"{paths.objects_folder(key)}/parts/{plate.slug}/wells/{well}.json"


def _well_objects(
    root: Path, key: str, plate: PlateLayout, well: str, object_type: str
) -> tuple[SiteObjects, NDArray[np.uint16]]:
    """Return a well's objects that count, in the order of indices, and their sites."""
    sites = well_sites(plate, well)
    tables = [load_part(root / part_path(key, plate, s.index), object_type) for s in sites]
    where = np.concatenate([np.full(t.n, s.index) for s, t in zip(sites, tables, strict=True)])
    every = join(tables)
    rows = np.flatnonzero(every.owned)
    order = np.lexsort((every.label[rows], every.z[rows], where[rows], every.t[rows]))
    rows = rows[order]
    return take(every, rows), where[rows].astype(np.uint16)


@dataclass(frozen=True, slots=True)
class TypeTables:
    """What is written of the objects of a type: its features, outlines unless they are points."""

    features: tuple[str, ...]
    outlines: bool = True
    volumes: bool = False


def write_well(
    root: Path, key: str, plate: PlateLayout, well: str, types: Mapping[str, TypeTables]
) -> int:
    """Write a well's tables for each type; return the number of rows."""
    boxes: Json = {}
    total = 0
    for name, wanted in types.items():
        first, count = well_ranges(root, key, plate, name)[well]
        if not count:
            continue
        objects, sites = _well_objects(root, key, plate, well, name)
        folder = root / plate_folder(key, name, plate)
        write_features(
            folder / "features" / f"{well}.parquet", first, wanted.features, objects.features
        )
        volumes = wanted.volumes
        write_index(folder / "index" / f"{well}.parquet", first, sites, objects, volumes=volumes)
        if wanted.outlines:
            path = folder / "outlines" / f"{well}.parquet"
            write_outlines(path, first, objects, volumes=volumes)
        low, high = objects.box[:, :2].min(axis=0), objects.box[:, 2:].max(axis=0)
        boxes[name] = [int(v) for v in (*low, *high)]
        total += count
    paths.write_json(root / boxes_path(key, plate, well), boxes)
    return total


@dataclass(frozen=True, slots=True)
class SiteIndices:
    """Table from a site's labels to dense indices, per plane.

    Attributes
    ----------
    objects
        t, z, label and owned of each object, ordered by t, z, label.
    first
        int64, (time points,): first index of the site at each time point.
    volumes
        Whether objects reach over several z planes.
    """

    t: NDArray[np.uint16]
    z: NDArray[np.uint16]
    label: NDArray[np.uint32]
    owned: NDArray[np.bool_]
    first: NDArray[np.int64]
    volumes: bool = False

    @classmethod
    def load(
        cls,
        root: Path,
        key: str,
        plate: PlateLayout,
        object_type: str,
        site: int,
        *,
        volumes: bool = False,
    ) -> SiteIndices:
        """Read what rounds 1 and 2 left of a site."""
        part = root / part_path(key, plate, site)
        columns = load_columns(part, object_type, "t", "z", "label", "owned")
        with np.load(root / indices_path(key, plate)) as data:
            first = data[f"{object_type}/first"][site]
        t, z, label, owned = columns
        return cls(t, z, label, owned, first, volumes)

    def table(self, t: int, z: int) -> NDArray[np.uint32]:
        """Return the index of each label of a plane; 0 for background and copies that don't count."""
        now = self.t == t
        rank = np.cumsum(self.owned[now]) - 1
        here = now if self.volumes else now & (self.z == z)
        counts = self.owned[now] & here[now]
        size = int(self.label[here].max()) + 1 if here.any() else 1
        table = np.zeros(size, np.uint32)
        table[self.label[now][counts]] = self.first[t] + rank[counts]
        return table
