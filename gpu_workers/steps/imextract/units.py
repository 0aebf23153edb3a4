"""A unit of conversion: what one acquisition shows of one site at one time point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from gpu_workers.messages import Json
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
)
from gpu_workers.storage.plates import Projection, image_path, plate_path, site_path


@dataclass(frozen=True, slots=True)
class Unit:
    """One time point of an image and its rows of ``planes.parquet``.

    Attributes
    ----------
    root, key
        Folder of the experiment; version of the plates.
    layout
        The uncorrected one.
    t
        The acquisition's own time point.
    """

    root: Path
    key: str
    layout: Layout
    plate: PlateLayout
    site: SiteLayout
    well: WellLayout
    acquisition: AcquisitionLayout
    t: int
    rows: tuple[Json, ...]

    def path(self, projection: Projection | None = None) -> str:
        """Return the image's path in its plate's Zarr hierarchy, such as ``B/3/0a0``."""
        return image_path(self.site, self.well, self.acquisition.index, projection)

    def folder(self, projection: Projection | None = None) -> Path:
        """Return the folder of the image's group."""
        return self.root / plate_path(self.key, self.plate) / self.path(projection)

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Plate, acquisition, site and time point by names that wells that are added don't change."""
        return self.plate.id, self.acquisition.id, site_path(self.site, self.well), self.t

    @property
    def planes(self) -> list[Json]:
        """The rows that are planes, not projections of the vendor's."""
        return [r for r in self.rows if r["role"] == "plane"]


def units(root: Path, key: str, layout: Layout, rows: Sequence[Json]) -> Iterator[Unit]:
    """Yield the units of rows that are in the order of ``planes.parquet``."""
    plates = {p.id: (p, {w.name: w for w in p.wells}) for p in layout.plates}
    acquisitions = {a.id: a for a in layout.acquisitions}
    place = itemgetter("plate", "site", "acquisition", "t")
    for (plate_id, index, acquisition, t), own in groupby(rows, key=place):
        plate, wells = plates[plate_id]
        site = plate.sites[index]
        yield Unit(
            root, key, layout, plate, site, wells[site.well], acquisitions[acquisition], t, tuple(own)
        )  # fmt: skip


def pages(planes: Sequence[Json], n_channels: int) -> Iterator[list[Json]]:
    """Yield the planes of a unit, those of one page of a file together.

    A container is read in its own order, `n_channels` at a time, since the projection of each channel
    is held until its last plane; files of one plane each are read channel by channel.
    """
    files = Counter(row["file"] for row in planes)
    page = itemgetter("file", "page")
    if len(files) == len(planes):
        for row in sorted(planes, key=itemgetter("channel", "z")):
            yield [row]
        return
    found: dict[tuple[str, int], list[Json]] = {}
    for row in planes:
        found.setdefault(page(row), []).append(row)

    def order(rows: list[Json]) -> tuple[int, str, int]:
        # The colours of a page stay together, or it would be decoded once for each of them.
        return min(r["channel"] for r in rows) // max(n_channels, 1), *page(rows[0])

    for rows in sorted(found.values(), key=order):
        yield sorted(rows, key=itemgetter("sample"))
