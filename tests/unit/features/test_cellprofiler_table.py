"""CellProfiler's own table of ExampleHuman, where it depends on no segmentation of ours.

Compared: ratios and diameters that our formulas make of CellProfiler's areas, perimeters, boxes and
axes. Not compared: what needs the pixels of its objects, which the table doesn't hold.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from gpu_workers.imaging.regions import RegionGeometry
from tests.data_sets import data_set


@pytest.mark.data
@pytest.mark.parametrize("table", ["Nuclei", "Cells", "Cytoplasm"])
def test_ratios_and_diameters_follow_the_same_formulas(table: str) -> None:
    file = data_set("examplehuman_cellprofiler_features") / f"{table}.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[f"AreaShape_{name}"]) for row in rows])

    box = np.stack(
        [column(f"BoundingBox{end}_{axis}") for end in ("Minimum", "Maximum") for axis in "YX"],
        axis=1,
    )
    geometry = RegionGeometry(
        column("Area"), column("Center_Y"), column("Center_X"), box.astype(np.int32),
        column("Perimeter"), column("MajorAxisLength"), column("MinorAxisLength"),
    )  # fmt: skip

    # the table has 15 digits or more; the form factor of small objects goes by the same formula
    for name, ours in (
        ("FormFactor", geometry.form_factor),
        ("Compactness", 1 / geometry.form_factor),
        ("EquivalentDiameter", geometry.equivalent_diameter),
        ("Extent", geometry.extent),
        ("Eccentricity", geometry.eccentricity),
    ):
        np.testing.assert_allclose(ours, column(name), rtol=1e-9, atol=1e-9, err_msg=name)
    assert len(rows) > 280
