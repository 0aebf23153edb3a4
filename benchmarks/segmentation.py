"""Cells per second and core of the built-in pipeline against the same pipeline in scikit-image.

Both find nuclei (Gaussian, Otsu, holes, distance watershed, areas), grow cells by a distance and
measure intensities of all channels and shapes. One run measures both on one core and prints JSON.

Memory is what the process grew by while ours ran first.

    python -m benchmarks.segmentation [--side 1800] [--cells 300 1000 3000] [--channels 4] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable

# One core each: set before any of the libraries starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from gpu_workers.pipelines.description import Pipeline  # noqa: E402
from gpu_workers.pipelines.prepared import Prepared, prepare  # noqa: E402
from gpu_workers.pipelines.templates import NucleiAndCells, nuclei_and_cells  # noqa: E402

SIGMA, EXPANSION, MIN_AREA, MIN_DISTANCE, SEED_SIGMA = 1.5, 5, 30, 7, 1.5
SHAPE = (
    "label", "area", "centroid", "bbox", "perimeter", "eccentricity", "extent", "solidity",
    "axis_major_length", "axis_minor_length", "equivalent_diameter_area",
)  # fmt: skip
INTENSITY = ("intensity_mean", "intensity_min", "intensity_max", "intensity_std")


def field_of_cells(side: int, n: int, channels: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a field of view with about `n` round nuclei, some touching, with camera noise."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side), np.float32)
    nuclei = np.zeros((side, side), np.float32)
    for cy, cx in rng.uniform(20, side - 20, (n, 2)):
        a, b = rng.uniform(8, 12, 2)
        top, left = int(cy) - 14, int(cx) - 14
        window = np.s_[max(top, 0) : top + 29, max(left, 0) : left + 29]
        inside = ((y[window] - cy) / a) ** 2 + ((x[window] - cx) / b) ** 2 <= 1
        nuclei[window][inside] = rng.uniform(800, 1200)
    images = {}
    for c in range(channels):
        signal = nuclei if c == 0 else ndimage.gaussian_filter(nuclei, 3 * c)
        blurred = ndimage.gaussian_filter(signal, 1)
        images[f"C{c:02d}"] = (
            (rng.poisson(blurred + 100) + rng.normal(0, 2, blurred.shape)).clip(0).astype(np.uint16)
        )
    return images


def ours(prepared: Prepared, images: dict[str, np.ndarray]) -> int:
    """Run the built-in pipeline; return the number of nuclei."""
    first = next(iter(images.values()))
    return int(prepared.run(images, first.shape)["Nuclei"].labels.max())


def peer(images: dict[str, np.ndarray]) -> int:
    """Run the same pipeline written with scikit-image (and scipy); return the number of nuclei."""
    from scipy import ndimage
    from skimage import feature, filters, measure, morphology, segmentation

    dna = next(iter(images.values()))
    smooth = filters.gaussian(dna, SIGMA, preserve_range=True)
    mask = ndimage.binary_fill_holes(smooth > filters.threshold_otsu(smooth))
    distance = filters.gaussian(ndimage.distance_transform_edt(mask), SEED_SIGMA)
    parts = measure.label(mask)
    centres = feature.peak_local_max(distance, min_distance=MIN_DISTANCE, labels=parts)
    seeds = np.zeros(dna.shape, np.int32)
    seeds[tuple(centres.T)] = np.arange(1, len(centres) + 1)
    labels = segmentation.watershed(-distance, seeds, mask=mask)
    labels = morphology.remove_small_objects(labels, max_size=MIN_AREA - 1)
    nuclei = segmentation.relabel_sequential(labels)[0]
    cells = segmentation.expand_labels(nuclei, EXPANSION)
    stack = np.stack(list(images.values()), axis=-1)
    for found in (nuclei, cells):
        measure.regionprops_table(found, stack, properties=SHAPE + INTENSITY)
    return int(nuclei.max())


def seconds(work: Callable[[], int], repeat: int) -> tuple[float, int]:
    """Return the least CPU time of several runs after one that isn't counted, and the result."""
    result = work()
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return float(best), result


def _basic(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline without families of features that the peer doesn't measure."""
    left_out = {
        "measure_intensity": ("measure_edge", "measure_distribution", "measure_location"),
        "measure_morphology": ("measure_feret",),
    }
    uses = [
        use.model_copy(update={"arguments": dict.fromkeys(left_out[use.module], False)})
        if use.module in left_out
        else use
        for use in pipeline.modules
    ]
    return pipeline.model_copy(update={"modules": tuple(uses)})


def measure_both(side: int, cells: int, channels: int, repeat: int) -> dict[str, object]:
    """Return the figures of one run."""
    images = field_of_cells(side, cells, channels)
    options = NucleiAndCells(
        nuclei="C00", sigma=SIGMA, correction=1, min_area=MIN_AREA, min_distance=MIN_DISTANCE,
        expansion=EXPANSION,
    )  # fmt: skip
    prepared = prepare(_basic(nuclei_and_cells(options)), tuple(images))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    own_s, own_n = seconds(lambda: ours(prepared, images), repeat)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    peer_s, peer_n = seconds(lambda: peer(images), repeat)
    return {
        "benchmark": "segmentation",
        "machine": platform.processor() or platform.machine(),
        "image": [side, side],
        "channels": channels,
        "memory_mb": round(grown / 1024, 1),
        "image_mb": round(sum(image.nbytes for image in images.values()) / 1e6, 1),
        "nuclei": {"tissuemaps": own_n, "scikit-image": peer_n},
        "cpu_s": {"tissuemaps": round(own_s, 4), "scikit-image": round(peer_s, 4)},
        "cells_per_s_per_core": {
            "tissuemaps": round(own_n / own_s),
            "scikit-image": round(peer_n / peer_s),
        },
        "ratio": round((own_n / own_s) / (peer_n / peer_s), 2),
        "goal": 4,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--side", type=int, default=1800)
    parser.add_argument("--cells", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    for cells in given.cells:
        print(json.dumps(measure_both(given.side, cells, given.channels, given.repeat)), flush=True)


if __name__ == "__main__":
    main()
