"""The step itself: which jobs there are, what one does, what remains at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, TypeAdapter

from gpu_workers.errors import FileError
from gpu_workers.imaging.mosaic import N_VALUES, finite_range
from gpu_workers.messages import Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.illuminati.counting import CountingPainter
from gpu_workers.steps.illuminati.painting import Painter
from gpu_workers.steps.illuminati.planning import (
    BuildBatch,
    RangeBatch,
    build_batches,
    range_batches,
)
from gpu_workers.steps.illuminati.recipe import (
    IlluminatiArguments,
    Recipe,
    ValueMap,
    key_of,
    padding_of,
    value_map,
)
from gpu_workers.steps.illuminati.regions import (
    RegionsBatch,
    build_regions,
    finish_regions,
    region_batches,
    region_nodes,
)
from gpu_workers.steps.illuminati.reuse import (
    PART,
    Digests,
    Earlier,
    Node,
    earlier_table,
    read_nodes,
    share_to_write,
    write_nodes,
)
from gpu_workers.steps.illuminati.summary import Clip, stored_window, summarise
from gpu_workers.storage import mosaics, ome, paths
from gpu_workers.storage.layout import PlateLayout
from gpu_workers.storage.mosaics import MosaicManifest, PlateMosaic
from gpu_workers.storage.pyramid import TILE, Pyramid, Round, plan_rounds

# Measured on camera images: a mosaic with all its levels takes this part of the raw pixels' bytes.
BYTES_PER_RAW_BYTE = 0.85


Batch = BuildBatch | RangeBatch | RegionsBatch


@cache
def _batches() -> TypeAdapter[Batch]:
    return TypeAdapter(Annotated[Batch, Field(discriminator="kind")])


class Illuminati(Step[IlluminatiArguments]):
    """Build one zoomable image per plate, and the regions (plates, wells, sites) as objects.

    The first rounds find the range of channels of floats, if there are any; the next makes level 0
    and the levels whose shards a job can own entirely; the others the rest, up to one tile.
    """

    name: ClassVar[str] = "illuminati"
    title: ClassVar[str] = "Build mosaics"
    help: ClassVar[str] = "Paste the sites of each plate into one image that zooms seamlessly."
    VERSION: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("layout", "plates")
    Arguments: ClassVar[type[IlluminatiArguments]] = IlluminatiArguments

    def plan(self, context: StepContext, arguments: IlluminatiArguments) -> Plan:
        """List the jobs; raises UserError or DataMissing where the arguments cannot be met."""
        recipe = Recipe.resolve(context, arguments)
        key = key_of(self.name, self.VERSION, recipe)
        rounds: list[tuple[Json, ...]] = []
        if recipe.float_channels:
            rounds.append(tuple(b.model_dump(mode="json") for b in _range_batches(recipe)))
        by_level: dict[int, list[Json]] = {}
        for plate in recipe.layout.plates:
            for number, regions in enumerate(region_batches(key, context, plate)):
                own = [b.model_dump(mode="json") for b in regions]
                by_level.setdefault(number, []).extend(own)
            for number, round_ in enumerate(_rounds(recipe, plate)):
                pyramid = _pyramid(recipe, key, plate)
                batches = build_batches(plate, pyramid, round_, recipe.places)
                by_level.setdefault(number, []).extend(b.model_dump(mode="json") for b in batches)
        rounds.extend(tuple(by_level[number]) for number in sorted(by_level))
        pixels = sum(s.height * s.width for p in recipe.layout.plates for s in p.sites)
        size = 2 * pixels * len(recipe.places) * BYTES_PER_RAW_BYTE * _share(recipe, key)
        return Plan(key=key, rounds=tuple(r for r in rounds if r), bytes_to_write=math.ceil(size))

    def run(self, context: StepContext, arguments: IlluminatiArguments, batch: Json) -> StepOutput:
        """Do one batch; writes shards, and a file with what was counted."""
        recipe = Recipe.resolve(context, arguments)
        work = _batches().validate_python(batch)
        if isinstance(work, RangeBatch):
            return _find_range(recipe, context, work)
        if isinstance(work, RegionsBatch):
            plate = recipe.layout.plate(work.build.plate)
            return StepOutput({"bytes": build_regions(context, plate, work)})
        return _build(recipe, context, work)

    def collect(self, context: StepContext, arguments: IlluminatiArguments) -> StepOutput:
        """Add up the counts, write the images' metadata, then the manifest."""
        recipe = Recipe.resolve(context, arguments)
        maps = _value_maps(recipe, context)
        totals = {c.index: np.zeros(N_VALUES, np.uint64) for c in recipe.layout.channels}
        clip = Clip(arguments.clip_percent, arguments.clip_value)
        nodes = _nodes(recipe, context)
        for node in nodes:
            end = node.first + len(node.counts)
            totals[node.spot[1][1]][node.first : end] += node.counts.astype(np.uint64)
        regions = [n for p in recipe.layout.plates for n in region_nodes(context, p)]
        write_nodes(context.root / mosaics.regions_path(context.key), regions, PART)
        write_nodes(context.root / mosaics.units_path(context.key), nodes)
        windows = [
            stored_window(c, totals[c.index], maps[c.index], clip) for c in recipe.layout.channels
        ]
        manifest = MosaicManifest(
            key=context.key,
            layout=recipe.layout.key,
            projection=recipe.projection,
            corrected=bool(recipe.corrected),
            illumination=recipe.corrections.path if recipe.corrections else None,
            alignment=recipe.alignment.manifest.key if recipe.alignment else None,
            pixel_size_um=recipe.layout.pixel_size_um,
            n_tpoints=recipe.layout.n_tpoints,
            n_zplanes=recipe.n_zplanes,
            channels=tuple(
                summarise(c, totals[c.index], maps[c.index], recipe.corrected.get(c.index), clip)
                for c in recipe.layout.channels
            ),
            plates=tuple(_finish(recipe, context, p, windows) for p in recipe.layout.plates),
        )
        context.problems.extend(_not_finite(manifest))
        path = mosaics.manifest_path(context.key)
        paths.write_json(context.root / path, manifest.model_dump(mode="json"))
        size = sum(p.bytes for p in manifest.plates)
        products = {"mosaic": path, "regions": finish_regions(context, recipe.layout)}
        return StepOutput({"plates": len(manifest.plates), "bytes": size}, products)


def _share(recipe: Recipe, key: str) -> float:
    """Return which part of a mosaic has to be written; of floats all, as their range may have changed."""
    sources = recipe.context.root / recipe.plates.manifest.sources
    if recipe.float_channels or not sources.is_file():
        return 1.0
    like = {
        "projection": recipe.projection,
        "corrected": bool(recipe.corrected),
        "illumination": recipe.corrections.path if recipe.corrections else None,
        "alignment": recipe.alignment.manifest.key if recipe.alignment else None,
    }
    return share_to_write(recipe.context.root, key, sources, like)


def _pyramid(recipe: Recipe, key: str, plate: PlateLayout) -> Pyramid:
    return Pyramid(
        folder=recipe.context.root / mosaics.image_path(key, plate.slug),
        shape=(
            recipe.layout.n_tpoints,
            len(recipe.layout.channels),
            recipe.n_zplanes,
            plate.height,
            plate.width,
        ),
        dtype="uint16",
        shard=plate.shard,
        n_levels=plate.n_levels,
        padding=tuple(padding_of(c) for c in recipe.layout.channels),
    )


def _rounds(recipe: Recipe, plate: PlateLayout) -> tuple[Round, ...]:
    return plan_rounds(plate.shard, plate.n_levels, 2) if recipe.places else ()


def _range_batches(recipe: Recipe) -> Iterator[RangeBatch]:
    planes = recipe.layout.n_tpoints * recipe.n_zplanes
    for plate in recipe.layout.plates:
        for channel in recipe.float_channels:
            yield from range_batches(plate, channel, planes)


def _built(recipe: Recipe, key: str, plate: PlateLayout) -> Iterator[BuildBatch]:
    """Yield the batches of all rounds that made a plate's image."""
    for round_ in _rounds(recipe, plate):
        yield from build_batches(plate, _pyramid(recipe, key, plate), round_, recipe.places)


def _nodes(recipe: Recipe, context: StepContext) -> list[Node]:
    """Return what the image consists of, as the jobs have left it; FileError if a part is missing."""
    found: list[Node] = []
    for plate in recipe.layout.plates:
        for batch in _built(recipe, context.key, plate):
            nodes = read_nodes(context.root / mosaics.part_path(context.key, batch.part))
            if not nodes:
                raise FileError(f"{batch.part}, which a job of this step wrote, is not there")
            found += nodes
    return found


def _find_range(recipe: Recipe, context: StepContext, work: RangeBatch) -> StepOutput:
    low, high, bad = math.inf, -math.inf, 0
    places = [p for p in recipe.places if p[1] == work.channel]
    for done, site in enumerate(work.sites):
        for place in places:
            image = recipe.read(work.plate, site, place)
            if image is not None:
                found = finite_range(image)
                low, high, bad = min(low, found[0]), max(high, found[1]), bad + found[2]
        context.progress((done + 1) / len(work.sites), f"site {done + 1} of {len(work.sites)}")
    value = {"low": low if low <= high else None, "high": high if low <= high else None, "bad": bad}
    paths.write_json(context.root / mosaics.part_path(context.key, work.part), value)
    return StepOutput(value)


def _value_maps(recipe: Recipe, context: StepContext) -> dict[int, ValueMap]:
    """Return each channel's map to 16 bits; that of floats from what the first round has found."""
    maps = {c.index: ValueMap() for c in recipe.layout.channels}
    found: dict[int, list[Json]] = {c: [] for c in recipe.float_channels}
    for batch in _range_batches(recipe):
        path = context.root / mosaics.part_path(context.key, batch.part)
        found[batch.channel].append(paths.read_json(path))
    for channel, parts in found.items():
        low = min((p["low"] for p in parts if p["low"] is not None), default=math.inf)
        high = max((p["high"] for p in parts if p["high"] is not None), default=-math.inf)
        maps[channel] = value_map(low, high, sum(p["bad"] for p in parts))
    return maps


def _build(recipe: Recipe, context: StepContext, work: BuildBatch) -> StepOutput:
    plate = recipe.layout.plate(work.plate)
    pyramid = _pyramid(recipe, context.key, plate)
    maps = _value_maps(recipe, context)
    read = partial(recipe.read_stored, plate.id, maps)
    painter = CountingPainter(Painter(plate, pyramid.shard, read, pyramid.padding_of))
    source = painter.shard if work.bottom == 0 else None
    known = Digests(
        context.root, recipe.plates, plate, recipe.projection, _signatures(recipe, maps)
    )
    digests = known.of(pyramid, work)
    table = earlier_table(context.root, context.key, mosaics.units_path)
    earlier = Earlier.open(context.root, table, pyramid, work.bottom, digests)
    round_ = Round(work.bottom, work.top)
    written = done = 0
    total = len(work.places) * len(work.shards)
    for place in work.places:
        halve = partial(painter.painter.halve, place)
        for sy, sx in work.shards:
            written += pyramid.build(round_, place, sy, sx, halve, source, earlier.take)
            done += 1
            context.progress(done / total, f"part {done} of {total}")
    path = mosaics.image_path(context.key, plate.slug)
    nodes = [painter.node(d, path, spot, earlier.nodes.get(d)) for spot, d in digests.items()]
    write_nodes(context.root / mosaics.part_path(context.key, work.part), nodes, PART)
    clipped = recipe.corrections.n_clipped if recipe.corrections else 0
    return StepOutput({"bytes": written, "linked": earlier.linked, "clipped": clipped})


def _signatures(recipe: Recipe, maps: dict[int, ValueMap]) -> dict[int, Json]:
    """Return, for each channel, what besides the raw pixels decides the stored ones."""
    inputs = recipe.context.inputs
    return {
        c.index: {
            "version": Illuminati.VERSION,
            "dtype": c.dtype,
            "padding": padding_of(c),
            "map": [maps[c.index].scale, maps[c.index].offset],
            "projection": recipe.projection,
            "correction": [inputs.get("illumination"), recipe.corrected[c.index]]
            if c.index in recipe.corrected
            else None,
            "alignment": [inputs.get("alignment"), recipe.arguments.align_subpixel]
            if recipe.alignment
            else None,
        }
        for c in recipe.layout.channels
    }


def _finish(
    recipe: Recipe, context: StepContext, plate: PlateLayout, windows: list[tuple[int, int]]
) -> PlateMosaic:
    """Write a plate's image metadata and return its entry in the manifest."""
    pyramid = _pyramid(recipe, context.key, plate)
    # A viewer sees the stored values, so their windows are given in those.
    stored = [c.model_copy(update={"dtype": "uint16"}) for c in recipe.layout.channels]
    pyramid.write_metadata(
        name=plate.name,
        pixel_size_um=recipe.layout.pixel_size_um,
        z_step_um=None if recipe.projection else recipe.layout.z_step_um,
        attributes={"omero": ome.omero(stored, [(float(a), float(b)) for a, b in windows])},
    )
    return PlateMosaic(
        id=plate.id,
        name=plate.name,
        path=mosaics.image_path(context.key, plate.slug),
        shape=pyramid.shape,
        levels=tuple(pyramid.levels),
        tile=TILE,
        shard=pyramid.shard,
        bytes=pyramid.bytes_written(),
    )


def _not_finite(manifest: MosaicManifest) -> Iterator[Problem]:
    for channel in manifest.channels:
        if channel.n_not_finite:
            yield Problem(
                code="not_finite",
                message=f"channel {channel.name} has {channel.n_not_finite} pixels that are not finite"
                " numbers; the mosaic shows them as the channel's minimum",
            )
