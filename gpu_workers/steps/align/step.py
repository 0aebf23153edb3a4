"""The step itself: which jobs there are, what one does, what remains at the end."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gpu_workers.messages import Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.align import batches, measuring, summary
from gpu_workers.steps.align.agreeing import agree_on_places, agree_on_shifts, joined
from gpu_workers.steps.align.arguments import AlignArguments
from gpu_workers.steps.align.batches import EdgesBatch, PlateBatch, SitesBatch, part_of
from gpu_workers.steps.align.recipe import Recipe
from gpu_workers.steps.align.stitched import stitched_layout, write_layout
from gpu_workers.storage import alignment, paths, tables
from gpu_workers.storage.alignment import (
    EDGE_TYPES,
    SHIFT_TYPES,
    AlignmentManifest,
    CycleModel,
    WellAlignment,
    load_part,
)
from gpu_workers.storage.layout import PlateLayout

BYTES_PER_SHIFT = 600


class Align(Step[AlignArguments]):
    """Register cycles and stitch sites.

    Rounds: shifts of sites and distances of neighbours; one job per plate that brings them to terms;
    what remains where a site's own shift was replaced.
    """

    name: ClassVar[str] = "align"
    title: ClassVar[str] = "Align"
    help: ClassVar[str] = (
        "Find how the cycles of each site lie on one another and, if asked, where overlapping sites"
        " lie by what they show."
    )
    VERSION: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("layout", "plates")
    Arguments: ClassVar[type[AlignArguments]] = AlignArguments

    def plan(self, context: StepContext, arguments: AlignArguments) -> Plan:
        """List the jobs; raises UserError or DataMissing where the arguments cannot be met."""
        recipe = Recipe.resolve(context, arguments)
        rounds = batches.rounds_of(
            recipe.layout,
            arguments.batch_size,
            cycles=bool(recipe.cycles),
            stitch=arguments.stitch,
        )
        context.problems.extend(_warnings(recipe))
        sites = sum(len(p.sites) for p in recipe.layout.plates)
        return Plan(
            key=recipe.key(self.name, self.VERSION),
            rounds=tuple(tuple(b.model_dump(mode="json") for b in r) for r in rounds),
            bytes_to_write=BYTES_PER_SHIFT * sites * (len(recipe.cycles) + 1),
        )

    def run(self, context: StepContext, arguments: AlignArguments, batch: Json) -> StepOutput:
        """Do one batch; writes one part."""
        recipe = Recipe.resolve(context, arguments)
        work = batches.as_batch(batch)
        path = part_of(context.root, context.key, work)
        plate = recipe.layout.plate(work.plate)
        if isinstance(work, EdgesBatch):
            return StepOutput({"pairs": measuring.compare_neighbours(recipe, path, plate, work)})
        if isinstance(work, PlateBatch):
            return _bring_to_terms(recipe, plate, work)
        if work.kind == "measure":
            return StepOutput({"shifts": measuring.measure(recipe, path, work)})
        agreed = _agreed(recipe, plate)
        return StepOutput({"checked": measuring.check(recipe, path, work, agreed)})

    def collect(self, context: StepContext, arguments: AlignArguments) -> StepOutput:
        """Write the tables, the stitched layout, and then the manifest."""
        recipe = Recipe.resolve(context, arguments)
        methods = recipe.corrections.methods if recipe.corrections else {}
        manifest = AlignmentManifest(
            key=context.key,
            layout=context.inputs["layout"],
            layout_key=recipe.layout.key,
            source_layout_key=recipe.layout.key,
            reference_cycle=arguments.ref_cycle,
            reference_channel=recipe.channel,
            corrected={recipe.layout.channels[c].name: m for c, m in methods.items()},
        )
        if recipe.cycles:
            manifest = manifest.model_copy(update=_shifts(recipe))
        if arguments.stitch:
            manifest = manifest.model_copy(update=_stitching(recipe))
        path = alignment.manifest_path(context.key)
        paths.write_json(context.root / path, manifest.model_dump(mode="json"))
        output = {
            "shifts": manifest.n_shifts,
            "outliers": manifest.n_outliers,
            "median_residual_px": manifest.median_residual_px,
            "stitched": manifest.stitched,
            "pairs": sum(s.n_pairs for s in manifest.stitching),
            "pairs_used": sum(s.n_used for s in manifest.stitching),
        }
        return StepOutput(output, {"alignment": path})


def _warnings(recipe: Recipe) -> list[Problem]:
    """Return what a person should know before any pixel is looked at."""
    found = []
    if recipe.blind_cycles:
        which = ", ".join(map(str, recipe.blind_cycles))
        message = f"cycles without the channel {recipe.channel!r} stay where they are: {which}"
        found.append(Problem(code="missing_channel", message=message))
    if not recipe.cycles and not recipe.arguments.stitch:
        message = (
            "there is one cycle: nothing to align (to place overlapping sites by what they show, switch on"
            " stitch)"
            if recipe.layout.n_cycles == 1
            else f"no other cycle shows {recipe.channel!r}: nothing to align"
        )
        found.append(Problem(code="nothing_to_align", message=message))
    if recipe.arguments.stitch:
        alone = [p.name for p in recipe.layout.plates if not len(batches.pairs_of(p))]
        if alone:
            message = (
                f"on {', '.join(alone[:20])} no two sites of a well overlap by 16 px: nothing to stitch. If the "
                "microscope was told to let them overlap, tell metaconfig by how much"
            )
            found.append(Problem(code="no_overlaps", message=message))
    return found


def _bring_to_terms(recipe: Recipe, plate: PlateLayout, work: PlateBatch) -> StepOutput:
    arguments, context = recipe.arguments, recipe.context
    path = part_of(context.root, context.key, work)
    if work.kind == "agree":
        n = agree_on_shifts(path, recipe.layout, plate, arguments, _measured(recipe, plate))
        return StepOutput({"outliers": n})
    edges: list[EdgesBatch] = list(batches.edge_batches(plate, arguments.batch_size))
    found = {
        "pairs": np.empty((0, 2), np.int64),
        "distance": np.empty((0, 2)),
        "confidence": np.empty(0),
    }
    if edges:
        found = joined(part_of(context.root, context.key, b) for b in edges)
    return StepOutput({"used": agree_on_places(path, plate, arguments.min_confidence, found)})


def _measured(recipe: Recipe, plate: PlateLayout) -> dict[str, Any]:
    context = recipe.context
    work = batches.site_batches(plate, recipe.arguments.batch_size, "measure")
    return joined(part_of(context.root, context.key, b) for b in work)


def _agreed(recipe: Recipe, plate: PlateLayout) -> dict[str, Any]:
    context = recipe.context
    return load_part(part_of(context.root, context.key, PlateBatch(kind="agree", plate=plate.id)))


def _local(recipe: Recipe, plate: PlateLayout) -> Any:
    """Return the local shifts of all rows: as measured, or at the shift that replaced it."""
    context = recipe.context
    measured = _measured(recipe, plate)
    row = {tuple(p): n for n, p in enumerate(measured["place"].tolist())}
    local = measured["local"].copy()
    work: list[SitesBatch] = list(batches.site_batches(plate, recipe.arguments.batch_size, "check"))
    checked = joined(part_of(context.root, context.key, b) for b in work)
    for place, each in zip(checked["place"].tolist(), checked["local"], strict=True):
        local[row[tuple(place)]] = each
    return local


def _shifts(recipe: Recipe) -> Json:
    """Write ``shifts.parquet`` and return what the manifest says of it."""
    context = recipe.context
    every: dict[str, list[Any]] = {name: [] for name in SHIFT_TYPES}
    models: list[CycleModel] = []
    wells: list[WellAlignment] = []
    for plate in recipe.layout.plates:
        if not plate.sites:
            continue
        agreed = _agreed(recipe, plate)
        columns = summary.shift_columns(plate, agreed, _local(recipe, plate))
        models.extend(summary.cycle_models(plate, agreed))
        wells.extend(summary.well_summaries(plate, agreed, columns, recipe.layout.n_cycles))
        for name, values in columns.items():
            every[name].extend(values)
    path = alignment.shifts_path(context.key)
    tables.write_table(context.root / path, every, SHIFT_TYPES)
    remains = [v for v in every["residual_median_px"] if v is not None]
    _report_outliers(recipe, every)
    return {
        "shifts": path,
        "n_shifts": len(every["site"]),
        "n_outliers": sum(every["outlier"]),
        "median_residual_px": float(np.median(remains)) if remains else None,
        "models": tuple(models),
        "wells": tuple(wells),
    }


def _report_outliers(recipe: Recipe, columns: dict[str, list[Any]]) -> None:
    flagged = [n for n, outlier in enumerate(columns["outlier"]) if outlier]
    if not flagged:
        return
    plates = {p.id: p for p in recipe.layout.plates}
    named = []
    for n in flagged[:10]:
        plate = plates[columns["plate"][n]]
        site = next(s for s in plate.sites if s.index == columns["site"][n])
        named.append(f"{plate.name} {site.well} site {site.name} cycle {columns['cycle'][n]}")
    more = "" if len(flagged) <= 10 else "; …"
    message = (
        f"{len(flagged)} of {len(columns['site'])} shifts could not be measured or contradict their"
        f" neighbours, whose shift is used: {'; '.join(named)}{more}"
    )
    recipe.context.problems.append(Problem(code="shifts_replaced", message=message))


def _stitching(recipe: Recipe) -> Json:
    """Write the stitched layout and ``edges.parquet``; returns what the manifest says of them."""
    context = recipe.context
    every: dict[str, list[Any]] = {name: [] for name in EDGE_TYPES}
    positions, found = {}, []
    for plate in recipe.layout.plates:
        if not plate.sites:
            continue
        work = PlateBatch(kind="place", plate=plate.id)
        places = load_part(part_of(context.root, context.key, work))
        positions[plate.id] = places["positions"]
        found.append(summary.plate_stitching(plate, places))
        for name, values in summary.edge_columns(plate, places).items():
            every[name].extend(values)
    edges = alignment.edges_path(context.key)
    tables.write_table(context.root / edges, every, EDGE_TYPES)
    if not any(s.n_used for s in found):
        message = "no overlap of sites shows where they lie: their places stay as they are"
        context.problems.append(Problem(code="nothing_stitched", message=message))
        return {"edges": edges, "stitching": tuple(found)}
    made = stitched_layout(recipe.layout, context.key, positions)
    path = write_layout(context.root, context.inputs["layout"], made)
    return {
        "layout": path,
        "layout_key": made.key,
        "stitched": True,
        "edges": edges,
        "stitching": tuple(found),
    }
