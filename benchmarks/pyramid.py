"""Mosaic with all its levels against ngff-zarr and ome-zarr-py on the same array; prints JSON.

CPU time of one process, MB of level 0 a second and core. ``writer``: the finished level 0 from memory
to all levels on disk, which is what the peers do. ``step``: the whole of illuminati, which also
reads and decodes the sites, decides each pixel's owner and counts all values. The peers
write with their own settings, sharded and not, ome-zarr-py also with our codec; what is not installed is left out.
Run: ``python -m benchmarks.pyramid [wells]``.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS", "DASK_NUM_WORKERS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the limits on threads

SITE = 1024
CHANNELS = 2


def _pixels(seed: int) -> np.ndarray:
    """Return an image like a camera's: cells over a background, with photon and read noise."""
    import cv2

    rng = np.random.default_rng(seed)
    spots = (rng.random((SITE, SITE)) < 0.0008).astype(np.float32)
    cells = cv2.GaussianBlur(spots, (0, 0), 6) * 90000
    photons = rng.poisson((cells + 60) * 0.46) / 0.46
    return np.clip(photons + rng.normal(100, 1.6, photons.shape), 0, 65535).astype(np.uint16)


def _cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    found = function()
    return time.process_time() - started, found


def _plate(root: Path, wells: int) -> tuple[dict[str, str], int]:
    """Write a plate of wells of 2 x 2 sites with a tenth of overlap."""
    from tests.integration.mosaics import plates

    step = SITE - SITE // 10
    boxes = [
        [(y * step, 2048 * w + x * step, SITE, SITE) for y in range(2) for x in range(2)]
        for w in range(wells)
    ]
    made = plates.layout(boxes, ("uint16",) * CHANNELS, height=2048, width=2048 * wells, shard=2048)
    different = [_pixels(seed) for seed in range(8)]
    planes = {
        (site, 0, c, 0): different[(site + 3 * c) % 8]
        for site in range(4 * wells)
        for c in range(CHANNELS)
    }
    return plates.write(root, made, planes), sum(p.nbytes for p in planes.values())


def _ours(root: Path, inputs: dict[str, str]) -> Path:
    from gpu_workers.runner.execute import run_step
    from gpu_workers.storage.mosaics import load_mosaic
    from tests.integration.mosaics import plates

    output, _ = run_step(root, "illuminati", plates.experiment(), {}, inputs)
    return root / load_mosaic(root, output.products["mosaic"]).plates[0].path


def _writer(image: np.ndarray, folder: Path) -> None:
    from gpu_workers.imaging.mosaic import downsample_mean
    from gpu_workers.storage.pyramid import Pyramid, plan_rounds

    channels, height, width = image.shape
    side = 2048
    pyramid = Pyramid(folder, (1, channels, 1, height, width), "uint16", side, 4)
    for round_ in plan_rounds(side, 4, 2):
        for c, sy, sx in np.ndindex(channels, *pyramid.grid(round_.top)):
            pyramid.build(
                round_,
                (0, c, 0),
                sy,
                sx,
                lambda part, *_: downsample_mean(part),
                lambda p, y, x: image[p[1], y * side : (y + 1) * side, x * side : (x + 1) * side],
            )
    pyramid.write_metadata(name="benchmark", pixel_size_um=1)


def _ngff(image: np.ndarray, target: Path, *, sharded: bool) -> None:
    import dask
    import ngff_zarr

    dask.config.set(scheduler="synchronous")
    made = ngff_zarr.to_ngff_image(image, dims=["c", "y", "x"])
    scales = [2, 4, 8]
    levels = ngff_zarr.to_multiscales(
        made, scale_factors=scales, chunks={"c": 1, "y": 512, "x": 512},
        method=ngff_zarr.Methods.ITKWASM_BIN_SHRINK,
    )  # fmt: skip
    more = {"chunks_per_shard": {"c": 1, "y": 4, "x": 4}} if sharded else {}
    ngff_zarr.to_ngff_zarr(str(target), levels, version="0.5", **more)


def _ome_zarr(image: np.ndarray, target: Path, *, ours: bool, sharded: bool) -> None:
    import dask
    from ome_zarr.writer import write_image
    from zarr.codecs import BloscCodec

    dask.config.set(scheduler="synchronous")
    options: dict[str, Any] = {"chunks": (1, 512, 512)}
    if sharded:
        options["shards"] = (1, 2048, 2048)
    if ours:
        options["compressors"] = [BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")]
    write_image(image, str(target), axes="cyx", scale_factors=[2, 4, 8], storage_options=options)


def _peers(image: np.ndarray, root: Path) -> dict[str, Callable[[], None]]:
    """Return the peers that are installed, by the name their figure gets."""
    peers: dict[str, Callable[[], None]] = {}
    if find_spec("ngff_zarr") is not None:
        peers["ngff_zarr"] = lambda: _ngff(image, root / "n.zarr", sharded=False)
        peers["ngff_zarr_sharded"] = lambda: _ngff(image, root / "ns.zarr", sharded=True)
    if find_spec("ome_zarr") is not None:
        for name, (ours, sharded) in {
            "ome_zarr_py": (False, False),
            "ome_zarr_py_sharded": (False, True),
            "ome_zarr_py_our_codec": (True, False),
        }.items():
            peers[name] = partial(
                _ome_zarr, image, root / f"{name}.zarr", ours=ours, sharded=sharded
            )
    return peers


def main(wells: int = 6) -> dict[str, Any]:
    """Return MB/s per core of ours and of the peers, and the ratios."""
    import zarr

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        warm, _ = _plate(root / "warm", 1)
        _ours(root / "warm", warm)
        inputs, raw_bytes = _plate(root / "plate", wells)
        seconds, folder = _cpu(lambda: _ours(root / "plate", inputs))
        group = zarr.open_group(folder, mode="r")
        image = group["0"][0, :, 0]
        megabytes = image.nbytes / 1e6
        found["tissuemaps_step"] = round(megabytes / seconds, 1)
        seconds, _ = _cpu(lambda: _writer(image, root / "writer.zarr"))
        found["tissuemaps_writer"] = round(megabytes / seconds, 1)
        found["level_0_mb"], found["raw_mb"] = round(megabytes), round(raw_bytes / 1e6)
        for peer, write in _peers(image, root).items():
            seconds, _ = _cpu(write)
            found[peer] = round(megabytes / seconds, 1)
            found[f"ratio_to_{peer}"] = round(found["tissuemaps_writer"] / found[peer], 1)
    found["machine"] = f"{os.cpu_count()} x {platform.processor() or platform.machine()}"
    return found


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:2])), indent=1))
