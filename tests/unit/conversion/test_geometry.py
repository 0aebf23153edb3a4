"""Positions of sites, wells and plates."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import UserError
from gpu_workers.steps.metaconfig import geometry
from gpu_workers.steps.metaconfig.geometry import Field


def _well(
    name: str, origin: tuple[float, float], sites: dict[str, tuple[float, float]]
) -> list[Field]:
    return [Field(name, s, origin[0] + y, origin[1] + x) for s, (y, x) in sites.items()]


GRID = {"1": (0.0, 0.0), "2": (0.0, 90.0), "3": (90.0, 0.0), "4": (90.0, 90.0)}


def test_offsets_are_micrometres_over_the_pixel_size() -> None:
    fields = _well("A01", (5000.0, 7000.0), GRID)

    offsets = geometry.stage_offsets(fields, 0.5)

    assert offsets == {
        ("A01", "1"): (0, 0), ("A01", "2"): (0, 180), ("A01", "3"): (180, 0), ("A01", "4"): (180, 180),
    }  # fmt: skip


def test_an_axis_that_points_up_is_turned() -> None:
    fields = [replace(f, y_sign=-1) for f in _well("A01", (0.0, 0.0), GRID)]

    offsets = geometry.stage_offsets(fields, 1.0)

    assert offsets is not None
    assert offsets["A01", "1"] == (90, 0)
    assert offsets["A01", "3"] == (0, 0)


def test_a_well_without_its_first_sites_keeps_the_others_in_place() -> None:
    whole = _well("A01", (0.0, 0.0), GRID)
    part = [f for f in _well("A02", (3.0, 9000.0), GRID) if f.name in {"2", "4"}]

    offsets = geometry.stage_offsets([*whole, *part], 1.0)

    assert offsets is not None
    assert offsets["A02", "2"] == (0, 90)
    assert offsets["A02", "4"] == (90, 90)


def test_jitter_never_gives_negative_offsets() -> None:
    whole = _well("A01", (0.0, 0.0), GRID)
    shaky = _well("A02", (0.0, 9000.0), {**GRID, "1": (-2.0, -3.0)})

    offsets = geometry.stage_offsets([*whole, *shaky], 1.0)

    assert offsets is not None
    assert min(min(o) for o in offsets.values()) == 0


@pytest.mark.parametrize(
    "fields",
    [
        [Field("A01", "1"), Field("A01", "2", 1.0, 1.0)],
        [Field("A01", "1", 1.0, 1.0), Field("A01", "2", 1.0, 1.0)],
        [Field("A01", "1", 0.0, 0.0), Field("A01", "2", 0.0, 1e9)],
    ],
    ids=["missing", "equal", "absurd"],
)
def test_positions_that_cannot_be_used(fields: list[Field]) -> None:
    assert geometry.stage_offsets(fields, 1.0) is None


def test_orders_of_acquisition() -> None:
    def order(layout: geometry.StitchLayout) -> list[tuple[int, int]]:
        return [geometry.grid_cell(n, (2, 3), layout) for n in range(6)]

    assert order("horizontal") == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert order("zigzag_horizontal") == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    assert order("vertical") == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert order("zigzag_vertical") == [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]


def test_a_numbered_site_keeps_its_place_when_another_is_missing() -> None:
    fields = [Field("A01", "1"), Field("A01", "4")]

    offsets = geometry.grid_offsets(fields, (10, 20), (2, 2), "horizontal")

    assert offsets == {("A01", "1"): (0, 0), ("A01", "4"): (10, 20)}


def test_neighbours_in_a_grid_overlap_by_a_part_of_their_size() -> None:
    fields = [Field("A01", str(n)) for n in (1, 2, 3, 4)]

    offsets = geometry.grid_offsets(fields, (500, 333), (2, 2), "horizontal", overlap=0.1)

    # 333 - 33.3 is 299.7: places are whole pixels.
    assert [offsets["A01", str(n)] for n in (1, 2, 3, 4)] == [
        (0, 0),
        (0, 300),
        (450, 0),
        (450, 300),
    ]


def test_named_sites_are_put_in_natural_order() -> None:
    fields = [Field("A01", "f10"), Field("A01", "f2")]

    offsets = geometry.grid_offsets(fields, (10, 20), (1, 2), "horizontal")

    assert offsets == {("A01", "f2"): (0, 0), ("A01", "f10"): (0, 20)}


def test_grid_shapes() -> None:
    assert geometry.grid_shape(7, None, None, None) == (3, 3)
    assert geometry.grid_shape(2, None, None, None) == (1, 2)
    assert geometry.grid_shape(6, 2, None, None) == (2, 3)
    assert geometry.grid_shape(6, None, 2, None) == (3, 2)
    assert geometry.grid_shape(6, None, None, (1, 6)) == (1, 6)
    with pytest.raises(UserError, match="don't hold"):
        geometry.grid_shape(7, 2, 3, None)


@given(st.integers(1, 40_000), st.integers(1, 40_000), st.floats(0.02, 0.5))
def test_tiling_promises(height: int, width: int, gap: float) -> None:
    pitch, shard = geometry.tiling((height, width), gap)

    for extent, distance in zip((height, width), pitch, strict=True):
        assert distance >= extent * (1 + gap) - 1e-6
        assert distance % shard == 0
    assert shard % 512 == 0
    assert shard <= 4096


@pytest.mark.parametrize(
    ("extent", "pitch", "shard"),
    [
        ((256, 486), (512, 512), 512),
        ((4000, 4000), (4096, 4096), 4096),
        ((2160, 2160), (2560, 2560), 2560),
        ((8640, 8640), (9216, 9216), 3072),
    ],
)
def test_tilings(extent: tuple[int, int], pitch: tuple[int, int], shard: int) -> None:
    assert geometry.tiling(extent, 0.02) == (pitch, shard)


def test_levels_end_with_one_tile() -> None:
    assert geometry.n_levels(512, 512) == 1
    assert geometry.n_levels(513, 10) == 2
    assert geometry.n_levels(8192, 12288) == 6


@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=12))
def test_plates_do_not_touch(sizes: list[tuple[int, int]]) -> None:
    origins = geometry.plate_origins(sizes, 512)

    boxes = list(zip(origins, sizes, strict=True))
    for ((y0, x0), (h0, w0)), ((y1, x1), (h1, w1)) in itertools.combinations(boxes, 2):
        assert y0 + h0 < y1 or y1 + h1 < y0 or x0 + w0 < x1 or x1 + w1 < x0
