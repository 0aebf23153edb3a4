"""The benchmark compares like with like: both pipelines find the same nuclei."""

from __future__ import annotations

import pytest

from benchmarks.segmentation import measure_both


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_pipelines_find_the_same_nuclei() -> None:
    found = measure_both(side=256, cells=25, channels=2, repeat=1)

    nuclei = found["nuclei"]
    assert isinstance(nuclei, dict)
    assert nuclei["tissuemaps"] == nuclei["scikit-image"] > 10
