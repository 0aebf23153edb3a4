"""How fast planes become OME-Zarr, and in how much memory: imextract against peers, per core.

python -m benchmarks.conversion [wells] [repeats] [--converter PYTHON]

Each way converts the same simulated plate in a process of its own, after a small one that is not
measured; peers take part where they are installed. MB/s are uncompressed pixels per second of CPU time
(threads included), medians over the repeats; memory is the process's peak and what it had before. The
peers:

- ``zarr_python``: tifffile, and one sharded array a plane with our codec, as a careful script would;
- ``ome_zarr_py``: ome-zarr-py writing images, wells and plate with our chunks, shards and codec;
  ``ome_zarr_py_default``: the same with its own codec and a file a chunk;
- ``fractal``: the CellVoyager converter of fractal-uzh-converters, which took over from
  fractal-tasks-core, one image a field and one level; with the Python named by ``--converter``, whose
  environment has it.

Only imextract records checksums. Nobody else reads its metadata here, but fractal's figure includes it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from benchmarks.fractal_converter import measured
from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.runner.execute import run_step
from tissuemaps.cli.simulate import simulate_plate

WAYS = ("tissuemaps", "zarr_python", "ome_zarr_py", "ome_zarr_py_default")
CHUNK = 512


def _experiment(source: Path) -> ExperimentDescription:
    acquisition = AcquisitionDescription(
        id=UUID(int=1 << 100), name="a", plate=UUID(int=2 << 100), plate_name="p", index=0, folder=str(source)
    )  # fmt: skip
    return ExperimentDescription(id=UUID(int=3), name="benchmark", acquisitions=(acquisition,))


def _tissuemaps(source: Path, target: Path) -> Callable[[], Any]:
    """Return imextract on a plate whose metadata has been read."""
    experiment = _experiment(source)
    inputs: dict[str, str] = {}
    for step in ("metaextract", "metaconfig"):
        inputs |= run_step(target, step, experiment, {}, inputs)[0].products
    return lambda: run_step(target, "imextract", experiment, {}, inputs)[0].output


def _zarr_python(source: Path, target: Path) -> Callable[[], Any]:
    import tifffile
    import zarr
    from zarr.codecs import BloscCodec

    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")

    def convert() -> None:
        for file in sorted(source.rglob("*.tif")):
            plane = tifffile.imread(file)
            array = zarr.create_array(
                target / f"{file.stem}.zarr",
                shape=plane.shape,
                dtype=plane.dtype,
                chunks=(CHUNK, CHUNK),
                shards=tuple(-(-n // CHUNK) * CHUNK for n in plane.shape),
                compressors=codec,
            )
            array[:] = plane

    return convert


def _ome_zarr_py(source: Path, target: Path, *, ours: bool) -> Callable[[], Any]:
    """Return ome-zarr-py writing the same plate, image by image; it gets the layout for nothing."""
    import dask
    import numpy as np
    import tifffile
    import zarr
    from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

    dask.config.set(scheduler="synchronous")
    layout, rows = _layout(source, target)
    sites = layout.plates[0].sites
    raw = {s.index: str(s.raw) for s in sites}
    wells = sorted({path.rpartition("/")[0] for path in raw.values()})
    files: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda r: (r["site"], r["channel"], r["z"])):
        files.setdefault(row["site"], []).append(row["file"])

    def convert() -> None:
        group = zarr.open_group(target / "plate.zarr", mode="w")
        names = {w.partition("/")[0] for w in wells}, {w.partition("/")[2] for w in wells}
        write_plate_metadata(group, sorted(names[0]), sorted(names[1], key=int), wells)
        for well in wells:
            own = [p.rpartition("/")[2] for p in raw.values() if p.startswith(f"{well}/")]
            write_well_metadata(group.require_group(well), own)
        for site in sites:
            planes = [tifffile.imread(source / f) for f in files[site.index]]
            shape = 1, len(layout.channels), layout.n_zplanes, site.height, site.width
            write_image(
                np.stack(planes).reshape(shape),
                group.require_group(raw[site.index]),
                axes="tczyx",
                scale_factors=[],
                storage_options=_storage(shape, ours=ours),
            )

    return convert


def _storage(shape: tuple[int, ...], *, ours: bool) -> dict[str, Any]:
    """Return ome-zarr-py's storage options: our shards and codec, or its own codec."""
    from zarr.codecs import BloscCodec

    chunks = {"chunks": (1, 1, 1, CHUNK, CHUNK)}
    if not ours:
        return chunks
    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    shards = (1, 1, 1, *(-(-n // CHUNK) * CHUNK for n in shape[3:]))
    return {**chunks, "shards": shards, "compressors": [codec]}


def _layout(source: Path, target: Path) -> tuple[Any, list[dict[str, Any]]]:
    from gpu_workers.storage import tables
    from gpu_workers.storage.layout import load_layout, planes_path

    inputs: dict[str, str] = {}
    for step in ("metaextract", "metaconfig"):
        inputs |= run_step(target, step, _experiment(source), {}, inputs)[0].products
    layout = load_layout(target, inputs["layout"])
    return layout, tables.read_table(target / planes_path(layout.key)).to_pylist()


def _prepare(way: str, source: Path, target: Path) -> Callable[[], Any]:
    if way == "tissuemaps":
        return _tissuemaps(source, target)
    if way == "zarr_python":
        return _zarr_python(source, target)
    return _ome_zarr_py(source, target, ours=way == "ome_zarr_py")


def measure(way: str, root: Path) -> dict[str, float]:
    """Return CPU seconds and memory of one way, in this process."""
    _prepare(way, root / "warm", root / f"{way}-warm")()
    return measured(_prepare(way, root / "plate", root / way))


def _run(argv: list[str]) -> dict[str, float]:
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(
    wells: int = 4, repeats: int = 1, converter: str | None = None, z: int = 1, size: int = 1024
) -> dict[str, Any]:
    """Return MB/s per core and peak memory of each way, and how often ours is faster."""
    ways = [w for w in WAYS if not w.startswith("ome") or find_spec("ome_zarr")]
    seen: dict[str, list[dict[str, float]]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            how: dict[str, Any] = {"vendor": "cellvoyager", "rows": 1, "seed": repeat}
            simulate_plate(root / "warm", columns=1, sites=(1, 1), size=512, **how)
            simulate_plate(root / "plate", columns=wells, sites=(2, 2), size=size, z=z, **how)
            files = list((root / "plate").rglob("*.tif"))
            megabytes = len(files) * size * size * 2 / 1e6
            for way in ways:
                argv = [sys.executable, "-m", "benchmarks.conversion", "--way", way, str(root)]
                seen.setdefault(way, []).append(_run(argv))
            if converter:
                script = Path(__file__).with_name("fractal_converter.py")
                seen.setdefault("fractal", []).append(_run([converter, str(script), str(root)]))
    found: dict[str, Any] = {"planes": len(files), "raw_mb": round(megabytes), "repeats": repeats}
    ours = median(r["cpu_s"] for r in seen["tissuemaps"])
    for way, runs in seen.items():
        seconds = median(r["cpu_s"] for r in runs)
        found[f"{way}_mb_s"] = round(megabytes / seconds, 1)
        found[f"{way}_ratio"] = round(seconds / ours, 2)
        found[f"{way}_peak_mb"] = round(median(r["peak_mb"] for r in runs))
        found[f"{way}_added_mb"] = round(median(r["peak_mb"] - r["before_mb"] for r in runs))
    found["machine"] = f"{os.cpu_count()} x {platform.processor() or platform.machine()}"
    found["load"] = [round(n, 1) for n in os.getloadavg()]
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversion", description=__doc__)
    parser.add_argument("wells", type=int, nargs="?", default=4)
    parser.add_argument("repeats", type=int, nargs="?", default=3)
    parser.add_argument("--converter", help="Python of an environment with fractal-uzh-converters")
    parser.add_argument("--z", type=int, default=1, help="planes of each stack")
    parser.add_argument("--size", type=int, default=1024, help="side of a plane, px")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        asked = _arguments()
        result = main(asked.wells, asked.repeats, asked.converter, asked.z, asked.size)
        print(json.dumps(result, indent=1))
