"""How soon a preview shows something: a pipeline on one site of 2160 x 2560 px, every image kept.

A plate of one site is converted as the workflow does it; then the preview is made again and again, as a
worker's long-lived process does. The first preview, which compiles, is told apart. Wall seconds of one
process until the image that it starts from can be shown, until the first module's can, and until all can.
Prints JSON.

    python -m benchmarks.preview [--height 2160] [--width 2560] [--cells 1000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import tifffile

from benchmarks.segmentation import field_of_cells
from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.pipelines import library
from gpu_workers.pipelines.text import write_pipeline
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import run_step
from gpu_workers.steps.jterator.arguments import JteratorArguments
from gpu_workers.steps.jterator.preview import preview_sites
from gpu_workers.storage.layout import load_layout

PATTERN = r"(?P<well>[A-P]\d\d)_(?P<channel>DNA|Cells)\.tif"
TEMPLATE = "nuclei-cells-cytoplasm"


def _converted(
    root: Path, height: int, width: int, cells: int
) -> tuple[ExperimentDescription, dict]:
    """Write a site's two images and convert them; returns the experiment and the products."""
    folder = root / "files"
    folder.mkdir()
    side = max(height, width)
    field = field_of_cells(side, cells * side * side // (height * width), 2)
    for name, image in zip(("DNA", "Cells"), field.values(), strict=True):
        tifffile.imwrite(folder / f"A01_{name}.tif", image[:height, :width].astype(np.uint16))
    acquisition = AcquisitionDescription(
        id=UUID(int=2), name="a", plate=UUID(int=3), plate_name="P", index=0, folder=str(folder),
        pattern=PATTERN,
    )  # fmt: skip
    experiment = ExperimentDescription(id=UUID(int=1), name="e", acquisitions=(acquisition,))
    products: dict[str, str] = {}
    for step in ("metaextract", "metaconfig", "imextract"):
        output, _ = run_step(root, step, experiment, {}, products)
        products |= output.products
    return experiment, products


def measure(height: int, width: int, cells: int, repeat: int) -> dict[str, object]:
    """Return the figures of one run."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        experiment, products = _converted(root, height, width, cells)
        layout = load_layout(root, products["layout"])
        plate = layout.plates[0]
        place = {"plate": plate.id, "site": plate.sites[0].index}
        arguments = JteratorArguments(pipeline=write_pipeline(library.load(TEMPLATE)))
        first, module, whole = [], [], []
        for _ in range(repeat + 1):
            started = time.perf_counter()
            shown: list[tuple[str, float]] = []
            context = StepContext(
                root, experiment, inputs=products,
                progress=lambda _done, name, s=started, t=shown: t.append(
                    (name, time.perf_counter() - s)
                ),
            )  # fmt: skip
            preview_sites(context, arguments, {"preview": str(uuid4()), "sites": [place]})
            first.append(shown[0][1])
            module.append(next(s for name, s in shown if not name.startswith("image ")))
            whole.append(time.perf_counter() - started)
    return {
        "benchmark": "preview",
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "image": [height, width],
        "template": TEMPLATE,
        "cold_s": {"first_image": round(first[0], 3), "all": round(whole[0], 3)},
        "median_s": {
            "first_image": round(statistics.median(first[1:]), 3),
            "first_module": round(statistics.median(module[1:]), 3),
            "all": round(statistics.median(whole[1:]), 3),
        },
        "goal_s": {"first_image": 1, "all": 2},
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--height", type=int, default=2160)
    parser.add_argument("--width", type=int, default=2560)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(measure(given.height, given.width, given.cells, given.repeat)))


if __name__ == "__main__":
    main()
