"""Plates, wells and sites as objects: regions of the layout, painted and listed like segmented ones.

They lie below ``objects/<the mosaic's key>/`` in the form of `gpu_workers.storage.objects`, so that
whatever works on objects (tools, features, colours on the map) works on them. Entry points:
`region_batches`, `build_regions`, `finish_regions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.mosaic import downsample_labels
from gpu_workers.imaging.ownership import overlap, owner_mask
from gpu_workers.messages import Json, Message
from gpu_workers.registry import StepContext
from gpu_workers.steps.illuminati.planning import BuildBatch, SiteTable, build_batches
from gpu_workers.steps.illuminati.reuse import (
    PART,
    Earlier,
    Node,
    Spot,
    earlier_table,
    node_digest,
    nodes_of,
    read_nodes,
    write_nodes,
)
from gpu_workers.storage import mosaics, paths
from gpu_workers.storage.features import write_features, write_index
from gpu_workers.storage.layout import (
    REGION_TYPES,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
)
from gpu_workers.storage.objects import (
    FeatureDescription,
    ObjectsManifest,
    PlateObjects,
    SiteObjects,
    TypeObjects,
    WellObjects,
    index_pyramid,
    manifest_path,
    ordered_wells,
    plate_folder,
)
from gpu_workers.storage.pyramid import Array, Place, Pyramid, Round, plan_rounds

RegionType = Literal["Plates", "Wells", "Sites"]
FEATURES: dict[str, tuple[tuple[str, str | None], ...]] = {
    "Plates": (("Location_n_wells", None), ("Location_n_sites", None)),
    "Wells": (
        ("Location_row", None),
        ("Location_column", None),
        ("Location_n_sites", None),
        ("Location_covered_area", "px"),
    ),
    "Sites": (
        ("Location_row", None),
        ("Location_column", None),
        ("Location_stage_y", "um"),
        ("Location_stage_x", "um"),
    ),
}


class RegionsBatch(Message):
    """Make these shards of the image of one type's regions."""

    kind: Literal["regions"] = "regions"
    object_type: RegionType
    build: BuildBatch

    @property
    def part(self) -> str:
        """Name of the table of units that the job leaves."""
        return f"regions-{paths.content_key(self.model_dump(mode='json'))}.parquet"


def region_batches(key: str, context: StepContext, plate: PlateLayout) -> list[list[RegionsBatch]]:
    """Return the batches of each round, in the rounds of a pyramid of 32-bit pixels."""
    rounds = plan_rounds(plate.shard, plate.n_levels, 4)
    return [
        [
            RegionsBatch(object_type=name, build=build)
            for name in REGION_TYPES
            for build in build_batches(
                plate, index_pyramid(context.root, key, name, plate, 1, 1), round_, [(0, 0, 0)]
            )
        ]
        for round_ in rounds
    ]


def build_regions(context: StepContext, plate: PlateLayout, work: RegionsBatch) -> int:
    """Write the shards of a batch, or link those that an earlier version has; return the bytes written."""
    pyramid = index_pyramid(context.root, context.key, work.object_type, plate, 1, 1)
    build = work.build
    numbers = _numbers(plate, work.object_type)
    painter = _Painter(plate, pyramid.shard, numbers)
    source = painter.shard if build.bottom == 0 else None
    digests = _digests(plate, pyramid, build, numbers)
    table = earlier_table(context.root, context.key, mosaics.regions_path)
    earlier = Earlier.open(context.root, table, pyramid, build.bottom, digests)
    written = sum(
        pyramid.build(Round(build.bottom, build.top), place, sy, sx, _halve, source, earlier.take)
        for place in build.places
        for sy, sx in build.shards
    )
    path = str(pyramid.folder.relative_to(context.root))
    nodes = [Node(digest, path, spot) for spot, digest in digests.items()]
    write_nodes(context.root / mosaics.part_path(context.key, work.part), nodes, PART)
    return written


def _digests(
    plate: PlateLayout, pyramid: Pyramid, build: BuildBatch, numbers: dict[int, int]
) -> dict[Spot, str]:
    """Return what the shards of a batch show: which objects, and where."""
    table = SiteTable.of(plate)
    found: dict[Spot, str] = {}
    for level, row, column in nodes_of(pyramid, build):
        side = pyramid.shard << level
        inside = table.inside(row * side, column * side, side, side).tolist()
        own = [numbers[plate.sites[i].index] for i in inside]
        for place in build.places if inside else ():
            spot = level, place, row, column
            found[spot] = node_digest(pyramid, plate, inside, spot, own, "regions 1")
    return found


def region_nodes(context: StepContext, plate: PlateLayout) -> list[Node]:
    """Return what the images of a plate's regions consist of, as the jobs have left it."""
    # Jobs of an earlier release left none.
    return [
        node
        for batches in region_batches(context.key, context, plate)
        for batch in batches
        for node in read_nodes(context.root / mosaics.part_path(context.key, batch.part))
    ]


def _halve(image: Array, level: int, y: int, x: int) -> Array:
    del level, y, x  # labels are sampled, where they lie doesn't matter
    return downsample_labels(image)


def _numbers(plate: PlateLayout, object_type: str) -> dict[int, int]:
    """Return the object that each site of a plate belongs to."""
    if object_type == "Plates":
        return {s.index: 1 for s in plate.sites}
    wells = ordered_wells(plate)
    if object_type == "Wells":
        number = {w.name: i for i, w in enumerate(wells, start=1)}
        return {s.index: number[s.well] for s in plate.sites}
    return {s.index: i for i, s in enumerate(ordered_sites(plate), start=1)}


def ordered_sites(plate: PlateLayout) -> list[SiteLayout]:
    """Return a plate's sites in the order of indices: well by well."""
    rank = {w.name: i for i, w in enumerate(ordered_wells(plate))}
    return sorted(plate.sites, key=lambda s: (rank[s.well], s.index))


@dataclass
class _Painter:
    """Makes shards of level 0: each site's own pixels carry its object's number."""

    plate: PlateLayout
    side: int
    numbers: dict[int, int]
    _table: SiteTable = field(init=False)
    _masks: dict[int, NDArray[np.bool_] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._table = SiteTable.of(self.plate)

    def shard(self, place: Place, sy: int, sx: int) -> Array | None:
        del place
        y, x = sy * self.side, sx * self.side
        inside = self._table.inside(y, x, self.side, self.side)
        if not inside.size:
            return None
        target = np.zeros((self.side, self.side), np.uint32)
        for i in inside:
            site = self.plate.sites[i]
            y0, x0 = max(site.y, y), max(site.x, x)
            y1 = min(site.y + site.height, y + self.side)
            x1 = min(site.x + site.width, x + self.side)
            part = target[y0 - y : y1 - y, x0 - x : x1 - x]
            owned = self._mask(site)
            if owned is None:
                part[...] = self.numbers[site.index]
            else:
                own = owned[y0 - site.y : y1 - site.y, x0 - site.x : x1 - site.x]
                part[own] = self.numbers[site.index]
        return target

    def _mask(self, site: SiteLayout) -> NDArray[np.bool_] | None:
        """Return which pixels of a site are its own; None where no other site overlaps it."""
        if site.index not in self._masks:
            near = self._table.inside(site.y, site.x, site.height, site.width)
            others = [self.plate.sites[i] for i in near if i != site.index]
            others = [s for s in others if overlap(site, s) is not None]
            if len(self._masks) > 64:
                self._masks.clear()
            self._masks[site.index] = owner_mask(site, others) if others else None
        return self._masks[site.index]


def finish_regions(context: StepContext, layout: Layout) -> str:
    """Write tables, metadata and the manifest; return the manifest's path."""
    types = []
    for name in REGION_TYPES:
        described = tuple(_plate(context, layout, plate, name) for plate in layout.plates)
        columns = [values for _, values in described]
        types.append(
            TypeObjects(
                name=name,
                features=tuple(_features(name, np.concatenate(columns) if columns else None)),
                plates=tuple(plate for plate, _ in described),
            )
        )
    manifest = ObjectsManifest(
        key=context.key, layout=layout.key, pipeline={}, regions=True, types=tuple(types)
    )
    path = manifest_path(context.key)
    paths.write_json(context.root / path, manifest.model_dump(mode="json"))
    return path


def _features(name: str, values: NDArray[np.float32] | None) -> Iterator[FeatureDescription]:
    for column, (feature, unit) in enumerate(FEATURES[name]):
        own = np.empty(0) if values is None else values[:, column].astype(np.float64)
        known = own[np.isfinite(own)]
        ends: Json = {}
        if known.size:
            low, high = np.percentile(known, (1, 99.9))
            ends = {"min": known.min(), "max": known.max(), "low": low, "high": high}
        yield FeatureDescription(
            name=feature, unit=unit, n_missing=int(own.size - known.size),
            **{k: float(v) for k, v in ends.items()},
        )  # fmt: skip


def _plate(
    context: StepContext, layout: Layout, plate: PlateLayout, name: str
) -> tuple[PlateObjects, NDArray[np.float32]]:
    """Write the tables of one type on one plate; return what the manifest says and all values."""
    pyramid = index_pyramid(context.root, context.key, name, plate, 1, 1)
    pyramid.write_metadata(
        name=f"{plate.name} {name}",
        pixel_size_um=layout.pixel_size_um,
        attributes={"image-label": {}},
    )
    folder = context.root / plate_folder(context.key, name, plate)
    wells: list[WellObjects] = []
    values: list[NDArray[np.float32]] = []
    at = 1
    for well, regions, sites in _regions(plate, name):
        if regions.n:
            own = _values(plate, well, name)
            names = [feature for feature, _ in FEATURES[name]]
            write_features(folder / "features" / f"{well.name}.parquet", at, names, own)
            write_index(folder / "index" / f"{well.name}.parquet", at, sites, regions)
            values.append(own)
        low = regions.box[:, :2].min(axis=0, initial=2**31 - 1) if regions.n else (0, 0)
        high = regions.box[:, 2:].max(axis=0, initial=0) if regions.n else (0, 0)
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        wells.append(WellObjects(name=well.name, first=at, count=regions.n, box=box))
        at += regions.n
    described = PlateObjects(
        id=plate.id, path=plate_folder(context.key, name, plate), n_objects=at - 1,
        shape=pyramid.shape, levels=tuple(pyramid.levels), shard=pyramid.shard, wells=tuple(wells),
        outlines=False,
    )  # fmt: skip
    return described, np.concatenate(values or [np.empty((0, len(FEATURES[name])), np.float32)])


def _regions(
    plate: PlateLayout, name: str
) -> Iterator[tuple[WellLayout, SiteObjects, NDArray[np.uint16]]]:
    """Yield each well with the regions that are listed with it (a plate's with its first well)."""
    for position, well in enumerate(ordered_wells(plate)):
        own = sorted((s for s in plate.sites if s.well == well.name), key=lambda s: s.index)
        if name == "Sites":
            boxes = [(s.y, s.x, s.y + s.height, s.x + s.width) for s in own]
            sites = [s.index for s in own]
        elif name == "Wells":
            boxes = [(well.y, well.x, well.y + well.height, well.x + well.width)]
            sites = [own[0].index]
        else:
            boxes = [(0, 0, plate.height, plate.width)] if position == 0 else []
            sites = [own[0].index] if position == 0 else []
        yield well, _objects(np.array(boxes, np.int32).reshape(-1, 4)), np.array(sites, np.uint16)


def _objects(box: NDArray[np.int32]) -> SiteObjects:
    n = len(box)
    return SiteObjects(
        label=np.arange(1, n + 1, dtype=np.uint32),
        t=np.zeros(n, np.uint16),
        z=np.zeros(n, np.uint16),
        y=((box[:, 0] + box[:, 2] - 1) / 2).astype(np.float32),
        x=((box[:, 1] + box[:, 3] - 1) / 2).astype(np.float32),
        box=box,
        z_range=np.tile(np.array([0, 1], np.uint16), (n, 1)),
        is_border=np.zeros(n, np.bool_),
        owned=np.ones(n, np.bool_),
        features=np.empty((n, 0), np.float32),
        rings=np.zeros(n + 1, np.int64),
        points=np.zeros(1, np.int64),
        dy=np.empty(0, np.int16),
        dx=np.empty(0, np.int16),
    )


def _values(plate: PlateLayout, well: WellLayout, name: str) -> NDArray[np.float32]:
    """Return the features of a well's regions, (regions, features)."""
    own = sorted((s for s in plate.sites if s.well == well.name), key=lambda s: s.index)
    place = (well.row + 1, well.column + 1)
    rows: list[tuple[float, ...]]
    if name == "Plates":
        rows = [(len(plate.wells), len(plate.sites))]
    elif name == "Wells":
        rows = [(*place, len(own), sum(s.height * s.width for s in own))]
    else:
        rows = [(*place, _known(s.stage_y_um), _known(s.stage_x_um)) for s in own]
    return np.array(rows, np.float32)


def _known(value: float | None) -> float:
    return np.nan if value is None else value
