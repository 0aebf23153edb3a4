"""Which jobs make a plate's pyramid; no pixel is touched here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Message
from gpu_workers.storage import paths
from gpu_workers.storage.layout import PlateLayout
from gpu_workers.storage.pyramid import Place, Pyramid, Round

# Pixels a job handles, so that it takes seconds and not hours: about 1 s per 150 MB.
BATCH_BYTES = 256 * 1024**2


class BuildBatch(Message):
    """Make these shards of `top`, and everything below down to `bottom`, for these planes."""

    kind: Literal["build"] = "build"
    plate: str
    bottom: int
    top: int
    shards: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, int, int], ...]

    @property
    def part(self) -> str:
        """Name of the table of units that the job leaves."""
        return f"units-{paths.content_key(self.model_dump(mode='json'))}.parquet"


class RangeBatch(Message):
    """Find the range of values of a channel of floats, in these sites of a plate."""

    kind: Literal["range"] = "range"
    plate: str
    channel: int
    sites: tuple[int, ...]

    @property
    def part(self) -> str:
        """Name of the file that the job leaves."""
        return f"range-{paths.content_key(self.model_dump(mode='json'))}.json"


@dataclass(frozen=True, slots=True)
class SiteTable:
    """Borders of all sites of a plate as arrays, to find those of a region at once."""

    y0: NDArray[np.int64]
    x0: NDArray[np.int64]
    y1: NDArray[np.int64]
    x1: NDArray[np.int64]

    @classmethod
    def of(cls, plate: PlateLayout) -> SiteTable:
        """Return the table of a plate's sites, in their order."""
        rows = [(s.y, s.x, s.y + s.height, s.x + s.width) for s in plate.sites]
        return cls(*np.array(rows, np.int64).reshape(-1, 4).T)

    def inside(self, y: int, x: int, height: int, width: int) -> NDArray[np.int64]:
        """Return the positions of the sites that touch a region, ascending."""
        touches = (self.y0 < y + height) & (self.y1 > y) & (self.x0 < x + width) & (self.x1 > x)
        return np.flatnonzero(touches)

    def area(self, y: int, x: int, height: int, width: int) -> int:
        """Return how many pixels of sites a region has (overlaps counted twice)."""
        rows = np.clip(np.minimum(self.y1, y + height) - np.maximum(self.y0, y), 0, None)
        columns = np.clip(np.minimum(self.x1, x + width) - np.maximum(self.x0, x), 0, None)
        return int((rows * columns).sum())


def build_batches(
    plate: PlateLayout, pyramid: Pyramid, round_: Round, places: Iterable[Place]
) -> Iterator[BuildBatch]:
    """Yield the jobs of one round for one plate; shards without a site are left out."""
    table = SiteTable.of(plate)
    everywhere = tuple(places)
    shards: list[tuple[int, int]] = []
    waiting = 0

    def batch(which: list[tuple[int, int]], planes: tuple[Place, ...]) -> BuildBatch:
        return BuildBatch(
            plate=plate.id, bottom=round_.bottom, top=round_.top, shards=tuple(which), places=planes
        )

    side = pyramid.shard << round_.top
    for sy, sx in np.ndindex(*pyramid.grid(round_.top)):
        area = table.area(sy * side, sx * side, side, side)
        if not area:
            continue
        # A later round reads the level below its bottom instead of the sites.
        size = max(2 * area >> 2 * max(round_.bottom - 1, 0), 1)
        if size * len(everywhere) > BATCH_BYTES:
            step = max(BATCH_BYTES // size, 1)
            for first in range(0, len(everywhere), step):
                yield batch([(sy, sx)], everywhere[first : first + step])
            continue
        shards.append((sy, sx))
        waiting += size * len(everywhere)
        if waiting > BATCH_BYTES:
            yield batch(shards, everywhere)
            shards, waiting = [], 0
    if shards:
        yield batch(shards, everywhere)


def range_batches(plate: PlateLayout, channel: int, planes_per_site: int) -> Iterator[RangeBatch]:
    """Yield the jobs that find a float channel's range of values on a plate."""
    if not plate.sites:
        return
    largest = max(s.height * s.width for s in plate.sites)
    step = max(BATCH_BYTES // max(4 * largest * planes_per_site, 1), 1)
    indices = [s.index for s in plate.sites]
    for first in range(0, len(indices), step):
        yield RangeBatch(
            plate=plate.id, channel=channel, sites=tuple(indices[first : first + step])
        )
