"""The layout with stitched positions; entry point: `stitched_layout`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_workers.steps.metaconfig.geometry import n_levels, tiling
from gpu_workers.steps.metaconfig.placing import in_one_world
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import stitched_layout_path
from gpu_workers.storage.layout import Layout, PlateLayout

WELL_GAP = 0.02
# What a layout's folder holds besides layout.json; those who read a layout look for it there.
BESIDE = ("planes.parquet", "raw.json", "problems.json")


def _plate(plate: PlateLayout, positions: NDArray[np.float64]) -> PlateLayout:
    """Return a plate whose sites lie at `positions`, in their order, and whose wells hold them."""
    wells = {w.name: w for w in plate.wells}
    corners = {
        s.index: (round(float(y)) - wells[s.well].y, round(float(x)) - wells[s.well].x)
        for s, (y, x) in zip(plate.sites, positions, strict=True)
    }
    # All wells keep one origin: a site that one of them lacks does not move the others.
    top, left = (min(c[axis] for c in corners.values()) for axis in (0, 1))
    ends: dict[str, tuple[int, int]] = {}
    for site in plate.sites:
        bottom = corners[site.index][0] - top + site.height
        right = corners[site.index][1] - left + site.width
        known = ends.get(site.well, (0, 0))
        ends[site.well] = max(known[0], bottom), max(known[1], right)
    extent = max(e[0] for e in ends.values()), max(e[1] for e in ends.values())
    pitch, shard = plate.pitch, plate.shard
    if any(math.ceil(side * (1 + WELL_GAP)) > p for side, p in zip(extent, pitch, strict=True)):
        pitch, shard = tiling(extent, WELL_GAP)
    moved = {
        w.name: w.model_copy(
            update={
                "y": w.y // plate.pitch[0] * pitch[0],
                "x": w.x // plate.pitch[1] * pitch[1],
                "height": ends.get(w.name, (w.height, w.width))[0],
                "width": ends.get(w.name, (w.height, w.width))[1],
            }
        )
        for w in plate.wells
    }
    sites = tuple(
        s.model_copy(
            update={
                "y": moved[s.well].y + corners[s.index][0] - top,
                "x": moved[s.well].x + corners[s.index][1] - left,
            }
        )
        for s in plate.sites
    )
    rows, columns = (
        math.ceil(plate.height / plate.pitch[0]),
        math.ceil(plate.width / plate.pitch[1]),
    )
    height, width = (rows - 1) * pitch[0] + extent[0], (columns - 1) * pitch[1] + extent[1]
    return plate.model_copy(
        update={
            "height": height,
            "width": width,
            "pitch": pitch,
            "shard": shard,
            "n_levels": n_levels(height, width),
            "wells": tuple(moved.values()),
            "sites": sites,
        }
    )


def stitched_layout(layout: Layout, key: str, positions: dict[str, NDArray[np.float64]]) -> Layout:
    """Return the layout with the sites of each plate at new positions (y, x), px.

    The same sites, wells and channels under another key. Wells keep their rows and columns, and
    their distance unless they have outgrown it; no two share a shard.
    """
    plates = [_plate(p, positions[p.id]) if p.sites else p for p in layout.plates]
    return layout.model_copy(update={"key": key, "plates": in_one_world(plates)})


def write_layout(root: Path, source: str, layout: Layout) -> str:
    """Write the stitched layout and what belongs beside it; returns its path below `root`.

    `source` is the path of the layout it came from.
    """
    path = stitched_layout_path(layout.key)
    for name in BESIDE:
        origin = (root / source).with_name(name)
        if origin.is_file():
            paths.write_atomically((root / path).with_name(name), origin.read_bytes())
    paths.write_json(root / path, layout.model_dump(mode="json"))
    return path
