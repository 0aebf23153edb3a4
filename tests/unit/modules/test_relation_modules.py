"""Modules that relate, keep and combine objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpu_workers.errors import UserError
from gpu_workers.imaging.labels import label
from gpu_workers.modules.module import Features, Setting
from gpu_workers.modules.objects.aggregate_features import (
    AggregateFeaturesArguments,
    aggregate_features,
)
from gpu_workers.modules.objects.combine_objects import CombineObjectsArguments, combine_objects
from gpu_workers.modules.objects.count_children import CountChildrenArguments, count_children
from gpu_workers.modules.objects.exclude_border_objects import (
    ExcludeBorderObjectsArguments,
    exclude_border_objects,
)
from gpu_workers.modules.objects.filter_objects import FilterObjectsArguments, filter_objects
from gpu_workers.modules.objects.mask_objects import MaskObjectsArguments, mask_objects
from gpu_workers.modules.objects.relate_objects import RelateObjectsArguments, relate_objects
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import prepare
from tests.unit.imaging.images import blobs

SETTING = Setting({"children": "Spots", "parents": "Cells"}, 0.5)


def both() -> tuple[np.ndarray, np.ndarray]:
    """Return many small objects and a few large ones, with numbers missing in either."""
    small, large = label(blobs(sigma=2, seed=3)), label(blobs(sigma=12, seed=4))
    return small * 2, large * 3


def pixels(children: np.ndarray, parents: np.ndarray) -> pd.DataFrame:
    y, x = np.indices(children.shape)
    return pd.DataFrame(
        {"child": children.ravel(), "parent": parents.ravel(), "y": y.ravel(), "x": x.ravel()}
    )


def parent_table(children: np.ndarray, parents: np.ndarray) -> pd.DataFrame:
    """Return child, parent and their shared pixels the slow way: the largest overlap of each."""
    table = pixels(children, parents).query("child > 0 and parent > 0")
    counts = table.groupby(["child", "parent"]).size().rename("n").reset_index()
    return counts.sort_values(["n", "parent"], ascending=[False, True]).drop_duplicates("child")


def test_children_are_told_their_parents() -> None:
    children, parents = both()

    found = relate_objects(
        RelateObjectsArguments(), {"children": children, "parents": parents}, SETTING
    )["features"]

    expected = parent_table(children, parents).set_index("child")
    table = pixels(children, parents)
    size = table.query("child > 0").groupby("child").size()
    own = table.query("child > 0").groupby("child")[["y", "x"]].mean()
    there = table.query("parent > 0").groupby("parent")[["y", "x"]].mean()
    columns = found.columns
    related = ~np.isnan(columns["Parent_Cells"])
    np.testing.assert_array_equal(np.flatnonzero(related) + 1, np.sort(expected.index))
    rows = np.flatnonzero(related)
    parent = expected.loc[rows + 1, "parent"].to_numpy()
    np.testing.assert_array_equal(columns["Parent_Cells"][rows], parent)
    np.testing.assert_allclose(
        columns["Parent_Cells_Overlap"][rows], expected.loc[rows + 1, "n"] / size.loc[rows + 1]
    )
    far = np.linalg.norm(own.loc[rows + 1].to_numpy() - there.loc[parent].to_numpy(), axis=1)
    np.testing.assert_allclose(columns["Parent_Cells_Distance"][rows], far)
    np.testing.assert_allclose(columns["Parent_Cells_Distance_um"][rows], far / 2)
    assert np.isnan(columns["Parent_Cells_Overlap"][0])  # no object has the number 1
    strict = relate_objects(
        RelateObjectsArguments(min_overlap=0.9), {"children": children, "parents": parents}, SETTING
    )["features"].columns
    overlap = np.nan_to_num(columns["Parent_Cells_Overlap"])
    np.testing.assert_array_equal(~np.isnan(strict["Parent_Cells"]), overlap >= 0.9)


def test_parents_are_told_of_their_children() -> None:
    children, parents = both()
    n = int(parents.max())

    found = count_children(
        CountChildrenArguments(), {"parents": parents, "children": children}, SETTING
    )["features"].columns

    count = parent_table(children, parents).groupby("parent").size()
    present = np.isin(np.arange(1, n + 1), parents)
    expected = count.reindex(np.arange(1, n + 1), fill_value=0).to_numpy().astype(float)
    np.testing.assert_array_equal(
        found["Children_Spots_Count"], np.where(present, expected, np.nan)
    )
    row = int(parents.max()) - 1
    covered = (children[parents == row + 1] > 0).mean()
    assert found["Children_Spots_Fraction"][row] == pytest.approx(covered)
    related = relate_objects(
        RelateObjectsArguments(), {"children": children, "parents": parents}, SETTING
    )["features"].columns
    own = related["Parent_Cells"] == row + 1
    assert found["Children_Spots_Mean_Distance"][row] == pytest.approx(
        related["Parent_Cells_Distance"][own].mean()
    )


def test_features_of_children_are_gathered_for_parents() -> None:
    children, parents = both()
    values = np.random.default_rng(0).normal(size=children.max())
    values[5] = np.nan
    measured = Features({"Size": values, "Other_thing": values + 1}, {"Size": "px"})
    given: dict[str, Any] = {"parents": parents, "children": children, "measurements": measured}

    found = aggregate_features(AggregateFeaturesArguments(features=("Si*",)), given, SETTING)

    table = parent_table(children, parents).assign(value=lambda t: values[t["child"] - 1])
    groups = table.groupby("parent")["value"]
    columns, units = found["features"].columns, found["features"].units
    assert set(columns) == {"Count_Spots", *(f"{s}_Spots_Size" for s in ("Mean", "Std", "Sum"))}
    rows = groups.mean().index.to_numpy() - 1
    np.testing.assert_allclose(columns["Mean_Spots_Size"][rows], groups.mean())
    np.testing.assert_allclose(columns["Std_Spots_Size"][rows], groups.std(ddof=0))
    np.testing.assert_array_equal(columns["Count_Spots"][rows], groups.size())
    assert units["Mean_Spots_Size"] == "px"
    with pytest.raises(UserError, match="there is: Other_thing, Size"):
        aggregate_features(AggregateFeaturesArguments(features=("Shape",)), given, SETTING)


def test_objects_are_kept_by_several_features() -> None:
    labels = np.array([[1, 2, 3, 5, 6]], np.int32)
    measured = Features(
        {"A": np.array([1.0, 2, 3, 0, np.nan, 6]), "B": np.array([9.0, 1, 9, 0, 9, 9])}, {"A": "px"}
    )

    def kept(**arguments: object) -> dict[str, Any]:
        chosen = FilterObjectsArguments(**arguments)  # type: ignore[arg-type]
        return filter_objects(chosen, {"labels": labels, "measurements": measured})

    a, b = {"feature": "A", "minimum": 2, "maximum": 3}, {"feature": "B", "minimum": 5}
    assert kept(conditions=[a])["filtered"].tolist() == [[0, 2, 3, 0, 0]]
    assert kept(conditions=[a, b])["filtered"].tolist() == [[0, 0, 3, 0, 0]]
    assert kept(conditions=[a, b], combine="any")["filtered"].tolist() == [[1, 2, 3, 5, 6]]
    assert kept(conditions=[a], keep_missing=True)["filtered"].tolist() == [[0, 2, 3, 5, 0]]
    found = kept(conditions=[a])["features"]
    np.testing.assert_array_equal(found.columns["A"], [np.nan, 2, 3])
    assert found.units == {"A": "px"}
    with pytest.raises(UserError, match="there is: A, B"):
        kept(conditions=[{"feature": "C"}])


def test_filtered_objects_keep_their_features_in_a_pipeline() -> None:
    pipeline = Pipeline.model_validate(
        {
            "channels": {"dna": "DAPI"},
            "modules": [
                {"module": "threshold_otsu", "inputs": {"image": "dna"}, "outputs": {"mask": "m"}},
                {"module": "separate", "inputs": {"mask": "m"}, "outputs": {"labels": "all"},
                 "arguments": {"method": "none"}},
                {"module": "measure_morphology", "inputs": {"extract_objects": "all"}},
                {"module": "filter_objects", "inputs": {"labels": "all", "measurements": "all"},
                 "outputs": {"filtered": "large"},
                 "arguments": {"conditions": [{"feature": "Morphology_Area", "minimum": 20}]}},
                {"module": "relate_objects", "inputs": {"children": "all", "parents": "large"}},
            ],
            "objects": [{"name": "All", "labels": "all"}, {"name": "Large", "labels": "large"}],
        }
    )  # fmt: skip
    image = np.full((40, 40), 5, np.uint16)
    image[2:5, 2:5] = 200
    image[10:20, 10:20] = 200
    image[30:35, 30:36] = 200

    found = prepare(pipeline, ("DAPI",)).run({"DAPI": image}, image.shape)

    assert np.unique(found["Large"].labels).tolist() == [0, 2, 3]
    assert found["Large"].columns["Morphology_Area"].tolist()[1:] == [100, 30]
    np.testing.assert_array_equal(found["All"].columns["Parent_Large"], [np.nan, 2, 3])


def test_objects_at_the_edge_are_removed_or_flagged() -> None:
    labels = np.array([[0, 0, 0, 0], [0, 2, 0, 5], [0, 0, 0, 0]], np.int32)

    gone = exclude_border_objects(ExcludeBorderObjectsArguments(), {"labels": labels})
    flagged = exclude_border_objects(
        ExcludeBorderObjectsArguments(action="flag"), {"labels": labels}
    )
    wide = exclude_border_objects(ExcludeBorderObjectsArguments(distance=1), {"labels": labels})

    assert np.unique(gone["kept"]).tolist() == [0, 2]
    np.testing.assert_array_equal(gone["features"].columns["Border_is_cut"], [np.nan, 0])
    np.testing.assert_array_equal(flagged["kept"], labels)
    np.testing.assert_array_equal(
        flagged["features"].columns["Border_is_cut"], [np.nan, 0, np.nan, np.nan, 1]
    )
    assert not wide["kept"].any()


def test_objects_are_kept_by_a_mask() -> None:
    labels = np.array([[1, 1, 1, 0, 4, 4, 6]], np.int32)
    mask = np.array([[1, 1, 0, 0, 1, 0, 0]], bool)

    def kept(**arguments: object) -> list[int]:
        chosen = MaskObjectsArguments(**arguments)  # type: ignore[arg-type]
        return mask_objects(chosen, {"labels": labels, "mask": mask})["kept"][0].tolist()  # type: ignore[no-any-return]

    assert kept() == [1, 1, 1, 0, 4, 4, 0]
    assert kept(min_part=0.6) == [1, 1, 1, 0, 0, 0, 0]
    assert kept(min_part=0) == [1, 1, 1, 0, 4, 4, 0]
    assert kept(crop=True) == [1, 1, 0, 0, 4, 0, 0]
    assert kept(keep="outside") == [0, 0, 0, 0, 4, 4, 6]


def test_objects_of_two_kinds_share_an_image() -> None:
    first = np.array([[1, 3, 0, 0, 0]], np.int32)
    second = np.array([[0, 2, 2, 2, 9]], np.int32)

    cut = combine_objects(CombineObjectsArguments(), {"first": first, "second": second})
    drop = combine_objects(
        CombineObjectsArguments(overlapping="drop"), {"first": first, "second": second}
    )

    assert cut["combined"].tolist() == [[1, 3, 5, 5, 12]]
    assert drop["combined"].tolist() == [[1, 3, 0, 0, 12]]


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (4, 5)])
def test_without_objects_there_are_no_values(shape: tuple[int, int]) -> None:
    none = np.zeros(shape, np.int32)
    nothing = Features({"A": np.zeros(0)}, {})

    related = relate_objects(RelateObjectsArguments(), {"children": none, "parents": none})
    counted = count_children(CountChildrenArguments(), {"parents": none, "children": none})
    gathered = aggregate_features(
        AggregateFeaturesArguments(), {"parents": none, "children": none, "measurements": nothing}
    )
    kept = filter_objects(
        FilterObjectsArguments.model_validate({"conditions": [{"feature": "A", "minimum": 1}]}),
        {"labels": none, "measurements": nothing},
    )
    edge = exclude_border_objects(ExcludeBorderObjectsArguments(), {"labels": none})
    assert not mask_objects(MaskObjectsArguments(), {"labels": none, "mask": none > 0})[
        "kept"
    ].any()
    assert not combine_objects(CombineObjectsArguments(), {"first": none, "second": none})[
        "combined"
    ].any()

    for found in (related, counted, gathered, kept, edge):
        assert {c.size for c in found["features"].columns.values()} == {0}
