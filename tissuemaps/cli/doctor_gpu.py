"""``./run doctor --gpu``: every operation on the CPU against its device half, and how fast each is."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers import xp
from gpu_workers.errors import UserError
from gpu_workers.imaging.device import comparison
from tissuemaps.embedded.errors import StartError

ROW = "{:<22} {:>11} {:>10} {:>10} {:>10} {:>9}  {}"
HEAD = ("operation", "difference", "tolerance", "CPU ms", "GPU ms", "speed-up", "")


def _versions() -> str:
    """Return cupy's and cucim's packages with their versions."""
    known = {}
    for found in distributions():
        name = str(found.metadata["Name"] or "").lower()
        if name.startswith(("cupy", "cucim")):
            known[name] = found.version
    return ", ".join(f"{n} {v}" for n, v in sorted(known.items())) or "cupy of no package"


def _number(version: int) -> str:
    """Return CUDA's number for a version as people write it: 12090 is 12.9."""
    return f"{version // 1000}.{version % 1000 // 10}"


def device_line() -> str:
    """Return device, memory, driver and versions in one line."""
    runtime = import_module("cupy").cuda.runtime
    facts = runtime.getDeviceProperties(0)
    memory = facts["totalGlobalMem"] / 2**30
    driver, own = _number(runtime.driverGetVersion()), _number(runtime.runtimeGetVersion())
    return (
        f"{facts['name'].decode()}, {memory:.0f} GiB, compute {facts['major']}.{facts['minor']}, driver for"
        f" CUDA {driver}, runtime {own}, {_versions()}"
    )


def _image(path: Path) -> NDArray[Any]:
    """Return the first plane of an image file."""
    from gpu_workers.pipelines.plain.images import read_channels

    try:
        image = read_channels({"image": path})["image"]
    except UserError as error:
        raise StartError(f"{path}: {error.message}") from error
    if image is None:
        raise StartError(f"{path} holds no image")
    return np.ascontiguousarray(image if image.ndim == 2 else image[0])


def _line(case: comparison.Case, given: comparison.Scene, times: int) -> tuple[str, bool]:
    """Return the row of one operation and whether both sides agree."""
    tolerance = f"{case.tolerance:.0e}" if case.tolerance else "0"
    try:
        found = comparison.compare(case, given, times)
    except Exception as error:  # noqa: BLE001  each failure is a line of the report
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return ROW.format(case.name, "", tolerance, "", "", "", f"FAILED  {reason}"), False
    numbers = (
        f"{found.difference:.1e}" if found.difference else "0",
        tolerance,
        f"{found.cpu_s * 1000:.2f}",
        f"{found.gpu_s * 1000:.2f}",
        f"{found.cpu_s / max(found.gpu_s, 1e-9):.1f}",
    )
    verdict = "ok" if found.agrees else "DIFFERS"
    return ROW.format(case.name, *numbers, verdict), found.agrees


def doctor_gpu(image: Path | None = None, side: int = 2048, times: int = 5) -> int:
    """Print a table of all operations for a simulated image and the given one.

    The exit code is 1 where an operation differs or fails; 0 without a device, which is told.

    Raises
    ------
    StartError
        The image can't be read.
    """
    given = [(f"simulated, {side} x {side} px", comparison.simulated((side, side)))]
    if image is not None:
        real = _image(image)
        given.append((f"{image.name}, {real.shape[0]} x {real.shape[1]} px", real))
    if not xp.has_gpu():
        absent = "no CUDA device" if find_spec("cupy") else "cupy is not installed"
        print(f"gpu           {absent}; nothing was compared, work runs on the CPU")
        return 0
    print(f"gpu           {device_line()}")
    n_wrong = 0
    for title, pixels in given:
        scene = comparison.scene(pixels)
        print(f"\n{title}, {int(scene.labels.max())} objects\n{ROW.format(*HEAD).rstrip()}")
        for case in comparison.CASES:
            line, agrees = _line(case, scene, times)
            n_wrong += not agrees
            print(line, flush=True)
    print(f"\n{n_wrong} of {len(given) * len(comparison.CASES)} comparisons differ or failed")
    return 1 if n_wrong else 0
