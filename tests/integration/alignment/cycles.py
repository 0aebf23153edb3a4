"""Plates of several cycles whose shifts are known, and plates whose stage missed by known amounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from gpu_workers.messages import Problem
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import tables
from gpu_workers.storage.alignment import AlignmentManifest, load_manifest
from gpu_workers.storage.layout import Layout
from tests.integration.mosaics import plates
from tests.unit.imaging.test_registration import camera, cells, moved

SIDE, STEP, SHARD, MARGIN = 256, 230, 1024, 24
STAINS = ("DAPI", "GFP")


def cycles_layout(wells: int = 2, n_cycles: int = 3, rows: int = 2, columns: int = 2) -> Layout:
    """Return wells of rows x columns overlapping sites; each cycle has DAPI and GFP."""
    boxes = [
        [(y * STEP, x * STEP + w * SHARD, SIDE, SIDE) for y in range(rows) for x in range(columns)]
        for w in range(wells)
    ]
    made = plates.layout(boxes, ("uint16",), height=SHARD, width=SHARD * wells, shard=SHARD)
    first = made.channels[0]
    channels = tuple(
        first.model_copy(update={"index": len(STAINS) * c + s, "name": f"{c}_{stain}", "cycle": c})
        for c in range(n_cycles)
        for s, stain in enumerate(STAINS)
    )
    return made.model_copy(update={"channels": channels, "n_cycles": n_cycles})


@dataclass(frozen=True, slots=True)
class Plate:
    """What the sites of a plate show, and how each cycle must be moved to lie on the first."""

    layout: Layout
    planes: dict[plates.Plane, np.ndarray]
    shifts: dict[tuple[int, int], tuple[float, float]]

    def write(self, root: Path) -> dict[str, str]:
        return plates.write(root, self.layout, self.planes)


def plate_of_cycles(
    layout: Layout, moves: list[tuple[float, float]], *, jitter: float = 0.7, seed: int = 0
) -> Plate:
    """Return a plate of which cycle c must be moved by `moves[c]` and, at each site, some jitter."""
    rng = np.random.default_rng(seed)
    planes: dict[plates.Plane, np.ndarray] = {}
    shifts: dict[tuple[int, int], tuple[float, float]] = {}
    inner = np.s_[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    for site in layout.plates[0].sites:
        scene = cells(SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, seed=100 + site.index, density=4e-4)
        for cycle, move in enumerate(moves):
            off = rng.uniform(-jitter, jitter, 2) if cycle else np.zeros(2)
            y, x = float(move[0] + off[0]), float(move[1] + off[1])
            if cycle:
                shifts[site.index, cycle] = y, x
            seen = moved(scene, -y, -x)[inner]
            for s, brightness in enumerate((1.0, 0.4)):
                image = camera(brightness * seen, seed=1000 * site.index + 10 * cycle + s)
                planes[site.index, 0, len(STAINS) * cycle + s, 0] = image
    return Plate(layout, planes, shifts)


@dataclass(frozen=True, slots=True)
class Aligned:
    """What a run of align left."""

    manifest: AlignmentManifest
    path: str
    problems: list[Problem]
    root: Path

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        path = table or self.manifest.shifts
        assert path is not None
        rows: list[dict[str, Any]] = tables.read_table(self.root / path).to_pylist()
        return rows

    @property
    def shifts(self) -> dict[tuple[int, int], dict[str, Any]]:
        return {(r["site"], r["cycle"]): r for r in self.rows()}

    @property
    def codes(self) -> set[str]:
        return {p.code for p in self.problems}


def align(root: Path, inputs: dict[str, str], **arguments: Any) -> Aligned:
    """Run align."""
    output, problems = run_step(root, "align", plates.experiment(), arguments, inputs)
    path = output.products["alignment"]
    return Aligned(load_manifest(root, path), path, problems, root)


def stage_errors(layout: Layout, seed: int, largest: int = 6) -> np.ndarray:
    """Return by how many whole px each site is elsewhere than the layout says."""
    rng = np.random.default_rng(seed)
    return rng.integers(-largest, largest + 1, (len(layout.plates[0].sites), 2))


def plate_with_stage_errors(layout: Layout, errors: np.ndarray, seed: int = 0) -> Plate:
    """Return what sites show that lie at their places in the layout plus their errors."""
    plate = layout.plates[0]
    world = cells(plate.height + 2 * MARGIN, plate.width + 2 * MARGIN, seed=seed, density=6e-4)
    world = ndimage.gaussian_filter(world, 0.5)
    planes: dict[plates.Plane, np.ndarray] = {}
    for site, (dy, dx) in zip(plate.sites, errors.tolist(), strict=True):
        y, x = site.y + dy + MARGIN, site.x + dx + MARGIN
        cut = world[y : y + SIDE, x : x + SIDE]
        for channel in layout.channels:
            planes[site.index, 0, channel.index, 0] = camera(cut, 7 * site.index + channel.index)
    return Plate(layout, planes, {})
