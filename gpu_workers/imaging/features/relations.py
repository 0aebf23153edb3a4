"""Relations between objects of two types, and to the image's edge; `gpu_workers.imaging.relations` finds them."""

from __future__ import annotations

from gpu_workers.imaging.features.description import FeatureDescription


def _described(name: str, formula: str, unit: str = "") -> FeatureDescription:
    return FeatureDescription(name, formula, unit, "TissueMAPS", dimensions=(2, 3))


DESCRIPTIONS = (
    _described(
        "Parent_{objects}",
        "label of the object that covers most of its pixels; missing without one",
    ),
    _described("Parent_{objects}_Overlap", "part of its pixels that the parent covers"),
    _described("Parent_{objects}_Distance", "between its centroid and the parent's", "px"),
    _described(
        "Children_{objects}_Count", "number of objects that have most of their pixels in it"
    ),
    _described("Children_{objects}_Fraction", "part of its pixels that objects of the type cover"),
    _described(
        "Children_{objects}_Mean_Distance",
        "mean distance of its children's centroids to its own",
        "px",
    ),
    _described("Border_is_cut", "1 for an object at the edge of the image, else 0"),
)
