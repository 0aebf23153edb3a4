"""Plates that grow take over what was converted before, and are what they would be without it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import tifffile

from gpu_workers.messages import JobResult, JobSpec, Json, Plan
from gpu_workers.runner.execute import execute, run_step
from gpu_workers.storage.verification import plates_verify
from tests.integration.conversion.source import Converted, convert, experiment, image

PATTERN = r"_(?P<well>[A-H]\d\d)_s(?P<site>\d)_w(?P<channel>\d)_z(?P<z>\d)"
BEST: Json = {"projection": "best", "batch_size": 2}
DESCRIBED = experiment("uploads/images", pattern=PATTERN)


def _names(well: str) -> list[str]:
    return [f"p_{well}_s{s}_w{c}_z{z}.tif" for s in (1, 2) for c in (1, 2) for z in (1, 2)]


def _write(root: Path, wells: Sequence[str], folder: str = "images") -> None:
    """Write the files of wells that aren't there yet; what is in them depends on their names."""
    for name in (n for w in wells for n in _names(w)):
        path = root / "uploads" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            tifffile.imwrite(path, image(sum(map(ord, name)) * 7 + ord(name[-5])))


def _convert(root: Path, **more: object) -> Converted:
    return convert(root, DESCRIBED, images=BEST, **more)


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, Converted]:
    """Plates of the wells A01, B03 and B05."""
    _write(tmp_path, ["A01", "B03", "B05"])
    return tmp_path, _convert(tmp_path)


def _folder(root: Path, made: Converted) -> Path:
    return (root / made.inputs["plates"]).parent


def _files(root: Path, made: Converted) -> dict[str, Path]:
    """Return all files of a version but those that say how it was made."""
    folder = _folder(root, made)
    found = {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file()}
    return {n: f for n, f in found.items() if not n.startswith(("parts/", "base.json"))}


def _bytes(root: Path, made: Converted) -> dict[str, bytes]:
    return {n: f.read_bytes() for n, f in _files(root, made).items()}


def _alone(root: Path, made: Converted) -> dict[str, bytes]:
    """Return the same version as it is where there never was an earlier one."""
    (root / "plates").rename(root / "aside")
    run_step(root, "imextract", DESCRIBED, BEST, made.inputs)
    found = _bytes(root, made)
    shutil.rmtree(root / "plates")
    (root / "aside").rename(root / "plates")
    return found


def _wells_linked(root: Path, one: Converted, other: Converted) -> dict[str, int]:
    """Return how many shards of each well are the same file in both versions."""
    inodes = {f.stat().st_ino for f in _files(root, other).values()}
    found: dict[str, int] = {}
    for name, file in _files(root, one).items():
        if "/0/c/" in name and file.stat().st_ino in inodes:
            well = "/".join(name.split("/")[1:3])
            found[well] = found.get(well, 0) + 1
    return found


# Of each of two sites: 2 channels of 2 planes and of their projection.
SHARDS = 2 * 2 * 3


def test_a_well_in_the_middle_costs_its_own_pixels_alone(before) -> None:
    root, first = before
    _write(root, ["B04"])

    second = _convert(root)

    assert _wells_linked(root, second, first) == {"A/1": SHARDS, "B/3": SHARDS, "B/5": SHARDS}
    assert _bytes(root, second) == _alone(root, second)
    assert not plates_verify(root, second.inputs["plates"]).damaged
    site = next(s for s in second.layout.plates[0].sites if s.well == "B04")
    found = second.plates.read(second.layout.plates[0].id, site.index, 0, 0, 0)
    expected = tifffile.imread(root / "uploads" / "images" / _names("B04")[0])
    assert np.array_equal(found, expected)


def test_only_what_is_new_is_planned_to_be_written(before) -> None:
    root, _ = before
    _write(root, ["B04"])
    inputs = _convert(root, until="metaconfig").inputs

    planned = _do(root, inputs, "plan").plan
    (root / "plates").rename(root / "aside")
    whole = _do(root, inputs, "plan").plan

    assert planned is not None
    assert whole is not None
    new, old = (len(_names("B04")) * n * 64 * 80 * 2 for n in (1, 3))
    assert (whole.bytes_to_write, planned.bytes_to_write) == (1.5 * (old + new), 1.5 * new + 0)


def test_another_acquisition_leaves_the_first_one_s_pixels_linked(before) -> None:
    root, first = before
    _write(root, ["A01"], "more")
    described = experiment("uploads/images", "uploads/more", pattern=PATTERN)

    second = convert(root, described, images=BEST)

    assert _wells_linked(root, second, first) == {"A/1": SHARDS, "B/3": SHARDS, "B/5": SHARDS}


def test_a_file_that_changed_is_converted_again_with_its_site(before) -> None:
    root, first = before
    changed = root / "uploads" / "images" / _names("B03")[0]
    tifffile.imwrite(changed, image(12345))

    second = _convert(root)

    assert _wells_linked(root, second, first) == {"A/1": SHARDS, "B/3": SHARDS // 2, "B/5": SHARDS}
    assert _bytes(root, second) == _alone(root, second)


def test_another_projection_is_made_anew(before) -> None:
    root, first = before

    second = convert(root, DESCRIBED, images={"projection": "max"})

    assert not _wells_linked(root, second, first)


@pytest.mark.parametrize("what", ["one shard", "half a shard", "a table", "everything"])
def test_what_is_gone_or_cut_short_is_converted(before, what: str) -> None:
    root, first = before
    _write(root, ["B04"])
    folder = _folder(root, first)
    shard = next(f for n, f in sorted(_files(root, first).items()) if "/B/3/" in n and "/0/c/" in n)
    if what == "one shard":
        shard.unlink()
    elif what == "half a shard":
        data = shard.read_bytes()
        shard.write_bytes(data[: len(data) // 2])
    elif what == "a table":
        (folder / "checksums.parquet").unlink()
    else:
        shutil.rmtree(folder)

    second = _convert(root)

    assert _bytes(root, second) == _alone(root, second)
    assert not plates_verify(root, second.inputs["plates"]).damaged


def test_a_site_that_lacks_planes_is_tried_again(tmp_path: Path) -> None:
    _write(tmp_path, ["A01", "B03"])
    path = tmp_path / "uploads" / "images" / _names("B03")[0]
    pixels = path.read_bytes()
    ready = _convert(tmp_path, until="metaconfig")
    path.unlink()
    product, _ = run_step(tmp_path, "imextract", DESCRIBED, BEST, ready.inputs)
    first = Converted(tmp_path, {**ready.inputs, **product.products}, [], {})
    path.write_bytes(pixels)
    _write(tmp_path, ["B04"])

    second = _convert(tmp_path)

    assert first.plates.manifest.n_missing == 1
    assert second.plates.manifest.n_missing == 0
    assert _wells_linked(tmp_path, second, first) == {"A/1": SHARDS, "B/3": SHARDS // 2}


def test_deleting_either_version_leaves_the_other_whole(before) -> None:
    root, first = before
    _write(root, ["B04"])
    second = _convert(root)

    shutil.rmtree(_folder(root, first))

    assert not plates_verify(root, second.inputs["plates"]).damaged


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_job_that_dies_is_done_again_beside_the_earlier_version(before, after: int) -> None:
    root, first = before
    old = _bytes(root, first)
    _write(root, ["B04"])
    ready = _convert(root, until="metaconfig")
    count = 0

    def dies(_fraction: float, _message: str) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(root, "imextract", DESCRIBED, BEST, ready.inputs, dies)
    second = _convert(root)

    assert _bytes(root, second) == _alone(root, second)
    assert _bytes(root, first) == old


def _do(
    root: Path, inputs: Json, kind: str, plan: Plan | None = None, batch: Json | None = None
) -> JobResult:
    spec = JobSpec(
        job=uuid4(), attempt=1, kind=kind, name="imextract", experiment=DESCRIBED,
        key=plan.key if plan else "", arguments=BEST, inputs=inputs, batch=batch or {},
    )  # fmt: skip
    return execute(spec, root)


def test_jobs_that_run_together_take_over_the_same(before) -> None:
    root, first = before
    old = _bytes(root, first)
    _write(root, ["B04"])
    inputs = _convert(root, until="metaconfig").inputs
    plan = _do(root, inputs, "plan").plan
    assert plan is not None

    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(_do, root, inputs, "run", plan, b)
            for b in plan.rounds[0]
            for _ in range(3)
        ]
        states = {job.result().state for job in jobs}
    result = _do(root, inputs, "collect", plan)

    assert states == {"succeeded"}
    second = Converted(root, {**inputs, **result.products}, [], {})
    assert _bytes(root, second) == _alone(root, second)
    assert _bytes(root, first) == old


def test_originals_whose_pixels_were_taken_over_can_be_removed(before) -> None:
    root, first = before
    _write(root, ["B04"])

    second = convert(root, DESCRIBED, images={**BEST, "delete": True})

    assert _wells_linked(root, second, first) == {"A/1": SHARDS, "B/3": SHARDS, "B/5": SHARDS}
    assert second.plates.manifest.removed is not None
    assert second.plates.manifest.removed.n == 4 * 8
    assert not list((root / "uploads" / "images").glob("*.tif"))
    assert not plates_verify(root, second.inputs["plates"]).damaged
