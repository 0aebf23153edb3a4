"""Modules that run networks: tiny ones whose answers are known, and what is said when one is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_workers.errors import UserError
from gpu_workers.models.networks import load_network, predict
from gpu_workers.models.weights import weights_digest
from gpu_workers.modules.objects.segment_cellpose import SegmentCellposeArguments, segment_cellpose
from gpu_workers.modules.objects.segment_stardist import SegmentStardistArguments, segment_stardist
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import prepare
from tests.unit.modules import networks
from tests.unit.modules.networks import RADIUS

CENTRES = ((20, 20), (20, 70), (60, 33), (60, 51), (100, 90), (130, 12))


def discs(scale: float = 1.0) -> np.ndarray:
    """Return a label image of discs; two of them touch."""
    y, x = np.indices((round(150 * scale), round(110 * scale))) / scale
    labels = np.zeros(y.shape, np.int32)
    for k, (a, b) in enumerate(CENTRES):
        labels[(y - a) ** 2 + (x - b) ** 2 <= RADIUS**2] = k + 1
    return labels


def image_of(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, 1000, 100).astype(np.uint16)


def ious(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return of each true object the best intersection over union."""
    best = []
    for k in range(1, truth.max() + 1):
        own = truth == k
        best.append(
            max(
                (np.logical_and(own, found == j).sum() / np.logical_or(own, found == j).sum())
                for j in np.unique(found[own])
            )
        )
    return best


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("TISSUEMAPS_MODELS", str(folder))
    return folder


def stardist(model: str, image: np.ndarray, **arguments: Any) -> np.ndarray:
    chosen = SegmentStardistArguments(model=model, **arguments)
    return np.asarray(segment_stardist(chosen, {"image": image})["objects"])


def cellpose(model: str, image: np.ndarray, **arguments: Any) -> np.ndarray:
    chosen = SegmentCellposeArguments(model=model, **arguments)
    return np.asarray(segment_cellpose(chosen, {"image": image})["objects"])


@pytest.mark.parametrize("grid", [1, 2])
def test_a_stardist_network_finds_discs(models: Path, grid: int) -> None:
    networks.stardist(models / "discs.onnx", grid)
    truth = discs()

    found = stardist("discs", image_of(truth), min_probability=0.8)

    assert found.dtype == np.int32
    assert found.max() == len(CENTRES)
    # a grid of 2 moves centres by up to a pixel
    assert min(ious(found, truth)) > (0.95 if grid == 1 else 0.8)


def test_a_cellpose_network_finds_discs(models: Path) -> None:
    networks.cellpose(models / "discs.onnx")
    truth = discs()

    found = cellpose("discs", image_of(truth))

    assert found.max() == len(CENTRES)
    assert min(ious(found, truth)) > 0.9


def test_objects_of_another_size_are_found_after_scaling(models: Path) -> None:
    networks.stardist(models / "round.onnx")
    networks.cellpose(models / "flows.onnx")
    truth = discs(2.0)
    image = image_of(truth)

    by_stars = stardist("round", image, scale=0.5, min_probability=0.8)
    by_flows = cellpose("flows", image, diameter=2 * (2 * RADIUS + 1))

    for found in (by_stars, by_flows):
        assert found.shape == image.shape
        assert found.max() == len(CENTRES)
        assert min(ious(found, truth)) > 0.85


@pytest.mark.parametrize("kind", ["stardist", "cellpose"])
def test_tiles_give_what_the_whole_image_gives(models: Path, kind: Any) -> None:
    write = networks.stardist if kind == "stardist" else networks.cellpose
    write(models / "whole.onnx")
    write(models / "tiles.onnx", tile=64, overlap=2 * RADIUS)
    image = np.random.default_rng(0).random((1 if kind == "stardist" else 2, 90, 131), np.float32)

    whole = predict(load_network("whole", kind), image)
    tiled = predict(load_network("tiles", kind), image)

    # half the overlap is what these networks see around a pixel; beyond it a tile counts 1e-4
    np.testing.assert_allclose(tiled, whole, atol=5e-3)


def test_a_network_of_fixed_size_gets_whole_tiles(models: Path) -> None:
    networks.cellpose(models / "fixed.onnx", side=96)
    truth = discs()

    found = cellpose("fixed", image_of(truth))
    small = cellpose("fixed", image_of(truth)[:40, :40])

    assert found.max() == len(CENTRES)
    assert small.shape == (40, 40)
    assert small.max() == 1


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 40), (20, 20)])
def test_empty_images_have_no_objects(models: Path, shape: tuple[int, int]) -> None:
    networks.stardist(models / "round.onnx", 2)
    networks.cellpose(models / "flows.onnx")

    for image in (np.zeros(shape, np.uint16), np.full(shape, np.nan, np.float32)):
        assert stardist("round", image).shape == shape
        assert not stardist("round", image).any()
        assert not cellpose("flows", image).any()


def test_a_missing_model_is_told_with_those_there_are(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    networks.stardist(models / "round.onnx")
    networks.stardist(tmp_path / "elsewhere.onnx")
    image = np.zeros((9, 9), np.uint8)

    for name in ("flat", "../elsewhere", str(tmp_path / "elsewhere.onnx"), ".."):
        with pytest.raises(UserError, match=r"there are: round\.onnx") as caught:
            stardist(name, image)
        assert caught.value.code == "missing_model"
    assert not stardist(str(models / "round.onnx"), image).any()
    monkeypatch.delenv("TISSUEMAPS_MODELS")
    with pytest.raises(UserError, match="TISSUEMAPS_MODELS") as caught:
        stardist("round", image)
    assert caught.value.code == "missing_model"


@pytest.mark.parametrize(
    ("library", "run", "name"),
    [
        ("onnxruntime", stardist, "round.onnx"),
        ("stardist", stardist, "folder"),
        ("cellpose", cellpose, "weights"),
    ],
)
def test_a_missing_library_is_told_with_its_extra(
    models: Path, monkeypatch: pytest.MonkeyPatch, library: str, run: Any, name: str
) -> None:
    networks.stardist(models / "round.onnx")
    (models / "folder").mkdir()
    (models / "weights").touch()
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(
        UserError, match=rf"needs {library}, which is not installed.*tissuemaps\["
    ) as caught:
        run(name, np.zeros((9, 9), np.uint8))

    assert caught.value.code == "missing_model"


def test_what_is_no_such_model_is_refused(models: Path) -> None:
    networks.stardist(models / "round.onnx")
    networks.cellpose(models / "flows.onnx")
    (models / "noise.onnx").write_bytes(b"no network")
    image = np.eye(9, dtype=np.uint8)

    with pytest.raises(UserError, match="is one of stardist, not cellpose"):
        cellpose("round", image)
    with pytest.raises(UserError, match="no ONNX file"):
        stardist("noise", image)
    with pytest.raises(UserError, match="takes 1 images, 2 are given"):
        segment_stardist(
            SegmentStardistArguments(model="round"), {"image": image, "image_2": image}
        )
    (models / "flows.json").write_text(json.dumps({"kind": "cellpose", "colour": "red"}))
    with pytest.raises(UserError, match="malformed"):
        load_network("flows", "cellpose")


def test_a_file_beside_the_network_overrules_its_metadata(models: Path) -> None:
    networks.stardist(models / "round.onnx", min_probability=0.1)
    first = weights_digest("round")

    (models / "round.json").write_text(json.dumps({"kind": "stardist", "min_probability": 0.7}))
    (models / "round.onnx").touch()

    assert load_network("round", "stardist").card.min_probability == 0.7
    assert weights_digest("round") != first


def test_other_weights_of_the_same_name_make_another_version(models: Path) -> None:
    pipeline = Pipeline.model_validate(
        {
            "channels": {"dna": "DAPI"},
            "modules": [
                {
                    "module": "segment_stardist",
                    "inputs": {"image": "dna"},
                    "outputs": {"objects": "nuclei"},
                    "arguments": {"model": "nuclei"},
                }
            ],
            "objects": [{"name": "Nuclei", "labels": "nuclei"}],
        }
    )
    networks.stardist(models / "nuclei.onnx")
    first = prepare(pipeline, ("DAPI",)).fingerprint()
    networks.stardist(models / "nuclei.onnx", grid=2)

    second = prepare(pipeline, ("DAPI",)).fingerprint()

    assert first["sources"].keys() == {"model:nuclei"}
    assert first != second
