"""How fast planes become OME-Zarr: imextract against tifffile + zarr-python, per core, same codec.

python -m benchmarks.conversion [wells]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.runner.execute import run_step
from tissuemaps.cli.simulate import simulate_plate


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _ours(root: Path, source: Path) -> tuple[float, dict[str, Any]]:
    """Return CPU seconds of imextract and what it says; metadata is read before."""
    experiment = ExperimentDescription(
        id=uuid4(),
        name="benchmark",
        acquisitions=(
            AcquisitionDescription(
                id=uuid4(), name="a", plate=uuid4(), plate_name="p", index=0, folder=str(source)
            ),
        ),
    )
    inputs: dict[str, str] = {}
    for step in ("metaextract", "metaconfig"):
        inputs |= run_step(root, step, experiment, {}, inputs)[0].products
    seconds, (output, _) = _cpu(lambda: run_step(root, "imextract", experiment, {}, inputs))
    return seconds, output.output


def _plain(folder: Path, files: list[Path]) -> None:
    """Write each plane as one sharded zarr array, as a careful script would."""
    import tifffile
    import zarr
    from zarr.codecs import BloscCodec

    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    for file in files:
        plane = tifffile.imread(file)
        array = zarr.create_array(
            folder / f"{file.stem}.zarr",
            shape=plane.shape,
            dtype=plane.dtype,
            chunks=(512, 512),
            shards=tuple(-(-n // 512) * 512 for n in plane.shape),
            compressors=codec,
        )
        array[:] = plane


def main(wells: int = 4) -> dict[str, Any]:
    """Return MB/s per core of both ways, and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        simulate_plate(root / "warm", rows=1, columns=1, sites=(1, 1), size=512, seed=1)
        _ours(root / "warm-out", root / "warm")
        simulate_plate(root / "plate", rows=1, columns=wells, sites=(2, 2), size=1024, seed=2)
        files = sorted((root / "plate").glob("*.tif"))
        megabytes = len(files) * 1024 * 1024 * 2 / 1e6
        seconds, output = _ours(root / "ours", root / "plate")
        plain, _ = _cpu(lambda: _plain(root / "plain", files))
    return {
        "planes": output["planes"],
        "raw_mb": round(megabytes),
        "tissuemaps_mb_s": round(megabytes / seconds, 1),
        "zarr_python_mb_s": round(megabytes / plain, 1),
        "ratio": round(plain / seconds, 2),
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
    }


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:2])), indent=1))
