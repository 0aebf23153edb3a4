"""Outlines written per well and read back as vector tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gpu_workers.errors import DataMissing
from gpu_workers.imaging.labels import label
from gpu_workers.imaging.outlines import trace_outlines
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.storage import outlines, paths
from gpu_workers.storage.objects import (
    ObjectsManifest,
    PlateObjects,
    SiteObjects,
    TypeObjects,
    WellObjects,
    join,
    manifest_path,
    take,
)
from tests.unit.analysis.vector_tiles import area, read
from tests.unit.imaging.images import blobs

FIRST = 70000


def table(labels: np.ndarray, t: int = 0) -> SiteObjects:
    """Return all objects of a label image that lies at the plate's corner."""
    geometry, traced = region_geometry(labels), trace_outlines(labels)
    n = traced.labels.size
    assert n == geometry.area.size
    per_object = np.diff(traced.points[traced.rings])
    return SiteObjects(
        label=traced.labels.astype("u4"), t=np.full(n, t, "u2"), z=np.zeros(n, "u2"),
        y=geometry.y.astype("f4"), x=geometry.x.astype("f4"), box=geometry.box,
        z_range=np.tile(np.array([0, 1], "u2"), (n, 1)), is_border=np.zeros(n, bool),
        owned=np.ones(n, bool), features=np.zeros((n, 0), "f4"),
        rings=traced.rings, points=traced.points,
        dy=(traced.y - np.repeat(geometry.box[:, 0], per_object)).astype("i2"),
        dx=(traced.x - np.repeat(geometry.box[:, 1], per_object)).astype("i2"),
    )  # fmt: skip


def store(root: Path, objects: SiteObjects, key: str) -> str:
    """Write a manifest of one well with these objects; return its path."""
    shape = (2, 1, 1, 240, 300)
    well = WellObjects(name="A01", first=FIRST, count=objects.n, box=(0, 0, 240, 300))
    plate = PlateObjects(
        id="p", path="objects/x", n_objects=objects.n, shape=shape, levels=(), shard=512, wells=(well,)
    )  # fmt: skip
    manifest = ObjectsManifest(
        key=key, layout="l", pipeline={}, types=(TypeObjects(name="Cells", features=(), plates=(plate,)),)
    )  # fmt: skip
    outlines.write_outlines(root / "objects/x/outlines/A01.parquet", FIRST, objects)
    paths.write_json(root / manifest_path(key), manifest.model_dump(mode="json"))
    return manifest_path(key)


def test_a_tile_holds_each_object_with_its_exact_area(tmp_path: Path) -> None:
    labels = label(blobs())
    path = store(tmp_path, table(labels), "a")

    (layer,) = read(outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512))

    assert (layer.name, layer.version, layer.extent) == ("Cells", 2, 4096)
    areas = np.bincount(labels.ravel())
    assert set(layer.features) == {FIRST + i for i in range(labels.max())}
    for index, rings in layer.features.items():
        assert area(rings[0]) > 0
        assert sum(map(area, rings)) == 64 * areas[index - FIRST + 1]  # 8 x 8 units a pixel


def test_a_tile_holds_what_touches_it_and_reaches_beyond(tmp_path: Path) -> None:
    labels = label(blobs())
    path = store(tmp_path, table(labels), "b")
    box = region_geometry(labels).box

    (layer,) = read(outlines.tile(tmp_path, path, "Cells", "p", 64, 128, 64))

    touches = (box[:, 0] < 128) & (box[:, 2] > 64) & (box[:, 1] < 192) & (box[:, 3] > 128)
    assert set(layer.features) == {FIRST + int(i) for i in np.flatnonzero(touches)}
    points = np.array([p for rings in layer.features.values() for ring in rings for p in ring])
    assert points.min() < 0
    first = int(np.flatnonzero(touches)[0])
    own = np.array([p for ring in layer.features[FIRST + first] for p in ring])
    np.testing.assert_array_equal(own.min(axis=0), (box[first, 1::-1] - [128, 64]) * 64)


def test_holes_wind_against_their_part_and_go_with_it(tmp_path: Path) -> None:
    labels = np.zeros((240, 300), np.int32)
    labels[10:50, 10:50] = 1
    labels[20:40, 20:40] = 0
    labels[100:140, 10:50] = 1
    labels[110:112, 20:22] = 0
    path = store(tmp_path, table(labels), "c")

    (near,) = read(outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512))
    (far,) = read(outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 2**16))
    gone = outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 2**20)

    assert [area(r) / 64 for r in near.features[FIRST]] == [1600, -400, 1600, -4]
    # 16 px a unit: the small hole has no area any more
    assert [np.sign(area(r)) for r in far.features[FIRST]] == [1, -1, 1]
    assert gone == b""


def test_only_the_asked_plane(tmp_path: Path) -> None:
    labels = label(blobs())
    both = join([table(labels), table(labels, t=1)])
    path = store(tmp_path, both, "d")

    (first,) = read(outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512))
    (second,) = read(outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512, t=1))

    n = labels.max()
    assert set(second.features) == {i + n for i in first.features}


def test_empty_tiles_and_too_many(tmp_path: Path) -> None:
    labels = label(blobs())
    path = store(tmp_path, table(labels), "e")

    assert outlines.tile(tmp_path, path, "Cells", "p", 4096, 4096, 512) == b""
    assert outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512, z=3) == b""
    with pytest.raises(outlines.TooManyObjects):
        outlines.tile(tmp_path, path, "Cells", "p", 0, 0, 512, limit=int(labels.max()) - 1)
    with pytest.raises(DataMissing):
        outlines.tile(tmp_path, path, "Nuclei", "p", 0, 0, 512)
    with pytest.raises(DataMissing):
        outlines.tile(tmp_path, path, "Cells", "q", 0, 0, 512)


def test_the_file_can_be_read_by_itself(tmp_path: Path) -> None:
    labels = label(blobs())
    store(tmp_path, table(labels), "f")

    rows = pq.read_table(tmp_path / "objects/x/outlines/A01.parquet").to_pylist()

    assert [row["index"] for row in rows] == list(range(FIRST, FIRST + labels.max()))
    for number, row in enumerate(rows, start=1):
        assert row["parts"][0] == 0
        ends = [*row["parts"][1:], len(row["dy"])]
        total = 0.0
        for a, b in zip(row["parts"], ends, strict=True):
            ring = [
                (x + row["x0"], y + row["y0"])
                for x, y in zip(row["dx"][a:b], row["dy"][a:b], strict=True)
            ]
            total += area(ring)
        assert total == (labels == number).sum()


def test_tables_are_taken_and_joined_with_their_outlines() -> None:
    labels = label(blobs())
    whole = table(labels)
    rows = np.arange(whole.n)[::-1]

    turned = take(take(whole, rows), rows)
    parts = join([take(whole, np.arange(3)), take(whole, np.arange(3, whole.n))])
    none = take(whole, np.zeros(0, np.int64))

    for other in (turned, parts):
        for name in ("label", "box", "rings", "points", "dy", "dx"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name), err_msg=name)
    assert (none.n, none.rings.tolist(), none.points.tolist(), none.dy.size) == (0, [0], [0], 0)
    assert join([none, whole]).n == whole.n
