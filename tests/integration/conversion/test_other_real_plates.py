"""Real CellVoyager metadata and plainly named images through the steps."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from gpu_workers import formats
from gpu_workers.runner.execute import StepFailed
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import convert, experiment

pytestmark = pytest.mark.data
STACK = "CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack"
BTS = "{http://www.yokogawa.co.jp/BTS/BTSSchema/1.0}"


def _records(folder: Path) -> list[dict[str, str]]:
    root = ElementTree.parse(next(folder.rglob("*.mlf"))).getroot()
    return [{k.removeprefix(BTS): v for k, v in e.attrib.items()} for e in root]


def test_cellvoyager_layout(tmp_path: Path) -> None:
    folder = data_set("cellvoyager_cv8000_meta") / f"{STACK}_20230918_135839"

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    layout = result.layout
    (plate,) = layout.plates
    assert [w.name for w in plate.wells] == ["D08", "E03", "F08"]
    assert len(plate.sites) == 12
    assert [c.name for c in layout.channels] == ["C01", "C02"]
    assert [c.wavelength_nm for c in layout.channels] == [445.0, 525.0]
    assert (layout.n_zplanes, layout.n_tpoints) == (4, 1)
    assert (layout.pixel_size_um, layout.z_step_um) == (0.325, 3.0)
    assert len(result.planes) == 96
    assert result.problems == []


def test_cellvoyager_positions_point_up(tmp_path: Path) -> None:
    folder = data_set("cellvoyager_cv8000_meta") / f"{STACK}_20230918_135839"
    result = convert(tmp_path, experiment(folder), until="metaconfig")
    wells = {w.name: w for w in result.layout.plates[0].wells}
    sites = {(s.well, s.name): s for s in result.layout.plates[0].sites}

    for record in _records(folder):
        well = f"{'ABCDEFGH'[int(record['Row']) - 1]}{int(record['Column']):02d}"
        site = sites[well, record["FieldIndex"]]
        x, y = float(record["X"]), float(record["Y"])

        # 402.9 µm is the upmost and -567.1 µm the leftmost position of every well.
        assert site.x - wells[well].x == round((x + 567.1) / 0.325)
        assert site.y - wells[well].y == round((402.9 - y) / 0.325)


def test_cellvoyager_planes_of_zeros_are_stored(tmp_path: Path) -> None:
    folder = data_set("cellvoyager_cv8000_meta") / f"{STACK}_20230918_135839"

    result = convert(tmp_path, experiment(folder))

    plane = result.plates.read(result.layout.plates[0].id, 11, 0, 1, 3)
    assert plane is not None
    assert plane.shape == (2000, 2000)
    assert not plane.any()
    assert result.plates.manifest.planes == 96


@pytest.mark.parametrize(
    ("name", "absent", "wells"),
    [("CV7000-example", 1984, 4), ("CV7000_z_processed", 135, 5), ("CV8000_AF_Error", 1860, 4)],
)
def test_metadata_without_images(tmp_path: Path, name: str, absent: int, wells: int) -> None:
    folder = data_set("cellvoyager_cv8000_meta") / name

    seen = formats.inspect(folder)

    assert (seen.n_planes, seen.n_absent, len(seen.wells)) == (0, absent, wells)
    (problem,) = (p for p in seen.problems if p.code == "absent_files")
    assert str(absent) in problem.message
    assert problem.files[0].endswith(".tif")
    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder))
    assert caught.value.code == "no_images"
    assert caught.value.files[0].endswith(".tif") or caught.value.files[0].endswith(".mlf")


def test_records_of_errors_are_skipped_and_reported() -> None:
    folder = data_set("cellvoyager_cv8000_meta") / "CV8000_AF_Error"
    records = _records(folder)
    errors = [r for r in records if r["Type"] == "ERR"]

    seen = formats.inspect(folder)

    assert len(errors) == 4
    assert seen.n_absent == len(records) - len(errors)
    (problem,) = (p for p in seen.problems if p.code == "acquisition_error")
    assert "4 failures" in problem.message
    assert "F06 No. 5" in problem.message


@pytest.fixture(scope="module")
def bbbc013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("sbs_bbbc013_rowA", tmp_path_factory)


@pytest.mark.parametrize(
    "pattern", [None, r"(?P<channel>Channel\d)-\d+-(?P<row>[A-P])-(?P<column>\d{2})\.tif"]
)
def test_plain_names(tmp_path: Path, bbbc013: Path, pattern: str | None) -> None:
    result = convert(tmp_path, experiment(bbbc013, pattern=pattern))

    layout = result.layout
    (plate,) = layout.plates
    assert [w.name for w in plate.wells] == [f"A{n:02d}" for n in range(1, 13)]
    assert [c.name for c in layout.channels] == ["Channel1", "Channel2"]
    assert {c.dtype for c in layout.channels} == {"uint8"}
    assert len(result.planes) == 24
    sites = {s.well: s.index for s in plate.sites}
    for file in bbbc013.rglob("Channel*.tif"):
        match = re.fullmatch(r"Channel(\d)-\d\d-A-(\d\d)\.tif", file.name)
        assert match is not None
        stored = result.plates.read(plate.id, sites[f"A{match[2]}"], 0, int(match[1]) - 1, 0)
        np.testing.assert_array_equal(stored, tifffile.imread(file))


def test_cellomics_names(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = unpacked("arrayscan_8wells_3sites", tmp_path_factory)

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    assert len(result.layout.plates[0].wells) == 8
    assert len(result.layout.plates[0].sites) == 24
    assert len(result.planes) == 24
