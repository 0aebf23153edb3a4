"""Round 1: find and measure the objects of sites; entry point: `analyse_site`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.ownership import overlap
from gpu_workers.messages import Problem
from gpu_workers.pipelines.prepared import Memory, Outcome
from gpu_workers.steps.jterator.derived import SiteRanges
from gpu_workers.steps.jterator.labels import Given
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.steps.jterator.tables import Owners, Plane, object_table
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.objects import (
    SiteObjects,
    join,
    part_path,
    save_part,
    site_labels,
    take,
)


def rivals(plate: PlateLayout, site: SiteLayout) -> tuple[SiteLayout, ...]:
    """Return the site and all others that cover some of its pixels."""
    return tuple(s for s in plate.sites if s.index == site.index or overlap(s, site))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is made of one site."""

    recipe: Recipe
    key: str
    plate: PlateLayout
    site: SiteLayout

    @property
    def root(self) -> Path:
        return self.recipe.context.root

    @property
    def where(self) -> str:
        site = self.site
        return f"plate {self.plate.name}, well {site.well}, site {site.name}"


def _missing(work: _Work, t: int, z: int, channels: list[str]) -> Problem:
    pipeline = work.recipe.prepared.pipeline
    named = {*pipeline.channels.values(), *pipeline.stacks.values()}
    effect = (
        "no objects were looked for"
        if named.intersection(channels)
        else "its measurements are missing"
    )
    at = f"{work.where}, t {t}" + ("" if work.recipe.volumes else f", z {z}")
    return Problem(
        code="missing_plane", message=f"{at}: no image of {', '.join(channels)}: {effect}"
    )


def _without_labels(work: _Work, t: int, given: Collection[str]) -> list[Problem]:
    lacking = sorted(set(work.recipe.prepared.pipeline.labels.values()) - set(given))
    if not lacking:
        return []
    message = f"{work.where}, t {t}: there are no labels {', '.join(lacking)}"
    return [Problem(code="missing_labels", message=message)]


def _process(
    work: _Work, t: int, z: int, memory: Memory | None
) -> tuple[Outcome, Mapping[str, Given]]:
    """Run the pipeline on one plane or stack."""
    recipe = work.recipe
    images = recipe.images(work.plate.id, work.site, t, z)
    every = {**images.channels, **images.stacks}
    absent = [name for name, image in every.items() if image is None]
    problems = [_missing(work, t, z, absent)] if absent else []
    given = recipe.given_labels(work.plate.id, work.site, t, z)
    recipe.context.problems.extend(problems + _without_labels(work, t, given))
    images = replace(images, labels={name: g.objects for name, g in given.items()})
    return recipe.prepared.process(images, memory, recipe.context.backend), given


def _counted(work: _Work, variable: str, given: Mapping[str, Given]) -> NDArray[np.int64] | None:
    """Return the labels that count of an object type that the pipeline took as it is."""
    name = work.recipe.prepared.pipeline.labels.get(variable)
    return given[name].counted if name is not None and name in given else None


def _keep(
    work: _Work, plane: Plane, outcome: Outcome, given: Mapping[str, Given]
) -> dict[str, SiteObjects]:
    """Write the labels of a plane or stack; return the tables of its objects."""
    recipe, owners = work.recipe, Owners()
    tables = {}
    for output in recipe.outputs:
        names = recipe.feature_names(output.name)
        counted = _counted(work, output.labels, given)
        found = outcome.objects[output.name]
        table, kept = object_table(found, names, plane, output, owners, counted)
        store = site_labels(work.root, work.key, output.name, work.plate)
        for number, image in enumerate(kept if kept.ndim == 3 else kept[None]):
            store.write(work.site, plane.t, plane.z + number, image)
        if recipe.volumes:
            table = take(table, np.lexsort((table.label, table.z)))
        tables[output.name] = table
    return tables


def analyse_site(recipe: Recipe, key: str, plate: PlateLayout, site: SiteLayout) -> dict[str, int]:
    """Find and measure a site's objects over t and z; write labels and what later rounds need.

    Time points run in their order: modules that track objects remember the one before.

    Returns how many objects of each type count.

    Raises
    ------
    UserError
        A module cannot work with an image.
    """
    work = _Work(recipe, key, plate, site)
    near, seen = rivals(plate, site), recipe.seen(plate.id, site)
    tables: dict[str, list[SiteObjects]] = {name: [] for name in recipe.types}
    memory: dict[int, Memory] = {}
    ranges = SiteRanges(recipe, key, plate, site)
    for t, z in np.ndindex(recipe.layout.n_tpoints, 1 if recipe.volumes else recipe.n_zplanes):
        outcome, given = _process(work, t, z, memory.get(z))
        memory[z] = outcome.memory
        ranges.keep(t, z, outcome.images)
        found = _keep(work, Plane(site, near, seen, t, z), outcome, given)
        for name, table in found.items():
            tables[name].append(table)
    ranges.finish()
    joined = {name: join(parts) for name, parts in tables.items()}
    for name in recipe.types:
        store = site_labels(work.root, key, name, plate)
        size = (recipe.layout.n_tpoints, recipe.n_zplanes)
        store.write_metadata(site, *size, recipe.layout.pixel_size_um, recipe.z_step_um)
    save_part(work.root / part_path(key, plate, site.index), joined)
    return {name: int(table.owned.sum()) for name, table in joined.items()}
