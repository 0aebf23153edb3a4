"""Planes from what readers and files say, rule by rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from gpu_workers.formats.contents import ImageContent, PlaneContent
from gpu_workers.formats.expansion import (
    IMAGE_TYPES,
    NAMED_TYPES,
    PAGE_TYPES,
    Expanded,
    expand,
    frame,
    image_rows,
)
from gpu_workers.formats.survey import ChannelFacts, SourcePlane

A = ChannelFacts(key="", name="DAPI", wavelength_nm=450)
B = ChannelFacts(key="", name="GFP", wavelength_nm=520)


def content(**facts: Any) -> ImageContent:
    return ImageContent(10, 20, "uint16", **facts)


def expanded(named: Iterable[SourcePlane], **files: tuple[ImageContent, ...]) -> Expanded:
    """Expand planes of files, which are called by their keyword."""
    rows = [image_rows(name, images) for name, images in files.items()]
    images = [row for some, _ in rows for row in some]
    pages = [row for _, some in rows for row in some]
    return expand(
        frame(list(named), NAMED_TYPES), frame(images, IMAGE_TYPES), frame(pages, PAGE_TYPES)
    )


def places(found: Expanded, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in found.planes[list(columns)].to_numpy().tolist()]


def codes(found: Expanded) -> set[str]:
    return {p.code for p in found.problems}


def test_a_container_says_everything() -> None:
    scenes = tuple(
        content(n_t=2, n_c=2, n_z=3, t_stride=6, c_stride=3, well=well, channels=(A, B), name=well)
        for well in ("b2", "C-3")
    )

    found = expanded([SourcePlane("f", "", "", "")], f=scenes)

    assert len(found.planes) == 2 * 12
    assert set(places(found, "well", "site")) == {("B02", "1"), ("C03", "1")}
    expected = [
        (t, channel, z, t * 6 + c * 3 + z)
        for t in range(2) for c, channel in enumerate(("DAPI", "GFP")) for z in range(3)
    ]  # fmt: skip
    assert places(found, "t", "channel", "z", "page") == expected * 2
    assert found.problems == []
    assert [c.wavelength_nm for c in found.channels["GFP"]] == [520]


def test_names_count_where_a_file_holds_one_channel() -> None:
    named = [SourcePlane("f", "A01", "2", "w1"), SourcePlane("g", "A01", "2", "w2")]

    found = expanded(named, f=(content(channels=(A,)),), g=(content(channels=(B,)),))

    assert places(found, "site", "channel") == [("2", "w1"), ("2", "w2")]
    assert [c.name for c in found.channels["w2"]] == ["GFP"]


@pytest.mark.parametrize(
    ("keys", "channels"),
    [
        (("1", "1"), ["DAPI", "GFP", "DAPI", "GFP"]),
        (("x", "y"), ["x DAPI", "x GFP", "y DAPI", "y GFP"]),
        (("", ""), ["DAPI", "GFP", "DAPI", "GFP"]),
    ],
)
def test_channels_of_names_and_files(keys: tuple[str, str], channels: list[str]) -> None:
    both = (content(n_c=2, c_stride=1, channels=(A, B)),)
    named = [SourcePlane(f, w, "1", k) for f, w, k in zip("fg", ("A01", "A02"), keys, strict=True)]

    found = expanded(named, f=both, g=both)

    assert [c for (c,) in places(found, "channel")] == channels


def test_channels_without_names_are_counted() -> None:
    found = expanded([SourcePlane("f", "A01", "1", "")], f=(content(n_c=2, c_stride=1),))

    assert places(found, "channel", "page") == [("1", 0), ("2", 1)]


def test_sites_of_names_and_files() -> None:
    fields = (content(site="left"), content())

    both = expanded([SourcePlane("f", "A01", "3", "1")], f=fields)
    own = expanded([SourcePlane("f", "A01", "", "1")], f=fields)
    single = expanded([SourcePlane("f", "A01", "3", "1")], f=fields[:1])

    assert places(both, "site") == [("3-left",), ("3-2",)]
    assert places(own, "site") == [("left",), ("2",)]
    assert places(single, "site") == [("3",)]


def test_sites_are_counted_over_files_that_would_be_one() -> None:
    named = [SourcePlane(f, "A01", "", "1") for f in ("f10", "f2")]

    found = expanded(named, f10=(content(), content()), f2=(content(),))

    assert places(found, "file", "site") == [("f10", "2"), ("f10", "3"), ("f2", "1")]


def test_z_and_t_add_up_where_one_side_varies() -> None:
    named = [SourcePlane(f, "A01", "1", "1", z=5, t=t) for t, f in enumerate("fg")]
    stack = (content(n_z=2),)

    found = expanded(named, f=stack, g=stack)

    assert places(found, "t", "z") == [(0, 5), (0, 6), (1, 5), (1, 6)]
    assert found.problems == []


def test_z_that_varies_on_both_sides_is_named() -> None:
    named = [SourcePlane(f, "A01", "1", "1", z=n, t=n) for n, f in enumerate("fg")]
    stack = (content(n_z=2),)

    found = expanded(named, f=stack, g=stack)

    (problem,) = found.problems
    assert problem.code == "extra_pages"
    assert problem.files == ("f", "g")
    assert places(found, "z") == [(0,), (1,)]


def test_pages_of_files_named_by_z_are_time_points() -> None:
    named = [SourcePlane(f, "A01", "1", "1", z=n) for n, f in enumerate("fg")]
    stack = (content(n_z=2),)

    found = expanded(named, f=stack, g=stack)

    assert places(found, "z", "t") == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_single_page_is_taken_as_the_metadata_says() -> None:
    named = [
        SourcePlane("f", "A01", "1", "x", z=7, page=1),
        SourcePlane("f", "A02", "1", "x", z=8, page=0),
        SourcePlane("f", "A03", "1", "x", z=9, page=2),
    ]

    found = expanded(named, f=(content(n_z=2),))

    assert places(found, "well", "z", "page") == [("A01", 7, 1), ("A02", 8, 0)]
    assert found.missing == [("f", "missing_page")]


def test_colours_are_three_channels() -> None:
    found = expanded([SourcePlane("f", "A01", "1", "1")], f=(content(samples=3),))

    assert places(found, "channel", "sample", "page") == [
        ("1 red", 0, 0), ("1 green", 1, 0), ("1 blue", 2, 0),
    ]  # fmt: skip


def test_planes_that_are_listed_have_their_own_places() -> None:
    listed = content(
        n_c=2, z_um=9.0, stage_x_um=1.0,
        planes=(
            PlaneContent(0, 1, 0, 4, z_um=2.5, time_s=3.0), PlaneContent(0, 0, 0, 7, stage_x_um=5.0),
        ),
    )  # fmt: skip

    found = expanded([SourcePlane("f", "A01", "1", "")], f=(listed,))

    assert places(found, "channel", "page", "z_um", "stage_x_um") == [
        ("2", 4, 2.5, 1.0), ("1", 7, 9.0, 5.0),
    ]  # fmt: skip
    assert found.planes["time_s"].tolist()[0] == 3.0


def test_a_master_file_describes_others() -> None:
    master = content(planes=(PlaneContent(0, 0, 0, 0), PlaneContent(0, 0, 1, 0, file="g")), n_z=2)

    alone = expanded([SourcePlane("f", "", "", "")], f=(master,))
    both = expanded([SourcePlane(n, "", "", "") for n in "fg"], f=(master,), g=(content(),))
    each = expanded([SourcePlane(n, "", "", "") for n in "fg"], f=(master,), g=(
        content(planes=(PlaneContent(0, 0, 0, 0, file="f"), PlaneContent(0, 0, 1, 0)), n_z=2),
    ))  # fmt: skip

    for found in (alone, both, each):
        assert sorted(places(found, "file", "page", "z")) == [("f", 0, 0), ("g", 0, 1)]
        assert found.missing == []
        assert found.problems == []


def test_metadata_comes_before_the_file() -> None:
    named = [SourcePlane("f", "A01", "1", "1", stage_y_um=1.0, stage_x_um=2.0)]
    says = (content(stage_y_um=7.0, stage_x_um=8.0, y_sign=-1, y_px=3, x_px=4, z_um=1.5),)

    found = expanded(named, f=says)
    own = expanded([SourcePlane("f", "A01", "1", "1")], f=says)

    assert places(found, "stage_y_um", "stage_x_um", "y_px", "z_um") == [(1.0, 2.0, 3.0, 1.5)]
    assert found.planes["y_sign"].isna().all()
    assert places(own, "stage_y_um", "stage_x_um", "y_sign") == [(7.0, 8.0, -1.0)]


def test_steps_give_times_and_depths() -> None:
    found = expanded(
        [SourcePlane("f", "A01", "1", "1")],
        f=(content(n_t=2, n_z=2, t_stride=2, t_step_s=30.0, z_step_um=0.5, z_um=10.0),),
    )

    assert places(found, "time_s", "z_um") == [(0, 10), (0, 10.5), (30, 10), (30, 10.5)]


def test_files_that_contradict_their_names() -> None:
    named = [SourcePlane(f"f{n}", "A01", "1", "w1", t=n) for n in range(4)]
    usual = content(channels=(A,), well="A01", site="7")
    odd = content(channels=(B,), well="A02", site="8")

    found = expanded(named, f0=(usual,), f1=(usual,), f2=(odd,), f3=(usual,))

    assert {p.code: p.files for p in found.problems} == {
        "well_differs": ("f2",), "site_differs": ("f2",), "channel_differs": ("f2",),
    }  # fmt: skip
    assert set(places(found, "well", "site", "channel")) == {("A01", "1", "w1")}
    for problem in found.problems:
        assert problem.message.startswith("1 file says another")


def test_a_well_that_no_plate_has() -> None:
    found = expanded([SourcePlane("f", "", "1", "1")], f=(content(well="Tray 7"),))

    assert codes(found) == {"bad_well"}
    assert places(found, "well") == [("A01",)]


def test_files_that_were_not_opened_are_missing() -> None:
    named = [SourcePlane("f", "A01", "1", "1"), SourcePlane("g", "A02", "1", "1")]

    found = expanded(named, f=(content(),))

    assert found.missing == [("g", "file_missing")]
    assert places(found, "file") == [("f",)]


def test_a_projection_that_the_file_tells() -> None:
    named = [SourcePlane("f", "A01", "1", "1")]

    found = expanded(named, f=(content(role="projection", method="Maximum"),))

    assert places(found, "role", "method") == [("projection", "Maximum")]
