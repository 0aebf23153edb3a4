"""Seconds and memory until the layout of many small files stands: no pixel is copied.

One process does everything; on a platform the jobs of ``metaextract_run`` (1,000 files each) share
the cores.

    python -m benchmarks.indexing [files] [imagexpress|cellvoyager]

The files are hard links of one tiny TIFF image under the names of a plate of 384 wells, 9 sites and 4
channels with as many z planes as it takes.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from gpu_workers.formats.listing import scan
from gpu_workers.formats.reader import choose
from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import run_step
from gpu_workers.steps.metaextract import MetaExtract, MetaExtractArguments

# A file has at most 65,000 names on ext4.
LINKS = 50_000
WELLS = [f"{chr(65 + row)}{column:02d}" for row in range(16) for column in range(1, 25)]
_METASERIES = """<MetaData><PlaneInfo>
<prop id="spatial-calibration-state" type="bool" value="on"/>
<prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-units" type="string" value="um"/>
<prop id="stage-position-x" type="float" value="1000"/>
<prop id="stage-position-y" type="float" value="2000"/>
<prop id="wavelength" type="float" value="450"/>
</PlaneInfo></MetaData>"""
_RECORD = (
    '<bts:MeasurementRecord bts:Type="IMG" bts:Row="{row}" bts:Column="{column}" bts:TimePoint="1" '
    'bts:FieldIndex="{site}" bts:ZIndex="{z}" bts:TimelineIndex="1" bts:ActionIndex="1" bts:X="{x}" '
    'bts:Y="0" bts:Z="{z}" bts:Ch="{channel}">{name}</bts:MeasurementRecord>'
)
_MLF = '<bts:MeasurementData xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0">{}</bts:MeasurementData>'


def _planes(n: int) -> Iterator[tuple[str, int, int, int]]:
    every = itertools.product(range(1, 1000), WELLS, range(1, 10), range(1, 5))
    for z, well, site, channel in itertools.islice(every, n):
        yield well, site, channel, z


def _imagexpress(folder: Path, n: int) -> list[Path]:
    return [
        folder / f"TimePoint_1/ZStep_{z}/plate_{well}_s{site}_w{channel}.TIF"
        for well, site, channel, z in _planes(n)
    ]


def _cellvoyager(folder: Path, n: int) -> list[Path]:
    names, records = [], []
    for well, site, channel, z in _planes(n):
        name = f"p_{well}_T0001F{site:03d}L01A01Z{z:02d}C{channel:02d}.tif"
        row, column = ord(well[0]) - 64, int(well[1:])
        records.append(
            _RECORD.format(
                row=row, column=column, site=site, z=z, x=site * 9, channel=channel, name=name
            )
        )
        names.append(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MeasurementData.mlf").write_text(_MLF.format("".join(records)))
    return names


VENDORS: dict[str, Callable[[Path, int], list[Path]]] = {
    "imagexpress": _imagexpress,
    "cellvoyager": _cellvoyager,
}


def make(folder: Path, n: int, vendor: str) -> Path:
    """Write `n` files of a vendor's names."""
    import numpy as np
    import tifffile

    for number, path in enumerate(VENDORS[vendor](folder, n)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % LINKS == 0:
            tifffile.imwrite(
                path, np.zeros((32, 32), "uint16"), description=_METASERIES, metadata=None
            )
            original = path
        else:
            path.hardlink_to(original)
    return folder


_counting: dict[str, Any] = {"below": None, "n": 0}


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    below = _counting["below"]
    if below and event == "open" and str(arguments[0]).startswith(below):
        _counting["n"] += 1


@contextmanager
def _opens(folder: Path) -> Iterator[None]:
    """Count the openings of files below a folder."""
    _counting.update(below=f"{folder}/", n=0)
    try:
        yield
    finally:
        _counting["below"] = None


def main(n_files: int = 100_000, vendor: str = "imagexpress") -> dict[str, Any]:
    """Return seconds of each phase, openings of each file, and peak memory of the whole process."""
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}

    def timed(phase: str, work: Callable[[], Any]) -> Any:
        started, used = time.perf_counter(), time.process_time()
        result = work()
        seconds[phase] = round(time.perf_counter() - started, 2)
        cpu[phase] = round(time.process_time() - used, 2)
        return result

    with tempfile.TemporaryDirectory() as name:
        folder = make(Path(name) / "source", n_files, vendor)
        experiment = ExperimentDescription(
            id=uuid4(), name="benchmark", plate_format=384,
            acquisitions=(
                AcquisitionDescription(
                    id=uuid4(), name="a", plate=uuid4(), plate_name="p", index=0, folder=str(folder)
                ),
            ),
        )  # fmt: skip
        root = Path(name) / "experiment"
        listing = timed("list", lambda: scan(folder))
        reader = timed("choose", lambda: choose(listing))
        timed("survey", lambda: reader.survey(listing))
        step, arguments = MetaExtract(), MetaExtractArguments()
        context = StepContext(root, experiment)
        plan = timed("metaextract_plan", lambda: step.plan(context, arguments))
        context = StepContext(root, experiment, key=plan.key)
        sys.addaudithook(_count)
        with _opens(folder):
            timed(
                "metaextract_run", lambda: [step.run(context, arguments, b) for b in plan.rounds[0]]
            )
        output = timed("metaextract_collect", lambda: step.collect(context, arguments))
        done = timed(
            "metaconfig",
            lambda: run_step(root, "metaconfig", experiment, {}, output.products)[0],
        )
    # "list", "choose" and "survey" are part of the plan and were measured on their own besides.
    whole, work = (
        sum(s for phase, s in spent.items() if phase.startswith("meta")) for spent in (seconds, cpu)
    )
    return {
        "files": n_files,
        "reader": reader.name,
        "planes": done.output["planes"],
        "batches": len(plan.rounds[0]),
        "opens_per_file": round(_counting["n"] / n_files, 2),
        "seconds": {**seconds, "whole": round(whole, 2)},
        "cpu_seconds": {**cpu, "whole": round(work, 2)},
        "files_per_s": round(n_files / whole),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
    }


if __name__ == "__main__":
    given = dict(zip(("n_files", "vendor"), sys.argv[1:3], strict=False))
    print(
        json.dumps(
            main(int(given.get("n_files", 100_000)), given.get("vendor", "imagexpress")), indent=1
        )
    )
