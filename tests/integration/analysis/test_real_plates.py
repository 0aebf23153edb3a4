"""Plates whose biology is known, from their files to numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from gpu_workers.pipelines.prepared import prepare
from gpu_workers.pipelines.templates import NucleiAndCells, nuclei_and_cells
from gpu_workers.runner.execute import run_step
from gpu_workers.storage.features import FeatureStore
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import convert, experiment

pytestmark = pytest.mark.data


def well_ratios(store: FeatureStore, plate: str, channel: str) -> dict[str, float]:
    """Return each well's median ratio of nucleus to ring, joined by site and label."""
    keys = ["site", "t", "z", "label"]
    tables = []
    for name in ("Nuclei", "Cytoplasm"):
        at = pd.DataFrame({k: store.positions(name, plate)[k] for k in keys})
        feature = f"Intensity_mean_{channel}"
        tables.append(at.assign(value=store.column(name, plate, feature)))
    both = tables[0].merge(tables[1], on=keys, suffixes=("_nucleus", "_ring"))
    ratio = (both["value_nucleus"] / both["value_ring"]).groupby(both["site"]).median()
    return dict(ratio)


def test_the_dose_response_of_bbbc013(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    description = experiment(unpacked("sbs_bbbc013_rowA", tmp_path_factory))
    converted = convert(tmp_path, description)
    arguments = {
        "nuclei_channel": "Channel2", "cells": "expansion", "expansion": 5, "cytoplasm": True
    }  # fmt: skip

    output, problems = run_step(tmp_path, "jterator", description, arguments, converted.inputs)

    store = FeatureStore(tmp_path, output.products["objects"])
    (plate,) = converted.layout.plates
    columns = {s.index: int(s.well[1:]) for s in plate.sites}
    ratio = {columns[s]: v for s, v in well_ratios(store, plate.id, "Channel1").items()}
    low, high = [ratio[c] for c in range(1, 6)], [ratio[c] for c in range(7, 13)]
    assert problems == []
    assert output.output["objects"]["Nuclei"] > 2000
    assert min(high) >= 2.5 * max(low)
    assert max(low) < ratio[6] < min(high)


def test_a_real_plate_with_overlapping_sites_and_stacks(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433")
    description = experiment(next(p for p in folder.rglob("*3433*") if p.is_dir()))
    converted = convert(tmp_path, description)

    output, _ = run_step(tmp_path, "jterator", description, {}, converted.inputs)

    found = output.output["objects"]
    store = FeatureStore(tmp_path, output.products["objects"])
    (plate,) = converted.layout.plates
    at = store.positions("Nuclei", plate.id)
    assert found["Nuclei"] > 20
    assert found["Cells"] == found["Nuclei"]
    assert np.isfinite(store.column("Nuclei", plate.id, "Morphology_Area")).all()
    # no two objects of a plane share a place
    places = pd.DataFrame({k: at[k] for k in ("t", "z", "y", "x")}).round(0)
    assert not places.duplicated().any()


def test_nuclei_and_their_intensities_agree_with_cellprofiler() -> None:
    folder = data_set("examplehuman_cellprofiler_features")
    stem = "AS_09125_050116030001_D03f00d"
    images = {f"d{i}": tifffile.imread(folder / f"{stem}{i}.tif") for i in (0, 1, 2)}
    peer = pd.read_csv(folder / "Nuclei.csv")
    options = NucleiAndCells(nuclei="d0", cells="d2")

    found = prepare(nuclei_and_cells(options), tuple(images)).run(images, (512, 512))

    nuclei = found["Nuclei"]
    assert nuclei.labels.max() == pytest.approx(len(peer), rel=0.05)
    area = np.median(nuclei.columns["Morphology_Area"])
    assert area == pytest.approx(peer["AreaShape_Area"].median(), rel=0.2)
    mean = np.median(nuclei.columns["Intensity_mean_d0"]) / 255
    assert mean == pytest.approx(peer["Intensity_MeanIntensity_DNA"].median(), rel=0.2)
