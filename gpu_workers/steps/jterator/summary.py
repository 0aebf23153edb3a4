"""The manifest of an analysis, made of what the jobs left; entry point: `summarise`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

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


def describe(feature: FeatureName, values: NDArray[np.float32]) -> FeatureDescription:
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


def _plate(recipe: Recipe, key: str, plate: PlateLayout, name: str) -> PlateObjects:
    pyramid = recipe.pyramid(key, name, plate)
    pyramid.write_metadata(
        name=f"{plate.name} {name}",
        pixel_size_um=recipe.layout.pixel_size_um,
        z_step_um=None if recipe.projection else recipe.layout.z_step_um,
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
    )


def _described(recipe: Recipe, manifest: ObjectsManifest) -> ObjectsManifest:
    """Return the manifest with the spread of each feature."""
    store = FeatureStore(recipe.context.root, manifest)
    types = []
    for found in manifest.types:
        described = []
        for feature in recipe.prepared.features[found.name]:
            name = feature.name
            columns = [store.columns(found.name, p.id, (name,))[name] for p in found.plates]
            described.append(describe(feature, np.concatenate(columns)))
        types.append(found.model_copy(update={"features": tuple(described)}))
    return manifest.model_copy(update={"types": tuple(types)})


def summarise(recipe: Recipe, key: str) -> ObjectsManifest:
    """Write the images' metadata and return the manifest, which is still to be written."""
    pipeline = recipe.prepared.pipeline
    types = []
    for output in pipeline.objects:
        features = recipe.prepared.features[output.name]
        types.append(
            TypeObjects(
                name=output.name,
                parent=output.parent,
                features=tuple(FeatureDescription(name=f.name, unit=f.unit) for f in features),
                plates=tuple(_plate(recipe, key, p, output.name) for p in recipe.layout.plates),
            )
        )
    manifest = ObjectsManifest(
        key=key,
        layout=recipe.layout.key,
        pipeline=pipeline.model_dump(mode="json"),
        projection=recipe.projection,
        corrected=recipe.arguments.correct,
        corrections=recipe.corrected,
        illumination=recipe.corrections.path if recipe.corrections else None,
        alignment=recipe.alignment.manifest.key if recipe.alignment else None,
        channels=dict(pipeline.channels),
        types=tuple(types),
    )
    return _described(recipe, manifest)
