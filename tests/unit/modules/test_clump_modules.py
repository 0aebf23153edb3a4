"""Modules that take clumps apart, with the original's arguments."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.modules.objects.separate_clumps import SeparateClumpsArguments, separate_clumps
from gpu_workers.modules.objects.separate_primary_iterative import (
    SeparatePrimaryIterativeArguments,
    separate_primary_iterative,
)
from gpu_workers.modules.objects.split_merge import SplitMergeArguments, split_merge
from tests.unit.imaging.test_clumps import CHAIN, PAIR, agreement, discs

MANY = (*CHAIN, (40, 40, 30), (250, 60, 42))


def separated(mask: np.ndarray, **arguments: object) -> np.ndarray:
    made = separate_clumps(
        SeparateClumpsArguments(**arguments),  # type: ignore[arg-type]
        {"mask": mask, "intensity_image": mask.astype(np.uint16)},
    )
    return np.asarray(made["separated_label_image"])


def test_clumps_are_cut_until_no_object_is_one() -> None:
    truth = discs(MANY)

    labels = separated(truth > 0)

    assert labels.max() == len(MANY)
    assert agreement(labels, truth) > 0.97


def test_only_objects_that_are_clumps_are_cut() -> None:
    mask = discs(MANY) > 0

    assert separated(mask, max_area=10000).max() == 3
    assert separated(mask, max_convexity=0.5).max() == 3
    assert separated(mask, max_circularity=0.1).max() == 3
    assert separated(mask, min_cut_area=6000).max() == 3  # a disc at an end has 5,000 px


def test_the_selection_can_be_looked_at() -> None:
    mask = discs(MANY) > 0

    clumps = separated(mask, selection_test_mode=True)
    others = separated(mask, selection_test_mode=True, selection_test_show_remaining=True)

    np.testing.assert_array_equal(clumps > 0, discs(CHAIN) > 0)
    np.testing.assert_array_equal((clumps > 0) ^ (others > 0), mask)


def test_threads_are_trimmed_off() -> None:
    mask = discs(PAIR) > 0
    mask[100, 215:240] = True

    kept, trimmed = separated(mask, trimming=False), separated(mask)

    assert kept.max() == trimmed.max() == 2
    assert (kept[100, 218:240] > 0).all()
    assert not trimmed[100, 218:240].any()


def test_objects_are_cut_between_hollows_in_passes() -> None:
    truth = discs(CHAIN)
    given = {"primary_objects": truth > 0, "intensity_image": np.where(truth > 0, 900, 100)}

    made = [
        separate_primary_iterative(
            SeparatePrimaryIterativeArguments(cutting_passes=n, min_form_factor=0.2), given
        )["separated_objects"]
        for n in range(4)
    ]
    strict = separate_primary_iterative(SeparatePrimaryIterativeArguments(), given)

    assert made[0].max() == 1
    assert made[1].max() == 2
    assert made[3].max() == 4
    assert agreement(made[3], truth) > 0.96
    assert strict["separated_objects"].max() == 1  # form factor 0.35 is below 0.4


def test_objects_are_split_and_fragments_joined() -> None:
    truth = discs(CHAIN)
    # one object holds two discs, another disc is in two pieces
    given = np.where(truth == 2, 1, truth).astype(np.int32)
    given[:150][truth[:150] == 4] = 9

    made = split_merge(SplitMergeArguments(max_solidity=0.94), {"labels": given})["objects"]
    joined = split_merge(SplitMergeArguments(split=False), {"labels": given})["objects"]
    cut = split_merge(SplitMergeArguments(merge=False, max_solidity=0.94), {"labels": given})

    assert made.max() == 4
    assert agreement(made, truth) > 0.97
    assert joined.max() == 3
    assert cut["objects"].max() == 5


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (6, 5)])
def test_empty_images(shape: tuple[int, int]) -> None:
    none = np.zeros(shape, bool)

    assert not separated(none).any()
    assert not separate_primary_iterative(
        SeparatePrimaryIterativeArguments(),
        {"primary_objects": none, "intensity_image": np.full(shape, np.nan)},
    )["separated_objects"].any()
    assert not split_merge(SplitMergeArguments(), {"labels": none.astype(np.int32)})[
        "objects"
    ].any()
