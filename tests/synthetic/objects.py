"""An object set on disk with values of our choosing, for tests of what reads one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_workers.storage import paths
from gpu_workers.storage.features import write_features
from gpu_workers.storage.objects import (
    FeatureDescription,
    ObjectsManifest,
    PlateObjects,
    TypeObjects,
    WellObjects,
    manifest_path,
)

KEY = "0123456789abcdef0123"


def write_objects(
    root: Path, plates: dict[str, dict[str, NDArray[np.float32]]], feature: str = "Area"
) -> str:
    """Write objects "Nuclei" whose only feature has the given values per plate and well.

    Returns the path of the manifest, as a step's input names it.
    """
    described = []
    for plate, wells in plates.items():
        folder = f"{paths.objects_folder(KEY, 'Nuclei')}/{plate}"
        first, known = 1, []
        for name, values in wells.items():
            path = root / folder / "features" / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_features(path, first, [feature], values.astype(np.float32)[:, None])
            known.append(WellObjects(name=name, first=first, count=len(values)))
            first += len(values)
        described.append(
            PlateObjects(
                id=plate, path=folder, n_objects=first - 1, shape=(1, 1, 1, 512, 512),
                levels=({"path": "0", "height": 512, "width": 512},), shard=512, wells=tuple(known),
            )
        )  # fmt: skip
    manifest = ObjectsManifest(
        key=KEY,
        layout="layouts/none/layout.json",
        pipeline={},
        types=(
            TypeObjects(
                name="Nuclei",
                features=(FeatureDescription(name=feature, unit="px"),),
                plates=tuple(described),
            ),
        ),
    )
    paths.write_json(root / manifest_path(KEY), manifest.model_dump(mode="json"))
    return manifest_path(KEY)
