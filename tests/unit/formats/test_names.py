"""Patterns for file names: what they may be, what they make of names, and how long they may take."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.listing import FileEntry, Listing
from gpu_workers.formats.names import compile_pattern, parse
from gpu_workers.formats.pattern import PatternReader, try_pattern


def listing(*names: str) -> Listing:
    return Listing(Path(), tuple(FileEntry(n, 1, 1) for n in sorted(names)))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("(?P<well>[", "regular expression"),
        ("(?P<plate>x)(?P<well>A01)", "plate"),
        ("no groups", "none of the groups"),
        ("(?P<row>A)", "row and column"),
        ("(?P<x>1)", "both x and y"),
        ("(?P<site>1)(?P<x>1)(?P<y>1)", "site or both x and y"),
        ("(?P<well>A)(?P<row>B)(?P<column>1)", "either the group well"),
        ("(?P<well>A)" * 99, "longer than 500"),
        # These are understood by the module that can be stopped, but eat memory.
        ("(?P<well>(?:x{9999}){9999})", "repetitions"),
        ("(?P<well>x{999999999})", "repetitions"),
        ("(?P<well>(?R)?)", "regular expression"),
        (r"(?P<well>\L<a>)", "regular expression"),
    ],
)
def test_wrong_patterns_say_why(wrong: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        compile_pattern(wrong)

    assert caught.value.code == "bad_pattern"


@given(st.text(alphabet=r"abP<well>()[]{}?*+\d\w|^$-:=!#,.0123456789", max_size=60))
def test_any_text_as_a_pattern(text: str) -> None:
    try:
        pattern = compile_pattern(f"(?P<well>A01){text}")
        parse(["x_A01_1.tif"], pattern)
    except UserError as error:
        assert error.code == "bad_pattern"  # noqa: PT017


@pytest.mark.parametrize("hostile", [r"(?P<site>(a|aa)+)$", r"^(?P<site>(a|a)*)$"])
def test_hostile_patterns_end_in_seconds_and_let_other_threads_run(hostile: str) -> None:
    errors: list[FileError] = []

    def match() -> None:
        try:
            parse([f"{'a' * 3000}b.tif"], compile_pattern(hostile))
        except FileError as error:
            errors.append(error)

    thread = threading.Thread(target=match)
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.01)
        ticks += 1

    (error,) = errors
    assert error.code == "bad_pattern"
    assert hostile in error.message
    assert 10 < ticks < 6000


class TestPlanes:
    def test_rows_and_columns_by_letter_and_number(self) -> None:
        pattern = compile_pattern(r"(?P<row>\w+)-(?P<column>\d+)\.tif")

        found = parse(["B-3.tif", "16-24.tif", "AF-48.tif"], pattern)

        assert [m.plane.well for m in found.matches] == ["B03", "P24", "AF48"]

    def test_what_names_do_not_say_is_left_to_the_file(self) -> None:
        (match,) = parse(["t7.tif"], compile_pattern(r"t(?P<t>\d+)")).matches

        assert match.plane[1:6] == ("", "", "", 0, 7)
        assert match.plane.cycle is None

    def test_places_in_a_grid_number_the_sites(self) -> None:
        names = [f"{x}_{y}.jpg" for x in (3, 4, 5) for y in (0, 1) if (x, y) != (4, 0)]

        found = PatternReader().survey(listing(*names), r"(?P<x>\d+)_(?P<y>\d+)\.jpg")

        assert found.facts.grid == (2, 3)
        assert {p.file: p.site for p in found.planes} == {
            "3_0.jpg": "1", "5_0.jpg": "3", "3_1.jpg": "4", "4_1.jpg": "5", "5_1.jpg": "6",
        }  # fmt: skip

    def test_pixels_are_no_places_in_a_grid(self) -> None:
        with pytest.raises(UserError, match="not pixels"):
            PatternReader().survey(
                listing("0_0.tif", "92160_4600.tif"), r"(?P<x>\d+)_(?P<y>\d+)\.tif"
            )

    def test_cycles_count_from_nought(self) -> None:
        names = ["r2_A01.tif", "r5_A01.tif"]

        found = PatternReader().survey(listing(*names), r"r(?P<cycle>\d)_(?P<well>\w\d\d)")

        assert [p.cycle for p in found.planes] == [0, 1]

    def test_groups_may_stand_in_folders(self) -> None:
        expression = r"(?P<channel>\w+)/.*(?P<well>[A-H]\d\d)\.tif"

        found = PatternReader().survey(listing("GFP/x_A01.tif", "DAPI/x_A01.tif"), expression)

        assert {p.channel for p in found.planes} == {"GFP", "DAPI"}

    def test_what_does_not_match_is_named(self) -> None:
        found = PatternReader().survey(listing("x_A01.tif", "x.tif"), r"_(?P<well>\w+)\.tif")

        assert [p.files for p in found.problems] == [("x.tif",)]
        assert [f.path for f in found.files or ()] == ["x_A01.tif"]

    @pytest.mark.parametrize("name", ["_Z99.tif", "_A00.tif", "_A99.tif"])
    def test_wells_that_no_plate_has(self, name: str) -> None:
        found = parse([name], compile_pattern(r"_(?P<well>\w+)\.tif"))

        assert found.wrong == [name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x_B02_T0003F004L01A01Z05C06.tif", ("B02", "4", "6", 5, 3)),
        ("r02c03f04p05-ch06sk07fk1fl1.tiff", ("B03", "4", "6", 5, 7)),
        ("r02c03f04p05-ch06t07.tiff", ("B03", "4", "6", 5, 7)),
        ("AS_09047_050428030001_O01f02d3.TIF", ("O01", "2", "3", 0, 0)),
        ("plate_H12_s3_w2.tif", ("H12", "3", "2", 0, 0)),
        ("plate_H12_s13_w2.tif", ("H12", "13", "2", 0, 0)),
        ("Channel2-07-A-07.tif", ("A07", "", "Channel2", 0, 0)),
        ("B7_01_2_3_GFP_001.tif", ("B07", "3", "GFP", 0, 1)),
        ("B2_t3_site4_z5_ch6.png", ("B02", "4", "6", 5, 3)),
        ("exp 1/C05-f2-DAPI.tif", ("C05", "2", "DAPI", 0, 0)),
        ("plate/B02/site3_ch2.tif", ("B02", "3", "2", 0, 0)),
        ("plate/B02/f03-z04-DAPI.jpg", ("B02", "3", "DAPI", 4, 0)),
    ],
)
def test_usual_names(name: str, expected: tuple[object, ...]) -> None:
    (plane,) = PatternReader().survey(listing(name)).planes

    assert plane[1:6] == expected


class TestTrying:
    NAMES = [
        f"p/x_{'ABCD'[i % 4]}{i // 4 % 3 + 1:02d}f{i // 12:02d}d{c}.TIF"
        for i in range(24)
        for c in (0, 1)
    ]

    def test_numbers_and_values(self) -> None:
        found = try_pattern(
            [*self.NAMES, "notes.tif", "x_Z99f1.TIF"],
            r"_(?P<well>[A-Z]\d\d)f(?P<site>\d+)(d(?P<channel>\d))?",
        )

        assert (found.n_matched, found.n_unmatched, found.n_wrong) == (48, 1, 1)
        assert found.n_distinct == 48
        assert [(g.group, g.n_values) for g in found.groups] == [
            ("well", 12), ("site", 2), ("channel", 2),
        ]  # fmt: skip
        assert {v.value: v.n for v in found.groups[1].values} == {"00": 24, "01": 24}
        assert found.matched[0].model_dump() == {
            "name": self.NAMES[0], "well": "A01", "site": "0", "channel": "0", "z": 0, "t": 0, "cycle": None,
        }  # fmt: skip
        assert found.unmatched == ("notes.tif",)
        assert found.wrong == ("x_Z99f1.TIF",)
        assert {p.code for p in found.problems} == {"unknown_name", "bad_name"}

    def test_a_missing_group_is_pointed_out(self) -> None:
        found = try_pattern(self.NAMES, r"_(?P<well>[A-Z]\d\d)f(?P<site>\d+)")

        (problem,) = found.problems
        assert problem.code == "duplicate_planes"
        assert found.n_distinct == 24

    def test_the_answer_stays_small(self) -> None:
        names = [f"x{n}.tif" for n in range(100_000)]

        found = try_pattern(names, r"x(?P<site>\d+)\.tif")

        assert found.n_matched == 100_000
        assert found.groups[0].n_values == 100_000
        assert len(found.model_dump_json()) < 50_000
