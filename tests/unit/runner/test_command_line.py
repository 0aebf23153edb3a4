"""Steps, replay and inspection without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from gpu_workers.messages import JobResult
from tests.data_sets import data_set

PLUGINS = "tests.synthetic.steps_for_tests:ENTRIES"
HOUSE = Path(__file__).parents[3]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_workers", *map(str, arguments)],
        env={**os.environ, "TISSUEMAPS_PLUGINS": PLUGINS},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps({"id": str(uuid4()), "name": "test"}))
    return path


def test_a_whole_step_and_its_phases(tmp_path: Path, experiment: Path) -> None:
    base = ["--root", tmp_path / "e", "--experiment", experiment]

    whole = command("step", "count", "all", *base, "--arguments", '{"rounds": [3]}')
    plan = command("step", "count", "plan", *base, "--arguments", '{"rounds": [3]}')

    assert whole.returncode == 0, whole.stderr
    products = json.loads(whole.stdout)["products"]
    assert json.loads((tmp_path / "e" / products["numbers"]).read_text())["total"] == 3
    planned = JobResult.model_validate_json(plan.stdout).plan
    assert planned is not None
    assert products["numbers"] == f"numbers/{planned.key}/numbers.json"
    later = [*base, "--key", planned.key]
    batch = json.dumps(planned.rounds[0][2])
    assert command("step", "count", "run", *later, "--batch", batch).returncode == 0
    assert command("step", "count", "collect", *later).returncode == 0


def test_a_job_is_replayed_from_its_spec(tmp_path: Path, experiment: Path) -> None:
    folder = tmp_path / "e" / "jobs" / str(uuid4()) / "1"
    folder.mkdir(parents=True)
    spec = {
        "job": str(uuid4()),
        "attempt": 1,
        "kind": "run",
        "name": "count",
        "experiment": json.loads(experiment.read_text()),
        "key": "k",
        "batch": {"round": 0, "number": 7},
    }
    (folder / "spec.json").write_text(json.dumps(spec))

    done = command("run", folder / "spec.json", "--out", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    result = JobResult.model_validate_json((tmp_path / "out" / "result.json").read_bytes())
    assert result.output == {"number": 7}
    assert result.code_version
    assert (tmp_path / "e" / "numbers" / "k" / "parts" / "0-7.json").exists()


def test_errors_are_one_line_and_a_status(tmp_path: Path, experiment: Path) -> None:
    base = ["--root", tmp_path / "e", "--experiment", experiment]

    unknown = command("step", "tea", "all", *base)
    wrong = command("step", "count", "plan", *base, "--arguments", '{"seconds": -1}')

    assert unknown.returncode == wrong.returncode == 1
    assert "no step is called 'tea'" in unknown.stderr
    assert "seconds" in wrong.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.data
def test_inspect_says_what_the_reader_sees() -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"

    text = command("inspect", folder)
    structured = command("inspect", folder, "--json")

    assert text.returncode == 0, text.stderr
    assert "imagexpress" in text.stdout
    assert json.loads(structured.stdout)
