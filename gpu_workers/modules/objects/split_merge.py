"""Module: objects split and joined by their shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.clumps import (
    Whole,
    clump_shapes,
    cut_in_two,
    cut_repeatedly,
    merge_touching,
)
from gpu_workers.imaging.labels import relabel
from gpu_workers.imaging.relations import highest
from gpu_workers.modules.module import LabelImage, module
from gpu_workers.registry import Arguments


class SplitMergeArguments(Arguments):
    merge: bool = Field(True, title="Join", description="touching parts whose union is convex")
    min_union_solidity: float = Field(
        0.95,
        ge=0,
        le=1,
        title="Least solidity of a union",
        description="area over that of the convex hull",
    )
    min_contact: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Least contact",
        description="part of the shorter perimeter along which two objects touch, to be joined",
    )
    max_area: float | None = Field(None, gt=0, title="Largest area of a union (px)")
    split: bool = Field(True, title="Split", description="objects of low solidity at their necks")
    max_solidity: float = Field(
        0.92, ge=0, le=1, title="Largest solidity", description="of an object that is split"
    )
    min_area: int = Field(
        20, ge=1, title="Smallest part (px)", description="that a split may leave"
    )


def _cut(labels: LabelImage, chosen: NDArray[np.bool_], min_area: int) -> tuple[LabelImage, Whole]:
    """Cut at necks, but only where the parts are more convex than the whole was."""
    cut, origins = cut_in_two(labels, chosen, min_area)
    before, after = clump_shapes(labels).solidity, clump_shapes(cut)
    new = highest(labels) + np.arange(origins.size)
    old = origins - 1
    weights = np.stack([after.area[old], after.area[new]])
    solidity = np.stack([after.solidity[old], after.solidity[new]])
    better = (weights * solidity).sum(axis=0) / weights.sum(axis=0) > before[old]
    numbers = np.arange(highest(cut) + 1, dtype=np.int32)
    numbers[1:][new[~better]] = origins[~better]
    numbers[1:][new[better]] = highest(labels) + 1 + np.arange(int(better.sum()))
    return np.asarray(numbers[cut]), origins[better]


@module(
    title="Split and join objects",
    help="Joins touching fragments that are convex together, then splits hollow objects at their necks.",
    version=1,
    outputs=("objects",),
    bytes_per_pixel=48,
)
def split_merge(arguments: SplitMergeArguments, labels: LabelImage) -> LabelImage:
    """Return the objects after joining and splitting, numbered 1…n."""

    def select(found: LabelImage) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            return np.asarray(clump_shapes(found).solidity <= arguments.max_solidity)

    if arguments.merge:
        labels = merge_touching(
            labels, arguments.min_union_solidity, arguments.min_contact, arguments.max_area
        )
    if arguments.split:
        labels, _ = cut_repeatedly(
            labels, select, lambda found, chosen: _cut(found, chosen, arguments.min_area)
        )
    return relabel(labels)
