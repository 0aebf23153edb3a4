"""The benchmarks run; their figures are asked for by ``./run bench``, never asserted here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import added_well, conversion, features, preview, pyramid, segmentation, workers


def test_conversion_measures_ours_and_the_plain_way() -> None:
    found = conversion.main(wells=1)

    assert found["planes"] == 12
    assert found["tissuemaps_mb_s"] > 0
    assert found["zarr_python_mb_s"] > 0


def test_segmentation_finds_the_same_cells_as_the_peer() -> None:
    found = segmentation.measure_both(side=256, cells=20, channels=1, repeat=1)

    assert found["nuclei"]["tissuemaps"] == found["nuclei"]["scikit-image"]


def test_a_preview_is_measured() -> None:
    found = preview.measure(height=200, width=240, cells=10, repeat=1)

    assert 0 < found["median_s"]["first_image"] < found["median_s"]["all"]


def test_several_processes_find_what_one_finds() -> None:
    found = workers.measure(images=2, side=200, cells=12, workers=[1, 2])

    assert found["same_objects"]
    assert found["objects"]["Nuclei"] > 0


def test_features_of_all_families_are_measured() -> None:
    found = features.measure_site(n=9, side=128, repeat=1)

    assert found["columns"] > 250
    assert found["objects_per_s_per_core"]["tissuemaps"] > 0
    assert all(s > 0 for s in found["cpu_s"]["tissuemaps"].values())


def test_pyramid_is_measured() -> None:
    assert pyramid.main(wells=1)["tissuemaps_step"] > 0


def test_an_added_well_is_measured_and_is_not_written_with_the_others() -> None:
    found = added_well.main(rows=1, side=64)

    for place in ("last", "middle"):
        assert found[place]["wells"] == 24
        assert found[place]["with"]["imextract"]["mb"] < found[place]["without"]["imextract"]["mb"]


def test_chunks_are_measured() -> None:
    # In a process of its own: it forks its server, which a process with threads must not.
    argv = [sys.executable, "-W", "ignore", "-m", "benchmarks.chunks", "50"]

    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)

    assert json.loads(done.stdout)


@pytest.mark.parametrize("vendor", ["imagexpress", "cellvoyager"])
def test_indexing_is_measured(vendor: str) -> None:
    # In a process of its own: it counts openings by an audit hook, which can't be taken away.
    argv = [sys.executable, "-W", "ignore", "-m", "benchmarks.indexing", "80", vendor]

    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)

    found = json.loads(done.stdout)
    assert (found["reader"], found["planes"]) == (vendor, 80)
    assert found["opens_per_file"] <= 2
