"""The jobs that look at pixels: shifts of cycles, distances of neighbours, shifts that remain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.alignment.registration import BLOCKS, local_shifts, register
from gpu_workers.steps.align.batches import EdgesBatch, SitesBatch, pairs_of
from gpu_workers.steps.align.recipe import Image, Recipe
from gpu_workers.storage.alignment import save_part
from gpu_workers.storage.layout import PlateLayout

Arrays = dict[str, NDArray[Any]]
NOT_LOCAL = np.zeros((3, *BLOCKS))


def reach_of(recipe: Recipe, image: Image) -> int:
    """Return the largest shift that is looked for between cycles, px."""
    return recipe.arguments.max_shift or max(1, min(image.shape) // 4)


def _local(
    recipe: Recipe, reference: Image, moving: Image, shift: tuple[float, float]
) -> NDArray[np.float64]:
    clip = recipe.arguments.clip_percent
    return np.stack(local_shifts(reference, moving, shift, clip_percent=clip))


def _measure_site(recipe: Recipe, plate: str, site: int, cycle: int) -> tuple[Any, ...] | None:
    """Return y, x, confidence and local shifts of a site in a cycle; None where the cycle has nothing."""
    reference = recipe.image(plate, site, recipe.arguments.ref_cycle)
    moving = recipe.image(plate, site, cycle)
    if moving is None and not recipe.present(plate, site, cycle):
        return None
    if reference is None or moving is None:
        return np.nan, np.nan, 0.0, NOT_LOCAL
    clip = recipe.arguments.clip_percent
    found = register(reference, moving, reach=reach_of(recipe, reference), clip_percent=clip)
    if found.confidence < recipe.arguments.min_confidence:
        return found.y, found.x, found.confidence, NOT_LOCAL
    local = _local(recipe, reference, moving, (found.y, found.x))
    return found.y, found.x, found.confidence, local


def measure(recipe: Recipe, path: Path, work: SitesBatch) -> int:
    """Write the shifts that sites show in all cycles but the reference; returns how many."""
    places: list[tuple[int, int]] = []
    found: list[tuple[Any, ...]] = []
    for done, site in enumerate(work.sites):
        for cycle in recipe.cycles:
            row = _measure_site(recipe, work.plate, site, cycle)
            if row is not None:
                places.append((site, cycle))
                found.append(row)
        recipe.context.progress((done + 1) / len(work.sites), f"site {done + 1}")
    save_part(
        path,
        place=np.array(places, np.int64).reshape(-1, 2),
        shift=np.array([row[:2] for row in found], np.float64).reshape(-1, 2),
        confidence=np.array([row[2] for row in found], np.float64),
        local=np.array([row[3] for row in found], np.float64).reshape(-1, *NOT_LOCAL.shape),
    )
    return len(found)


def check(recipe: Recipe, path: Path, work: SitesBatch, agreed: Arrays) -> int:
    """Write the local shifts of sites whose own shift was replaced; returns how many were looked at."""
    chosen = np.isin(agreed["place"][:, 0], work.sites) & agreed["outlier"]
    rows = np.flatnonzero(chosen)
    local = np.zeros((len(rows), *NOT_LOCAL.shape))
    for n, row in enumerate(rows):
        site, cycle = (int(v) for v in agreed["place"][row])
        reference = recipe.image(work.plate, site, recipe.arguments.ref_cycle)
        moving = recipe.image(work.plate, site, cycle)
        if reference is not None and moving is not None:
            y, x = (float(v) for v in agreed["shift"][row])
            local[n] = _local(recipe, reference, moving, (y, x))
        recipe.context.progress((n + 1) / len(rows), f"site {n + 1}")
    save_part(path, place=agreed["place"][rows], local=local)
    return len(rows)


def compare_neighbours(recipe: Recipe, path: Path, plate: PlateLayout, work: EdgesBatch) -> int:
    """Write the distances at which neighbours fit; returns how many were compared."""
    pairs = pairs_of(plate)[work.first : work.first + work.count]
    sites = {s.index: s for s in plate.sites}
    found = np.full((len(pairs), 3), np.nan)
    found[:, 2] = 0
    cycle, arguments = recipe.arguments.ref_cycle, recipe.arguments
    for n, (a, b) in enumerate(pairs.tolist()):
        first, second = (recipe.image(plate.id, s, cycle) for s in (a, b))
        if first is not None and second is not None:
            nominal = sites[b].y - sites[a].y, sites[b].x - sites[a].x
            shift = register(
                first,
                second,
                reach=arguments.stitch_search,
                expected=nominal,
                clip_percent=arguments.clip_percent,
            )
            if shift.confidence:
                found[n] = shift.y, shift.x, shift.confidence
        recipe.context.progress((n + 1) / len(pairs), f"pair {n + 1}")
    save_part(path, pairs=pairs, distance=found[:, :2], confidence=found[:, 2])
    return len(pairs)
