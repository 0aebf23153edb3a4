"""OME-Zarr with labels and tables, from the folder to objects on the map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from ome_zarr_models.v05 import Image
from ome_zarr_models.v05.image_label import ImageLabel
from scipy import ndimage

from gpu_workers.errors import TissueMapsError
from gpu_workers.messages import Problem
from gpu_workers.runner.execute import run_step
from gpu_workers.storage.features import FeatureStore
from gpu_workers.storage.labels import ImportedLabels
from gpu_workers.storage.objects import ObjectsManifest, load_manifest
from tests.data_sets import data_set
from tests.integration.conversion.source import Converted, convert, experiment
from tests.synthetic.omezarr import pixels, write_image, write_plate

PLATE = "00000640-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Analysed:
    """What jterator made of a conversion."""

    root: Path
    manifest: ObjectsManifest
    problems: list[Problem]

    def values(self, name: str, objects: str = "nuclei") -> np.ndarray[Any, Any]:
        store = FeatureStore(self.root, self.manifest)
        return store.column(objects, PLATE, name)

    def places(self, objects: str = "nuclei") -> dict[str, np.ndarray[Any, Any]]:
        return FeatureStore(self.root, self.manifest).positions(objects, PLATE)


def _analyse(converted: Converted, **arguments: Any) -> Analysed:
    description = experiment(converted.root / "source")
    output, problems = run_step(
        converted.root, "jterator", description, arguments, converted.inputs
    )
    manifest = load_manifest(converted.root, output.products["objects"])
    return Analysed(converted.root, manifest, problems)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    source = data_set("omezarr_cardiomyocyte_nuclei")
    return convert(tmp_path_factory.mktemp("real"), experiment(source))


def _source() -> Path:
    return next(data_set("omezarr_cardiomyocyte_nuclei").glob("*.zarr"))


def _array(folder: Path) -> np.ndarray[Any, Any]:
    return np.asarray(zarr.open_array(folder, mode="r")[:])


def test_a_real_well_is_converted(real: Converted) -> None:
    (plate,) = real.layout.plates
    expected = _array(_source() / "0")

    assert [w.name for w in plate.wells] == ["B03"]
    assert [(s.name, s.height, s.width) for s in plate.sites] == [("1", 1080, 1280)]
    assert [c.name for c in real.layout.channels] == ["DAPI", "nanog", "Lamin B1"]
    assert (real.layout.n_tpoints, real.layout.n_zplanes) == (1, 1)
    assert real.layout.pixel_size_um == 0.65
    for c in range(3):
        np.testing.assert_array_equal(real.plates.read(PLATE, 0, 0, c, 0), expected[c, 0])
    assert real.codes == {"wells_from_names"}


def test_its_labels_and_tables_are_taken_over(real: Converted) -> None:
    manifest = real.plates.manifest

    assert [(i.image, i.name, i.n_objects, i.flat) for i in manifest.labels] == [
        ("B/3/0a0", "nuclei", 3006, True)
    ]
    assert {t.name: (t.type, t.rows, len(t.columns), t.labels) for t in manifest.tables} == {
        "FOV_ROI_table": ("roi_table", 4, 8, None),
        "well_ROI_table": ("roi_table", 1, 6, None),
        "nuclei_ROI_table": ("masking_roi_table", 3006, 6, "nuclei"),
        "regionprops_DAPI": ("feature_table", 3006, 7, "nuclei"),
    }


def test_its_labels_are_valid_beside_the_image(real: Converted) -> None:
    folder = real.root / real.plates.manifest.plates[0].path / "B/3/0a0"
    expected = _array(_source() / "labels/nuclei/0")

    image = Image.from_zarr(zarr.open_group(folder, mode="r"))
    labels = zarr.open_group(folder / "labels/nuclei", mode="r")
    described = ImageLabel.from_zarr(labels)

    assert image.labels is not None
    assert image.labels.label_paths == ["nuclei"]
    label = described.attributes.ome.image_label
    assert label is not None
    assert label.source is not None
    assert label.source.image == "../../"
    mine = described.attributes.ome.multiscales[0].datasets[0].coordinateTransformations
    assert mine == image.attributes.ome.multiscales[0].datasets[0].coordinateTransformations
    found = zarr.open_array(folder / "labels/nuclei/0", mode="r")
    assert (str(found.dtype), found.shape) == ("uint32", (1, 1, 1, 1080, 1280))
    np.testing.assert_array_equal(found[0, 0], expected)


def test_its_labels_become_objects_out_of_the_box(real: Converted) -> None:
    import anndata  # type: ignore[import-untyped]

    theirs = anndata.io.read_zarr(_source() / "tables/regionprops_DAPI")
    found = _analyse(real)

    (nuclei,) = found.manifest.types
    assert nuclei.name == "nuclei"
    assert nuclei.plates[0].n_objects == 3006
    labels = found.places()["label"]
    assert sorted(labels.tolist()) == list(range(1, 3007))
    row = {int(name): n for n, name in enumerate(theirs.obs_names)}
    expected = theirs.X[[row[label] for label in labels]]
    for column, name in enumerate(theirs.var_names):
        values = found.values(f"regionprops_DAPI_{name}")
        np.testing.assert_array_equal(values, expected[:, column])
    labelled = _array(_source() / "labels/nuclei/0")[0]
    area = np.bincount(labelled.ravel())
    np.testing.assert_array_equal(found.values("Morphology_Area"), area[labels])
    dapi = _array(_source() / "0")[0, 0]
    mean = np.bincount(labelled.ravel(), dapi.ravel())[1:] / area[1:]
    np.testing.assert_allclose(found.values("Intensity_mean_DAPI"), mean[labels - 1], rtol=1e-5)


FIELDS = [("A", 1, "0", None), ("A", 1, "1", None), ("B", 2, "0", None)]


def _labels(shape: tuple[int, ...], offset: int = 0, dtype: str = "uint32") -> Any:
    """Return two squares with the labels 2 and 5 (plus an offset) in every plane."""
    labels = np.zeros(shape, dtype)
    labels[..., 3:8, 4:9] = 2 + offset
    labels[..., 9:12, 6:15] = 5 + offset
    return labels


def _add_labels(store: Path, labels: np.ndarray[Any, Any], **how: Any) -> Any:
    import ngio

    made = ngio.open_ome_zarr_container(store)
    own = made.derive_label("cells", shape=labels.shape, dtype=str(labels.dtype), **how)
    own.set_array(labels)
    return made


def _add_table(made: Any, columns: dict[str, list[Any]]) -> None:
    from ngio.tables import FeatureTable

    # anndata 0.12 can't write the strings of pandas 3.
    with pd.option_context("future.infer_string", False):
        frame = pd.DataFrame(columns).set_index("label")
        made.add_table("t", FeatureTable(frame, reference_label="cells"), backend="anndata")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A plate of three fields of which two have labels, one of them with a table."""
    root = tmp_path_factory.mktemp("plate")
    write_plate(root / "source/a.zarr", FIELDS, "0.4", shape=(1, 2, 1, 24, 32))
    made = _add_labels(root / "source/a.zarr/A/01/0", _labels((1, 1, 24, 32)))
    _add_table(made, {"label": [5, 2, 99], "size": [120.0, 36.0, 1.0]})
    _add_labels(root / "source/a.zarr/B/02/0", _labels((1, 1, 12, 16)), pixelsize=0.65)
    return convert(root, experiment(root / "source"))


def test_rows_without_an_object_are_reported(plate: Converted) -> None:
    assert "rows_without_object" in plate.codes
    assert plate.files("rows_without_object") == {"a.zarr/A/01/0/tables/t"}


def test_labels_of_some_fields_are_taken_over(plate: Converted) -> None:
    labels = ImportedLabels(plate.plates)

    assert labels.features == {"cells": ("t_size",)}
    sites = {(s.well, s.name): s.index for s in plate.layout.plates[0].sites}
    fine = labels.read(PLATE, sites["A01", "0"], 0, 0, "cells")
    coarse = labels.read(PLATE, sites["B02", "0"], 0, 0, "cells")
    assert labels.read(PLATE, sites["A01", "1"], 0, 0, "cells") is None
    np.testing.assert_array_equal(fine, _labels((24, 32)))
    expected = np.kron(_labels((12, 16)), np.ones((2, 2), "uint32"))
    np.testing.assert_array_equal(coarse, expected)


def test_objects_without_a_row_have_missing_values(plate: Converted) -> None:
    found = _analyse(plate)

    places = found.places("cells")
    sizes = dict(
        zip(
            zip(places["site"], places["label"], strict=True),
            found.values("t_size", "cells"),
            strict=True,
        )
    )
    sites = {(s.well, s.name): s.index for s in plate.layout.plates[0].sites}
    first, other = sites["A01", "0"], sites["B02", "0"]
    assert sizes[first, 2] == 36
    assert sizes[first, 5] == 120
    assert {label for site, label in sizes if site == other} == {2, 5}
    assert np.isnan(sizes[other, 2])
    assert [p.code for p in found.problems] == ["missing_labels"]


def test_a_pipeline_may_work_on_imported_labels(plate: Converted) -> None:
    pipeline = {
        "channels": {}, "labels": {"cells": "cells"},
        "modules": [
            {"module": "expand", "inputs": {"labels": "cells"}, "outputs": {"labels": "grown"},
             "arguments": {"distance": 1}},
            {"module": "measure_morphology", "inputs": {"extract_objects": "grown"}},
        ],
        "objects": [{"name": "Grown", "labels": "grown"}],
    }  # fmt: skip

    found = _analyse(plate, pipeline=pipeline)

    areas = found.values("Morphology_Area", "Grown")
    assert areas.size == 4
    assert areas.min() > 25


def test_a_pipeline_names_the_labels_there_are(plate: Converted) -> None:
    pipeline = {
        "channels": {}, "labels": {"x": "nuclei"}, "modules": [],
        "objects": [{"name": "X", "labels": "x"}],
    }  # fmt: skip

    with pytest.raises(TissueMapsError, match="there are: cells") as caught:
        _analyse(plate, pipeline=pipeline)
    assert caught.value.code == "unknown_labels"


def test_imported_objects_need_labels(tmp_path: Path) -> None:
    write_plate(tmp_path / "source/a.zarr", FIELDS)
    converted = convert(tmp_path, experiment(tmp_path / "source"))

    assert converted.plates.manifest.labels == ()
    with pytest.raises(TissueMapsError) as caught:
        _analyse(converted, template="imported_objects")
    assert caught.value.code == "unknown_labels"


def test_labels_of_planes_and_time_points_stay_with_them(tmp_path: Path) -> None:
    array = pixels(1, (2, 1, 3, 24, 32))
    write_image(tmp_path / "source/a.zarr", array, "tczyx", ngff_version="0.4")
    labels = np.stack([[_labels((24, 32), 10 * t + z) for z in range(3)] for t in range(2)])
    _add_labels(tmp_path / "source/a.zarr", labels)

    converted = convert(tmp_path, experiment(tmp_path / "source"), images={"projection": "max"})

    read = ImportedLabels(converted.plates)
    assert read.stacked == ("cells",)
    for t, z in np.ndindex(2, 3):
        np.testing.assert_array_equal(read.read(PLATE, 0, t, z, "cells"), labels[t, z])
    found = _analyse(converted)
    assert found.manifest.projection is None
    assert found.manifest.types[0].plates[0].n_objects == 12
    with pytest.raises(TissueMapsError) as caught:
        _analyse(converted, projection="max")
    assert caught.value.code == "labels_of_planes"


def test_an_image_that_is_the_folder_itself_is_taken_over(tmp_path: Path) -> None:
    array = pixels(1, (1, 24, 32))
    write_image(tmp_path / "source", array, "cyx", ngff_version="0.4")
    _add_labels(tmp_path / "source", _labels((24, 32)))

    converted = convert(tmp_path, experiment(tmp_path / "source"))

    np.testing.assert_array_equal(converted.plates.read(PLATE, 0, 0, 0, 0), array[0])
    labels = ImportedLabels(converted.plates).read(PLATE, 0, 0, 0, "cells")
    np.testing.assert_array_equal(labels, _labels((24, 32)))


def test_what_we_wrote_can_be_taken_over_again(plate: Converted, tmp_path: Path) -> None:
    folder = plate.root / plate.plates.manifest.plates[0].path

    again = convert(tmp_path, experiment(folder))

    ours, theirs = again.layout.plates[0], plate.layout.plates[0]
    assert [(s.well, s.name) for s in ours.sites] == [
        (s.well, s.raw.split("/")[2]) for s in theirs.sites if s.raw
    ]
    for site, t, c, z in np.ndindex(len(ours.sites), 1, 2, 1):
        expected = plate.plates.read(PLATE, site, t, c, z)
        np.testing.assert_array_equal(again.plates.read(PLATE, site, t, c, z), expected)
    labels = [(i.image, i.name, i.n_objects) for i in plate.plates.manifest.labels]
    assert [(i.image, i.name, i.n_objects) for i in again.plates.manifest.labels] == labels


def test_flat_labels_serve_the_projection(tmp_path: Path) -> None:
    write_image(
        tmp_path / "source/a.zarr", pixels(1, (1, 1, 3, 24, 32)), "tczyx", ngff_version="0.4"
    )
    _add_labels(tmp_path / "source/a.zarr", _labels((1, 1, 24, 32)))

    converted = convert(tmp_path, experiment(tmp_path / "source"), images={"projection": "max"})

    found = _analyse(converted)
    assert found.manifest.projection == "max"
    assert found.manifest.types[0].plates[0].n_objects == 2


def test_labels_of_a_moved_cycle_are_moved_with_it(tmp_path: Path) -> None:
    by = (3, -5)
    world = ndimage.gaussian_filter(np.random.default_rng(2).random((320, 320)), 2) * 60_000
    corners = {"first": (20, 20), "second": (20 + by[0], 20 + by[1])}
    labels = np.zeros((320, 320), "uint32")
    labels[100:120, 130:160], labels[200:230, 60:75] = 1, 2
    for name, (y, x) in corners.items():
        seen = np.s_[y : y + 256, x : x + 256]
        store = tmp_path / name / "a.zarr"
        write_image(store, world[seen].astype("uint16")[None], "cyx", ngff_version="0.4")
        if name == "second":
            _add_labels(store, labels[seen])
    folders = [tmp_path / "first", tmp_path / "second"]
    description = experiment(*folders, plates=[0, 0], mode="multiplexing")
    converted = convert(tmp_path, description)
    assert [i.cycle for i in converted.plates.manifest.labels] == [1]

    output, _ = run_step(tmp_path, "align", description, {}, converted.inputs)
    inputs = {**converted.inputs, **output.products}
    made, _ = run_step(tmp_path, "jterator", description, {}, inputs)

    manifest = load_manifest(tmp_path, made.products["objects"])
    places = FeatureStore(tmp_path, manifest).positions("cells", PLATE)
    # in the reference cycle, whose first pixel is (20, 20) of the world
    assert places["y0"].tolist() == [100 - 20, 200 - 20]
    assert places["x0"].tolist() == [130 - 20, 60 - 20]
    assert places["y1"].tolist() == [120 - 20, 230 - 20]


def test_a_plate_that_grows_keeps_its_labels(tmp_path: Path) -> None:
    store, description = tmp_path / "source/a.zarr", experiment(tmp_path / "source")
    fields = [("A", 1, "0", None), ("A", 2, "0", None)]
    write_plate(store, fields, "0.4", shape=(1, 1, 1, 24, 32))
    made = _add_labels(store / "A/01/0", _labels((1, 1, 24, 32)))
    _add_table(made, {"label": [5, 2], "size": [120.0, 36.0]})
    (store / "A/02").rename(tmp_path / "later")
    before = convert(tmp_path, description)
    (tmp_path / "later").rename(store / "A/02")
    _add_labels(store / "A/02/0", _labels((1, 1, 24, 32)))

    after = convert(tmp_path, description)

    assert [i.image for i in before.plates.manifest.labels] == ["A/1/0a0"]
    assert [i.image for i in after.plates.manifest.labels] == ["A/1/0a0", "A/2/0a0"]
    inodes = [
        (c.root / c.plates.manifest.plates[0].path / "A/1/0a0/0/c/0/0/0/0/0").stat().st_ino
        for c in (before, after)
    ]
    assert inodes[0] == inodes[1]
    labels = ImportedLabels(after.plates)
    for site in range(2):
        np.testing.assert_array_equal(labels.read(PLATE, site, 0, 0, "cells"), _labels((24, 32)))
    assert labels.table(PLATE, 0, 0, "cells")[1]["t_size"].tolist() == [36.0, 120.0]


def test_labels_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "source/a.zarr", pixels(1, (1, 24, 32)), "cyx", ngff_version="0.4")
    _add_labels(tmp_path / "source/a.zarr", _labels((48, 64)), pixelsize=0.1625)

    converted = convert(tmp_path, experiment(tmp_path / "source"))

    assert converted.plates.manifest.labels == ()
    assert converted.files("labels_differ") == {"a.zarr/labels/cells"}


def test_labels_far_apart_are_numbered_anew(tmp_path: Path) -> None:
    write_image(tmp_path / "source/a.zarr", pixels(1, (1, 24, 32)), "cyx", ngff_version="0.4")
    made = _add_labels(tmp_path / "source/a.zarr", _labels((24, 32), 4_000_000_000))
    _add_table(made, {"label": [4_000_000_005, 4_000_000_002], "size": [120.0, 36.0]})

    found = _analyse(convert(tmp_path, experiment(tmp_path / "source")))

    assert found.places("cells")["label"].tolist() == [1, 2]
    assert found.values("t_size", "cells").tolist() == [36.0, 120.0]
