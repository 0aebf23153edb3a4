"""Images per second of a pipeline on plain files, with one process and with several.

Writes images, runs ``pipeline run`` as the command line does (reading, analysis, labels and tables),
and prints JSON. The first run of each, which compiles and starts processes, counts: that is what a
person waits for.

    python -m benchmarks.workers [--images 24] [--side 1080] [--cells 300] [--workers 1 2]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.segmentation import field_of_cells
from gpu_workers.pipelines.plain.results import write_all
from gpu_workers.pipelines.plain.run import RunOptions, run_files

PIPELINE = "nuclei-cells-cytoplasm"


def measure(images: int, side: int, cells: int, workers: list[int]) -> dict[str, object]:
    """Return the figures of one run for each number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(images):
            field = field_of_cells(side, cells, 2, seed=number)
            for name, image in zip(("DNA", "Cell"), field.values(), strict=True):
                tifffile.imwrite(Path(folder) / f"{name}_{number:03d}.tif", image.astype(np.uint16))
        channels = {name: f"{folder}/{name}_*.tif" for name in ("DNA", "Cell")}
        seconds, found = {}, {}
        for n in workers:
            options = RunOptions(PIPELINE, channels, Path(folder) / f"out{n}", workers=n)
            started = time.perf_counter()
            prepared, results, facts = run_files(options, lambda _done, _name: None)
            told = write_all(options.out, prepared, results, facts)
            seconds[n], found[n] = time.perf_counter() - started, told["objects"]
    first = workers[0]
    return {
        "benchmark": "workers",
        "cores": os.cpu_count(),
        "images": images,
        "image": [side, side],
        "objects": found[first],
        "same_objects": all(each == found[first] for each in found.values()),
        "seconds": {n: round(s, 2) for n, s in seconds.items()},
        "images_per_s": {n: round(images / s, 2) for n, s in seconds.items()},
        "speed_up": {n: round(seconds[first] / s, 2) for n, s in seconds.items()},
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--side", type=int, default=1080)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    print(json.dumps(measure(given.images, given.side, given.cells, given.workers)))


if __name__ == "__main__":
    main()
