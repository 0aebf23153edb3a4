"""Plates, wells and sites as objects, against rectangles painted in another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from gpu_workers.imaging.ownership import owner_of
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import outlines
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.objects import ObjectsManifest, load_manifest
from tests.integration.mosaics import plates
from tests.integration.mosaics.test_illuminati import BOXES, HEIGHT, WIDTH, all_planes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Layout, str]:
    root = tmp_path_factory.mktemp("regions")
    layout = plates.layout(BOXES, ("uint8",), height=HEIGHT, width=WIDTH)
    inputs = plates.write(root, layout, all_planes(layout))
    output, _ = run_step(root, "illuminati", plates.experiment(), {}, inputs)
    return root, layout, output.products["regions"]


def _image(root: Path, manifest: ObjectsManifest, name: str) -> zarr.Array:
    path = root / manifest.plate(name, plates.PLATE).path / "mosaic.zarr"
    group = zarr.open_group(path, mode="r")
    level = group["0"]
    assert isinstance(level, zarr.Array)
    return level


def test_each_pixel_of_the_plate_belongs_to_the_site_that_owns_it(made) -> None:
    root, layout, path = made
    plate = layout.plates[0]
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, HEIGHT, 20_000), rng.integers(0, WIDTH, 20_000)

    image = np.asarray(_image(root, load_manifest(root, path), "Sites")[0, 0, 0])

    owners = owner_of(y.astype(float), x.astype(float), plate.sites)
    assert np.array_equal(image[y, x].astype(int), owners + 1)  # sites are listed in their order
    assert {0, *range(1, 8)} == set(np.unique(image).tolist())


def test_wells_and_the_plate_cover_what_their_sites_cover(made) -> None:
    root, layout, path = made
    manifest = load_manifest(root, path)
    sites = np.asarray(_image(root, manifest, "Sites")[0, 0, 0])
    well_of = {s.index + 1: int(s.well[1:]) for s in layout.plates[0].sites}

    wells = np.asarray(_image(root, manifest, "Wells")[0, 0, 0])
    whole = np.asarray(_image(root, manifest, "Plates")[0, 0, 0])

    expected = np.array([0, *(well_of[i] for i in range(1, 8))])[sites]
    assert np.array_equal(wells, expected)
    assert np.array_equal(whole, sites > 0)


def test_coarser_levels_are_samples(made) -> None:
    root, _, path = made
    folder = root / load_manifest(root, path).plate("Sites", plates.PLATE).path / "mosaic.zarr"
    group = zarr.open_group(folder, mode="r")

    fine, coarse = (np.asarray(group[str(level)][0, 0, 0]) for level in (0, 2))

    assert np.array_equal(coarse, fine[::4, ::4])


def test_features_and_positions_are_read_like_those_of_other_objects(made) -> None:
    root, layout, path = made
    store = FeatureStore(root, path)

    rows = store.column("Wells", plates.PLATE, "Location_n_sites")
    columns = store.column("Sites", plates.PLATE, "Location_column")
    stage = store.column("Sites", plates.PLATE, "Location_stage_y")
    where = store.positions("Sites", plates.PLATE)

    assert rows.tolist() == [4, 2, 1]
    assert columns.tolist() == [1, 1, 1, 1, 2, 2, 3]
    assert np.isnan(stage).all(), "the synthetic plate has no stage positions"
    sites = layout.plates[0].sites
    assert where["y0"].tolist() == [s.y for s in sites]
    assert where["x1"].tolist() == [s.x + s.width for s in sites]
    assert where["site"].tolist() == [s.index for s in sites]


def test_there_are_no_vector_outlines(made) -> None:
    root, _, path = made

    assert outlines.tile(root, path, "Wells", plates.PLATE, 0, 0, 4096) == b""
