"""What the last well of a plate of 384 costs, from metadata to mosaic, where the other 383 are there already.

CPU seconds of one process, and bytes of files that a step wrote (linked ones aren't written). ``ratio``:
the step without an earlier version against the same with one. ``last``: the well that is added is P24.
``middle``: it is H12 of a plate without column 12, so half of the plate moves. Prints JSON.

    python -m benchmarks.added_well [rows] [side of a site, px]

The files are hard links of eight images like a camera's, two sites and two channels a well.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

for _name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ.setdefault(_name, "1")

from gpu_workers.messages import AcquisitionDescription, ExperimentDescription  # noqa: E402
from gpu_workers.runner.execute import run_step  # noqa: E402

STEPS = ("metaextract", "metaconfig", "imextract", "illuminati")
COLUMNS, SITES, CHANNELS = 24, 2, 2
IMAGES = 8
PATTERN = r"(?P<well>[A-P]\d\d)_s(?P<site>\d)_w(?P<channel>\d)\.tif"
Figures = dict[str, dict[str, float]]


def _images(folder: Path, side: int) -> list[Path]:
    """Write images of cells over a background, with noise."""
    import cv2
    import numpy as np
    import tifffile

    folder.mkdir()
    for number in range(IMAGES):
        rng = np.random.default_rng(number)
        spots = (rng.random((side, side)) < 0.0008).astype(np.float32)
        cells = cv2.GaussianBlur(spots, (0, 0), 6) * 90000
        pixels = rng.poisson((cells + 60) * 0.46) / 0.46 + rng.normal(100, 1.6, (side, side))
        path = folder / f"{number}.tif"
        tifffile.imwrite(path, np.clip(pixels, 0, 65535).astype(np.uint16))
    return sorted(folder.iterdir())


def _add(folder: Path, wells: list[str], images: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for well in wells:
        seed = ord(well[0]) + 5 * int(well[1:])
        for number in range(SITES * CHANNELS):
            site, channel = divmod(number, CHANNELS)
            name = f"{well}_s{site + 1}_w{channel + 1}.tif"
            (folder / name).hardlink_to(images[(seed + number) % len(images)])


def _experiment() -> ExperimentDescription:
    acquisition = AcquisitionDescription(
        id=UUID(int=1), name="a", plate=UUID(int=2), plate_name="p", index=0, folder="uploads/a",
        pattern=PATTERN,
    )  # fmt: skip
    return ExperimentDescription(
        id=UUID(int=3), name="benchmark", plate_format=384, acquisitions=(acquisition,)
    )


def _files(root: Path) -> Iterator[tuple[int, int]]:
    """Yield inode and size of each file of an experiment but for the source's."""
    for folder, _, names in os.walk(root):
        if "uploads" in folder:
            continue
        for name in names:
            found = (Path(folder) / name).stat()
            yield found.st_ino, found.st_size


def _measured(root: Path) -> Figures:
    """Run all steps; return CPU seconds and MB written by each."""
    inputs: dict[str, str] = {}
    figures: Figures = {}
    for step in STEPS:
        before = dict(_files(root))
        started = time.process_time()
        output, _ = run_step(root, step, _experiment(), {}, inputs)
        seconds = time.process_time() - started
        inputs |= output.products
        written = sum(size for inode, size in dict(_files(root)).items() if inode not in before)
        figures[step] = {"cpu_s": round(seconds, 2), "mb": round(written / 1e6, 2)}
    figures["whole"] = {
        unit: round(sum(f[unit] for f in figures.values()), 2) for unit in ("cpu_s", "mb")
    }
    return figures


def _compared(base: Path, wells: list[str], added: str, images: list[Path]) -> dict[str, Any]:
    """Return figures with and without an earlier version, and how many times more the latter takes."""
    grown, fresh = base / "grown", base / "fresh"
    _add(grown / "uploads" / "a", [w for w in wells if w != added], images)
    _measured(grown)
    _add(grown / "uploads" / "a", [added], images)
    _add(fresh / "uploads" / "a", wells, images)
    found = {"without": _measured(fresh), "with": _measured(grown)}
    ratio = {
        step: {
            unit: round(found["without"][step][unit] / max(own[unit], 0.01), 1) for unit in own
        }
        for step, own in found["with"].items()
    }  # fmt: skip
    return {"wells": len(wells), "added": added, **found, "ratio": ratio}


def main(rows: int = 16, side: int = 512) -> dict[str, Any]:
    """Return the figures of both plates."""
    wells = [f"{chr(65 + r)}{c:02d}" for r in range(rows) for c in range(1, COLUMNS + 1)]
    middle = f"{chr(65 + (rows - 1) // 2)}12"
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        images = _images(base / "images", side)
        _add(base / "warm" / "uploads" / "a", wells[:2], images)
        _measured(base / "warm")
        moved = [w for w in wells if w == middle or not w.endswith("12")]
        found = {
            "last": _compared(base / "last", wells, wells[-1], images),
            "middle": _compared(base / "middle", moved, middle, images),
        }
    return {
        "site_px": side, "sites": SITES, "channels": CHANNELS, **found,
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:3])), indent=1))
