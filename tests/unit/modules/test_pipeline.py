"""Pipelines are refused by name of what is wrong, and run as written."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Module
from gpu_workers.pipelines.prepared import pipeline_problems, prepare
from gpu_workers.pipelines.templates import (
    NucleiAndCells,
    choose_cells_channel,
    choose_nuclei_channel,
    nuclei_and_cells,
)
from gpu_workers.pipelines.text import parse_pipeline

CHANNELS = ("DAPI", "GFP")
GOOD: dict[str, Any] = {
    "channels": {"dna": "DAPI"},
    "modules": [
        {"module": "smooth", "inputs": {"image": "dna"}, "outputs": {"smoothed_image": "soft"}},
        {"module": "threshold_otsu", "inputs": {"image": "soft"}, "outputs": {"mask": "bright"}},
        {"module": "separate", "inputs": {"mask": "bright"}, "outputs": {"labels": "nuclei"}},
        {
            "module": "measure_intensity",
            "inputs": {"extract_objects": "nuclei", "intensity_image": "*"},
        },
    ],
    "objects": [{"name": "Nuclei", "labels": "nuclei"}],
}


def changed(*path: Any, to: Any = None, drop: bool = False) -> dict[str, Any]:
    """Return the good pipeline with one place changed or dropped."""
    data = copy.deepcopy(GOOD)
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return data


def test_a_good_pipeline_has_no_problem_and_tells_its_features() -> None:
    prepared = prepare(parse_pipeline(GOOD), CHANNELS)

    names = [f.name for f in prepared.features["Nuclei"]]
    expected = [
        f"Intensity_{s}_{c}" for c in CHANNELS for s in ("max", "mean", "min", "sum", "std")
    ]
    assert [n for n in names if n in expected] == expected


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (changed("channels", "dna", to="Hoechst"), "unknown_channel", "channels.dna"),
        (changed("modules", 0, "module", to="smoth"), "unknown_module", "modules.0 (smoth)"),
        (
            changed("modules", 0, "inputs", "image", drop=True),
            "missing_input",
            "modules.0 (smooth)",
        ),
        (changed("modules", 0, "inputs", "picture", to="dna"), "unknown_input", "inputs.picture"),
        (changed("modules", 1, "inputs", "image", to="sfot"), "unknown_variable", "modules.1"),
        (changed("modules", 2, "inputs", "mask", to="soft"), "wrong_type", "modules.2"),
        (changed("modules", 1, "outputs", "mask", to="soft"), "duplicate_variable", "modules.1"),
        (changed("modules", 1, "outputs", "mask", drop=True), "missing_output", "modules.1"),
        (changed("modules", 1, "outputs", "image", to="x"), "unknown_output", "outputs.image"),
        (
            changed("modules", 0, "arguments", to={"sigma": -1}),
            "invalid_arguments",
            "arguments.sigma",
        ),
        (
            changed("modules", 0, "arguments", to={"sgima": 1}),
            "invalid_arguments",
            "arguments.sgima",
        ),
        (
            changed("modules", 3, "inputs", "intensity_image", to="bright"),
            "wrong_type",
            "inputs.intensity_image",
        ),
        (changed("objects", 0, "labels", to="soft"), "wrong_type", "objects.0 (Nuclei)"),
        (changed("objects", to=[]), "no_result", "objects"),
        (changed("objects", 0, "labels", to="cells"), "unknown_variable", "objects.0 (Nuclei)"),
        (changed("objects", 0, "parent", to="Cells"), "unknown_parent", "objects.0 (Nuclei)"),
        (changed("objects", to=GOOD["objects"] * 2), "duplicate_object", "objects.1 (Nuclei)"),
        (
            changed("modules", to=[*GOOD["modules"], GOOD["modules"][3]]),
            "duplicate_feature",
            "modules",
        ),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], code: str, where: str) -> None:
    problems = pipeline_problems(parse_pipeline(data), CHANNELS)

    first = problems[0]
    assert first.code == code
    assert where in first.where
    with pytest.raises(UserError) as caught:
        prepare(parse_pipeline(data), CHANNELS)
    assert caught.value.code == code
    assert first.message in caught.value.message


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (changed("modules", drop=True), "modules"),
        (changed("channels", to=3), "channels"),
        (changed("modules", 0, "module", drop=True), "modules.0.module"),
        (changed("modul", to=1), "modul"),
        (changed("objects", 0, "name", to="../up"), "objects.0.name"),
        (changed("version", to=2), "version"),
    ],
)
def test_malformed_pipelines_name_the_key(data: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError, match=name) as caught:
        parse_pipeline(data)
    assert caught.value.code == "invalid_pipeline"


def test_all_problems_are_told_at_once() -> None:
    data = changed("channels", "dna", to="Hoechst")
    data["objects"][0]["labels"] = "cells"

    problems = pipeline_problems(parse_pipeline(data), CHANNELS)

    assert [p.code for p in problems] == ["unknown_channel", "unknown_variable"]


def spots() -> np.ndarray:
    image = np.full((64, 64), 100, np.uint16)
    image[10:20, 10:20] = 900
    image[40:52, 30:40] = 700
    return image


def test_the_built_in_pipeline_finds_and_measures() -> None:
    options = NucleiAndCells(nuclei="DAPI", sigma=0, correction=1, expansion=3, cytoplasm=True)
    prepared = prepare(nuclei_and_cells(options), CHANNELS)

    found = prepared.run({"DAPI": spots(), "GFP": spots() // 2}, (64, 64))

    nuclei, cells, ring = found["Nuclei"], found["Cells"], found["Cytoplasm"]
    assert nuclei.columns["Morphology_Area"].tolist() == [100, 120]
    assert nuclei.columns["Intensity_mean_DAPI"].tolist() == [900, 700]
    assert nuclei.columns["Intensity_mean_GFP"].tolist() == [450, 350]
    assert cells.columns["Intensity_min_DAPI"].tolist() == [100, 100]
    assert ring.columns["Intensity_max_DAPI"].tolist() == [100, 100]
    area = cells.columns["Morphology_Area"] - nuclei.columns["Morphology_Area"]
    assert ring.columns["Morphology_Area"].tolist() == area.tolist()


def test_nothing_in_the_image_gives_no_object_but_all_columns() -> None:
    prepared = prepare(nuclei_and_cells(NucleiAndCells(nuclei="DAPI")), CHANNELS)
    flat = np.full((32, 40), 100, np.uint16)

    found = prepared.run({"DAPI": flat, "GFP": flat}, (32, 40))

    for name, objects in found.items():
        assert not objects.labels.any()
        assert list(objects.columns) == [f.name for f in prepared.features[name]]
        assert all(v.shape == (0,) for v in objects.columns.values())


def test_a_missing_channel_of_nuclei_gives_no_object() -> None:
    prepared = prepare(nuclei_and_cells(NucleiAndCells(nuclei="DAPI", cells="GFP")), CHANNELS)

    found = prepared.run({"DAPI": None, "GFP": spots()}, (64, 64))

    assert not found["Nuclei"].labels.any()
    assert found["Cells"].labels.shape == (64, 64)


def test_results_follow_arguments_and_versions_in_the_fingerprint() -> None:
    first = prepare(nuclei_and_cells(NucleiAndCells(nuclei="DAPI")), CHANNELS)
    second = prepare(nuclei_and_cells(NucleiAndCells(nuclei="DAPI", min_area=31)), CHANNELS)

    assert first.fingerprint() != second.fingerprint()
    assert first.fingerprint()["versions"]["smooth"] == 2


def test_cutting_by_intensity_needs_an_image() -> None:
    data = changed("modules", 2, "arguments", to={"method": "intensity"})

    with pytest.raises(UserError, match=r"modules.2 \(separate\)") as caught:
        prepare(parse_pipeline(data), CHANNELS).run({"DAPI": spots(), "GFP": None}, (64, 64))
    assert caught.value.code == "missing_input"


@pytest.mark.parametrize(
    ("names", "nuclei", "cells"),
    [
        (["GFP", "DAPI"], "DAPI", None),
        (["Hoechst 33342", "CellMask"], "Hoechst 33342", "CellMask"),
        (["C01", "C02"], "C01", None),
        (["Actin", "DNA", "pH3"], "DNA", "Actin"),
    ],
)
def test_channels_are_found_by_name(names: list[str], nuclei: str, cells: str | None) -> None:
    assert choose_nuclei_channel(names) == nuclei
    assert choose_cells_channel(names, nuclei) == cells


def test_every_module_describes_itself() -> None:
    for name in registry.names("modules"):
        module: Module = registry.load("modules", name)
        assert module.name == name
        assert module.title
        assert module.help.endswith(".")
        assert module.VERSION >= 1
        assert module.Arguments.model_json_schema()["type"] == "object"
        assert module.outputs
