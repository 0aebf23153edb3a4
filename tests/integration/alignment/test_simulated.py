"""A simulated plate of two cycles, from the microscope's files to objects measured in both."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.runner.execute import run_step
from gpu_workers.storage.alignment import Alignment, load_manifest
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.objects import load_manifest as load_objects
from tests.integration.conversion.source import Converted, convert, experiment
from tests.integration.mosaics.plates import experiment as someone
from tissuemaps.cli.simulate import simulate_plate
from tissuemaps.cli.simulate.truth import Truth


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Converted, Truth]:
    root = tmp_path_factory.mktemp("cycles")
    truth = simulate_plate(
        root / "plate", rows=2, columns=2, sites=(2, 2), size=384, cycles=3, channels=2, seed=4
    )
    folders = [root / "plate" / f"cycle_{n + 1}" for n in range(3)]
    described = experiment(*folders, plates=[0, 0, 0], mode="multiplexing")
    return convert(root / "root", described), truth


def test_shifts_of_the_simulator_are_found(simulated: tuple[Converted, Truth]) -> None:
    made, truth = simulated

    output, problems = run_step(made.root, "align", someone(), {}, made.inputs)

    manifest = load_manifest(made.root, output.products["alignment"])
    aligned = Alignment.open(made.root, output.products["alignment"])
    plate = made.layout.plates[0]
    assert problems == []
    assert manifest.reference_channel == "DAPI"
    assert (manifest.n_shifts, manifest.n_outliers) == (32, 0)
    for site in plate.sites:
        for cycle in (1, 2):
            # What the simulator moved by a shift belongs back by as much.
            expected = -truth.cycle_shifts[cycle]
            assert aligned.shift(plate.id, site.index, cycle) == pytest.approx(expected, abs=0.2)
    for model in manifest.models:
        assert model.rotation_deg == pytest.approx(0, abs=0.001)
        assert model.residual_px < 0.15


def test_objects_are_measured_in_all_cycles(simulated: tuple[Converted, Truth]) -> None:
    made, _ = simulated
    aligned, _ = run_step(made.root, "align", someone(), {}, made.inputs)
    inputs = made.inputs | aligned.products

    found, _ = run_step(made.root, "jterator", someone(), {"cells": "expansion"}, inputs)
    without, _ = run_step(made.root, "jterator", someone(), {"cells": "expansion"}, made.inputs)

    def agreement(path: str) -> float:
        manifest = load_objects(made.root, path)
        names = [
            f.name
            for f in manifest.type("Nuclei").features
            if f.name.startswith("Intensity_mean") and f.name.endswith("DAPI")
        ]
        store = FeatureStore(made.root, manifest)
        columns = store.columns("Nuclei", made.layout.plates[0].id, tuple(names))
        assert len(names) == 3
        return float(np.corrcoef([columns[n] for n in names]).min())

    # The same nuclei with the same stain; unaligned, each cycle measures half of a nucleus.
    assert agreement(found.products["objects"]) > 0.97
    assert agreement(without.products["objects"]) < 0.9
