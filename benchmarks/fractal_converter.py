"""One measurement of fractal-uzh-converters for `benchmarks.conversion`, in that package's environment.

PYTHON benchmarks/fractal_converter.py ROOT    (ROOT/warm and ROOT/plate are CellVoyager folders)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What the converter demands of MeasurementDetail.mrf and our simulator leaves out.
_DEMANDED = {
    "MeasurementChannel": 'bts:InputLevel="0" bts:FilterWheelPosition="0" bts:ShadingCorrectionSource="-"',
    "MeasurementDetail": 'bts:Application="-" bts:ReleaseNumber="-"',
    "MeasurementSamplePlate": 'bts:WellPlateProductFileName="-"',
}


def _complete(source: Path) -> None:
    """Add the demanded attributes to a simulated folder."""
    path = source / "MeasurementDetail.mrf"
    text = path.read_text(encoding="utf-8-sig")
    if "ReleaseNumber" not in text:
        for element, attributes in _DEMANDED.items():
            text = text.replace(f"<bts:{element} ", f"<bts:{element} {attributes} ")
        path.write_text(text)


def _convert(source: Path, target: Path) -> None:
    from fractal_uzh_converters.cellvoyager._utils import CellVoyagerAcquisitionModel
    from fractal_uzh_converters.cellvoyager.api import convert_cellvoyager
    from ome_zarr_converters_tools import ConverterOptions

    _complete(source)
    options = ConverterOptions.model_validate(
        {"tiling_strategy": {"mode": "No Tiling"}, "omezarr_options": {"num_levels": 1}}
    )
    convert_cellvoyager(
        zarr_dir=str(target),
        acquisitions=[CellVoyagerAcquisitionModel(path=str(source), plate_name="p")],
        converter_options=options,
    )


def _memory_mb(name: str) -> float:
    """Return the memory of this process (VmRSS), or its peak since `measured` began (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1000
    return 0.0


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Do some work and return its CPU and wall seconds, memory before it and peak memory."""
    # Linux forgets the peak so far; what exec or a parent needed before would count otherwise.
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory_mb("VmRSS")
    started, wall = time.process_time(), time.perf_counter()
    work()
    return {
        "cpu_s": time.process_time() - started,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": _memory_mb("VmHWM"),
        "before_mb": before,
    }


def main(root: Path) -> dict[str, float]:
    """Return CPU seconds and memory."""
    _convert(root / "warm", root / "fractal-warm")
    return measured(lambda: _convert(root / "plate", root / "fractal"))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
