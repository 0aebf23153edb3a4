"""Cutting touching objects apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.io import imread

from gpu_workers.modules.objects.grow import GrowArguments, grow
from gpu_workers.modules.objects.separate import SeparateArguments, separate
from gpu_workers.pipelines.prepared import prepare
from gpu_workers.pipelines.templates import NucleiAndCells, nuclei_and_cells
from tests.data_sets import data_set


def discs(*centres: tuple[int, int], radius: int = 10) -> np.ndarray:
    y, x = np.indices((60, 90))
    return np.any([(y - a) ** 2 + (x - b) ** 2 <= radius**2 for a, b in centres], axis=0)


def run(mask: np.ndarray, **arguments: object) -> np.ndarray:
    return np.asarray(separate(SeparateArguments(**arguments), {"mask": mask})["labels"])  # type: ignore[arg-type]


def test_touching_discs_are_cut_at_their_neck() -> None:
    mask = discs((30, 25), (30, 42))

    labels = run(mask)

    assert labels.max() == 2
    np.testing.assert_array_equal(labels > 0, mask)
    assert (labels[:, :33][mask[:, :33]] == 1).all()
    assert (labels[:, 35:][mask[:, 35:]] == 2).all()


def test_a_small_object_beside_a_large_one_is_kept() -> None:
    mask = discs((30, 25), radius=14) | discs((30, 43), radius=2)

    assert run(mask, min_distance=20).max() == 2


def test_without_cutting_objects_are_the_parts_of_the_mask() -> None:
    assert run(discs((30, 25), (30, 42)), method="none").max() == 1


def test_an_empty_mask_has_no_object() -> None:
    assert not run(np.zeros((5, 5), bool)).any()


def test_cells_grow_over_what_is_bright_and_keep_their_nuclei() -> None:
    seeds = np.zeros((60, 90), np.int32)
    seeds[30, 20], seeds[30, 60] = 1, 2
    bright = np.full((60, 90), 10.0, np.float32)
    bright[20:41, 10:71] = 100
    bright[30:31, 39:42] = 60
    bright[50:55, 80:88] = 100  # no nucleus: no cell

    cells = grow(GrowArguments(), {"labels": seeds, "image": bright})["labels"]
    near = grow(GrowArguments(distance=5), {"labels": seeds, "image": bright})["labels"]

    np.testing.assert_array_equal(cells[20:41, 10:71] > 0, True)
    assert (cells > 0).sum() == 21 * 61
    assert set(np.unique(near)) == {0, 1, 2}
    assert (near == 1).sum() == (near == 2).sum() == 81


def f1(found: np.ndarray, truth: np.ndarray, iou: float = 0.5) -> tuple[int, int, int]:
    """Return matched, found and true objects; a match overlaps by more than `iou`."""
    table = pd.crosstab(truth.ravel(), found.ravel()).to_numpy()
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    matched = int((table[1:, 1:] / union[1:, 1:] > iou).sum())
    return matched, len(np.unique(found)) - 1, len(np.unique(truth)) - 1


@pytest.mark.data
def test_hand_drawn_fluorescent_nuclei_are_found() -> None:
    folder = data_set("nuclei_dsb2018_dev")
    index = pd.read_csv(folder / "index.csv")
    prepared = prepare(nuclei_and_cells(NucleiAndCells(nuclei="DNA")), ("DNA",))
    totals = np.zeros(3, int)

    for name in index[index["kind"] == "fluor"].iloc[:, 0]:
        stem = str(name).split(".")[0]
        image = imread(folder / "images" / f"{stem}.png")[..., 0]
        truth = tifffile.imread(folder / "labels" / f"{stem}.tif")
        totals += f1(prepared.run({"DNA": image}, image.shape)["Nuclei"].labels, truth)

    score = 2 * totals[0] / (totals[1] + totals[2])
    assert score > 0.88  # 0.84: a plain Otsu and distance watershed
