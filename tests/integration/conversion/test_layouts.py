"""What the steps make of well-formed but unusual plates; repeated and interrupted runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.formats.files import read_plane
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.storage import paths
from tests.data_sets import data_set
from tests.integration.conversion.source import convert, experiment, image, write_images
from tests.unit.formats import folders

SITES = [f"p_A01_s{s}_w1.tif" for s in range(1, 5)]


def test_a_grid_replaces_missing_positions(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)

    result = convert(
        tmp_path, experiment(folder),
        layout={"stitch_layout": "zigzag_horizontal", "n_vertical": 2, "n_horizontal": 2},
        until="metaconfig",
    )  # fmt: skip

    assert [(s.y, s.x) for s in result.layout.plates[0].sites] == [
        (0, 0),
        (0, 80),
        (64, 80),
        (64, 0),
    ]
    assert "no_stage_positions" not in result.codes


def test_sites_in_a_grid_may_overlap(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)

    result = convert(tmp_path, experiment(folder), layout={"overlap": 0.1}, until="metaconfig")

    plate = result.layout.plates[0]
    # Sites of 64 x 80 px: 57.6 px, which is 58, and 72 px from one to the next.
    assert [(s.y, s.x) for s in plate.sites] == [(0, 0), (0, 72), (58, 0), (58, 72)]
    assert (plate.height, plate.width) == (122, 152)
    (problem,) = (p for p in result.problems if p.code == "no_stage_positions")
    assert "2 x 2, horizontal, with 10 % of overlap" in problem.message


@pytest.mark.data
def test_an_overlap_moves_no_site_whose_place_is_known(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"

    plain, other = (
        convert(tmp_path / name, experiment(folder), layout=layout, until="metaconfig").layout
        for name, layout in (("a", {}), ("b", {"overlap": 0.3}))
    )

    assert [(s.y, s.x) for s in other.plates[0].sites] == [
        (s.y, s.x) for s in plain.plates[0].sites
    ]


def test_a_grid_that_is_too_small(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder), layout={"n_vertical": 1, "n_horizontal": 3})

    assert caught.value.code == "bad_grid"


def test_guessed_grids_are_reported(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    assert "no_stage_positions" in result.codes
    assert [(s.y, s.x) for s in result.layout.plates[0].sites] == [
        (0, 0),
        (0, 80),
        (64, 0),
        (64, 80),
    ]


@pytest.mark.parametrize(("collapse", "columns"), [(True, [0, 1]), (False, [0, 9])])
def test_empty_columns(tmp_path: Path, collapse: bool, columns: list[int]) -> None:
    folder = write_images(tmp_path / "images", ["p_C01.tif", "p_C10.tif"])

    result = convert(
        tmp_path, experiment(folder), layout={"collapse_empty": collapse}, until="metaconfig"
    )

    (plate,) = result.layout.plates
    assert [w.column for w in plate.wells] == [0, 9]
    assert [w.x // plate.pitch[1] for w in plate.wells] == columns
    assert plate.width >= max(w.x + w.width for w in plate.wells)


def test_a_larger_plate_than_was_said(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01.tif", "p_P24.tif"])

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    assert (result.layout.plates[0].n_rows, result.layout.plates[0].n_columns) == (16, 24)


def test_acquisitions_of_a_plate_are_time_points(tmp_path: Path) -> None:
    first = write_images(tmp_path / "a", ["p_A01_t1_s1.tif", "p_A01_t2_s1.tif"])
    second = write_images(tmp_path / "b", ["p_A01_t1_s1.tif", "p_A01_t1_s2.tif"])

    result = convert(tmp_path, experiment(first, second, plates=[1, 1]))

    layout, plates = result.layout, result.plates
    assert [a.tpoint_offset for a in layout.acquisitions] == [0, 2]
    assert layout.n_tpoints == 3
    plate = layout.plates[0].id
    for t, (folder, name) in enumerate(
        [(first, "p_A01_t1_s1.tif"), (first, "p_A01_t2_s1.tif"), (second, "p_A01_t1_s1.tif")]
    ):
        np.testing.assert_array_equal(plates.read(plate, 0, t, 0, 0), read_plane(folder, name))
    assert plates.read(plate, 1, 0, 0, 0) is None
    assert plates.read(plate, 1, 2, 0, 0) is not None
    assert plates.exists(plate, 1, 2, 0, 0)
    assert not plates.exists(plate, 1, 0, 0, 0)


def test_acquisitions_in_multiplexing_are_cycles(tmp_path: Path) -> None:
    first = write_images(tmp_path / "a", ["p_A01_s1_w1.tif", "p_A01_s1_w2.tif"])
    second = write_images(tmp_path / "b", ["p_A01_s1_w1.tif"])

    result = convert(tmp_path, experiment(first, second, plates=[1, 1], mode="multiplexing"))

    layout = result.layout
    assert [c.name for c in layout.channels] == ["0_w1", "0_w2", "1_w1"]
    assert (layout.n_tpoints, layout.n_cycles) == (1, 2)
    np.testing.assert_array_equal(
        result.plates.read(layout.plates[0].id, 0, 0, 2, 0), read_plane(second, "p_A01_s1_w1.tif")
    )


def test_channels_of_different_types_are_kept_exactly(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    pictures = {"1": image(1), "2": image(2, dtype="uint8"), "3": image(3, dtype="float32")}
    for channel, pixels in pictures.items():
        tifffile.imwrite(folder / f"p_A01_s1_w{channel}.tif", pixels)

    result = convert(tmp_path, experiment(folder))

    for c, pixels in enumerate(pictures.values()):
        stored = result.plates.read(result.layout.plates[0].id, 0, 0, c, 0)
        assert stored is not None
        assert stored.dtype == pixels.dtype == result.plates.dtype(c)
        np.testing.assert_array_equal(stored, pixels)


def test_pages_are_z_planes_and_colours_are_channels(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    stack = np.stack([image(n) for n in range(3)])
    rgb = np.stack([image(n, dtype="uint8") for n in range(3)], axis=-1)
    tifffile.imwrite(folder / "p_A01.tif", stack, photometric="minisblack")
    tifffile.imwrite(folder / "p_A02.tif", stack, photometric="minisblack")
    brightfield = tmp_path / "rgb"
    brightfield.mkdir()
    tifffile.imwrite(brightfield / "p_A01.tif", rgb, photometric="rgb")

    stacks = convert(tmp_path / "1", experiment(folder), images={"projection": "mean"})
    colored = convert(tmp_path / "2", experiment(brightfield))

    plate = stacks.layout.plates[0].id
    assert stacks.layout.n_zplanes == 3
    for z in range(3):
        np.testing.assert_array_equal(stacks.plates.read(plate, 1, 0, 0, z), stack[z])
    mean = np.floor(stack.astype(float).mean(axis=0) + 0.5)
    np.testing.assert_array_equal(stacks.plates.read(plate, 0, 0, 0, 0, "mean"), mean)
    assert [c.name for c in colored.layout.channels] == ["red", "green", "blue"]
    assert [c.color for c in colored.layout.channels] == ["#ff0000", "#00ff00", "#0000ff"]
    for c in range(3):
        stored = colored.plates.read(colored.layout.plates[0].id, 0, 0, c, 0)
        np.testing.assert_array_equal(stored, rgb[..., c])


def test_a_pattern_overrides_what_the_reader_found(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["p_A01_s1_w1.tif", "p_A01_s2_w1.tif"])

    result = convert(
        tmp_path,
        experiment(folder),
        layout={"regex": r"_(?P<well>A01)_s(?P<z>\d)"},
        until="metaconfig",
    )

    assert result.layout.n_zplanes == 2
    assert len(result.layout.plates[0].sites) == 1


def test_a_wrong_pattern_fails_at_once(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)

    with pytest.raises(StepFailed) as caught:
        convert(tmp_path, experiment(folder), layout={"regex": "(?P<well>["})

    assert caught.value.code == "bad_pattern"


def test_plates_of_different_sizes(tmp_path: Path) -> None:
    first = write_images(tmp_path / "a", ["p_A01_s1.tif", "p_A01_s2.tif"], size=(64, 64))
    second = write_images(tmp_path / "b", ["p_H12_s1.tif"], size=(700, 600))

    result = convert(tmp_path, experiment(first, second))

    one, two = result.layout.plates
    assert (one.sites[0].height, two.sites[0].height) == (64, 700)
    assert result.codes == {"no_pixel_size", "no_stage_positions", "plates_differ"}
    np.testing.assert_array_equal(
        result.plates.read(two.id, 0, 0, 0, 0), read_plane(second, "p_H12_s1.tif")
    )


def _contents(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for below in ("metadata", "layouts", "plates")
        for p in sorted((root / below).rglob("*"))
        if p.is_file()
    }


def test_running_twice_changes_nothing(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)
    first = convert(tmp_path, experiment(folder), images={"batch_size": 1})
    before = _contents(tmp_path)

    second = convert(tmp_path, experiment(folder), images={"batch_size": 1})

    assert second.inputs == first.inputs
    assert _contents(tmp_path) == before
    assert second.problems == first.problems


def test_a_run_that_died_half_way_is_completed(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)
    first = convert(tmp_path, experiment(folder), images={"batch_size": 2})
    before = _contents(tmp_path)
    plates = tmp_path / paths.plates_folder(first.plates.manifest.key)
    # What a job writes last: without it nothing of the job counts as done.
    next(iter(sorted((plates / "parts").glob("*.json")))).unlink()
    (plates / "plates.json").unlink()
    shutil.rmtree(next(plates.rglob("0a0")))

    convert(tmp_path, experiment(folder), images={"batch_size": 2})

    assert _contents(tmp_path) == before


def test_moving_sites_keeps_the_pixels(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)
    first = convert(tmp_path, experiment(folder))

    second = convert(tmp_path, experiment(folder), layout={"stitch_layout": "vertical"})

    assert second.inputs["layout"] != first.inputs["layout"]
    assert second.inputs["plates"] == first.inputs["plates"]
    assert [(s.y, s.x) for s in second.layout.plates[0].sites][1] == (64, 0)


def test_a_changed_file_changes_the_key(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)
    first = convert(tmp_path, experiment(folder))
    tifffile.imwrite(folder / SITES[0], image(99))

    second = convert(tmp_path, experiment(folder))

    assert second.inputs["plates"] != first.inputs["plates"]
    np.testing.assert_array_equal(
        second.plates.read(second.layout.plates[0].id, 0, 0, 0, 0), image(99)
    )


def test_batches_aim_at_200_megabytes(tmp_path: Path) -> None:
    names = [f"p_A01_s{s}_w1.tif" for s in range(1, 31)]
    folder = write_images(tmp_path / "images", names, size=(2000, 2000))
    done = convert(tmp_path, experiment(folder), until="metaconfig")

    from gpu_workers.registry import StepContext
    from gpu_workers.steps.imextract import ImExtract, ImExtractArguments

    context = StepContext(tmp_path, experiment(folder), inputs=done.inputs)
    plan = ImExtract().plan(context, ImExtractArguments())

    assert [b["count"] for b in plan.rounds[0]] == [25, 5]
    assert plan.bytes_to_write == 30 * 8_000_000


def test_an_acquisition_that_was_removed(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", SITES)
    done = convert(tmp_path, experiment(folder), until="metaconfig")

    with pytest.raises(StepFailed) as caught:
        run_step(tmp_path, "imextract", experiment(), {}, done.inputs)

    assert caught.value.code == "missing_input"


def test_tiles_of_a_grid_may_be_smaller_at_its_edge(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    sizes = {(0, 0): (64, 80), (1, 0): (64, 30), (0, 1): (20, 80), (1, 1): (20, 30)}
    for (x, y), size in sizes.items():
        tifffile.imwrite(folder / f"DAPI_{x}_{y}.tif", np.full(size, 1 + x + 2 * y, np.uint16))
    pattern = r"(?P<channel>[A-Z]+)_(?P<x>\d+)_(?P<y>\d+)\.tif"

    result = convert(tmp_path, experiment(folder, pattern=pattern))

    sites = result.layout.plates[0].sites
    assert [(s.y, s.x, s.height, s.width) for s in sites] == [
        (0, 0, 64, 80), (0, 80, 64, 30), (64, 0, 20, 80), (64, 80, 20, 30),
    ]  # fmt: skip
    read = [result.plates.read(result.layout.plates[0].id, s.index, 0, 0, 0) for s in sites]
    assert [int(image.max()) for image in read if image is not None] == [1, 2, 3, 4]


def test_sites_of_a_scanr_lie_where_its_ome_xml_says(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    folders.scanr_ome(folder)
    write_images(folder, [str(p.relative_to(folder)) for p in folder.rglob("*.tif")])

    layout = convert(tmp_path, experiment(folder), until="metaconfig").layout

    first, second = layout.plates[0].sites
    # 300 µm of 0.65 µm pixels.
    assert (second.y - first.y, second.x - first.x) == (0, 462)
    assert (layout.pixel_size_um, layout.z_step_um) == (0.65, 2)
    assert [(c.name, c.wavelength_nm) for c in layout.channels] == [("DAPI", 455), ("GFP", 518)]
