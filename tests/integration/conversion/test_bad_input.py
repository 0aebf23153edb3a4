"""Bad input: the file at fault is named, what depends on it is left out, the rest is converted."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.formats import inspect, read_plane
from gpu_workers.runner.execute import StepFailed
from tests.integration.conversion.source import (
    Converted,
    convert,
    experiment,
    image,
    write_images,
)

WELLS = ("A01", "A02", "B01", "B02")
NAMES = tuple(f"plate_{w}_s{s}_w{c}.tif" for w in WELLS for s in (1, 2) for c in (1, 2))
VICTIM = "plate_A02_s2_w1.tif"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "uploads" / "images", NAMES)


def _convert(folder: Path, **how: object) -> Converted:
    return convert(folder.parents[1], experiment("uploads/images"), **how)


def _stored(result: Converted, well: str, site: str, channel: int) -> np.ndarray | None:
    plate = result.layout.plates[0]
    index = {(s.well, s.name): s.index for s in plate.sites}[well, site]
    return result.plates.read(plate.id, index, 0, channel, 0)


def _only_the_victim_is_missing(result: Converted) -> None:
    assert _stored(result, "A02", "2", 0) is None
    assert result.plates.manifest.planes == len(NAMES) - 1
    for seed, name in enumerate(NAMES):
        if name != VICTIM:
            stored = _stored(result, name[6:9], name[11], int(name[14]) - 1)
            np.testing.assert_array_equal(stored, image(seed))


def test_a_truncated_tiff(folder: Path) -> None:
    path = folder / VICTIM
    path.write_bytes(path.read_bytes()[:5000])

    result = _convert(folder)

    assert result.files("truncated_file") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_text_named_tif(folder: Path) -> None:
    (folder / VICTIM).write_text("Dear colleague, the plate is in the fridge.")

    result = _convert(folder)

    assert result.files("not_an_image") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_an_empty_file(folder: Path) -> None:
    (folder / VICTIM).write_bytes(b"")

    result = _convert(folder)

    assert result.files("not_an_image") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_a_plane_of_another_size(folder: Path) -> None:
    tifffile.imwrite(folder / VICTIM, image(1, (64, 64)))

    result = _convert(folder)

    assert result.files("other_size") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_a_plane_of_another_type(folder: Path) -> None:
    tifffile.imwrite(folder / VICTIM, image(1, dtype="uint8"))

    result = _convert(folder)

    assert result.files("other_type") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_a_type_that_is_not_kept(folder: Path) -> None:
    tifffile.imwrite(folder / VICTIM, np.zeros((64, 80), "complex64"))

    result = _convert(folder)

    assert result.files("unsupported_type") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_a_missing_plane(folder: Path) -> None:
    (folder / VICTIM).unlink()

    result = _convert(folder)

    (problem,) = (p for p in result.problems if p.code == "missing_planes")
    assert "A02 site 2 w1" in problem.message
    _only_the_victim_is_missing(result)


def test_a_missing_site_and_well(folder: Path) -> None:
    for path in [*folder.glob("*_B02_*"), *folder.glob("*_A01_s2_*")]:
        path.unlink()

    result = _convert(folder)

    plate = result.layout.plates[0]
    assert [w.name for w in plate.wells] == ["A01", "A02", "B01"]
    assert len(plate.sites) == 5
    assert [s.index for s in plate.sites] == list(range(5))
    assert result.plates.manifest.planes == 10


def test_two_files_for_one_plane(folder: Path) -> None:
    shutil.copy(folder / VICTIM, folder / VICTIM.replace("plate_", "again_"))

    result = _convert(folder)

    assert result.files("several_files") == {VICTIM, VICTIM.replace("plate_", "again_")}
    _only_the_victim_is_missing(result)


def test_a_file_that_breaks_after_the_layout(folder: Path) -> None:
    half = _convert(folder, until="metaconfig")
    (folder / VICTIM).write_bytes(b"II*\0" + os.urandom(200))

    from gpu_workers.runner.execute import run_step

    product, problems = run_step(
        half.root, "imextract", experiment("uploads/images"), {"projection": "max"}, half.inputs
    )

    assert {f for p in problems for f in p.files} == {VICTIM}
    assert {p.code for p in problems} == {"file_changed"}
    result = Converted(half.root, half.inputs | product.products, problems, {})
    _only_the_victim_is_missing(result)
    (missing,) = result.plates.manifest.missing
    assert (missing.well, missing.site, missing.file) == ("A02", "2", VICTIM)
    assert missing.code == "file_changed"


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment("images"))

    assert caught.value.code == "empty_folder"
    assert caught.value.result.error is not None
    assert caught.value.result.error.user


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment("images"))

    assert caught.value.code == "no_folder"


def test_a_folder_outside_the_experiment(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment("uploads/../../images"))

    assert caught.value.code == "no_folder"


def test_files_nobody_understands(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("holiday.doc", "cat.mov"):
        (folder / name).write_bytes(b"miaow")

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder))

    assert caught.value.code == "no_reader"
    assert set(caught.value.files) == {"holiday.doc", "cat.mov"}


def _tiff_claiming(height: int, width: int) -> bytes:
    """Return a TIFF of a few bytes whose header claims a plane of that size."""
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 8), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 16),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (
        b"II*\0"
        + struct.pack("<I", 24)
        + b"\0" * 16
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
    )


def test_a_header_that_claims_70_gigabytes(folder: Path) -> None:
    (folder / VICTIM).write_bytes(_tiff_claiming(187_000, 187_000))

    result = _convert(folder)

    assert result.files("too_large") == {VICTIM}
    _only_the_victim_is_missing(result)


def test_a_png_that_claims_70_gigabytes(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01.tif"])
    header = struct.pack(">IIBBBBB", 190_000, 190_000, 16, 0, 0, 0, 0)
    (folder / "p_A02.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    )

    result = convert(tmp_path, experiment(folder))

    assert result.files("truncated_file") == {"p_A02.png"}
    assert result.plates.manifest.planes == 1


@pytest.mark.parametrize("name", ["p_A01_s99999999999999999999_w1.tif", "p_P48_s1_w1.tif"])
def test_numbers_in_names_reserve_nothing(tmp_path: Path, name: str) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif", name])

    result = convert(tmp_path, experiment(folder))

    plate = result.layout.plates[0]
    assert max(plate.height, plate.width) < 5000
    assert len(plate.sites) == 2


def test_a_time_point_of_a_trillion(tmp_path: Path) -> None:
    names = ["p_A01_T0001F001L01A01Z01C01.tif", "p_A01_T1000000000000F001L01A01Z01C01.tif"]
    folder = write_images(tmp_path / "images", names)

    result = convert(tmp_path, experiment(folder))

    assert result.files("bad_name") == {names[1]}
    assert result.layout.n_tpoints == 1


def test_names_with_newlines_and_links(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / VICTIM, folder / "plate_C01_s1\n_w1.tif")
    outside = write_images(tmp_path / "outside", ["secret.tif"]) / "secret.tif"
    (folder / "plate_D01_s1_w1.tif").symlink_to(outside)
    (folder / "plate_E01_s1_w1.tif").mkdir()

    result = _convert(folder)

    assert result.files("odd_name") == {"plate_C01_s1\\n_w1.tif"}
    assert result.files("link") == {"plate_D01_s1_w1.tif"}
    assert [w.name for w in result.layout.plates[0].wells] == list(WELLS)


def test_a_file_that_becomes_a_link_after_the_layout(folder: Path, tmp_path: Path) -> None:
    half = _convert(folder, until="metaconfig")
    secret = write_images(tmp_path / "outside", ["secret.tif"]) / "secret.tif"
    (folder / VICTIM).unlink()
    (folder / VICTIM).symlink_to(secret)

    from gpu_workers.runner.execute import run_step

    product, _ = run_step(half.root, "imextract", experiment("uploads/images"), {}, half.inputs)

    _only_the_victim_is_missing(Converted(half.root, half.inputs | product.products, [], {}))


def test_a_folder_that_becomes_a_link(tmp_path: Path) -> None:
    secret = write_images(tmp_path / "outside", ["x.tif"])
    folder = write_images(tmp_path / "images", ["y.tif"])
    (folder / "sub").symlink_to(secret)

    with pytest.raises(ValueError, match="not a file of the folder"):
        read_plane(folder, "sub/x.tif")


def _mlf(folder: Path, names: list[str]) -> Path:
    records = "".join(
        f'<bts:MeasurementRecord bts:Type="IMG" bts:Row="1" bts:Column="{n + 1}" bts:TimePoint="1" '
        f'bts:FieldIndex="1" bts:ZIndex="1" bts:TimelineIndex="1" bts:ActionIndex="1" bts:X="0" bts:Y="0" '
        f'bts:Z="0" bts:Ch="1">{name}</bts:MeasurementRecord>'
        for n, name in enumerate(names)
    )
    text = f'<bts:MeasurementData xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0">{records}</bts:MeasurementData>'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MeasurementData.mlf").write_text(text)
    return folder


def test_metadata_that_points_outside(tmp_path: Path) -> None:
    write_images(tmp_path, ["secret.tif"])
    evil = ["../secret.tif", str(tmp_path / "secret.tif"), "good.tif", "new&#10;line.tif"]
    folder = write_images(_mlf(tmp_path / "images", evil), ["good.tif"])

    result = convert(tmp_path, experiment(folder))

    assert len(result.files("unsafe_name")) == 3
    assert [p["file"] for p in result.planes] == ["good.tif"]


def test_metadata_that_explodes(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["good_A01.tif"])
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    (folder / "MeasurementData.mlf").write_text(
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><x>&a9;</x>'
    )

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder))

    assert caught.value.code == "bad_metadata"
    assert caught.value.files == ("MeasurementData.mlf",)


HTD = """"HTSInfoFile", Version 1.0
"TimePoints", 1
"ZSeries", FALSE
"XWells", 3
"YWells", 2
"WellsSelection1", TRUE, TRUE, FALSE
"WellsSelection2", FALSE, FALSE, FALSE
"Sites", TRUE
"XSites", 2
"YSites", 1
"SiteSelection1", TRUE, TRUE
"Waves", TRUE
"NWavelengths", 2
"WaveName1", "DAPI"
"WaveName2", "GFP"
"EndFile"
"""
HTD_NAMES = [
    f"TimePoint_1/p_{w}_s{s}_w{c}.TIF" for w in ("A01", "A02") for s in (1, 2) for c in (1, 2)
]


def test_an_htd_that_names_absent_files(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", HTD_NAMES[:-2])
    (folder / "p.HTD").write_text(HTD)

    result = convert(tmp_path, experiment(folder))

    assert result.files("absent_files") == set(HTD_NAMES[-2:])
    assert result.plates.manifest.planes == 6
    assert [(s.well, s.name) for s in result.layout.plates[0].sites] == [
        ("A01", "1"), ("A01", "2"), ("A02", "1"),
    ]  # fmt: skip


def test_an_htd_without_any_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "p.HTD").write_text(HTD)

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder))

    assert caught.value.code == "no_images"
    assert set(HTD_NAMES) == set(caught.value.files)
    assert inspect(folder).n_absent == 8


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"XWells", 3', '"XWells", 3000000'),
        ('"NWavelengths", 2', '"NWavelengths", many'),
        ('"HTSInfoFile"', '"Shopping list"'),
    ],
)
def test_an_absurd_htd(tmp_path: Path, old: str, new: str) -> None:
    folder = write_images(tmp_path / "images", HTD_NAMES)
    (folder / "p.HTD").write_text(HTD.replace(old, new))

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder))

    assert caught.value.code == "bad_metadata"
    assert caught.value.files == ("p.HTD",)


def test_an_htd_that_promises_millions(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", HTD_NAMES)
    (folder / "p.HTD").write_text(HTD.replace('"TimePoints", 1', '"TimePoints", 999999'))

    result = convert(tmp_path, experiment(folder))

    (problem,) = (p for p in result.problems if p.code == "absent_files")
    assert "7999992" in problem.message
    assert result.plates.manifest.planes == 8


def test_one_bad_acquisition_of_two(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    result = convert(tmp_path, experiment(folder, tmp_path / "empty"))

    (problem,) = (p for p in result.problems if p.code == "empty_folder")
    assert "acquisition 1" in problem.message
    assert result.plates.manifest.planes == len(NAMES)


def test_all_planes_bad(folder: Path) -> None:
    for path in folder.glob("*.tif"):
        path.write_bytes(b"no image")

    with pytest.raises(StepFailed) as caught:
        _convert(folder)

    assert caught.value.code == "no_images"


def test_no_acquisition(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment())

    assert caught.value.code == "no_acquisition"


def test_an_acquisition_to_which_nothing_was_uploaded(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment("uploads/nothing"))

    assert str(caught.value) == (
        "acquisition 'acquisition 0' of plate 'plate 0' has no files yet: upload some or register a folder"
    )


def test_plates_of_different_bit_depth_and_size_are_kept_exactly(tmp_path: Path) -> None:
    write_images(tmp_path / "deep", ["p_A01_w1.tif", "p_A01_w2.tif"])
    write_images(tmp_path / "shallow", ["q_A01_w1.tif"], dtype="uint8", size=(30, 90))

    result = convert(tmp_path, experiment("deep", "shallow"))

    deep, shallow = result.layout.plates
    assert [c.dtype for c in result.layout.channels] == ["uint16", "uint16"]
    np.testing.assert_array_equal(result.plates.read(deep.id, 0, 0, 0, 0), image(0))
    stored = result.plates.read(shallow.id, 0, 0, 0, 0)
    np.testing.assert_array_equal(stored, image(0, dtype="uint8", size=(30, 90)))
    (problem,) = (p for p in result.problems if p.code == "types_differ")
    assert "channel w1" in problem.message
    assert "plate 'plate 1', 'acquisition 1': uint8" in problem.message


def test_a_plane_of_another_type_says_which(folder: Path) -> None:
    tifffile.imwrite(folder / VICTIM, image(1, dtype="uint8"))

    result = _convert(folder)

    (problem,) = (p for p in result.problems if p.code == "other_type")
    assert "(uint8)" in problem.message


def test_a_pattern_that_would_take_for_ever_ends(tmp_path: Path) -> None:
    name = f"p_A01_{'a_name_that_goes_on_' * 9}.tif"
    folder = write_images(tmp_path / "images", [name])

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder, pattern=r"(?P<well>(a|aa|\w)+)$"))

    assert caught.value.code == "bad_pattern"
    assert caught.value.files == (name,)
