"""Jobs of imextract may run twice, at the same time, or die half way: what stands is always the same."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from gpu_workers.messages import ExperimentDescription, JobResult, JobSpec, Json, Plan
from gpu_workers.runner.execute import execute, run_step
from gpu_workers.storage.verification import plates_verify
from tests.integration.conversion.source import Converted, convert, experiment, write_images

PATTERN = r"_(?P<well>[A-H]\d\d)_s(?P<site>\d)_w(?P<channel>\d)_z(?P<z>\d)_t(?P<t>\d)"
NAMES = [
    f"p_{w}_s{s}_w{c}_z{z}_t{t}.tif"
    for w in ("A01", "B03")
    for s in (1, 2)
    for c in (1, 2)
    for z in (1, 2)
    for t in (1, 2)
]
ARGUMENTS: Json = {"projection": "best", "batch_size": 1}


def _described() -> ExperimentDescription:
    return experiment("uploads/images", pattern=PATTERN)


@pytest.fixture
def half(tmp_path: Path) -> Converted:
    write_images(tmp_path / "uploads" / "images", NAMES)
    return convert(tmp_path, _described(), until="metaconfig")


def _tree(root: Path) -> dict[str, str]:
    """Return a digest of each file below the plates, but for pieces of what was never finished."""
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((root / "plates").rglob("*"))
        if p.is_file() and not p.name.startswith(".tmp-")
    }


def _do(
    half: Converted, kind: str, plan: Plan | None = None, batch: Json | None = None
) -> JobResult:
    spec = JobSpec(
        job=uuid4(), attempt=1, kind=kind, name="imextract", experiment=_described(),
        key=plan.key if plan else "", arguments=ARGUMENTS, inputs=half.inputs, batch=batch or {},
    )  # fmt: skip
    return execute(spec, half.root)


def test_jobs_that_run_twice_and_together_leave_the_same(half: Converted, tmp_path: Path) -> None:
    run_step(half.root, "imextract", _described(), ARGUMENTS, half.inputs)
    once = _tree(half.root)
    (tmp_path / "plates").rename(tmp_path / "once")
    plan = _do(half, "plan").plan
    assert plan is not None
    assert len(plan.rounds[0]) == 4

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(_do, half, "run", plan, b) for b in plan.rounds[0] for _ in range(3)]
        results = [job.result() for job in jobs]
    with ThreadPoolExecutor(2) as threads:
        results += [
            j.result() for j in [threads.submit(_do, half, "collect", plan) for _ in range(2)]
        ]

    assert {r.state for r in results} == {"succeeded"}
    assert _tree(half.root) == once


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_job_that_dies_is_done_again(half: Converted, tmp_path: Path, after: int) -> None:
    run_step(half.root, "imextract", _described(), ARGUMENTS, half.inputs)
    once = _tree(half.root)
    (tmp_path / "plates").rename(tmp_path / "once")
    count = 0

    def dies(_fraction: float, _message: str) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(half.root, "imextract", _described(), ARGUMENTS, half.inputs, dies)
    product, _ = run_step(half.root, "imextract", _described(), ARGUMENTS, half.inputs)

    assert _tree(half.root) == once
    assert not plates_verify(half.root, product.products["plates"]).damaged


def test_the_size_of_jobs_changes_nothing(half: Converted, tmp_path: Path) -> None:
    product, _ = run_step(half.root, "imextract", _described(), ARGUMENTS, half.inputs)
    small = _tree(half.root)
    (tmp_path / "plates").rename(tmp_path / "once")

    again, _ = run_step(half.root, "imextract", _described(), {"projection": "best"}, half.inputs)

    assert again.products == product.products
    large = _tree(half.root)
    assert {k: v for k, v in large.items() if "/parts/" not in k} == {
        k: v for k, v in small.items() if "/parts/" not in k
    }
