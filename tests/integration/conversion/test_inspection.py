"""What `inspect` says without a server: as JSON and as tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gpu_workers import formats
from gpu_workers.__main__ import main
from gpu_workers.formats.report import as_text
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import convert, experiment, write_images

# What scripts may rely on; more may be added.
KEYS = {
    "reader", "n_files", "n_bytes", "n_planes", "n_projections", "n_absent", "plates", "wells", "sites",
    "channels", "z", "t", "shape", "dtype", "pixel_size_um", "problems", "cycles", "z_step_um",
    "t_step_s", "objective", "magnification", "plate_format", "unplaced",
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["imagexpress_htd_3420_3433/9987_Plate_3433", "imagexpress_guid_layout", "single_files/nd2",
     "single_files/czi", "he_svs", "zstack_dna_2ch", "omezarr_cardiomyocyte_nuclei",
     "examplehuman_cellprofiler_features"],
)  # fmt: skip
def test_it_sees_what_the_steps_find(tmp_path: Path, name: str) -> None:
    top, _, below = name.partition("/")
    folder = data_set(top) / below

    seen = formats.inspect(folder)

    layout = convert(tmp_path, experiment(folder), until="metaconfig").layout
    (plate,) = layout.plates
    assert set(seen.wells) == {w.name for w in plate.wells}
    assert [(s.well, s.name) for s in seen.sites] == [(s.well, s.name) for s in plate.sites]
    assert [(s.height, s.width) for s in seen.sites] == [(s.height, s.width) for s in plate.sites]
    assert {(s.stage_y_um, s.stage_x_um) for s in seen.sites} == {
        (s.stage_y_um, s.stage_x_um) for s in plate.sites
    }
    assert [c.name for c in seen.channels] == [c.name for c in layout.channels]
    assert [c.wavelength_nm for c in seen.channels] == [c.wavelength_nm for c in layout.channels]
    assert (len(seen.z), len(seen.t)) == (layout.n_zplanes, layout.n_tpoints)
    assert (seen.pixel_size_um, seen.objective) == (layout.pixel_size_um, layout.objective)


@pytest.mark.data
def test_unplaced_images_are_listed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tiles")
    for tile in unpacked("wsi_brain_tiles", tmp_path_factory).rglob("*.tif"):
        (folder / tile.name).hardlink_to(tile)
    shutil.copy(data_set("wsi_brain_tiles") / "TileConfiguration.txt", folder)

    seen = formats.inspect(folder)

    assert (len(seen.sites), len(seen.unplaced)) == (54, 9)
    assert all(s.y_px is not None and s.x_px is not None for s in seen.sites)
    assert f"unplaced       9: {seen.unplaced[0]}" in as_text(seen)


def test_files_that_are_not_opened_are_taken_to_be_alike(tmp_path: Path) -> None:
    names = [f"p_A0{w}_s{s}_w{c}.tif" for w in (1, 2) for s in (1, 2) for c in (1, 2)]
    folder = write_images(tmp_path / "images", names)
    (folder / names[-1]).write_bytes(
        b"damaged, and not seen: only one file of each channel is opened"
    )

    seen = formats.inspect(folder)

    assert (seen.n_images, seen.n_opened, seen.n_planes) == (8, 2, 8)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif", "p_A01_s2_w1.tif"])
    (folder / "p_A01_s1_w1.tif").write_bytes(b"no image")

    seen = formats.inspect(folder)

    assert [(p.code, p.files) for p in seen.problems] == [("not_an_image", ("p_A01_s1_w1.tif",))]
    # The next one says what the channel's images are.
    assert (seen.n_opened, seen.n_planes, seen.shape, seen.dtype) == (2, 1, (64, 80), "uint16")


def test_images_of_several_sizes_and_types_are_said_to_be(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["a.tif", "b.tif"])
    write_images(folder, ["c.tif"], size=(60, 90), dtype="uint8")

    lines = as_text(formats.inspect(folder)).splitlines()

    assert "image size     64 x 80 px (height x width), others 60 x 90 px" in lines
    assert "pixel type     uint16, others uint8" in lines


@pytest.mark.data
def test_time_points_of_projections_are_counted_where_there_is_nothing_else() -> None:
    seen = formats.inspect(data_set("incell6000_xdce_meta"))

    assert (seen.n_planes, seen.n_absent, seen.z, len(seen.t)) == (0, 32, (), 1)


def test_junk_with_the_name_of_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.czi").write_bytes(bytes(range(256)) * 20)

    status = main(["inspect", str(tmp_path)])

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert "files          1, 5.1 kB; 1 image, 1 opened" in lines
    assert not any(line.startswith(("plate", "wells", "pixel size")) for line in lines)
    assert lines[-4:] == [
        "2 problems", "error not_an_image: c.czi is no image of a known format (c01, czi, jpeg, lif, nd2, "
        "ome_companion, png, tiff, zarr)", "  c.czi", "error no_images: no image could be read",
    ]  # fmt: skip


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_images(tmp_path / "images", ["x_B7_DAPI.tif", "x_B8_DAPI.tif"])
    pattern = r"_(?P<well>[A-H]\d+)_(?P<channel>[A-Z]+)"

    assert main(["inspect", str(folder), "--pattern", pattern, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["inspect", str(folder), "--pattern", pattern]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert set(found) >= KEYS
    assert found["wells"] == ["B07", "B08"]
    assert found["shape"] == [64, 80]
    assert "wells          2: B07-B08" in lines
    assert "image size     64 x 80 px (height x width)" in lines
    assert "B07   1     64 x 80" in lines


def test_an_empty_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 1
    assert main(["inspect", str(tmp_path / "nowhere")]) == 1

    assert capsys.readouterr().err.splitlines() == [
        f"empty_folder: the folder holds no files ({tmp_path})",
        f"no_folder: the folder is not there ({tmp_path / 'nowhere'})",
    ]


def test_a_file_in_the_place_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path, ["a.tif"])

    assert main(["inspect", str(tmp_path / "a.tif")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "no_folder: a folder is needed, and this is a file: name the one it lies in"
    )


@pytest.mark.data
def test_several_plates_in_one_folder_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(data_set("imagexpress_htd_3420_3433"))]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("several_plates: the folder holds 2 plates")
    assert line.endswith("(9987_Plate_3420/9987.HTD, 9987_Plate_3433/9987.HTD)")
