"""The manifest of an analysis, made of what the jobs left; entry point: `summarise`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.pipelines.description import ObjectOutput
from gpu_workers.pipelines.prepared import FeatureName
from gpu_workers.steps.jterator.indices import boxes_path, well_ranges
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.storage import paths
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.layout import PlateLayout
from gpu_workers.storage.objects import (
    FeatureDescription,
    ObjectsManifest,
    PlateObjects,
    TypeObjects,
    WellObjects,
    ordered_wells,
    plate_folder,
    site_labels,
)


def describe(
    feature: FeatureDescription | FeatureName, values: NDArray[np.float32]
) -> FeatureDescription:
    """Return the spread of a feature's values; what isn't finite is missing."""
    finite = values[np.isfinite(values)]
    n_missing = int(values.size - finite.size)
    if not finite.size:
        return FeatureDescription(name=feature.name, unit=feature.unit, n_missing=n_missing)
    low, high = np.percentile(finite.astype(np.float64), (1, 99.9))
    return FeatureDescription(
        name=feature.name,
        unit=feature.unit,
        min=float(finite.min()),
        max=float(finite.max()),
        low=float(low),
        high=float(high),
        n_missing=n_missing,
    )


def _wells(recipe: Recipe, key: str, plate: PlateLayout, name: str) -> Iterable[WellObjects]:
    root = recipe.context.root
    ranges = well_ranges(root, key, plate, name)
    for well in ordered_wells(plate):
        first, count = ranges[well.name]
        box = (0, 0, 0, 0)
        if count:
            box = tuple(paths.read_json(root / boxes_path(key, plate, well.name))[name])
        yield WellObjects(name=well.name, first=first, count=count, box=box)


def provenance(recipe: Recipe) -> Json:
    """Return where results come from: pipeline, modules, program, and what was used besides plates."""
    return {
        "pipeline": recipe.prepared.pipeline.model_dump(mode="json"),
        "modules": {u.module.name: u.module.VERSION for u in recipe.prepared.uses},
        "code": recipe.context.code_version,
        "given": recipe.given,
    }


def _features(recipe: Recipe, output: ObjectOutput) -> tuple[FeatureDescription, ...]:
    """Return names and units of a type's features; those that were known before keep their units."""
    source = recipe.given_source(output.labels)
    known = recipe.labels.units(source) if source else {}
    return tuple(
        FeatureDescription(name=f.name, unit=f.unit or known.get(f.name))
        for f in recipe.prepared.features[output.name]
    )


def _given_parent(recipe: Recipe, output: ObjectOutput) -> str | None:
    """Return the parent that objects of an earlier run had, whose labels they still have."""
    source = recipe.given_source(output.labels)
    return recipe.labels.parent(source) if source else None


def _plate(recipe: Recipe, key: str, plate: PlateLayout, output: ObjectOutput) -> PlateObjects:
    name = output.name
    pyramid = recipe.pyramid(key, name, plate)
    pyramid.write_metadata(
        name=f"{plate.name} {name}",
        pixel_size_um=recipe.layout.pixel_size_um,
        z_step_um=recipe.z_step_um,
        attributes={"image-label": {}},
    )
    site_labels(recipe.context.root, key, name, plate).write_group()
    wells = tuple(_wells(recipe, key, plate, name))
    return PlateObjects(
        id=plate.id,
        path=plate_folder(key, name, plate),
        n_objects=sum(w.count for w in wells),
        shape=pyramid.shape,
        levels=tuple(pyramid.levels),
        shard=pyramid.shard,
        wells=wells,
        outlines=output.representation == "polygons",
    )


def _described(recipe: Recipe, manifest: ObjectsManifest) -> ObjectsManifest:
    """Return the manifest with the spread of each feature."""
    store = FeatureStore(recipe.context.root, manifest)
    types = []
    for found in manifest.types:
        described = []
        for feature in found.features:
            name = feature.name
            columns = [store.columns(found.name, p.id, (name,))[name] for p in found.plates]
            described.append(describe(feature, np.concatenate(columns)))
        types.append(found.model_copy(update={"features": tuple(described)}))
    return manifest.model_copy(update={"types": tuple(types)})


def summarise(recipe: Recipe, key: str) -> ObjectsManifest:
    """Write the images' metadata and return the manifest, which is still to be written."""
    pipeline = recipe.prepared.pipeline
    types = [
        TypeObjects(
            name=output.name,
            parent=output.parent or _given_parent(recipe, output),
            representation=output.representation,
            features=_features(recipe, output),
            plates=tuple(_plate(recipe, key, p, output) for p in recipe.layout.plates),
        )
        for output in recipe.outputs
    ]
    manifest = ObjectsManifest(
        key=key,
        layout=recipe.layout.key,
        projection=recipe.projection,
        corrected=recipe.arguments.correct,
        corrections=recipe.corrected,
        illumination=recipe.corrections.path if recipe.corrections else None,
        alignment=recipe.alignment.manifest.key if recipe.alignment else None,
        channels=dict(pipeline.channels),
        dimensions=pipeline.dimensions,
        types=tuple(types),
        **provenance(recipe),
    )
    return _described(recipe, manifest)
