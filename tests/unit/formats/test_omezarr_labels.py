"""Labels and tables beside images: as ngio and anndata wrote them, and those of a real well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.files.ngff import ZarrFile
from gpu_workers.formats.ngff.labels import Labels, open_labels
from gpu_workers.formats.ngff.tables import Table, read_tables
from tests.data_sets import data_set
from tests.synthetic.omezarr import pixels, write_image

SHAPE = (2, 1, 30, 41)


def _labelled(folder: Path, labels: np.ndarray[Any, Any], version: Any = "0.4", **how: Any) -> Any:
    """Write an image a.zarr (c, z, y, x) with labels "nuclei" and return ngio's container."""
    made = write_image(folder / "a.zarr", pixels(1, SHAPE), "czyx", ngff_version=version)
    own = made.derive_label("nuclei", shape=labels.shape, dtype=str(labels.dtype), **how)
    own.set_array(labels)
    return made


def _squares(shape: tuple[int, ...] = (1, 30, 41), dtype: str = "uint32") -> np.ndarray[Any, Any]:
    labels = np.zeros(shape, dtype)
    labels[..., 2:9, 3:11] = 1
    labels[..., 12:20, 20:40] = 7
    return labels


def _opened(folder: Path) -> Labels:
    (found,) = open_labels(folder, ZarrFile(folder, "a.zarr"))
    assert isinstance(found, Labels), found
    return found


def _refused(folder: Path) -> FileError:
    (found,) = open_labels(folder, ZarrFile(folder, "a.zarr"))
    assert isinstance(found, FileError)
    return found


def _plane(folder: Path, page: int = 0) -> np.ndarray[Any, Any]:
    return _opened(folder).read(ZarrFile(folder, "a.zarr").place(page))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "int64", "uint64"])
def test_labels_are_read(version: str, dtype: str, tmp_path: Path) -> None:
    labels = _squares(dtype=dtype)
    _labelled(tmp_path, labels, version)

    found = _opened(tmp_path)

    assert (found.name, found.factor, found.is_flat) == ("nuclei", (1, 1), True)
    plane = _plane(tmp_path, 1)
    assert plane.dtype == np.uint32
    np.testing.assert_array_equal(plane, labels[0])


def test_coarser_labels_are_enlarged(tmp_path: Path) -> None:
    labels = _squares((1, 15, 21))
    _labelled(tmp_path, labels, pixelsize=0.65)

    assert _opened(tmp_path).factor == (2, 2)
    expected = np.kron(labels[0], np.ones((2, 2), np.uint32))[:30, :41]
    np.testing.assert_array_equal(_plane(tmp_path), expected)


def test_a_part_of_coarser_labels_is_that_part_of_the_whole(tmp_path: Path) -> None:
    _labelled(tmp_path, _squares((1, 10, 14)), pixelsize=0.975)
    image = ZarrFile(tmp_path, "a.zarr")
    whole = _plane(tmp_path)

    for y, x, height, width in [(0, 0, 30, 41), (7, 8, 11, 13), (29, 40, 1, 1), (5, 30, 25, 11)]:
        place = type(image.place(0))(0, 0, 0, y, x, height, width)
        part = _opened(tmp_path).read(place)
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((1, 60, 82), {"pixelsize": 0.1625}),  # finer
        ((1, 20, 27), {"pixelsize": 0.4875}),  # one and a half times coarser
        ((3, 30, 41), {}),  # of other planes
        ((1, 30, 40), {}),  # narrower
    ],
)
def test_labels_that_do_not_fit_are_refused(
    shape: tuple[int, ...], how: dict[str, Any], tmp_path: Path
) -> None:
    _labelled(tmp_path, np.ones(shape, "uint32"), **how)

    error = _refused(tmp_path)

    assert error.code == "labels_differ"
    assert error.files == ("a.zarr/labels/nuclei",)


def _moved(file: Path, by: list[float]) -> None:
    content = json.loads(file.read_text())
    level = content["multiscales"][0]["datasets"][0]
    level["coordinateTransformations"] = [
        *level["coordinateTransformations"][:1], {"type": "translation", "translation": by},
    ]  # fmt: skip
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(("by", "fits"), [(10.0, True), (10.2, True), (0.0, False)])
def test_labels_must_lie_where_their_image_does(by: float, fits: bool, tmp_path: Path) -> None:
    _labelled(tmp_path, _squares())
    _moved(tmp_path / "a.zarr/.zattrs", [0, 0, 10, 0])
    _moved(tmp_path / "a.zarr/labels/nuclei/.zattrs", [0, by, 0])

    (found,) = open_labels(tmp_path, ZarrFile(tmp_path, "a.zarr"))

    assert isinstance(found, Labels) == fits


def test_labels_of_numbers_with_fractions_are_refused(tmp_path: Path) -> None:
    _labelled(tmp_path, _squares())
    zarr.create_array(
        tmp_path / "a.zarr/labels/nuclei/0", shape=(1, 30, 41), dtype="float32", zarr_format=2,
        overwrite=True,
    )  # fmt: skip

    assert _refused(tmp_path).code == "unsupported_type"


@pytest.mark.parametrize("value", [-1, 2**32])
def test_labels_out_of_range_are_refused(value: int, tmp_path: Path) -> None:
    labels = _squares(dtype="int64")
    labels[0, 0, 0] = value
    _labelled(tmp_path, labels)

    with pytest.raises(FileError, match=str(value)) as caught:
        _plane(tmp_path)
    assert caught.value.files == ("a.zarr/labels/nuclei",)


def test_names_that_lead_away_are_refused(tmp_path: Path) -> None:
    _labelled(tmp_path, _squares())
    file = tmp_path / "a.zarr/labels/.zattrs"
    file.write_text(json.dumps({"labels": ["../../b.zarr"]}))

    assert _refused(tmp_path).code == "unsafe_name"


def test_an_image_without_labels_and_tables_has_none(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels(1, SHAPE), "czyx")

    assert list(open_labels(tmp_path, ZarrFile(tmp_path, "a.zarr"))) == []
    assert read_tables(tmp_path, "a.zarr").found == []


@pytest.fixture(scope="module")
def plain_strings() -> Iterator[None]:
    """Let pandas 3 make strings as pandas 2 did: anndata 0.12 can't write others."""
    with pd.option_context("future.infer_string", False):
        yield


def _with_table(folder: Path, version: Any, columns: dict[str, list[Any]]) -> Table:
    """Write a feature table beside the labels; the columns hold one value for each label."""
    from ngio.tables import FeatureTable

    made = _labelled(folder, _squares(), version)
    frame = pd.DataFrame(columns).set_index("label")
    made.add_table("sizes", FeatureTable(frame, reference_label="nuclei"), backend="anndata")
    tables = read_tables(folder, "a.zarr")
    assert tables.failed == []
    (table,) = tables.found
    return table


# ngio has anndata let zarr choose the shards of version 3.
@pytest.mark.filterwarnings("ignore:Automatic shard:zarr.errors.ZarrUserWarning")
@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
@pytest.mark.usefixtures("plain_strings")
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_feature_tables_are_read(version: str, tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "label": [7, 1], "area": [160.0, np.nan], "mean µ": [0.5, 2.0], "kind": ["a", "b"],
    }  # fmt: skip

    table = _with_table(tmp_path, version, columns)

    assert (table.name, table.type, table.n_rows) == ("sizes", "feature_table", 2)
    assert table.labels == "a.zarr/labels/nuclei"
    assert table.instances is not None
    assert table.instances.tolist() == [7, 1]
    np.testing.assert_array_equal(table.columns["area"], [160.0, np.nan])
    np.testing.assert_array_equal(table.columns["mean µ"], [0.5, 2.0])
    assert table.left_out == ("kind",)


def _anndata(folder: Path, version: Any) -> Table:
    """Write a table with every kind of column by anndata's own writer."""
    import anndata  # type: ignore[import-untyped]

    observed = pd.DataFrame(
        {
            "label": np.array([3, 1, 2], "int32"),
            "group": pd.Categorical(["x", None, "y"]),
            "dose": pd.Categorical([0.5, None, 2.0]),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "kept": pd.array([True, None, False], dtype="boolean"),
            "flag": np.array([True, False, True]),
        },
        index=["r0", "r1", "r2"],
    )
    values = np.arange(6, dtype="float32").reshape(3, 2)
    made = anndata.AnnData(values, observed, pd.DataFrame(index=["f0", "f1"]))
    store = zarr.open_group(folder / "a.zarr/tables/t", mode="w", zarr_format=version)
    with anndata.settings.override(auto_shard_zarr_v3=False):
        anndata.io.write_elem(store, "/", made)
    about: dict[str, Any] = {
        "region": {"path": "../labels/n"},
        "instance_key": "label",
        "type": "feature_table",
    }
    zarr.open_group(folder / "a.zarr/tables/t", mode="a").attrs.update(about)
    parent = zarr.open_group(folder / "a.zarr/tables", mode="a", zarr_format=version)
    parent.attrs["tables"] = ["t"]
    tables = read_tables(folder, "a.zarr")
    assert tables.failed == []
    return tables.found[0]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.usefixtures("plain_strings")
def test_all_kinds_of_columns_of_anndata_are_read(version: int, tmp_path: Path) -> None:
    table = _anndata(tmp_path, version)

    assert table.instances is not None
    assert table.instances.tolist() == [3, 1, 2]
    expected = {
        "f0": [0, 2, 4], "f1": [1, 3, 5], "dose": [0.5, np.nan, 2], "count": [1, np.nan, 3],
        "kept": [1, np.nan, 0], "flag": [1, 0, 1],
    }  # fmt: skip
    assert table.columns.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(table.columns[name], values)
    assert table.left_out == ("group",)


def test_a_table_in_another_form_is_reported(tmp_path: Path) -> None:
    from ngio.tables import FeatureTable

    frame = pd.DataFrame({"label": [1], "area": [1.0]}).set_index("label")
    made = _labelled(tmp_path, _squares())
    made.add_table("sizes", FeatureTable(frame, reference_label="nuclei"), backend="csv")

    (error,) = read_tables(tmp_path, "a.zarr").failed

    assert error.code == "unsupported_table"
    assert error.files == ("a.zarr/tables/sizes",)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, plain_strings: None) -> Path:
    folder = tmp_path_factory.mktemp("table")
    _with_table(folder, "0.4", {"label": [7, 1], "area": [160.0, 2.0]})
    return folder


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(pick=st.integers(0, 10**6), at=st.integers(0, 10**6), by=st.binary(max_size=6))
def test_a_damaged_table_is_an_error_that_names_a_file(
    pick: int, at: int, by: bytes, table: Path
) -> None:
    files = sorted(p for p in (table / "a.zarr/tables").rglob("*") if p.is_file())
    target = files[pick % len(files)]
    data = target.read_bytes()
    at = at % max(len(data), 1)
    target.write_bytes(data[:at] + by + data[at + 3 :])

    try:
        found = read_tables(table, "a.zarr")
        assert all(error.files for error in found.failed)
    finally:
        target.write_bytes(data)


def test_real_labels_and_tables() -> None:
    import anndata

    folder = data_set("omezarr_cardiomyocyte_nuclei")
    image = ZarrFile(folder, next(folder.glob("*.zarr")).name)

    (labels,) = open_labels(folder, image)
    tables = {t.name: t for t in read_tables(folder, image.file).found}

    assert isinstance(labels, Labels)
    present = np.unique(labels.read(image.place(0)))
    assert present.tolist() == list(range(3007))
    assert {n: (t.type, t.n_rows, len(t.columns)) for n, t in tables.items()} == {
        "FOV_ROI_table": ("roi_table", 4, 8),
        "well_ROI_table": ("roi_table", 1, 6),
        "nuclei_ROI_table": ("masking_roi_table", 3006, 6),
        "regionprops_DAPI": ("feature_table", 3006, 7),
    }
    table = tables["regionprops_DAPI"]
    assert table.labels == labels.path
    assert table.instances is not None
    theirs = anndata.io.read_zarr(folder / image.file / "tables/regionprops_DAPI")
    assert list(table.columns) == list(theirs.var_names)
    assert [str(i) for i in table.instances] == list(theirs.obs_names)
    np.testing.assert_array_equal(np.stack(list(table.columns.values()), axis=1), theirs.X)
