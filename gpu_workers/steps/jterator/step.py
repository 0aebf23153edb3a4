"""The step itself: which jobs there are, what one does, what remains at the end."""

from __future__ import annotations

from functools import cache
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from gpu_workers.imaging.mosaic import downsample_labels
from gpu_workers.messages import Json, Message, Plan
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.illuminati.planning import BuildBatch, build_batches
from gpu_workers.steps.jterator import derived
from gpu_workers.steps.jterator.arguments import JteratorArguments
from gpu_workers.steps.jterator.derived import DerivedBatch
from gpu_workers.steps.jterator.indices import (
    SiteIndices,
    TypeTables,
    assign_indices,
    write_well,
)
from gpu_workers.steps.jterator.painting import IndexPainter, reader
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.steps.jterator.sites import analyse_site
from gpu_workers.steps.jterator.summary import provenance, summarise
from gpu_workers.storage import paths
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.objects import manifest_path, ordered_wells, site_labels
from gpu_workers.storage.pyramid import Round, plan_rounds

WELLS_PER_JOB = 16
# Label images, outlines and tables of one type take about this many bytes per pixel of the site.
BYTES_PER_PIXEL = 0.15
# Derived images hardly shrink: four bytes for pipelines, two for the map and a third of them above.
DERIVED_BYTES_PER_PIXEL = 6


class SitesBatch(Message):
    """Analyse these sites of a plate."""

    kind: Literal["sites"] = "sites"
    plate: str
    sites: tuple[int, ...]


class IndexBatch(Message):
    """Give the objects of a plate their indices."""

    kind: Literal["index"] = "index"
    plate: str


class WellsBatch(Message):
    """Write the tables of these wells."""

    kind: Literal["wells"] = "wells"
    plate: str
    wells: tuple[str, ...]


class MosaicBatch(Message):
    """Make shards of the index mosaic of a type."""

    kind: Literal["mosaic"] = "mosaic"
    object_type: str
    build: BuildBatch


T = TypeVar("T")
Batch = SitesBatch | IndexBatch | WellsBatch | MosaicBatch | DerivedBatch


@cache
def _batches() -> TypeAdapter[Batch]:
    return TypeAdapter(Annotated[Batch, Field(discriminator="kind")])


class Jterator(Step[JteratorArguments]):
    """Find and measure objects.

    Rounds: sites; one index per plate; tables of wells and the finest levels of the index mosaics and
    of those of derived channels; their coarser levels.
    """

    name: ClassVar[str] = "jterator"
    title: ClassVar[str] = "Analyse images"
    help: ClassVar[str] = "Find objects such as nuclei and cells in every image and measure them."
    VERSION: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("layout", "plates")
    backends: ClassVar[tuple[str, ...]] = ("cpu", "gpu")
    Arguments: ClassVar[type[JteratorArguments]] = JteratorArguments

    def plan(self, context: StepContext, arguments: JteratorArguments) -> Plan:
        """List the jobs; raises UserError where the pipeline cannot run on this experiment."""
        recipe = Recipe.resolve(context, arguments)
        recipe.check_memory()
        context.problems.extend(recipe.problems())
        key = recipe.key(self.name, self.VERSION)
        rounds: list[list[Batch]] = [[], [], []]
        for plate in recipe.layout.plates:
            indices = sorted(s.index for s in plate.sites)
            rounds[0].extend(
                SitesBatch(plate=plate.id, sites=tuple(part))
                for part in _chunks(indices, arguments.batch_size)
            )
            rounds[1].append(IndexBatch(plate=plate.id))
            wells = [w.name for w in ordered_wells(plate)] if recipe.types else []
            rounds[2].extend(
                WellsBatch(plate=plate.id, wells=tuple(part))
                for part in _chunks(wells, WELLS_PER_JOB)
            )
            for built in (_mosaic_rounds(recipe, key, plate), _derived_rounds(recipe, key, plate)):
                for number, batches in enumerate(built, start=2):
                    if number == len(rounds):
                        rounds.append([])
                    rounds[number].extend(batches)
        return Plan(
            key=key,
            rounds=tuple(tuple(b.model_dump(mode="json") for b in r) for r in rounds if r),
            bytes_to_write=_bytes_to_write(recipe),
        )

    def run(self, context: StepContext, arguments: JteratorArguments, batch: Json) -> StepOutput:
        """Do one batch."""
        recipe = Recipe.resolve(context, arguments)
        work = _batches().validate_python(batch)
        if isinstance(work, MosaicBatch):
            return _build(recipe, work)
        if isinstance(work, DerivedBatch):
            return derived.build(recipe, context.key, work)
        plate = recipe.layout.plate(work.plate)
        if isinstance(work, SitesBatch):
            return _analyse(recipe, plate, work)
        if isinstance(work, IndexBatch):
            derived.join_ranges(recipe, context.key, plate)
            n = recipe.layout.n_tpoints
            totals = assign_indices(context.root, context.key, plate, recipe.types, n)
            return StepOutput({"objects": totals})
        rows = 0
        for done, well in enumerate(work.wells):
            rows += write_well(context.root, context.key, plate, well, _tables(recipe))
            context.progress((done + 1) / len(work.wells), f"well {well}")
        return StepOutput({"rows": rows})

    def collect(self, context: StepContext, arguments: JteratorArguments) -> StepOutput:
        """Write metadata and the manifests; returns the number of objects of each type."""
        recipe = Recipe.resolve(context, arguments)
        products: dict[str, str] = {}
        totals: dict[str, int] = {}
        if recipe.types:
            manifest = summarise(recipe, context.key)
            products["objects"] = manifest_path(context.key)
            path = context.root / products["objects"]
            paths.write_json(path, manifest.model_dump(mode="json"))
            totals = {t.name: sum(p.n_objects for p in t.plates) for t in manifest.types}
        channels = derived.finish(recipe, context.key, provenance(recipe))
        if channels is not None:
            products["derived"] = channels
        return StepOutput({"objects": totals}, products)


def _bytes_to_write(recipe: Recipe) -> int:
    pixels = sum(s.height * s.width for p in recipe.layout.plates for s in p.sites)
    pixels *= recipe.layout.n_tpoints * recipe.n_zplanes
    per_pixel = len(recipe.types) * BYTES_PER_PIXEL
    per_pixel += len(derived.names_of(recipe)) * DERIVED_BYTES_PER_PIXEL
    return int(pixels * per_pixel)


def _tables(recipe: Recipe) -> dict[str, TypeTables]:
    """Return what is written of each type."""
    return {
        o.name: TypeTables(
            recipe.feature_names(o.name), o.representation == "polygons", recipe.volumes
        )
        for o in recipe.outputs
    }


def _chunks(values: list[T], size: int) -> list[list[T]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _rounds(plate: PlateLayout) -> tuple[Round, ...]:
    return plan_rounds(plate.shard, plate.n_levels, 4)


def _derived_rounds(recipe: Recipe, key: str, plate: PlateLayout) -> list[list[Batch]]:
    return [list(batches) for batches in derived.derived_rounds(recipe, key, plate)]


def _mosaic_rounds(recipe: Recipe, key: str, plate: PlateLayout) -> list[list[Batch]]:
    """Return the batches of each round of a plate's index mosaics."""
    sizes = (recipe.layout.n_tpoints, 1, recipe.n_zplanes)
    places = [(t, c, z) for t, c, z in np.ndindex(*sizes)]
    return [
        [
            MosaicBatch(object_type=name, build=build)
            for name in recipe.types
            for build in build_batches(plate, recipe.pyramid(key, name, plate), round_, places)
        ]
        for round_ in _rounds(plate)
    ]


def _analyse(recipe: Recipe, plate: PlateLayout, work: SitesBatch) -> StepOutput:
    sites = {s.index: s for s in plate.sites}
    totals = dict.fromkeys(recipe.types, 0)
    for done, index in enumerate(work.sites):
        found = analyse_site(recipe, recipe.context.key, plate, sites[index])
        totals = {name: totals[name] + found[name] for name in totals}
        recipe.context.progress((done + 1) / len(work.sites), f"site {done + 1}")
    clipped = recipe.corrections.n_clipped if recipe.corrections else 0
    return StepOutput({"objects": totals, "clipped": clipped})


def _build(recipe: Recipe, work: MosaicBatch) -> StepOutput:
    context, build = recipe.context, work.build
    plate = recipe.layout.plate(build.plate)
    pyramid = recipe.pyramid(context.key, work.object_type, plate)
    labels = site_labels(context.root, context.key, work.object_type, plate)
    tables: dict[int, SiteIndices] = {}

    def table(site: SiteLayout) -> SiteIndices:
        if site.index not in tables:
            own = (plate, work.object_type, site.index)
            volumes = recipe.volumes
            tables[site.index] = SiteIndices.load(context.root, context.key, *own, volumes=volumes)
        return tables[site.index]

    painter = IndexPainter(plate, pyramid.shard, reader(labels.read, lambda s: table(s).table))
    source = painter.paint if build.bottom == 0 else None
    written = 0
    for place in build.places:
        for row, column in build.shards:
            written += pyramid.build(
                Round(build.bottom, build.top), place, row, column, _halve, source
            )
    return StepOutput({"bytes": written})


def _halve(
    image: NDArray[np.unsignedinteger], level: int, y: int, x: int
) -> NDArray[np.unsignedinteger]:
    del level, y, x  # labels are sampled, where they lie doesn't matter
    return downsample_labels(image)
