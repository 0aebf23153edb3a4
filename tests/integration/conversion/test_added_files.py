"""Metadata of files that have not changed is taken from the version before; the result is the same."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tifffile

from gpu_workers.messages import ExperimentDescription
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import run_step
from gpu_workers.steps.metaextract import MetaExtract, MetaExtractArguments
from tests.integration.conversion.source import experiment, image, write_images

PATTERN = r"(?P<well>[A-H]\d\d)_s(?P<site>\d)"
FIRST = ["A01_s1.tif", "A01_s2.tif", "B03_s1.tif"]
DESCRIBED = experiment("uploads/images", pattern=PATTERN)
SMALL = {"batch_size": 2}


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, Path]:
    """Root and folder of three files whose metadata was read."""
    folder = write_images(tmp_path / "uploads" / "images", FIRST)
    run_step(tmp_path, "metaextract", DESCRIBED, SMALL)
    return tmp_path, folder


def _known(root: Path, described: ExperimentDescription = DESCRIBED) -> tuple[int, StepContext]:
    """Run the step; return how many files it did not open, and where the version lies."""
    step, arguments = MetaExtract(), MetaExtractArguments(**SMALL)
    plan = step.plan(StepContext(root, described), arguments)
    context = StepContext(root, described, key=plan.key)
    known = sum(step.run(context, arguments, b).output["known"] for b in plan.rounds[0])
    step.collect(context, arguments)
    return known, context


def _content(context: StepContext) -> dict[str, bytes]:
    folder = context.root / "metadata" / context.key
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and f.name != "base.json"
    }


def _without_earlier(root: Path, described: ExperimentDescription = DESCRIBED) -> dict[str, bytes]:
    (root / "metadata").rename(root / "aside")
    known, context = _known(root, described)
    found = _content(context)
    shutil.rmtree(root / "metadata")
    (root / "aside").rename(root / "metadata")
    assert known == 0
    return found


def test_only_new_files_are_opened(before: tuple[Path, Path]) -> None:
    root, folder = before
    tifffile.imwrite(folder / "A02_s1.tif", image(9))

    known, context = _known(root)

    assert known == 3
    assert _content(context) == _without_earlier(root)


def test_a_file_that_is_known_is_not_read(before: tuple[Path, Path]) -> None:
    root, folder = before
    old = folder / FIRST[0]
    kept = old.stat()
    old.write_bytes(bytes(kept.st_size))
    os.utime(old, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    tifffile.imwrite(folder / "A02_s1.tif", image(9))

    product, problems = run_step(root, "metaextract", DESCRIBED, SMALL)

    assert not problems
    assert product.output["unreadable"] == 0


def test_a_file_that_changed_is_opened_again(before: tuple[Path, Path]) -> None:
    root, folder = before
    tifffile.imwrite(folder / FIRST[1], image(5, (32, 48)))

    known, context = _known(root)

    assert known == 2
    assert _content(context) == _without_earlier(root)


def test_a_file_that_could_not_be_read_is_opened_again(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "uploads" / "images", FIRST)
    (folder / FIRST[0]).write_bytes(b"II*\0 nothing")
    run_step(tmp_path, "metaextract", DESCRIBED, SMALL)
    tifffile.imwrite(folder / "A02_s1.tif", image(9))

    known, context = _known(tmp_path)

    assert known == 2
    assert _content(context) == _without_earlier(tmp_path)


def test_another_acquisition_leaves_the_first_one_s_headers(before: tuple[Path, Path]) -> None:
    root, _ = before
    write_images(root / "uploads" / "more", FIRST)
    both = experiment("uploads/images", "uploads/more", pattern=PATTERN)

    known, context = _known(root, both)

    assert known == 3
    assert _content(context) == _without_earlier(root, both)


def test_files_that_describe_each_other_are_opened_every_time(tmp_path: Path) -> None:
    folder = tmp_path / "uploads" / "images"
    folder.mkdir(parents=True)
    planes = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="z{z}.ome.tif">urn:uuid:{z}'
        "</UUID></TiffData>"
        for z in (0, 1)
    )
    for z in (0, 1):
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:'
            f'{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="80" SizeY="64" SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        tifffile.imwrite(folder / f"z{z}.ome.tif", image(z), description=text, metadata=None)
    described = experiment("uploads/images")
    run_step(tmp_path, "metaextract", described, SMALL)
    (folder / "z0.ome.tif").unlink()

    known, context = _known(tmp_path, described)

    assert known == 0
    assert _content(context) == _without_earlier(tmp_path, described)


@pytest.mark.parametrize("what", ["headers.parquet", "images.parquet", ""])
def test_an_earlier_version_that_is_gone_is_not_missed(
    before: tuple[Path, Path], what: str
) -> None:
    root, folder = before
    (version,) = (root / "metadata").iterdir()
    tifffile.imwrite(folder / "A02_s1.tif", image(9))
    gone = version / "0" / what
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()

    known, context = _known(root)

    assert known == 0
    assert _content(context) == _without_earlier(root)


def test_what_other_versions_of_file_types_read_is_read_again(
    before: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = before
    tifffile.imwrite(folder / "A02_s1.tif", image(9))
    monkeypatch.setattr("gpu_workers.formats.files.tiff.TiffFile.VERSION", 99, raising=False)

    known, _ = _known(root)

    assert known == 0


def test_jobs_that_run_together_leave_the_same(before: tuple[Path, Path]) -> None:
    root, folder = before
    tifffile.imwrite(folder / "A02_s1.tif", image(9))
    step, arguments = MetaExtract(), MetaExtractArguments(**SMALL)
    plan = step.plan(StepContext(root, DESCRIBED), arguments)
    context = StepContext(root, DESCRIBED, key=plan.key)

    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(step.run, context, arguments, b) for b in plan.rounds[0] for _ in "12"
        ]
        found = [job.result().output["known"] for job in jobs]
    step.collect(context, arguments)

    assert sum(found) == 2 * 3
    assert _content(context) == _without_earlier(root)
