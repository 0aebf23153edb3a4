"""Objects that an earlier run has made, as labels for another one; entry point: `ExistingObjects`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.objects import ObjectsManifest, SiteLabels, TypeObjects, load_manifest

Table = dict[str, NDArray[Any]]


@dataclass(slots=True)
class ExistingObjects:
    """Reader of the labels and measurements of one type."""

    root: Path
    path: str
    name: str
    layout: Layout
    alignment: str | None
    manifest: ObjectsManifest
    _tables: dict[tuple[str, str], tuple[Table, Table]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, root: Path, path: str, name: str, layout: Layout, alignment: str | None
    ) -> ExistingObjects:
        """Return a reader of a type of the manifest at `path`.

        `layout` and `alignment` (its key) say which sites are meant, and what they show.
        """
        return cls(root, path, name, layout, alignment, load_manifest(root, path))

    @property
    def type(self) -> TypeObjects:
        """What the manifest says of the type."""
        return self.manifest.type(self.name)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that were measured."""
        return tuple(f.name for f in self.type.features)

    @property
    def units(self) -> dict[str, str | None]:
        """Units of these features."""
        return {f.name: f.unit for f in self.type.features}

    @property
    def n_zplanes(self) -> int:
        """Planes of the label images along z."""
        return self.type.plates[0].shape[2] if self.type.plates else 1

    @property
    def is_stale(self) -> bool:
        """Whether sites may lie elsewhere, or show something else, than when they were found."""
        return (self.manifest.layout, self.manifest.alignment) != (self.layout.key, self.alignment)

    def before_equal(self, pipeline: Pipeline) -> ExistingObjects | None:
        """Return what an equal pipeline started from when it made these of others of the same name."""
        path = self.manifest.given.get(f"objects/{self.name}")
        if path is None or self.manifest.pipeline != pipeline.model_dump(mode="json"):
            return None
        if not (self.root / path).is_file():
            return None
        return ExistingObjects.open(self.root, path, self.name, self.layout, self.alignment)

    def read(self, plate: str, site: int, t: int, z: int) -> NDArray[np.uint32] | None:
        """Return the labels (height, width) of one plane; None where the plate was not analysed."""
        try:
            folder = self.manifest.plate(self.name, plate)
        except DataMissing:
            return None
        if t >= folder.shape[0] or (folder.shape[2] > 1 and z >= folder.shape[2]):
            return None
        labels = SiteLabels(self.root / folder.path / "sites.zarr")
        own = z if folder.shape[2] > 1 else 0
        return labels.read(self.layout.plate(plate).sites[site], t, own)

    def table(
        self, plate: str, site: int, t: int, z: int | None
    ) -> tuple[NDArray[np.uint32], Table]:
        """Return the labels that count in a plane or, without `z`, a stack, and their features."""
        place, features = self._well(plate, self.layout.plate(plate).sites[site].well)
        if not place:
            return np.zeros(0, np.uint32), {}
        here = (place["site"] == site) & (place["t"] == t)
        if z is not None and self.n_zplanes > 1 and self.manifest.dimensions == 2:
            here &= place["z"] == z
        rows = np.flatnonzero(here)
        labels = place["label"][rows]
        _, first = np.unique(labels, return_index=True)
        rows = rows[first]
        return place["label"][rows], {n: column[rows] for n, column in features.items()}

    def _well(self, plate: str, well: str) -> tuple[Table, Table]:
        """Return the tables of a well; the sites of a job mostly lie in one."""
        if (plate, well) not in self._tables:
            store = FeatureStore(self.root, self.manifest)
            self._tables.clear()
            self._tables[plate, well] = store.well(self.name, plate, well)
        return self._tables[plate, well]
