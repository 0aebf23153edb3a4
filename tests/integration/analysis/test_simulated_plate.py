"""A simulated plate with overlapping sites gives its true number of nuclei, none of them twice."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy.spatial import cKDTree

from gpu_workers.runner.execute import run_step
from gpu_workers.storage.features import FeatureStore
from tests.integration.conversion.source import convert, experiment
from tissuemaps.cli.simulate import simulate_plate


@pytest.mark.parametrize("vendor", ["imagexpress", "cellvoyager"])
def test_counts_are_true_within_a_percent(
    tmp_path: Path, vendor: Literal["imagexpress", "cellvoyager"]
) -> None:
    truth = simulate_plate(
        tmp_path / "plate", vendor=vendor, rows=1, columns=2, sites=(2, 2), size=512, channels=3,
        overlap=0.1, seed=3, threads=1,
    )  # fmt: skip
    description = experiment(tmp_path / "plate")
    root = tmp_path / "experiment"
    converted = convert(root, description)

    output, problems = run_step(root, "jterator", description, {}, converted.inputs)

    (plate,) = converted.layout.plates
    store = FeatureStore(root, output.products["objects"])
    at = store.positions("Nuclei", plate.id)
    assert problems == []
    assert output.output["objects"]["Nuclei"] == pytest.approx(truth.total, rel=0.01)
    places = np.stack([at["y"], at["x"]], axis=1)
    assert not cKDTree(places).query_pairs(float(truth.radius.min()))
    wells = {s.index: s.well for s in plate.sites}
    names = np.array([wells[s] for s in at["site"]])
    for well in plate.wells:
        centres = truth.of_well(well.name) + np.array([well.y, well.x])
        distance, nearest = cKDTree(centres).query(places[names == well.name])
        hit = nearest[distance < truth.radius.mean()]
        assert len(np.unique(hit)) == pytest.approx(truth.count(well.name), rel=0.02)
