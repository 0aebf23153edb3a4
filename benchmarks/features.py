"""Objects per second and core whose features are measured, against cp_measure where it can be imported.

Both measure what cp_measure's core has: intensities, sizes and shapes, Zernike moments, Feret
diameters, Haralick's textures in four directions, granular spectra, radial distributions. The
families that only we have, and colocalisation, follow beside. One run measures all on one core and
prints JSON. cp_measure isn't one of our dependencies: ``PYTHONPATH`` may name a folder that holds it
(``pip install --target FOLDER cp_measure==0.3.0``), whose NumPy and SciPy then serve both.

    python -m benchmarks.features [--objects 300 1000 3000] [--side 1800] [--repeat 3]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

# One core each: set before any of the libraries starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from gpu_workers import registry  # noqa: E402

Images = dict[str, np.ndarray]

SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "intensity": ("measure_intensity", {}),
    "shape, Zernike, Feret": (
        "measure_morphology",
        {"measure_zernike": True, "zernike_degree": 9, "measure_box": True, "measure_moments": True},
    ),
    "texture": (
        "measure_texture",
        {
            "measure_gabor": False, "measure_hu": False, "measure_haralick": True, "scales": [3],
            "haralick_statistics": ["directions"],
        },
    ),
    "granularity": ("measure_granularity", {}),
    "radial distribution, Zernike": ("measure_radial_distribution", {"measure_zernike": True}),
}  # fmt: skip
"""What cp_measure's core measures -> module and arguments."""

OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "Gabor": ("measure_texture", {"measure_hu": False}),
    "Hu": ("measure_texture", {"measure_gabor": False}),
    "TAS": ("measure_texture", {"measure_gabor": False, "measure_hu": False, "measure_TAS": True}),
    "LBP": ("measure_texture", {"measure_gabor": False, "measure_hu": False, "measure_LBP": True}),
}
PAIR = ("measure_colocalisation", {})
GROUPS = {
    "intensity": ("intensity",),
    "shape, Zernike, Feret": ("sizeshape", "zernike", "feret"),
    "texture": ("texture",),
    "granularity": ("granularity",),
    "radial distribution, Zernike": ("radial_distribution", "radial_zernikes"),
}
"""Our families -> cp_measure's."""


def site_of_nuclei(side: int, n: int) -> tuple[np.ndarray, Images]:
    """Return labels of `n` ellipses, some touching, and two channels of 8 bits with texture."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    pitch = 32
    per_row = side // pitch
    if n > per_row**2:
        raise SystemExit(f"{n} objects of {pitch} px don't fit into {side} px")
    cells = np.sort(rng.permutation(per_row**2)[:n])
    labels = np.zeros((side, side), np.int32)
    y, x = np.indices((pitch, pitch)) - pitch / 2
    for label, cell in enumerate(cells, 1):
        a, b, turn = *rng.uniform(9, 17, 2), rng.uniform(0, np.pi)
        u, v = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        top, left = cell // per_row * pitch, cell % per_row * pitch
        labels[top : top + pitch, left : left + pitch][(u / a) ** 2 + (v / b) ** 2 < 1] = label
    images = {}
    for channel in ("DNA", "Actin"):
        grain = ndimage.gaussian_filter(rng.normal(size=(side, side)), 1.5)
        blurred = ndimage.gaussian_filter(120.0 * (labels > 0) + 20, 2) + 90 * grain
        images[channel] = np.clip(rng.normal(blurred, 4), 1, 255).astype(np.uint8)
    return labels, images


def seconds(work: Callable[[], object], repeat: int, *, is_warm: bool = False) -> float:
    """Return the least CPU time of several runs, after one that isn't counted."""
    if not is_warm:
        work()
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return float(best)


def ours(name: str, arguments: dict[str, Any], labels: np.ndarray, images: Images) -> int:
    """Measure one family through its module; return the number of columns."""
    module = registry.load("modules", name)
    inputs: dict[str, Any] = {"extract_objects": labels}
    if "intensity_image" in module.inputs:
        inputs["intensity_image"] = images
    found = module(module.Arguments(**arguments), inputs)["measurements"]
    return len(found.columns)


def own_times(labels: np.ndarray, images: Images, repeat: int) -> tuple[dict[str, float], int]:
    """Return seconds of each family on one channel (colocalisation on two), and shared columns."""
    one = {"DNA": images["DNA"]}
    families = {**SHARED, **OWN}
    times = {
        family: seconds(lambda f=families[family]: ours(*f, labels, one), repeat)  # type: ignore[misc]
        for family in families
    }
    times["colocalisation"] = seconds(lambda: ours(*PAIR, labels, images), repeat)
    return times, sum(ours(*SHARED[family], labels, one) for family in SHARED)


def peer_times(labels: np.ndarray, images: Images, accelerator: str | None) -> dict[str, float]:
    """Return seconds of cp_measure's families; one run each, as it compiles little."""
    import cp_measure
    from cp_measure.bulk import get_core_measurements, get_correlation_measurements

    cp_measure.set_accelerator(accelerator)
    scaled = images["DNA"] / 255
    core = get_core_measurements()
    if accelerator:
        small = labels[:128, :128]
        for measure in core.values():
            measure(small, scaled[:128, :128])
    times = {
        family: sum(
            seconds(lambda m=core[name]: m(labels, scaled), 1, is_warm=True)  # type: ignore[misc]
            for name in names
        )
        for family, names in GROUPS.items()
    }
    pair = images["DNA"], images["Actin"]
    as_floats = tuple(image.astype(np.float64) for image in pair)
    times["colocalisation"] = sum(
        seconds(
            lambda m=m, c=pair if name == "costes" else as_floats: m(*c, labels),  # type: ignore[misc]
            1,
            is_warm=True,
        )
        for name, m in get_correlation_measurements().items()
    )
    return times


def per_second(times: Mapping[str, float], families: Mapping[str, object], n: int) -> float:
    """Return objects per second over some families together."""
    return round(n / sum(times[family] for family in families), 1)


def measure_site(n: int, side: int, repeat: int) -> dict[str, object]:
    """Return the figures of a site of `n` objects."""
    labels, images = site_of_nuclei(side, n)
    times, columns = own_times(labels, images, repeat)
    report: dict[str, object] = {
        "objects": n,
        "mean_area_px": round(float((labels > 0).sum() / n), 1),
        "columns": columns,
        "cpu_s": {"tissuemaps": {k: round(v, 4) for k, v in times.items()}},
        "objects_per_s_per_core": {"tissuemaps": per_second(times, SHARED, n)},
        "all_families_objects_per_s_per_core": round(n / sum(times.values()), 1),
    }
    if importlib.util.find_spec("cp_measure") is None:
        return {**report, "cp_measure": "not installed: nothing to compare with"}
    ratios: dict[str, dict[str, float]] = {}
    for peer, accelerator in (("cp_measure", None), ("cp_measure, numba", "numba")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = peer_times(labels, images, accelerator)
        report["cpu_s"][peer] = {k: round(v, 4) for k, v in theirs.items()}  # type: ignore[index]
        report["objects_per_s_per_core"][peer] = per_second(theirs, SHARED, n)  # type: ignore[index]
        ratios[peer] = {family: round(theirs[family] / times[family], 1) for family in theirs}
        ratios[peer]["all shared"] = round(
            sum(theirs[f] for f in SHARED) / sum(times[f] for f in SHARED), 1
        )
    return {**report, "ratio": ratios, "goal": 5}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--side", type=int, default=1800)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    sites = [measure_site(n, given.side, given.repeat) for n in given.objects]
    report = {
        "benchmark": "features",
        "machine": platform.processor() or platform.machine(),
        "image": [given.side, given.side],
        "sites": sites,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
