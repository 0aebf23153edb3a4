"""The analysis of plates whose objects are known, read back as other programs would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr_models.v05 as ome_models
import pyarrow.parquet as pq
import pytest
import skimage.measure
import zarr

from gpu_workers.errors import DataMissing
from gpu_workers.runner.execute import StepFailed
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.objects import ObjectsManifest, manifest_path
from tests.integration.analysis.scenes import SHARD, Scene, analyse, scene
from tests.integration.mosaics import plates

PLATE = plates.PLATE


def written(root: Path, made: Scene) -> dict[str, str]:
    return plates.write(root, made.layout, made.planes())


def mosaic(root: Path, manifest: ObjectsManifest, name: str, level: int = 0) -> np.ndarray:
    """Read a level of an index mosaic with zarr-python."""
    folder = root / manifest.plate(name, PLATE).path / "mosaic.zarr"
    array: Any = zarr.open_group(folder, mode="r")[str(level)]
    return np.asarray(array[:])


def test_every_nucleus_counts_once_and_stays_whole(tmp_path: Path) -> None:
    made = scene()

    manifest, problems = analyse(tmp_path, written(tmp_path, made), cells="expansion", sigma=0)

    n = int(made.truth.max())
    found = mosaic(tmp_path, manifest, "Nuclei")[0, 0, 0]
    assert problems == []
    assert manifest.plate("Nuclei", PLATE).n_objects == n
    assert manifest.plate("Cells", PLATE).n_objects == n
    # one index for each true nucleus, with exactly its pixels, also across seams
    pairs = np.unique(np.stack([made.truth.ravel(), found.ravel()]), axis=1)
    assert pairs.shape == (2, n + 1)
    assert set(pairs[1]) == set(range(n + 1))


def test_values_are_those_of_the_pixels(tmp_path: Path) -> None:
    made = scene()
    inputs = written(tmp_path, made)
    manifest, _ = analyse(tmp_path, inputs, cells="expansion", sigma=0)
    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    found = mosaic(tmp_path, manifest, "Nuclei")[0, 0, 0].astype(np.int32)

    expected = skimage.measure.regionprops_table(
        found,
        np.stack(made.worlds, axis=-1),
        properties=("label", "area", "perimeter", "intensity_mean", "intensity_max", "centroid"),
    )

    def column(name: str) -> np.ndarray:
        return store.column("Nuclei", PLATE, name)

    places = store.positions("Nuclei", PLATE)
    np.testing.assert_array_equal(column("Morphology_Area"), expected["area"])
    np.testing.assert_allclose(column("Morphology_Perimeter"), expected["perimeter"], rtol=1e-6)
    for c in (0, 1):
        name = f"C{c:02d}"
        own = expected[f"intensity_mean-{c}"]
        np.testing.assert_allclose(column(f"Intensity_mean_{name}"), own, rtol=1e-6)
        own = expected[f"intensity_max-{c}"]
        np.testing.assert_array_equal(column(f"Intensity_max_{name}"), own)
    np.testing.assert_allclose(places["y"], expected["centroid-0"], rtol=1e-6)
    np.testing.assert_allclose(places["x"], expected["centroid-1"], rtol=1e-6)


def test_a_wells_objects_are_one_range_ordered_by_t_site_label(tmp_path: Path) -> None:
    made = scene(n_tpoints=2, n_zplanes=2)
    planes = {k: v for t in (0, 1) for z in (0, 1) for k, v in made.planes(t, z).items()}
    inputs = plates.write(tmp_path, made.layout, planes)

    manifest, _ = analyse(tmp_path, inputs, batch_size=3)

    plate = manifest.plate("Cells", PLATE)
    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    at = store.positions("Cells", PLATE)
    assert plate.n_objects == 4 * made.truth.max()
    np.testing.assert_array_equal(at["index"], np.arange(1, plate.n_objects + 1))
    wells = {s.index: s.well for s in made.layout.plates[0].sites}
    names = np.array([wells[s] for s in at["site"]])
    order = np.lexsort((at["label"], at["z"], at["site"], at["t"], names))
    np.testing.assert_array_equal(order, np.arange(order.size))
    for well in plate.wells:
        own = names[well.first - 1 : well.first - 1 + well.count]
        assert set(own) == {well.name}
        file = pq.ParquetFile(tmp_path / plate.path / "features" / f"{well.name}.parquet")
        assert file.metadata.num_row_groups == 1
        assert file.read()["index"].to_pylist() == list(range(well.first, well.first + well.count))
    # every plane of the mosaic holds just its own objects
    every = mosaic(tmp_path, manifest, "Cells")
    for t, z in np.ndindex(2, 2):
        here = at["index"][(at["t"] == t) & (at["z"] == z)]
        np.testing.assert_array_equal(np.unique(every[t, 0, z])[1:], here)


def test_site_labels_are_the_truth_of_the_mosaic(tmp_path: Path) -> None:
    made = scene()
    manifest, _ = analyse(tmp_path, written(tmp_path, made))
    plate = manifest.plate("Nuclei", PLATE)
    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    whole = mosaic(tmp_path, manifest, "Nuclei")[0, 0, 0]
    at = store.positions("Nuclei", PLATE)
    sites: Any = zarr.open_group(tmp_path / plate.path / "sites.zarr", mode="r")

    for site in made.layout.plates[0].sites:
        labels = np.asarray(sites[f"{site.index}/0"][:])[0, 0, 0]
        window = whole[site.y : site.y + site.height, site.x : site.x + site.width]
        own = at["site"] == site.index
        for index, label in list(zip(at["index"][own], at["label"][own], strict=True))[::9]:
            np.testing.assert_array_equal(labels == label, window == index)


def test_what_is_written_is_valid_ome_zarr_and_halves_by_sampling(tmp_path: Path) -> None:
    made = scene()
    manifest, _ = analyse(tmp_path, written(tmp_path, made))
    plate = manifest.plate("Cells", PLATE)

    level0 = mosaic(tmp_path, manifest, "Cells")
    for name in ("mosaic.zarr", "sites.zarr/0"):
        group = zarr.open_group(tmp_path / plate.path / name, mode="r")
        ome_models.ImageLabel.from_zarr(group)

    for level, described in enumerate(plate.levels):
        found = mosaic(tmp_path, manifest, "Cells", level)
        assert found.dtype == np.uint32
        assert found.shape[3:] == (described["height"], described["width"])
        step = 2**level
        np.testing.assert_array_equal(found, level0[:, :, :, ::step, ::step])


def test_cells_in_a_channel_hold_their_nuclei(tmp_path: Path) -> None:
    made = scene()
    manifest, _ = analyse(
        tmp_path, written(tmp_path, made), cells="channel", cells_channel="C01", cytoplasm=True
    )

    nuclei, cells, ring = (mosaic(tmp_path, manifest, n) for n in ("Nuclei", "Cells", "Cytoplasm"))
    np.testing.assert_array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    assert not ring[nuclei > 0].any()
    np.testing.assert_array_equal(ring > 0, (cells > 0) & (nuclei == 0))


def test_running_twice_and_in_other_batches_gives_the_same_files(tmp_path: Path) -> None:
    made = scene(wells=1)
    inputs = written(tmp_path, made)

    first, _ = analyse(tmp_path, inputs, batch_size=1)
    folder = tmp_path / "objects" / first.key
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    second, _ = analyse(tmp_path, inputs, batch_size=100)

    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert second.key == first.key
    assert before.keys() == after.keys()
    # npz files carry no time stamps that differ, so everything is compared
    assert [p.name for p in before if before[p] != after[p]] == []


def test_other_arguments_other_key(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1)
    inputs = written(tmp_path, made)

    keys = {
        analyse(tmp_path, inputs, **arguments)[0].key
        for arguments in ({}, {"min_area": 31}, {"cytoplasm": True}, {"nuclei_channel": "C01"})
    }

    assert len(keys) == 4


def test_empty_sites_and_an_empty_plate(tmp_path: Path) -> None:
    made = scene()
    planes = made.planes()
    noise = np.random.default_rng(1).normal(100, 5, (256, 256)).astype(np.uint16)
    black = np.zeros((256, 256), np.uint16)
    for (site, t, c, z), _ in list(planes.items()):
        planes[site, t, c, z] = noise if site % 2 else black
    inputs = plates.write(tmp_path, made.layout, planes)

    manifest, problems = analyse(tmp_path, inputs)

    plate = manifest.plate("Nuclei", PLATE)
    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    assert problems == []
    assert plate.n_objects == 0
    assert not mosaic(tmp_path, manifest, "Nuclei").any()
    assert store.column("Nuclei", PLATE, "Morphology_Area").shape == (0,)
    names = {f.name for f in manifest.type("Nuclei").features}
    assert {"Morphology_Area", "Intensity_mean_C00", "Intensity_max_C01"} <= names
    with pytest.raises(DataMissing, match="no object 1"):
        store.object("Nuclei", PLATE, 1)


def test_missing_planes_are_named_and_cost_only_themselves(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=2)
    planes = made.planes()
    del planes[0, 0, 0, 0]  # the nuclei of site 0
    del planes[1, 0, 1, 0]  # the other channel of site 1
    inputs = plates.write(tmp_path, made.layout, planes)

    manifest, problems = analyse(tmp_path, inputs, cells="expansion")

    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    at = store.positions("Nuclei", PLATE)
    assert [p.code for p in problems] == ["missing_plane", "missing_plane"]
    assert "site 1" in problems[0].message
    assert "no image of C00: no objects" in problems[0].message
    assert "no image of C01: its measurements" in problems[1].message
    assert set(at["site"]) == {1}
    assert np.isnan(store.column("Nuclei", PLATE, "Intensity_mean_C01")).all()
    assert np.isfinite(store.column("Nuclei", PLATE, "Intensity_mean_C00")).all()
    described = {f.name: f for f in manifest.type("Nuclei").features}
    assert described["Intensity_mean_C01"].n_missing == at["index"].size
    assert described["Intensity_mean_C01"].low is None
    assert store.object("Nuclei", PLATE, 1)["features"]["Intensity_mean_C01"] is None


def test_one_object_as_the_api_tells_it(tmp_path: Path) -> None:
    made = scene()
    manifest, _ = analyse(tmp_path, written(tmp_path, made))
    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    whole = mosaic(tmp_path, manifest, "Nuclei")[0, 0, 0]
    index = int(whole[:, SHARD:].max()) - 3

    found = store.object("Nuclei", PLATE, index)

    ys, xs = np.nonzero(whole == index)
    assert (found["index"], found["well"], found["t"], found["z"]) == (index, "A02", 0, 0)
    assert found["box"] == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
    assert (found["y"], found["x"]) == pytest.approx((ys.mean(), xs.mean()))
    assert found["features"]["Morphology_Area"] == ys.size
    assert found["is_border"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ({"nuclei_channel": "DAPI"}, "unknown_channel", "C00, C01"),
        ({"cells": "channel"}, "missing_channel", "cells_channel"),
        ({"projection": "max"}, "no_projection", "imextract"),
        ({"correct": True}, "missing_input", "corilla"),
        ({"pipeline": {"channels": {}}}, "invalid_pipeline", "modules"),
        ({"sigma": -1}, "invalid_arguments", "sigma"),
    ],
)
def test_what_cannot_run_is_refused_before_it_starts(
    tmp_path: Path, arguments: dict[str, Any], code: str, text: str
) -> None:
    made = scene(wells=1, rows=1, columns=1)

    with pytest.raises(StepFailed, match=text) as caught:
        analyse(tmp_path, written(tmp_path, made), **arguments)

    assert caught.value.code == code
    assert caught.value.result.error is not None
    assert caught.value.result.error.user
    assert not (tmp_path / "objects").exists()


def test_the_projection_is_analysed_where_there_is_one(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1, n_zplanes=3)
    stack = {k: v for z in range(3) for k, v in made.planes(0, z).items()}
    inputs = plates.write(tmp_path, made.layout, stack, "max", made.planes())

    projected, _ = analyse(tmp_path, inputs)
    planes, _ = analyse(tmp_path, inputs, projection="none")

    n = int(made.truth.max())
    assert (projected.projection, planes.projection) == ("max", None)
    assert projected.plate("Nuclei", PLATE).n_objects == n
    assert planes.plate("Nuclei", PLATE).n_objects == 3 * n
    assert projected.plate("Nuclei", PLATE).shape[2] == 1


def test_more_objects_in_a_site_than_16_bits_hold(tmp_path: Path) -> None:
    layout = plates.layout([[(0, 0, 560, 560)]], ("uint16",), height=1024, width=1024)
    image = np.full((560, 560), 100, np.uint16)
    image[::2, ::2] = 900
    inputs = plates.write(tmp_path, layout, {(0, 0, 0, 0): image})
    pipeline = {
        "channels": {"dna": "C00"},
        "modules": [
            {"module": "threshold_otsu", "inputs": {"image": "dna"}, "outputs": {"mask": "m"}},
            {"module": "separate", "inputs": {"mask": "m"}, "outputs": {"labels": "dots"},
             "arguments": {"method": "none"}},
            {"module": "measure_intensity", "inputs": {"extract_objects": "dots", "intensity_image": "*"}},
        ],
        "objects": [{"name": "Dots", "labels": "dots"}],
    }  # fmt: skip

    manifest, _ = analyse(tmp_path, inputs, pipeline=pipeline)

    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    found = mosaic(tmp_path, manifest, "Dots")[0, 0, 0]
    assert manifest.plate("Dots", PLATE).n_objects == 280 * 280 > 65535
    np.testing.assert_array_equal(found[:560:2, :560:2].ravel(), np.arange(1, 280 * 280 + 1))
    assert (store.column("Dots", PLATE, "Intensity_mean_C00") == 900).all()
    assert store.object("Dots", PLATE, 70000)["label"] == 70000


def test_float_images_with_unknown_pixels(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1)
    layout = plates.layout(
        [[(0, 0, 256, 256)]], ("float32", "float32"), height=SHARD, width=SHARD, shard=SHARD
    )
    planes = {k: v.astype(np.float32) / 1000 for k, v in made.planes().items()}
    planes[0, 0, 1, 0][made.truth[:256, :256] == 3] = np.nan
    planes[0, 0, 0, 0][0, :] = np.nan
    inputs = plates.write(tmp_path, layout, planes)

    manifest, _ = analyse(tmp_path, inputs, cells="channel", cells_channel="C01")

    store = FeatureStore(tmp_path, manifest_path(manifest.key))
    values = store.column("Nuclei", PLATE, "Intensity_mean_C01")
    assert values.size == made.truth.max()
    assert np.isnan(values).sum() == 1


def test_unknown_names_are_refused_by_name(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1)
    manifest, _ = analyse(tmp_path, written(tmp_path, made))
    store = FeatureStore(tmp_path, manifest_path(manifest.key))

    for call, code in (
        (lambda: store.column("Nuclei", PLATE, "Morphology_Aera"), "unknown_feature"),
        (lambda: store.column("Nuclie", PLATE, "Morphology_Area"), "unknown_object_type"),
        (lambda: store.column("Nuclei", "no plate", "Morphology_Area"), "unknown_plate"),
        (lambda: store.object("Nuclei", PLATE, 10**6), "unknown_object"),
    ):
        with pytest.raises(DataMissing) as caught:
            call()
        assert caught.value.code == code


def test_columns_are_shared_and_cannot_be_changed(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1)
    manifest, _ = analyse(tmp_path, written(tmp_path, made))
    store = FeatureStore(tmp_path, manifest_path(manifest.key))

    first = store.column("Nuclei", PLATE, "Morphology_Area")

    assert store.column("Nuclei", PLATE, "Morphology_Area") is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
