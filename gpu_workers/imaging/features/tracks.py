"""Tracks over time; `gpu_workers.imaging.tracking` makes them."""

from __future__ import annotations

from gpu_workers.imaging.features.description import FeatureDescription

JAQAMAN = "K. Jaqaman et al., Nature Methods 5 (2008)"


def _described(name: str, formula: str, unit: str = "") -> FeatureDescription:
    return FeatureDescription(f"Track_{name}", formula, unit, JAQAMAN, dimensions=(2, 3))


DESCRIPTIONS = (
    _described("number", "number of the track, the same over time; the object's label"),
    _described("parent", "number of the track that divided into this one; missing for others"),
    _described("age", "time points since the first one of the track", "time points"),
    _described(
        "displacement",
        "distance from where the object (a daughter: its mother) was last seen; missing at first",
        "px",
    ),
    _described("dy", "the same along rows", "px"),
    _described("dx", "the same along columns", "px"),
)
