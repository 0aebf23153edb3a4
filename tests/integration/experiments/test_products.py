"""What steps make becomes rows: by natural keys, in bulk, as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from apps.core.errors import Invalid
from apps.experiments.models import (
    Channel,
    Mosaic,
    ObjectSet,
    Product,
    Site,
    SourceFile,
    Well,
)
from apps.experiments.selectors import current_inputs, experiment_root
from apps.experiments.services import products_apply
from gpu_workers.storage import paths, tables
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    ChannelLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
    layout_path,
)
from tests.factories import AcquisitionFactory, SourceFileFactory
from tests.integration.experiments.conftest import Lab

CHANNELS = ("DAPI", "GFP")


def write_layout(
    lab: Lab,
    key: str = "a" * 20,
    wells: tuple[str, ...] = ("A01", "A02"),
    n_sites: int = 4,
    channels: tuple[str, ...] = CHANNELS,
) -> str:
    """Write a layout of the lab's plate and return its path."""
    well_rows = tuple(
        WellLayout(name=name, row=0, column=i, y=0, x=1024 * i, height=900, width=900)
        for i, name in enumerate(wells)
    )
    sites = tuple(
        SiteLayout(
            index=w * n_sites + s,
            name=str(s + 1),
            well=well.name,
            y=s // 2 * 450,
            x=well.x + s % 2 * 450,
            height=450,
            width=450,
        )
        for w, well in enumerate(well_rows)
        for s in range(n_sites)
    )
    plate = PlateLayout(
        id=str(lab.plate.id),
        name=lab.plate.name,
        slug=paths.slug(lab.plate.name, lab.plate.id),
        n_rows=8,
        n_columns=12,
        origin=(7, 9),
        height=1024,
        width=1024 * len(wells),
        pitch=(1024, 1024),
        shard=1024,
        n_levels=2,
        wells=well_rows,
        sites=sites,
    )
    layout = Layout(
        key=key,
        n_tpoints=1,
        n_zplanes=1,
        n_cycles=1,
        pixel_size_um=0.65,
        channels=tuple(
            ChannelLayout(index=i, name=name, color="#0000ff", dtype="uint16")
            for i, name in enumerate(channels)
        ),
        acquisitions=(
            AcquisitionLayout(
                id=str(lab.acquisition.id), name="a", plate=str(lab.plate.id), index=0
            ),
        ),
        plates=(plate,),
    )
    return _write(lab, layout_path(key), layout.model_dump(mode="json"))


def _write(lab: Lab, path: str, manifest: dict[str, Any]) -> str:
    paths.write_json(experiment_root(lab.experiment.id) / path, manifest)
    return path


def apply(lab: Lab, name: str, path: str, **output: object) -> None:
    """Enter one product."""
    products_apply(
        experiment_id=lab.experiment.id, step="a step", products={name: path}, output=output
    )


def _facts(lab: Lab) -> dict[str, Any]:
    get = lab.client.get
    return {
        name: get(f"{lab.address}{name}/").json()["results"]
        for name in ("wells", "sites", "channels", "cycles", "plates")
    }


def test_a_layout_becomes_rows(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))

    found = _facts(lab)
    assert [w["name"] for w in found["wells"]] == ["A01", "A02"]
    assert [s["index"] for s in found["sites"]] == list(range(8))
    assert found["sites"][5]["well_name"] == "A02"
    assert (found["sites"][5]["y"], found["sites"][5]["x"]) == (0, 1474)
    assert [(c["index"], c["name"]) for c in found["channels"]] == [(0, "DAPI"), (1, "GFP")]
    assert [c["index"] for c in found["cycles"]] == [0]
    assert found["plates"][0]["layout"]["origin"] == [7, 9]
    assert current_inputs(experiment_id=lab.experiment.id) == {"layout": layout_path("a" * 20)}


def test_applying_twice_changes_nothing(lab: Lab) -> None:
    path = write_layout(lab)
    apply(lab, "layout", path)
    before = _facts(lab)

    apply(lab, "layout", path)

    assert _facts(lab) == before
    assert Product.objects.count() == 1


def test_what_a_newer_layout_lacks_is_flagged_and_comes_back(lab: Lab) -> None:
    first = write_layout(lab)
    apply(lab, "layout", first)
    Well.objects.filter(name="A02").update(description={"drug": "x"})
    well = Well.objects.get(name="A02").id

    apply(lab, "layout", write_layout(lab, "b" * 20, wells=("A01",), n_sites=3))
    fewer = _facts(lab)
    apply(lab, "layout", first)

    assert [w["name"] for w in fewer["wells"]] == ["A01"]
    assert [s["index"] for s in fewer["sites"]] == [0, 1, 2]
    assert Well.objects.get(name="A02").id == well
    again = _facts(lab)
    assert len(again["sites"]) == 8
    assert again["wells"][1]["description"] == {"drug": "x"}
    assert Site.objects.count() == 8
    current = lab.experiment.layouts.filter(is_current=True)
    assert [row.key for row in current] == ["a" * 20]


def test_a_persons_channel_name_outlives_the_layout_but_not_another_channel(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))
    channel = Channel.objects.get(index=0)
    address = f"{lab.address}channels/{channel.id}/"
    body = {"name": "Nuclei stain", "color": "#ffffff"}
    assert lab.client.patch(address, body, format="json").status_code == 200

    apply(lab, "layout", write_layout(lab, "b" * 20))
    kept = _facts(lab)["channels"]
    apply(lab, "layout", write_layout(lab, "c" * 20, channels=("Cy5",)))

    assert [c["name"] for c in kept] == ["Nuclei stain", "GFP"]
    assert kept[0]["color"] == "#ffffff"
    assert [c["name"] for c in _facts(lab)["channels"]] == ["Cy5"]


def _mosaic(lab: Lab, key: str) -> str:
    return _write(
        lab,
        f"mosaics/{key}/mosaic.json",
        {
            "version": 1,
            "key": key,
            "layout": "a" * 20,
            "projection": None,
            "corrected": False,
            "pixel_size_um": 0.65,
            "n_tpoints": 1,
            "n_zplanes": 1,
            "channels": [
                {
                    "index": 0,
                    "name": "DAPI",
                    "color": "#0000ff",
                    "dtype": "uint16",
                    "scale": 1.0,
                    "offset": 0.0,
                    "min": 0.0,
                    "max": float("nan"),
                    "window": [10.0, 900.0],
                    "histogram": {"low": 0.0, "high": 1.0, "counts": [1]},
                }
            ],
            "plates": [
                {
                    "id": str(lab.plate.id),
                    "name": lab.plate.name,
                    "path": f"mosaics/{key}/plate.zarr",
                    "shape": [1, 1, 1, 1024, 2048],
                    "levels": [{"path": "0", "height": 1024, "width": 2048}],
                    "tile": 512,
                    "shard": 1024,
                    "bytes": 12345,
                }
            ],
        },
    )


def test_the_newest_mosaic_is_current_and_older_ones_stay(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))
    for key in ("1" * 20, "2" * 20, "1" * 20):
        apply(lab, "mosaic", _mosaic(lab, key))

    current = lab.client.get(f"{lab.address}mosaics/?current=true").json()["results"]

    assert [m["key"] for m in current] == ["1" * 20]
    assert Mosaic.objects.count() == 2
    found = current[0]
    assert found["plate"] == {"id": str(lab.plate.id), "name": lab.plate.name}
    assert (found["origin"], found["tile"], found["layout_key"]) == ([7, 9], 512, "a" * 20)
    assert found["channels"][0]["window"] == [10.0, 900.0]
    assert found["channels"][0]["max"] is None
    assert found["tile_url"] == (
        f"/tiles/{lab.experiment.id}/{found['id']}/{'1' * 20}/{{level}}/{{t}}/{{c}}/{{z}}/{{y}}/{{x}}"
    )
    assert Product.objects.get(name="mosaic", key="1" * 20).size == 12345


def test_a_mosaic_shows_the_names_that_people_gave(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))
    apply(lab, "mosaic", _mosaic(lab, "1" * 20))
    channel = Channel.objects.get(index=0)

    body = {"name": "Hoechst"}
    lab.client.patch(f"{lab.address}channels/{channel.id}/", body, format="json")

    shown = lab.client.get(f"{lab.address}mosaics/").json()["results"][0]["channels"][0]
    assert (shown["name"], shown["color"]) == ("Hoechst", "#0000ff")


def _objects(
    lab: Lab, key: str, types: tuple[str, ...], features: tuple[str, ...], **more: object
) -> str:
    plate = {
        "id": str(lab.plate.id),
        "path": f"objects/{key}/x",
        "n_objects": 5,
        "shape": [1, 1, 1, 1024, 2048],
        "levels": [{"path": "0", "height": 1024, "width": 2048}],
        "tile": 512,
        "shard": 1024,
        "wells": [{"name": "A01", "first": 1, "count": 5}],
    }
    described = [{"name": f, "unit": "px", "low": 1.0, "high": 2.0} for f in features]
    return _write(
        lab,
        f"objects/{key}/objects.json",
        {
            "version": 1,
            "key": key,
            "layout": "a" * 20,
            "pipeline": {},
            "types": [{"name": t, "features": described, "plates": [plate]} for t in types],
            **more,
        },
    )


def test_objects_become_types_features_and_sets(lab: Lab) -> None:
    apply(lab, "objects", _objects(lab, "1" * 20, ("Nuclei", "Cells"), ("Area", "Solidity")))
    apply(lab, "objects", _objects(lab, "2" * 20, ("Nuclei",), ("Area",)))

    types = lab.client.get(f"{lab.address}object-types/").json()["results"]
    current = lab.client.get(f"{lab.address}object-sets/?current=true").json()["results"]

    assert [t["name"] for t in types] == ["Cells", "Nuclei"]
    assert types[1]["features"] == [{"name": "Area", "unit": "px"}]
    # what the second run did not make is still what the first one made of it
    versions = {s["object_type"]["name"]: s["key"][0] for s in current}
    assert versions == {"Nuclei": "2", "Cells": "1"}
    assert current[0]["wells"] == [{"name": "A01", "first": 1, "count": 5}]
    assert current[0]["features"][0]["high"] == 2.0
    assert ObjectSet.objects.count() == 3
    status = lab.client.get(lab.address).json()["status"]
    assert status == {"plates": 1, "wells": 0, "sites": 0, "objects": 10}


def test_regions_and_segmented_objects_are_current_side_by_side(lab: Lab) -> None:
    apply(lab, "objects", _objects(lab, "1" * 20, ("Nuclei",), ("Area",)))
    apply(lab, "regions", _objects(lab, "2" * 20, ("Wells", "Sites"), ("Row",), regions=True))
    apply(lab, "objects", _objects(lab, "3" * 20, ("Nuclei",), ("Area",)))

    current = lab.client.get(f"{lab.address}object-sets/?current=true").json()["results"]
    status = lab.client.get(lab.address).json()["status"]

    assert {(s["object_type"]["name"], s["key"][0]) for s in current} == {
        ("Nuclei", "3"), ("Wells", "2"), ("Sites", "2"),
    }  # fmt: skip
    assert status["objects"] == 5, "regions are no findings"


def test_removed_originals_are_no_files_any_more_but_new_uploads_are(lab: Lab) -> None:
    acquisition = AcquisitionFactory(plate=lab.plate, size=300, status="complete")
    for name in ("gone.tif", "again.tif", "kept.tif"):
        SourceFileFactory(acquisition=acquisition, name=name)
    root = experiment_root(lab.experiment.id)
    folder = root / paths.uploads(acquisition.id)
    folder.mkdir(parents=True)
    for name in ("again.tif", "kept.tif"):
        (folder / name).write_bytes(b"x")
    types = {"acquisition": "string", "file": "string", "size": "int64", "mtime_ns": "int64"}
    rows = {
        "acquisition": [str(acquisition.id)] * 2, "file": ["gone.tif", "again.tif"],
        "size": [100, 100], "mtime_ns": [1, 1],
    }  # fmt: skip
    tables.write_table(root / "plates/1a/removed.parquet", rows, types)
    removed = {"path": "plates/1a/removed.parquet", "n": 2, "bytes": 200, "files": []}
    path = _write(lab, "plates/1a/plates.json", {"key": "1a", "bytes": 5, "removed": removed})

    for _ in range(2):
        apply(lab, "plates", path)

    left = SourceFile.objects.filter(acquisition=acquisition).values_list("name", flat=True)
    acquisition.refresh_from_db()
    assert sorted(left) == ["again.tif", "kept.tif"]
    assert (acquisition.size, acquisition.status) == (200, "complete")


def test_a_manifest_that_is_missing_or_names_a_strange_plate_is_refused(lab: Lab) -> None:
    path = _mosaic(lab, "1" * 20)
    manifest = paths.read_json(experiment_root(lab.experiment.id) / path)
    manifest["plates"][0]["id"] = str(uuid4())
    _write(lab, path, manifest)

    with pytest.raises(Invalid, match="has no plate"):
        apply(lab, "mosaic", path)
    with pytest.raises(Invalid, match="cannot be read"):
        apply(lab, "mosaic", "mosaics/none/mosaic.json")
    assert not Mosaic.objects.exists()


def test_queries_do_not_grow_with_the_sites(
    lab: Lab, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    wells = tuple(f"{chr(65 + r)}{c + 1:02d}" for r in range(8) for c in range(12))
    path = write_layout(lab, wells=wells, n_sites=9)

    with django_assert_max_num_queries(32):
        apply(lab, "layout", path)

    assert Site.objects.count() == 864
