"""The heat map's computation, on object sets written as the analysis writes them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from gpu_workers.messages import ExperimentDescription, JobResult, JobSpec
from gpu_workers.runner.execute import execute
from gpu_workers.tools.results import read_values
from tests.synthetic.objects import write_objects

RESULT = str(uuid4())


def _run(root: Path, manifest: str, **arguments: object) -> JobResult:
    spec = JobSpec(
        job=uuid4(),
        attempt=1,
        kind="tool",
        name="heatmap",
        experiment=ExperimentDescription(id=uuid4(), name="x"),
        arguments={"object_type": "Nuclei", "feature": "Area", **arguments},
        inputs={"objects": manifest},
        batch={"result": RESULT},
    )
    return execute(spec, root)


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    b02 = random.lognormal(3, 1, 500).astype(np.float32)
    b02[::50] = np.nan
    return {"B02": b02, "B03": random.lognormal(4, 1, 300).astype(np.float32)}


def test_values_and_limits_are_those_of_the_feature(tmp_path, values):
    manifest = write_objects(tmp_path, {"plate": values})

    result = _run(tmp_path, manifest)

    everything = np.concatenate(list(values.values()))
    assert result.state == "succeeded", result.error
    np.testing.assert_array_equal(read_values(tmp_path, RESULT, "plate"), everything)
    finite = everything[np.isfinite(everything)]
    assert result.output["low"] == pytest.approx(np.percentile(finite, 1))
    assert result.output["high"] == pytest.approx(np.percentile(finite, 99))
    assert result.output["n_missing"] == 10
    assert result.output["unit"] == "px"


def test_one_outlier_does_not_flatten_the_colours(tmp_path, values):
    values["B03"][0] = 1e30
    manifest = write_objects(tmp_path, {"plate": values})

    result = _run(tmp_path, manifest)

    assert result.output["high"] < 1e4


def test_per_well_every_object_shows_the_median_of_its_well(tmp_path, values):
    manifest = write_objects(tmp_path, {"plate": values})

    result = _run(tmp_path, manifest, per="well")

    shown = read_values(tmp_path, RESULT, "plate")
    assert np.unique(shown[:500]).size == np.unique(shown[500:]).size == 1
    assert shown[0] == pytest.approx(np.nanmedian(values["B02"]))
    wells = result.output["plates"][0]["wells"]
    assert [w["name"] for w in wells] == ["B02", "B03"]
    assert wells[1]["mean"] == pytest.approx(values["B03"].mean(dtype=np.float64))


@pytest.mark.parametrize(
    "wells",
    [{}, {"B02": np.empty(0, np.float32)}, {"B02": np.full(5, np.nan, np.float32)}],
    ids=["no well", "no object", "no value"],
)
def test_nothing_to_show_is_a_result_not_a_failure(tmp_path, wells):
    manifest = write_objects(tmp_path, {"plate": wells})

    result = _run(tmp_path, manifest, per="well")

    assert result.state == "succeeded", result.error
    assert result.output["low"] < result.output["high"]


def test_running_twice_gives_the_same_files(tmp_path, values):
    manifest = write_objects(tmp_path, {"plate": values, "other": values})

    _run(tmp_path, manifest)
    first = {p: p.read_bytes() for p in (tmp_path / "results").rglob("*") if p.is_file()}
    _run(tmp_path, manifest)

    assert first == {p: p.read_bytes() for p in (tmp_path / "results").rglob("*") if p.is_file()}
    assert len(first) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ({"feature": "Aera"}, "unknown_feature", "Area"),
        ({"object_type": "Cells"}, "unknown_object_type", "Nuclei"),
        ({"low_percentile": 99.5}, "invalid_arguments", "low_percentile"),
    ],
)
def test_wrong_arguments_are_the_users_and_name_what_there_is(
    tmp_path, values, arguments, code, named
):
    manifest = write_objects(tmp_path, {"plate": values})

    error = _run(tmp_path, manifest, **arguments).error

    assert error is not None
    assert (error.code, error.user) == (code, True)
    assert named in error.message
