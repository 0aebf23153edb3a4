"""How planes are cut into jobs, sampled for display, and handed on in tables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_workers.steps.imextract import batches as cutting
from gpu_workers.steps.imextract.units import pages
from gpu_workers.storage import tables

SIDES = (512, 2048, 512, 4096)


def _planes(n_t: int, n_c: int, n_z: int) -> Any:
    rows = [
        (p, s, "a", t, c, z, "plane")
        for p in ("p", "q")
        for s in range(len(SIDES))
        for t in range(n_t)
        for c in range(n_c)
        for z in range(n_z)
    ]
    names = ("plate", "site", "acquisition", "t", "channel", "z", "role")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _layout() -> Any:
    sites = [SimpleNamespace(height=side, width=side) for side in SIDES]
    plates = [SimpleNamespace(id=i, sites=sites) for i in ("p", "q")]
    return SimpleNamespace(plates=plates, channels=(SimpleNamespace(dtype="uint16"),))


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 12))
def test_jobs_have_at_most_200_mb_and_whole_time_points(n_t: int, n_c: int, n_z: int) -> None:
    planes = _planes(n_t, n_c, n_z)
    sizes = cutting.plane_bytes(planes, _layout())

    jobs = cutting.batches(planes, _layout(), None)

    assert [j["first"] for j in jobs] == list(np.cumsum([0, *(j["count"] for j in jobs)])[:-1])
    assert sum(j["count"] for j in jobs) == planes.num_rows
    for job in jobs:
        assert job["first"] % (n_c * n_z) == job["count"] % (n_c * n_z) == 0
        total = int(sizes[job["first"] : job["first"] + job["count"]].sum())
        assert total <= cutting.BYTES_PER_JOB or job["count"] == n_c * n_z


def test_a_number_of_sites_can_be_asked_for() -> None:
    jobs = cutting.batches(_planes(2, 2, 3), _layout(), 3)

    assert [j["count"] for j in jobs] == [36, 36, 24]


def test_rows_out_of_order_are_refused() -> None:
    planes = _planes(2, 2, 1)
    mixed = planes.take(pa.array([0, 2, 1, *range(3, planes.num_rows)]))

    with pytest.raises(ValueError, match="not in order"):
        cutting.batches(mixed, _layout(), None)


def test_no_planes_no_jobs() -> None:
    assert cutting.batches(_planes(1, 1, 1).slice(0, 0), _layout(), None) == []


def _rows(file: str, order: str) -> list[dict[str, Any]]:
    places = [(c, z) for c in range(3) for z in range(4)]
    by_page = sorted(places, key=lambda p: p if order == "cz" else p[::-1])
    return [
        {"channel": c, "z": z, "file": file, "page": by_page.index((c, z)), "sample": 0}
        for c, z in places
    ]


def test_a_container_is_read_in_its_own_order() -> None:
    read = [row["page"] for page in pages(_rows("f", "zc"), 3) for row in page]

    assert read == list(range(12))


def test_where_memory_is_short_channels_come_one_after_the_other() -> None:
    read = [row["channel"] for page in pages(_rows("f", "zc"), 1) for row in page]

    assert read == [0] * 4 + [1] * 4 + [2] * 4


def test_the_colours_of_a_page_come_together() -> None:
    rows = [
        {"channel": c, "z": z, "file": "f", "page": z, "sample": c}
        for c in range(3)
        for z in range(2)
    ]

    read = [[row["sample"] for row in page] for page in pages(rows, 1)]

    assert read == [[0, 1, 2], [0, 1, 2]]


def test_files_of_one_plane_are_read_channel_by_channel() -> None:
    rows = [
        {"channel": c, "z": z, "file": f"z{z}c{c}", "page": 0, "sample": 0}
        for z in range(3)
        for c in range(2)
    ]

    read = [(row["channel"], row["z"]) for page in pages(rows, 9) for row in page]

    assert read == sorted(read)


@pytest.mark.parametrize("column", ["file", "z", "size", "z_um"])
def test_the_digest_of_planes_knows_every_value(column: str) -> None:
    from gpu_workers.storage.layout import PLANE_TYPES

    kinds = {"string": "x", "int32": 1, "int64": 1, "double": 1.5}
    base = {n: [kinds[t], kinds[t], None] for n, t in PLANE_TYPES.items()}
    changed = {**base, column: [*base[column][:2], kinds[PLANE_TYPES[column]]]}
    made = [
        pa.table({n: pa.array(v, pa.type_for_alias(PLANE_TYPES[n])) for n, v in t.items()})
        for t in (base, changed)
    ]
    chunked = pa.concat_tables([made[0].slice(0, 1), made[0].slice(1)])

    assert cutting.digest(made[0]) != cutting.digest(made[1])
    assert cutting.digest(made[0]) == cutting.digest(chunked)


def test_a_slice_of_a_table_is_that_of_the_whole(tmp_path: Path) -> None:
    n = tables.ROW_GROUP + 1000
    path = tmp_path / "t.parquet"
    tables.write_table(path, {"n": range(n)}, {"n": "int64"})

    for first, count in [(0, 5), (tables.ROW_GROUP - 2, 4), (n - 3, 3), (tables.ROW_GROUP + 1, 2)]:
        found = tables.read_slice(path, first, count)["n"].to_pylist()
        assert found == list(range(first, first + count))


def test_tables_are_joined_in_order(tmp_path: Path) -> None:
    parts = [tmp_path / f"{n}.parquet" for n in range(4)]
    for n, part in enumerate(parts):
        tables.write_table(part, {"n": [n] * n, "s": ["x"] * n}, {"n": "int32", "s": "string"})

    count = tables.join_tables(tmp_path / "all.parquet", parts, {"n": "int32", "s": "string"})

    assert count == 6
    assert tables.read_table(tmp_path / "all.parquet")["n"].to_pylist() == [1, 2, 2, 3, 3, 3]
    assert sorted(p.name for p in tmp_path.iterdir())[-1] == "all.parquet"
