"""A simulated plate with overlapping sites, through all six steps: every true nucleus once, none twice."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
from scipy.spatial import cKDTree

from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths, tables
from tissuemaps.cli.simulate import Truth, simulate_plate
from tissuemaps.cli.warm import STEPS

ACQUISITION, PLATE, EXPERIMENT = UUID(int=1), UUID(int=2), UUID(int=3)


def analysed(root: Path) -> tuple[Truth, dict[str, str]]:
    truth = simulate_plate(
        root / paths.uploads(ACQUISITION), vendor="imagexpress", rows=1, columns=3, sites=(2, 2), size=512,
        overlap=0.1, missing_wells=[(1, 2)], seed=3,
    )  # fmt: skip
    acquisition = AcquisitionDescription(
        id=ACQUISITION,
        name="first",
        plate=PLATE,
        plate_name="plate",
        index=0,
        folder=paths.uploads(ACQUISITION),
    )
    experiment = ExperimentDescription(id=EXPERIMENT, name="simulated", acquisitions=(acquisition,))
    inputs: dict[str, str] = {}
    for name in STEPS:
        output, _ = run_step(root, name, experiment, {}, inputs)
        inputs.update(output.products)
    return truth, inputs


def test_every_true_nucleus_is_found_once(tmp_path: Path) -> None:
    # given a plate whose sites overlap by a tenth and that lacks a well
    truth, inputs = analysed(tmp_path)
    manifest = paths.read_json(tmp_path / inputs["objects"])
    plate = next(t for t in manifest["types"] if t["name"] == "Nuclei")["plates"][0]
    wells = {w.name: w for w in layouts.load_layout(tmp_path, inputs["layout"]).plates[0].wells}

    # then the counts agree within 1 % and nothing is counted twice
    assert abs(plate["n_objects"] - truth.total) <= 0.01 * truth.total
    assert {w["name"] for w in plate["wells"] if w["count"]} == set(truth.wells)
    for name in truth.wells:
        index = tables.read_table(tmp_path / plate["path"] / "index" / f"{name}.parquet")
        y, x = (index[axis].to_numpy() for axis in ("y", "x"))
        found = np.stack([y - wells[name].y, x - wells[name].x], axis=1)
        distance, nearest = cKDTree(truth.of_well(name)).query(found)
        assert len(np.unique(nearest)) == len(nearest)
        # Smoothing and the threshold move a centroid by less than a pixel; grain a little more.
        assert np.percentile(distance, 95) < 1.5
