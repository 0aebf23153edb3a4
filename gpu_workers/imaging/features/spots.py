"""Spots: place, height and signal to noise; `gpu_workers.imaging.spots` finds them."""

from __future__ import annotations

from gpu_workers.imaging.features.description import FeatureDescription

LINDEBERG = "T. Lindeberg, Int. J. Computer Vision 30 (1998)"

DESCRIPTIONS = (
    FeatureDescription(
        "Spot_y",
        "row of the top of the parabola through the filtered peak and its neighbours",
        "px",
        LINDEBERG,
        differs={"scikit-image": "peak_local_max and blob_log give whole pixels"},
        dimensions=(2, 3),
    ),
    FeatureDescription(
        "Spot_x", "column of the same, along the other axis", "px", LINDEBERG, dimensions=(2, 3)
    ),
    FeatureDescription("Spot_z", "plane of the same", "planes", LINDEBERG, dimensions=(3,)),
    FeatureDescription(
        "Spot_intensity",
        "filtered peak times what makes it the height of a Gaussian spot of these sigmas over its"
        " surroundings: 2^(d/2 + 1) / d for the Laplacian in d dimensions",
        "intensity",
        LINDEBERG,
        dimensions=(2, 3),
    ),
    FeatureDescription(
        "Spot_snr",
        "filtered peak over 1.4826 times the median absolute deviation of the filtered image",
        "",
        "TissueMAPS",
        dimensions=(2, 3),
    ),
)
