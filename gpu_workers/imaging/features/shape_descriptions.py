"""What the features of `shape` are, in words; the documentation is generated from `DESCRIPTIONS`."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_workers.imaging.features.description import FeatureDescription

_SKIMAGE = "scikit-image regionprops"


def _described(
    name: str,
    formula: str,
    unit: str = "",
    source: str = _SKIMAGE,
    differs: Mapping[str, str] | None = None,
    **peers: str,
) -> FeatureDescription:
    named = {"cp": "cp_measure", "skimage": "scikit-image", "mahotas": "mahotas"}
    return FeatureDescription(
        f"Morphology_{name}",
        formula,
        unit,
        source,
        {named[peer]: column for peer, column in peers.items()},
        differs or {},
    )


_SIZE = (
    _described(
        "Local_Centroid_x", "mean x of the pixels, from the image's left edge; also in µm", "px",
        skimage="centroid-1", cp="Center_X",
    ),
    _described(
        "Local_Centroid_y", "mean y of the pixels, from the image's upper edge; also in µm", "px",
        skimage="centroid-0", cp="Center_Y",
    ),
    _described("Area", "number of pixels; also in µm²", "px²", skimage="area", cp="Area"),
    _described(
        "Perimeter", "length of the line through the centres of edge pixels (4 neighbours), steps "
        "weighted by their pattern; also in µm", "px", "K. Benkrid et al. 2000, by scikit-image",
        skimage="perimeter", cp="Perimeter",
    ),
    _described(
        "Eccentricity", "distance of the foci over the major axis of the ellipse with the same "
        "second moments", skimage="eccentricity", cp="Eccentricity",
    ),
    _described("Extent", "area over area of the upright box", skimage="extent", cp="Extent"),
    _described(
        "Convexity", "area over number of pixels in the convex hull", skimage="solidity", cp="Solidity"
    ),
    _described("Circularity", "form factor: 4 pi area / perimeter²", cp="FormFactor"),
    _described(
        "Roundness", "(number of edge pixels)² / (4 pi area)", source="mahotas", mahotas="roundness"
    ),
    _described("Elongation", "(major - minor axis) / major axis", source="TissueMAPS"),
    _described(
        "Equivalent_Diameter", "diameter of the circle of the same area; also in µm", "px",
        skimage="equivalent_diameter_area", cp="EquivalentDiameter",
    ),
    _described(
        "Major_Axis_Length", "long axis of the ellipse with the same second moments; also in µm",
        "px", skimage="major_axis_length", cp="MajorAxisLength",
    ),
    _described(
        "Minor_Axis_Length", "short axis of that ellipse; also in µm", "px",
        skimage="minor_axis_length", cp="MinorAxisLength",
    ),
    _described(
        "Maximum_Radius", "greatest distance of a pixel to what isn't the object; also in µm", "px",
        "CellProfiler", {"TissueMAPS before 2020": "touching objects didn't limit each other"},
        cp="MaximumRadius",
    ),
    _described(
        "Mean_Radius", "mean of these distances; also in µm", "px", "CellProfiler",
        {"TissueMAPS before 2020": "touching objects didn't limit each other"}, cp="MeanRadius",
    ),
    _described(
        "Median_Radius", "median of these distances; also in µm", "px", "CellProfiler",
        cp="MedianRadius",
    ),
)  # fmt: skip

_OUTLINE = (
    _described("Compactness", "perimeter² / (4 pi area)", source="CellProfiler", cp="Compactness"),
    _described(
        "Orientation", "angle from the y axis to the major axis, -pi/2 to pi/2 (both are one direction)", "rad",
        differs={"cp_measure": "in degrees"}, skimage="orientation",
    ),
    _described(
        "Perimeter_Crofton", "length of the outline by crossings of lines in 4 directions; also in µm",
        "px", skimage="perimeter_crofton", cp="PerimeterCrofton",
    ),
    _described(
        "Euler_Number", "parts (8-connected) minus holes (4-connected)", skimage="euler_number",
        cp="EulerNumber",
    ),
    _described(
        "Area_Bounding_Box", "area of the upright box; also in µm²", "px²", cp="BoundingBoxArea"
    ),
    _described(
        "Area_Convex", "number of pixels in the hull of the middles of the pixels' sides; also in µm²",
        "px²", cp="ConvexArea",
    ),
    _described(
        "Area_Filled", "area with holes that no 8-connected way leads out of; also in µm²", "px²",
        cp="FilledArea",
    ),
    _described(
        "Maximum_Feret_Diameter", "greatest distance of two parallel lines that touch the outline of "
        "the convex hull's pixels; also in µm", "px",
        differs={"cp_measure": "between centres of pixels: about a pixel less"},
        skimage="feret_diameter_max",
    ),
    _described(
        "Minimum_Feret_Diameter", "least distance of two such lines; also in µm", "px", "TissueMAPS",
        {"cp_measure": "between centres of pixels: about a pixel less"},
    ),
    _described(
        "Maximum_Feret_Diameter_Centers", "greatest distance of the centres of two pixels; also in µm",
        "px", "CellProfiler", cp="MaxFeretDiameter",
    ),
    _described(
        "Minimum_Feret_Diameter_Centers", "least distance of two parallel lines with the centres of "
        "all pixels between them; also in µm", "px", "CellProfiler", cp="MinFeretDiameter",
    ),
    _described(
        "Bounding_Box_Minimum_y", "first row of the upright box; also in µm", "px", skimage="bbox-0",
        cp="BoundingBoxMinimum_Y",
    ),
    _described(
        "Bounding_Box_Minimum_x", "first column of the upright box; also in µm", "px",
        skimage="bbox-1", cp="BoundingBoxMinimum_X",
    ),
    _described(
        "Bounding_Box_Maximum_y", "row behind the upright box; also in µm", "px", skimage="bbox-2",
        cp="BoundingBoxMaximum_Y",
    ),
    _described(
        "Bounding_Box_Maximum_x", "column behind the upright box; also in µm", "px",
        skimage="bbox-3", cp="BoundingBoxMaximum_X",
    ),
)  # fmt: skip

_MOMENTS = (
    _described(
        "Spatial-Moment-{p}-{q}", "sum of (y - y0)^p (x - x0)^q, (y0, x0): corner of the box",
        "px^(p + q + 2)", cp="SpatialMoment_{p}_{q}",
    ),
    _described(
        "Central-Moment-{p}-{q}", "mu_pq: sum of (y - mean y)^p (x - mean x)^q", "px^(p + q + 2)",
        cp="CentralMoment_{p}_{q}",
    ),
    _described(
        "Normalized-Moment-{p}-{q}", "mu_pq / mu_00^((p + q) / 2 + 1), p + q > 1",
        cp="NormalizedMoment_{p}_{q}",
    ),
    _described(
        "Hu-Moment-{k}", "seven invariants of the normalised moments", source="M.-K. Hu 1962",
        skimage="moments_hu-{k}", cp="HuMoment_{k}",
    ),
    _described("Inertia-Tensor-0-0", "mu_02 / mu_00", "px²", cp="InertiaTensor_0_0"),
    _described("Inertia-Tensor-0-1", "-mu_11 / mu_00", "px²", cp="InertiaTensor_0_1"),
    _described("Inertia-Tensor-1-1", "mu_20 / mu_00", "px²", cp="InertiaTensor_1_1"),
    _described(
        "Inertia-Eigenvalue-0", "greater eigenvalue of the inertia tensor", "px²",
        cp="InertiaTensorEigenvalues_0",
    ),
    _described(
        "Inertia-Eigenvalue-1", "lesser eigenvalue of the inertia tensor", "px²",
        cp="InertiaTensorEigenvalues_1",
    ),
)  # fmt: skip

DESCRIPTIONS = (*_SIZE, *_OUTLINE, *_MOMENTS)
