"""Originals go only after every plane of theirs was read back; registered folders are never written to."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import tifffile

from gpu_workers.messages import ExperimentDescription, JobResult, JobSpec, Json, Plan
from gpu_workers.runner.execute import StepFailed, execute, run_step
from gpu_workers.storage import tables
from gpu_workers.storage.layout import PLANE_TYPES
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.verification import plates_verify
from tests.integration.conversion.source import (
    Converted,
    convert,
    experiment,
    image,
    write_images,
)
from tissuemaps.cli.simulate import simulate_plate

NAMES = [f"p_{w}_s{s}_w{c}.tif" for w in ("A01", "B03") for s in (1, 2) for c in (1, 2)]
DELETE: Json = {"delete": True}
UPLOADS = "uploads/images"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path / UPLOADS, NAMES)
    return tmp_path


def _files(root: Path) -> set[str]:
    return {p.name for p in (root / UPLOADS).rglob("*") if p.is_file() and p.name[0] != "."}


def _job(
    half: Converted,
    described: ExperimentDescription,
    kind: str,
    plan: Plan | None = None,
    batch: Json | None = None,
    arguments: Json = DELETE,
) -> JobResult:
    spec = JobSpec(
        job=uuid4(), attempt=1, kind=kind, name="imextract", experiment=described,
        key=plan.key if plan else "", arguments=arguments, inputs=half.inputs, batch=batch or {},
    )  # fmt: skip
    return execute(spec, half.root)


def _restore(root: Path) -> None:
    write_images(root / UPLOADS, NAMES)


def test_nothing_is_removed_unless_asked(root: Path) -> None:
    result = convert(root, experiment(UPLOADS))

    assert _files(root) == set(NAMES)
    assert result.plates.manifest.removed is None


def test_originals_are_removed_and_named(root: Path) -> None:
    (root / UPLOADS / "notes.txt").write_text("not an image")

    result = convert(root, experiment(UPLOADS), images=DELETE)

    assert _files(root) == {"notes.txt"}
    removed = result.plates.manifest.removed
    assert removed is not None
    assert removed.n == len(NAMES)
    assert {f.partition("/")[2] for f in removed.files} == set(NAMES)
    assert set(tables.read_table(root / removed.path)["file"].to_pylist()) == set(NAMES)
    assert plates_verify(root, result.inputs["plates"]).n_damaged == 0
    plate = result.layout.plates[0]
    assert all(
        (
            result.plates.read(plate.id, r["site"], 0, r["channel"], 0)
            == image(NAMES.index(r["file"]))
        ).all()
        for r in result.planes
    )


def test_a_registered_folder_is_refused_before_anything_runs(root: Path) -> None:
    described = experiment(UPLOADS, root / UPLOADS)
    half = convert(root, described, until="metaconfig")

    with pytest.raises(StepFailed) as caught:
        run_step(root, "imextract", described, DELETE, half.inputs)

    assert caught.value.code == "registered_folder"
    assert "acquisition 1" in str(caught.value)
    assert not (root / "plates").exists()
    assert _files(root) == set(NAMES)


def test_a_link_to_a_folder_elsewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = write_images(tmp_path / "elsewhere", NAMES)
    (tmp_path / "root" / "uploads").mkdir(parents=True)
    (tmp_path / "root" / UPLOADS).symlink_to(elsewhere)
    half = convert(tmp_path / "root", experiment(UPLOADS), until="metaconfig")

    plan = _job(half, experiment(UPLOADS), "plan")

    assert plan.error is not None
    assert plan.error.code == "registered_folder"


def test_what_the_microscope_projected_stays(tmp_path: Path) -> None:
    simulate_plate(
        tmp_path / UPLOADS, vendor="imagexpress", rows=1, columns=1, sites=(1, 1), size=64, z=2, projection=True
    )  # fmt: skip
    before = {p for p in (tmp_path / UPLOADS).rglob("*") if p.is_file()}

    convert(tmp_path, experiment(UPLOADS), images={"delete": True, "projection": "max"})

    left = {p for p in before if p.exists()}
    assert {p.parent.name for p in left if p.suffix.lower() == ".tif"} == {"ZStep_0"}
    assert any(p.suffix.lower() == ".htd" for p in left)


def test_files_with_a_damaged_or_missing_plane_stay(tmp_path: Path) -> None:
    folder = tmp_path / UPLOADS
    folder.mkdir(parents=True)
    for well in ("A01", "A02", "A03"):
        with tifffile.TiffWriter(folder / f"p_{well}_w1.tif") as tiff:
            for z in range(3):
                tiff.write(image(z), photometric="minisblack")
    described = experiment(UPLOADS)
    half = convert(tmp_path, described, until="metaconfig")
    (folder / "p_A03_w1.tif").write_bytes(b"II*\0" + bytes(500))
    plan = _job(half, described, "plan").plan
    assert plan is not None
    convert_, read_back, remove = plan.rounds
    for batch in convert_:
        _job(half, described, "run", plan, batch)
    (shard,) = tmp_path.glob("plates/*/*.zarr/A/2/0a0/0/c/0/0/1/0/0")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)

    results = [_job(half, described, "run", plan, b) for b in (*read_back, *remove)]
    collected = _job(half, described, "collect", plan)

    codes = {p.code for r in results for p in r.problems}
    assert codes == {"damaged_planes"}
    assert _files(tmp_path) == {"p_A02_w1.tif", "p_A03_w1.tif"}
    assert collected.output["removed"] == 1


def test_removal_goes_on_where_it_was_killed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = experiment(UPLOADS)
    half = convert(root, described, until="metaconfig")
    real, count = Path.unlink, 0

    def dies(path: Path, missing_ok: bool = False) -> None:
        nonlocal count
        count += path.suffix == ".tif"
        if count == 4:
            raise KeyboardInterrupt
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        run_step(root, "imextract", described, DELETE, half.inputs)
    monkeypatch.undo()
    assert len(_files(root)) == len(NAMES) - 3

    product, problems = run_step(root, "imextract", described, DELETE, half.inputs)

    assert not _files(root)
    assert not problems
    manifest = Plates.open(root, product.products["plates"]).manifest
    assert (manifest.planes, manifest.n_missing) == (len(NAMES), 0)
    assert manifest.removed is not None
    assert manifest.removed.n == len(NAMES)


def test_removal_after_a_conversion_that_kept_the_originals(root: Path) -> None:
    described = experiment(UPLOADS)
    first = convert(root, described)
    half = Converted(root, {"layout": first.inputs["layout"]}, [], {})

    product, _ = run_step(root, "imextract", described, DELETE, half.inputs)
    run_step(root, "imextract", described, {}, half.inputs)

    assert product.products["plates"] == first.inputs["plates"]
    assert not _files(root)
    manifest = Plates.open(root, product.products["plates"]).manifest
    assert manifest.removed is not None


def test_a_file_that_was_uploaded_again_is_not_removed_by_the_old_list(root: Path) -> None:
    described = experiment(UPLOADS)
    result = convert(root, described, images=DELETE)
    _restore(root)

    run_step(root, "imextract", described, DELETE, {"layout": result.inputs["layout"]})

    assert _files(root) == set(NAMES)


def test_reading_metadata_again_says_what_it_needs(root: Path) -> None:
    convert(root, experiment(UPLOADS), images=DELETE)

    with pytest.raises(StepFailed) as caught:
        convert(root, experiment(UPLOADS))

    assert caught.value.code == "originals_removed"
    assert "upload them again" in str(caught.value)
    assert set(caught.value.files) == set(NAMES)


def test_with_the_originals_uploaded_again_everything_can_be_done_again(root: Path) -> None:
    convert(root, experiment(UPLOADS), images=DELETE)
    _restore(root)

    result = convert(root, experiment(UPLOADS))

    assert result.plates.manifest.planes == len(NAMES)
    assert result.plates.manifest.removed is None


def test_another_conversion_needs_the_originals(root: Path) -> None:
    described = experiment(UPLOADS)
    result = convert(root, described, images=DELETE)
    inputs = {"layout": result.inputs["layout"]}

    again, _ = run_step(root, "imextract", described, {}, inputs)
    with pytest.raises(StepFailed) as caught:
        run_step(root, "imextract", described, {"projection": "mean"}, inputs)

    assert again.output["planes"] == len(NAMES)
    assert caught.value.code == "originals_removed"


def test_an_acquisition_added_later_does_not_hide_the_one_that_was_removed(root: Path) -> None:
    convert(root, experiment(UPLOADS), images=DELETE)
    write_images(root / "uploads" / "more", NAMES[:2])

    with pytest.raises(StepFailed) as caught:
        convert(root, experiment(UPLOADS, "uploads/more", plates=(0, 0)))

    assert caught.value.code == "originals_removed"


def test_a_page_that_is_stored_twice_does_not_stand_for_another(tmp_path: Path) -> None:
    (tmp_path / UPLOADS).mkdir(parents=True)
    pages = np.arange(2 * 32 * 32, dtype=np.uint16).reshape(2, 32, 32)
    tifffile.imwrite(tmp_path / UPLOADS / "p_A01_s1_w1.tif", pages)
    described = experiment(UPLOADS)
    half = convert(tmp_path, described, until="metaconfig")
    path = (tmp_path / half.inputs["layout"]).with_name("planes.parquet")
    planes = tables.read_table(path)
    assert sorted(planes["page"].to_pylist()) == [0, 1]
    columns = {n: planes[n].to_pylist() for n in PLANE_TYPES} | {"page": [0, 0]}
    tables.write_table(path, columns, PLANE_TYPES)

    run_step(tmp_path, "imextract", described, DELETE, half.inputs)

    assert _files(tmp_path) == {"p_A01_s1_w1.tif"}
