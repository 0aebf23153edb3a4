"""A mosaic that adds a well takes over what the earlier one has, and is what it would be without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from gpu_workers.runner.execute import run_step
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import tables
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.mosaics import MosaicManifest, load_mosaic
from tests.integration.mosaics import plates
from tests.integration.mosaics.test_illuminati import all_planes

SHARD = 1024
WELL = [(0, 0, 500, 600), (11, 423, 500, 600)]


def _plate(wells: list[int], key: str) -> Layout:
    """Return a layout of one row with wells at these columns; each has two overlapping sites."""
    boxes = [[(y, x + SHARD * c, h, w) for y, x, h, w in WELL] for c in wells]
    made = plates.layout(boxes, ("uint16", "uint8"), height=SHARD, width=SHARD * 6, shard=SHARD)
    return made.model_copy(update={"key": key})


def _write(root: Path, made: Layout, wells: list[int], **changed: int) -> dict[str, str]:
    """Write pixels that depend on the well's column alone, and say which file each plane is of."""
    seeds = {2 * i + j: 10 * c + j for i, c in enumerate(wells) for j in range(2)}
    rng = {s: np.random.default_rng(seed) for s, seed in seeds.items()}
    pixels = {
        place: rng[place[0]].integers(1, 250, image.shape).astype(image.dtype)
        for place, image in sorted(all_planes(made).items())
    }
    rows = [
        {
            "plate": plates.PLATE, "well": made.plates[0].sites[s].well, "site": s,
            "acquisition": made.acquisitions[0].id, "t": t, "channel": c, "z": z, "role": "plane",
            "file": f"well{seeds[s]}_{c}.tif", "page": 0, "sample": 0, "size": 100,
            "mtime_ns": changed.get(f"well{seeds[s]}", 1),
        }
        for s, t, c, z in pixels
    ]  # fmt: skip
    inputs = plates.write(root, made, pixels)
    columns = {name: [r.get(name) for r in rows] for name in layouts.PLANE_TYPES}
    tables.write_table(
        (root / inputs["layout"]).with_name("planes.parquet"), columns, layouts.PLANE_TYPES
    )
    return inputs


def _run(root: Path, inputs: dict[str, str], **arguments: object) -> MosaicManifest:
    output, _ = run_step(root, "illuminati", plates.experiment(), arguments, inputs)
    return load_mosaic(root, output.products["mosaic"])


def _files(root: Path, manifest: MosaicManifest) -> dict[str, Path]:
    folder = root / manifest.plates[0].path
    return {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file()}


def _linked(one: dict[str, Path], other: dict[str, Path]) -> set[str]:
    """Return the names of files in `one` that are the same file as some file in `other`."""
    inodes = {f.stat().st_ino for f in other.values()}
    return {name for name, f in one.items() if f.stat().st_ino in inodes}


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, MosaicManifest]:
    """A mosaic of wells at columns 0, 1, 3 and 4."""
    wells = [0, 1, 3, 4]
    return tmp_path, _run(tmp_path, _write(tmp_path, _plate(wells, "a1"), wells))


def _expected(root: Path, wells: list[int]) -> MosaicManifest:
    """Make the same mosaic where there is no earlier one."""
    return _run(root, _write(root, _plate(wells, "b2"), wells))


def test_a_well_more_links_the_others_and_equals_a_mosaic_made_at_once(before) -> None:
    root, first = before
    wells = [0, 1, 2, 3, 4]

    second = _run(root, _write(root, _plate(wells, "b2"), wells))

    files, alone = _files(root, second), root / "alone"
    fresh = _expected(alone, wells)
    same = _files(alone, fresh)
    assert {n: f.read_bytes() for n, f in files.items()} == {
        n: f.read_bytes() for n, f in same.items()
    }
    assert second.channels == fresh.channels, "counts are taken over, too"
    level_0 = {n for n in files if n.startswith("0/c/")}
    assert len(level_0) == 10, "two channels of five wells"
    linked = _linked(files, _files(root, first)) & level_0
    assert {int(n.rsplit("/", 1)[1]) for n in linked} == {0, 1, 3, 4}


def test_wells_that_move_are_linked_to_their_new_places(before) -> None:
    root, first = before
    made = _plate([1, 2, 4, 5], "c3")  # another well would come first: all others move by one
    inputs = _write(root, made, [0, 1, 3, 4])

    second = _run(root, inputs)

    level_0 = {n for n in _files(root, second) if n.startswith("0/c/")}
    linked = _linked(_files(root, second), _files(root, first)) & level_0
    assert {int(n.rsplit("/", 1)[1]) for n in linked} == {1, 2, 4, 5}
    group = zarr.open_group(root / second.plates[0].path, mode="r")
    old = zarr.open_group(root / first.plates[0].path, mode="r")
    assert np.array_equal(group["0"][0, 0, 0, :, SHARD:], old["0"][0, 0, 0, :, :-SHARD])


def _regions(root: Path, manifest: MosaicManifest, name: str = "") -> dict[str, Path]:
    folder = root / "objects" / manifest.key / name
    return {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file()}


def test_images_of_regions_are_linked_where_their_numbers_stay(before) -> None:
    root, first = before
    wells = [0, 1, 2, 3, 4]

    second = _run(root, _write(root, _plate(wells, "b2"), wells))

    fresh = _expected(root / "alone", wells)
    assert {n: f.read_bytes() for n, f in _regions(root, second).items()} == {
        n: f.read_bytes() for n, f in _regions(root / "alone", fresh).items()
    }
    linked = {}
    for name in ("Plates", "Wells", "Sites"):
        files = _regions(root, second, name)
        found = _linked(files, _regions(root, first, name))
        linked[name] = {int(n.rsplit("/", 1)[1]) for n in found if "mosaic.zarr/0/c/" in n}
    # Wells of one shape differ in their numbers alone: there was no fifth one.
    assert linked == {"Plates": {0, 1, 2, 3, 4}, "Wells": {0, 1, 2, 3}, "Sites": {0, 1, 2, 3}}


def test_a_source_that_changed_is_pasted_again(before) -> None:
    root, first = before
    wells = [0, 1, 3, 4]

    second = _run(root, _write(root, _plate(wells, "d4"), wells, well10=2))

    level_0 = {n for n in _files(root, second) if n.startswith("0/c/")}
    linked = _linked(_files(root, second), _files(root, first)) & level_0
    assert {int(n.rsplit("/", 1)[1]) for n in linked} == {0, 3, 4}


def test_an_earlier_mosaic_that_is_gone_is_not_missed(before) -> None:
    root, first = before
    wells = [0, 1, 2, 3, 4]
    inputs = _write(root, _plate(wells, "b2"), wells)
    shutil.rmtree(root / first.plates[0].path)

    second = _run(root, inputs)

    fresh = _expected(root / "alone", wells)
    files, same = _files(root, second), _files(root / "alone", fresh)
    assert {n: f.read_bytes() for n, f in files.items()} == {
        n: f.read_bytes() for n, f in same.items()
    }


def test_running_twice_changes_neither_mosaic(before) -> None:
    root, first = before
    wells = [0, 1, 2, 3, 4]
    inputs = _write(root, _plate(wells, "b2"), wells)
    old = {n: f.read_bytes() for n, f in _files(root, first).items()}

    once = {n: f.read_bytes() for n, f in _files(root, _run(root, inputs)).items()}
    twice = {n: f.read_bytes() for n, f in _files(root, _run(root, inputs)).items()}

    assert once == twice
    assert old == {n: f.read_bytes() for n, f in _files(root, first).items()}
