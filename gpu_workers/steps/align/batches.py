"""Which jobs there are, and what each leaves for the next; no pixel is touched here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from gpu_workers.imaging.alignment.stitching import neighbours
from gpu_workers.messages import Json, Message
from gpu_workers.storage import alignment, paths
from gpu_workers.storage.layout import Layout, PlateLayout


class SitesBatch(Message):
    """Work on these sites of a plate: "measure" their shifts, or "check" those that were replaced."""

    kind: Literal["measure", "check"]
    plate: str
    sites: tuple[int, ...]


class EdgesBatch(Message):
    """Compare these pairs of neighbours of a plate, counted in the order of `pairs_of`."""

    kind: Literal["edges"] = "edges"
    plate: str
    first: int
    count: int


class PlateBatch(Message):
    """Bring to terms what was measured on a plate: shifts of cycles ("agree") or places ("place")."""

    kind: Literal["agree", "place"]
    plate: str


Batch = SitesBatch | EdgesBatch | PlateBatch


@cache
def _batches() -> TypeAdapter[Batch]:
    return TypeAdapter(Annotated[Batch, Field(discriminator="kind")])


def as_batch(batch: Json) -> Batch:
    """Read a job's batch."""
    return _batches().validate_python(batch)


def part_of(root: Path, key: str, batch: Batch) -> Path:
    """Return the file that a job leaves; jobs of other batch sizes leave others."""
    name = f"{batch.kind}-{paths.content_key(batch.model_dump(mode='json'))}"
    return root / alignment.part_path(key, name)


def site_batches(
    plate: PlateLayout, size: int, kind: Literal["measure", "check"]
) -> Iterator[SitesBatch]:
    """Yield the jobs that work on a plate's sites."""
    indices = sorted(s.index for s in plate.sites)
    for first in range(0, len(indices), size):
        yield SitesBatch(kind=kind, plate=plate.id, sites=tuple(indices[first : first + size]))


def pairs_of(plate: PlateLayout) -> NDArray[np.int64]:
    """Return the neighbours of a plate's wells, (m, 2) indices of sites."""
    wells = {well.name: number for number, well in enumerate(plate.wells)}
    boxes = np.array([(s.y, s.x, s.height, s.width) for s in plate.sites], np.int64).reshape(-1, 4)
    groups = np.array([wells[s.well] for s in plate.sites], np.int64)
    found = neighbours(boxes, groups)
    indices = np.array([s.index for s in plate.sites], np.int64)
    return np.asarray(indices[found])


def edge_batches(plate: PlateLayout, size: int) -> Iterator[EdgesBatch]:
    """Yield the jobs that compare neighbours; a site has about two of its own."""
    total, step = len(pairs_of(plate)), 2 * size
    for first in range(0, total, step):
        yield EdgesBatch(plate=plate.id, first=first, count=min(step, total - first))


def rounds_of(
    layout: Layout, size: int, *, cycles: bool, stitch: bool
) -> tuple[tuple[Batch, ...], ...]:
    """Return the batches of each round: measure, bring to terms, look again at what was replaced."""
    first: list[Batch] = []
    second: list[Batch] = []
    third: list[Batch] = []
    for plate in layout.plates:
        if cycles and plate.sites:
            first.extend(site_batches(plate, size, "measure"))
            second.append(PlateBatch(kind="agree", plate=plate.id))
            third.extend(site_batches(plate, size, "check"))
        if stitch and plate.sites:
            first.extend(edge_batches(plate, size))
            second.append(PlateBatch(kind="place", plate=plate.id))
    return tuple(tuple(r) for r in (first, second, third) if r)
