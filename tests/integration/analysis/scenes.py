"""A plate whose nuclei are known: round, bright, in two channels, cut into overlapping sites."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_workers.messages import Problem
from gpu_workers.runner.execute import run_step
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.objects import ObjectsManifest, load_manifest
from tests.integration.mosaics import plates

SIDE = 256
OVERLAP = 26  # 10 %
SHARD = 512


@dataclass(frozen=True, slots=True)
class Scene:
    """The world as it is: pixels of the plate, and which object each belongs to."""

    layout: Layout
    truth: np.ndarray
    worlds: tuple[np.ndarray, ...]

    def planes(self, t: int = 0, z: int = 0) -> dict[plates.Plane, np.ndarray]:
        """Return what each site sees of each channel."""
        return {
            (s.index, t, c, z): world[s.y : s.y + s.height, s.x : s.x + s.width]
            for s in self.layout.plates[0].sites
            for c, world in enumerate(self.worlds)
        }


def scene(
    rows: int = 2, columns: int = 2, wells: int = 2, radius: int = 7, seed: int = 0, **how: Any
) -> Scene:
    """Return wells of rows x columns overlapping sites with separate round nuclei all over."""
    step = SIDE - OVERLAP
    boxes = [
        [(y * step, x * step + w * SHARD, SIDE, SIDE) for y in range(rows) for x in range(columns)]
        for w in range(wells)
    ]
    layout = plates.layout(
        boxes, ("uint16", "uint16"), height=SHARD, width=SHARD * wells, shard=SHARD, **how
    )
    rng = np.random.default_rng(seed)
    truth = np.zeros((SHARD, SHARD * wells), np.int32)
    yy, xx = np.indices(truth.shape)
    pitch, count = 3 * radius + 2, 0
    height, width = SIDE + (rows - 1) * step, SIDE + (columns - 1) * step
    for w in range(wells):
        for y in range(radius + 4, height - radius - 4, pitch):
            for x in range(radius + 4, width - radius - 4, pitch):
                count += 1
                cy, cx = y + rng.uniform(-1, 1), x + w * SHARD + rng.uniform(-1, 1)
                top, left = y - radius - 3, int(cx) - radius - 3
                window = np.s_[top : y + radius + 4, left : int(cx) + radius + 5]
                inside = (yy[window] - cy) ** 2 + (xx[window] - cx) ** 2 <= radius**2
                truth[window][inside] = count
    noise = rng.uniform(-9, 9, (2, *truth.shape))
    dna = np.where(truth > 0, 1000 + (37 * truth) % 200, 100) + noise[0]
    other = np.where(truth > 0, 200 + 10 * (truth % 7), 50) + noise[1]
    return Scene(layout, truth, tuple(i.clip(0).astype(np.uint16) for i in (dna, other)))


def analyse(
    root: Path, inputs: dict[str, str], **arguments: Any
) -> tuple[ObjectsManifest, list[Problem]]:
    """Run jterator and return its manifest and problems."""
    output, problems = run_step(root, "jterator", plates.experiment(), arguments, inputs)
    path = output.products["objects"]
    manifest = load_manifest(root, path)
    assert manifest.model_dump(mode="json") == json.loads((root / path).read_bytes())
    return manifest, problems
