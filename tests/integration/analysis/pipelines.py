"""Small plates and pipelines whose results can be told in advance, and the step run on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gpu_workers.messages import Problem
from gpu_workers.runner.execute import run_step
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.objects import ObjectsManifest, load_manifest
from tests.integration.mosaics import plates

PLATE = plates.PLATE
SIDE = 96
BRIGHT = 1000


def layout(n_sites: int = 1, n_channels: int = 1, **how: Any) -> Layout:
    """Return a well of sites side by side, without overlap."""
    boxes = [(0, SIDE * i, SIDE, SIDE) for i in range(n_sites)]
    return plates.layout(
        [boxes], ("uint16",) * n_channels, height=512, width=512, shard=512, **how
    )  # fmt: skip


def image(*squares: tuple[int, int, int], value: int = BRIGHT) -> np.ndarray:
    """Return a dark site with bright squares (y, x, side)."""
    made = np.full((SIDE, SIDE), 100, np.uint16)
    for y, x, side in squares:
        made[y : y + side, x : x + side] = value
    return made


def use(module: str, inputs: Any, outputs: Any = None, **arguments: Any) -> dict[str, Any]:
    """Return one use of a module."""
    return {"module": module, "inputs": inputs, "outputs": outputs or {}, "arguments": arguments}


def bright(variable: str = "c", labels: str = "found") -> list[dict[str, Any]]:
    """Return the modules that find what is brighter than half of `BRIGHT`."""
    mask = f"{labels}_mask"
    return [
        use("threshold_manual", {"image": variable}, {"mask": mask}, threshold=BRIGHT // 2),
        use("label", {"mask": mask}, {"label_image": labels}),
    ]


def measured(labels: str = "found", channels: Any = "*") -> dict[str, Any]:
    """Return the module that measures intensities."""
    return use("measure_intensity", {"extract_objects": labels, "intensity_image": channels})


def pipeline(modules: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    """Return a pipeline of the channel C00 that keeps ``found`` as Things."""
    given = {
        "channels": {"c": "C00"},
        "objects": [{"name": "Things", "labels": "found"}],
        **parts,
    }
    return {**given, "modules": modules}


def run(
    root: Path, inputs: dict[str, str], text: Any, **arguments: Any
) -> tuple[dict[str, str], list[Problem]]:
    """Run the step; return what it made and what it told."""
    every = {"pipeline": text, **arguments}
    output, problems = run_step(root, "jterator", plates.experiment(), every, inputs)
    return output.products, problems


class Results:
    """What a run has left, read with the readers that others use, and with zarr-python."""

    def __init__(self, root: Path, products: dict[str, str]):
        self.root = root
        self.manifest: ObjectsManifest = load_manifest(root, products["objects"])
        self.store = FeatureStore(root, products["objects"])

    def column(self, feature: str, name: str = "Things") -> np.ndarray:
        return self.store.column(name, PLATE, feature)

    def places(self, name: str = "Things") -> dict[str, np.ndarray]:
        return self.store.positions(name, PLATE)

    def array(self, image: str, name: str = "Things") -> np.ndarray:
        folder = self.root / self.manifest.plate(name, PLATE).path / image
        opened: Any = zarr.open_group(folder, mode="r")["0"]
        return np.asarray(opened[:])[:, 0]

    def mosaic(self, name: str = "Things") -> np.ndarray:
        """Return the index mosaic (t, z, y, x)."""
        return self.array("mosaic.zarr", name)

    def labels(self, site: int = 0, name: str = "Things") -> np.ndarray:
        """Return the labels (t, z, y, x) of a site."""
        return self.array(f"sites.zarr/{site}", name)
