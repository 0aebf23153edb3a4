"""Round 1: find and measure the objects of sites; entry point: `analyse_site`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.alignment.translation import Box
from gpu_workers.imaging.labels import lookup
from gpu_workers.imaging.outlines import trace_outlines
from gpu_workers.imaging.ownership import overlap, owner_of
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.messages import Problem
from gpu_workers.pipelines.prepared import ObjectsFound
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.objects import SiteObjects, join, part_path, save_part, site_labels

INT16_MAX = 32767


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one image stands: its site and those that overlap it, t and z; `seen` is what it shows."""

    site: SiteLayout
    rivals: tuple[SiteLayout, ...]
    seen: Box
    t: int
    z: int


def rivals(plate: PlateLayout, site: SiteLayout) -> tuple[SiteLayout, ...]:
    """Return the site and all others that cover some of its pixels."""
    return tuple(s for s in plate.sites if s.index == site.index or overlap(s, site))


@dataclass(slots=True)
class _Owners:
    """Which labels of each type count in one plane, for the types that follow their parent."""

    by_type: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    known: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def decide(
        self,
        name: str,
        parent: str | None,
        labels: NDArray[np.int32],
        own: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return whether each label counts: as its parent of the same number does, if there is one."""
        owned = own
        if parent is not None:
            has_parent = lookup(labels, self.known[parent])
            owned = np.where(has_parent, lookup(labels, self.by_type[parent]), own)
        size = int(labels.max()) + 1 if labels.size else 1
        self.by_type[name] = np.zeros(size, np.bool_)
        self.known[name] = np.zeros(size, np.bool_)
        self.by_type[name][labels] = owned
        self.known[name][labels] = True
        return owned


def _table(
    found: ObjectsFound,
    names: tuple[str, ...],
    plane: Plane,
    owners: _Owners,
    kinship: tuple[str, str | None],
) -> SiteObjects:
    """Return the objects of one type in one plane."""
    site = plane.site
    geometry = region_geometry(found.labels)
    rows = np.flatnonzero(geometry.area > 0)
    labels = (rows + 1).astype(np.int32)
    box = geometry.box[rows]
    if box.size and (box[:, 2:] - box[:, :2]).max() > INT16_MAX:
        raise UserError(
            f"an object in site {site.name} is larger than {INT16_MAX} px", code="object_too_large"
        )
    y, x = geometry.y[rows] + site.y, geometry.x[rows] + site.x
    own = owner_of(y, x, plane.rivals) == site.index
    outlines = trace_outlines(found.labels)
    per_object = np.diff(outlines.points[outlines.rings])
    corner = np.array([site.y, site.x, site.y, site.x], np.int32)
    edge = np.array(plane.seen, np.int32)
    features = [np.asarray(found.columns[name])[rows] for name in names]
    return SiteObjects(
        label=labels.astype(np.uint32),
        t=np.full(rows.size, plane.t, np.uint16),
        z=np.full(rows.size, plane.z, np.uint16),
        y=y.astype(np.float32),
        x=x.astype(np.float32),
        box=box + corner,
        is_border=np.any([box[:, :2] <= edge[:2], box[:, 2:] >= edge[2:]], axis=(0, 2)),
        owned=owners.decide(*kinship, labels, own),
        features=np.stack(features, axis=1).astype(np.float32)
        if features
        else np.zeros((rows.size, 0), np.float32),
        rings=outlines.rings,
        points=outlines.points,
        dy=(outlines.y - np.repeat(box[:, 0], per_object)).astype(np.int16),
        dx=(outlines.x - np.repeat(box[:, 1], per_object)).astype(np.int16),
    )


def _missing(recipe: Recipe, plate: PlateLayout, plane: Plane, channels: list[str]) -> Problem:
    used = sorted(set(channels) & set(recipe.prepared.pipeline.channels.values()))
    effect = "no objects were looked for" if used else "its measurements are missing"
    where = f"plate {plate.name}, well {plane.site.well}, site {plane.site.name}"
    return Problem(
        code="missing_plane",
        message=f"{where}, t {plane.t}, z {plane.z}: no image of {', '.join(channels)}: {effect}",
    )


def _without_labels(
    recipe: Recipe, plate: PlateLayout, plane: Plane, imported: Collection[str]
) -> list[Problem]:
    lacking = sorted(set(recipe.prepared.pipeline.labels.values()) - set(imported))
    if not lacking:
        return []
    where = f"plate {plate.name}, well {plane.site.well}, site {plane.site.name}"
    message = f"{where}, t {plane.t}: no labels {', '.join(lacking)} were imported"
    return [Problem(code="missing_labels", message=message)]


def _analyse_plane(
    recipe: Recipe, key: str, plate: PlateLayout, plane: Plane
) -> tuple[dict[str, SiteObjects], list[Problem]]:
    site = plane.site
    images = recipe.read(plate.id, site.index, plane.t, plane.z)
    absent = [name for name, image in images.items() if image is None]
    problems = [_missing(recipe, plate, plane, absent)] if absent else []
    imported = recipe.read_labels(plate.id, site.index, plane.t, plane.z)
    problems += _without_labels(recipe, plate, plane, imported)
    found = recipe.prepared.run(images, (site.height, site.width), imported)
    owners = _Owners()
    tables = {}
    for output in recipe.prepared.pipeline.objects:
        objects = found[output.name]
        names = recipe.feature_names(output.name)
        kinship = (output.name, output.parent)
        tables[output.name] = _table(objects, names, plane, owners, kinship)
        store = site_labels(recipe.context.root, key, output.name, plate)
        store.write(site, plane.t, plane.z, objects.labels)
    return tables, problems


def analyse_site(recipe: Recipe, key: str, plate: PlateLayout, site: SiteLayout) -> dict[str, int]:
    """Find and measure a site's objects over t and z; write labels and what later rounds need.

    Returns how many objects of each type count.

    Raises
    ------
    UserError
        A module cannot work with an image.
    """
    near, seen = rivals(plate, site), recipe.seen(plate.id, site)
    tables: dict[str, list[SiteObjects]] = {name: [] for name in recipe.types}
    for t, z in np.ndindex(recipe.layout.n_tpoints, recipe.n_zplanes):
        found, problems = _analyse_plane(recipe, key, plate, Plane(site, near, seen, t, z))
        recipe.context.problems.extend(problems)
        for name, table in found.items():
            tables[name].append(table)
    joined = {name: join(parts) for name, parts in tables.items()}
    for name in recipe.types:
        store = site_labels(recipe.context.root, key, name, plate)
        size = (recipe.layout.n_tpoints, recipe.n_zplanes)
        z_step = None if recipe.projection else recipe.layout.z_step_um
        store.write_metadata(site, *size, recipe.layout.pixel_size_um, z_step)
    save_part(recipe.context.root / part_path(key, plate, site.index), joined)
    return {name: int(table.owned.sum()) for name, table in joined.items()}
