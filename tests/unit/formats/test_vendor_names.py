"""VisiView, ScanR, Cellomics, AxioVision and lists of tiles, in small folders written as they write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.axio import AxioReader
from gpu_workers.formats.cellomics import CellomicsReader
from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.scanr import ScanrReader
from gpu_workers.formats.survey import SourcePlane, Survey
from gpu_workers.formats.tileconfiguration import TileConfigurationReader
from gpu_workers.formats.visiview import VisiViewReader, parse_nd
from tests.unit.formats import folders


def listing(*names: str) -> Listing:
    return Listing(Path(), tuple(FileEntry(n, 1, 1) for n in sorted(names)))


def codes(found: Survey) -> set[str]:
    return {p.code for p in found.problems}


class TestVisiView:
    def test_wells_and_sites_by_the_names_of_positions(self, tmp_path: Path) -> None:
        stages = [
            f"row:{row},column:{column},site:{site}"
            for row, column in (("A", 1), ("B", 12))
            for site in (1, 2)
        ]
        folders.visiview(tmp_path, stages=stages)

        found = VisiViewReader().survey(scan(tmp_path))

        assert found.problems == []
        assert [(p.well, p.site) for p in found.planes if p.channel == "w1"] == [
            ("A01", "1"), ("A01", "2"), ("B12", "1"), ("B12", "2"),
        ]  # fmt: skip
        assert [c.name for c in found.facts.channels] == ["DAPI", "GFP 2"]
        assert (found.facts.z_step_um, found.facts.acquired_at) == (0.5, "2024-07-19T14:19:15")

    @pytest.mark.parametrize(
        ("stages", "expected"),
        [
            (["B2", "B03"], [("B02", "1"), ("B03", "1")]),
            (["A01 site 4", "A01 site 5"], [("A01", "4"), ("A01", "5")]),
            (["A01", "A01"], [("A01", "1"), ("A01", "2")]),
            (["Position1", "A01"], [("", "1"), ("", "2")]),
            (["Row0_Col1", "Row0_Col2", "Row1_Col1"], [("", "1"), ("", "2"), ("", "3")]),
            (["Row3_Col9", "Row4_Col7"], [("", "3"), ("", "4")]),
            (["row:2,column:3", "row:Q9,column:99"], [("", "1"), ("", "2")]),
        ],
    )
    def test_names_of_positions(
        self, tmp_path: Path, stages: list[str], expected: list[tuple[str, str]]
    ) -> None:
        folders.visiview(tmp_path, stages=stages, waves=("DAPI",))

        found = VisiViewReader().survey(scan(tmp_path))

        assert [(p.well, p.site) for p in found.planes] == expected
        assert found.facts.grid == (
            {3: (2, 2), 2: (2, 3)}[len(stages)] if "Row" in stages[0] else None
        )

    @pytest.mark.parametrize("waves", [(), ("DAPI",), ("DAPI", "[None]", "CSU405 QUAD")])
    @pytest.mark.parametrize("stages", [(), ("p1", "p2")])
    @pytest.mark.parametrize("n_tpoints", [0, 3])
    def test_parts_of_names_stand_where_they_vary(
        self, tmp_path: Path, waves: tuple[str, ...], stages: tuple[str, ...], n_tpoints: int
    ) -> None:
        names = folders.visiview(tmp_path, waves=waves, stages=stages, n_tpoints=n_tpoints)

        found = VisiViewReader().survey(scan(tmp_path))

        assert found.problems == []
        assert {p.file for p in found.planes} == set(names)
        assert len({p[1:6] for p in found.planes}) == len(names)

    def test_promised_images_are_named(self, tmp_path: Path) -> None:
        names = folders.visiview(tmp_path, stages=("p1", "p2"), n_tpoints=2)
        (tmp_path / names[3]).unlink()

        found = VisiViewReader().survey(scan(tmp_path))

        assert [p.file for p in found.absent] == [names[3]]
        (problem,) = found.problems
        assert "1 of 8" in problem.message

    def test_a_stage_list_has_coordinates(self, tmp_path: Path) -> None:
        folders.visiview(tmp_path, waves=(), stages=("left", "right"))
        (tmp_path / "p.stg").write_text(
            '"Stage Memory List", Version 6.0\n0, 0, 0, 0, 0, 0, 0, "um", "um"\n0\n2\n'
            '"left", -1.5, 20.25, 3, 0, 0, FALSE\n"right", 8.5, 20.25, 3, 0, 0, FALSE\n'
        )

        planes = VisiViewReader().survey(scan(tmp_path)).planes

        assert [(p.stage_y_um, p.stage_x_um) for p in planes] == [(20.25, -1.5), (20.25, 8.5)]

    def test_positions_taken_by_hand(self, tmp_path: Path) -> None:
        for stem in ("first", "first_2", "third"):
            folders.visiview(tmp_path, stem)

        found = VisiViewReader().survey(scan(tmp_path))

        assert {(p.site, p.file.partition("_w")[0]) for p in found.planes} == {
            (s, s) for s in ("first", "first_2", "third")
        }
        assert found.problems == []

    def test_several_lists_of_positions_are_refused(self, tmp_path: Path) -> None:
        for stem in ("first", "second"):
            folders.visiview(tmp_path, stem, stages=("p",))

        with pytest.raises(FileError, match="2 acquisitions"):
            VisiViewReader().survey(scan(tmp_path))

    @pytest.mark.parametrize(
        "line",
        ['"NStagePositions", 4000000000', '"NStagePositions", many', '"NStagePositions", -1'],
    )
    def test_absurd_numbers(self, line: str) -> None:
        with pytest.raises(FileError, match="NStagePositions"):
            parse_nd(f'"NDInfoFile", Version 1.0\n"DoStage", TRUE\n{line}', "x.nd")

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        parse_nd(f'"NDInfoFile", Version 1.0\n"DoWave", TRUE\n"NWavelengths", 2\n{text}', "x.nd")


class TestScanr:
    def test_wells_by_the_list_of_the_description(self, tmp_path: Path) -> None:
        folders.scanr(tmp_path)

        found = ScanrReader().survey(scan(tmp_path))

        assert found.problems == []
        assert {p.well for p in found.planes} == {"B02"}
        facts = found.facts
        assert (facts.pixel_size_um, facts.grid, facts.plate_name) == (0.645, (1, 2), "my plate")
        assert [c.name for c in facts.channels] == ["DAPI", "GFP"]

    def test_places_and_channels_by_the_ome_xml_beside_the_images(self, tmp_path: Path) -> None:
        folders.scanr_ome(tmp_path)

        found = ScanrReader().survey(scan(tmp_path))

        assert len(found.planes) == 8
        by_name = {p.file.rpartition("/")[2]: p for p in found.planes}
        plane = by_name["B02--W00014--P00002--Z00001--T00000--GFP.tif"]
        assert (plane.stage_y_um, plane.stage_x_um, plane.z_um) == (2000.5, 1600, 12)
        assert (plane.well, plane.site, plane.z, plane.time_s) == ("B02", "2", 1, 2.125)
        facts = found.facts
        assert (facts.pixel_size_um, facts.shape, facts.y_sign) == (0.65, (64, 80), -1)
        assert facts.acquired_at == "2024-05-06T07:08:09"
        assert [(c.key, c.wavelength_nm, c.exposure_ms) for c in facts.channels] == [
            ("DAPI", 455, 50), ("GFP", 518, 50),
        ]  # fmt: skip

    def test_an_ome_xml_too_large_to_be_read_leaves_what_names_say(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders.scanr_ome(tmp_path)
        monkeypatch.setattr("gpu_workers.formats.files.ome_xml.MAX_XML", 1000)

        found = ScanrReader().survey(scan(tmp_path))

        assert len(found.planes) == 8
        assert {p.stage_x_um for p in found.planes} == {None}
        assert [p.code for p in found.problems] == ["too_large"]

    @pytest.mark.parametrize(
        ("names", "wells"),
        [
            (["B02--W00014--P00001--Z00000--T00000--DAPI.tif"], ["B02"]),
            (["B2--W00026--P1--Z0--T0--DAPI.tif", "W00027--P1--Z0--T0--DAPI.tif"], ["B02", "B03"]),
            (["W00096--P1--Z0--T0--DAPI.tif"], ["H12"]),
            (["W00097--P1--Z0--T0--DAPI.tif"], ["E01"]),
            (["W01536--P1--Z0--T0--DAPI.tif"], ["AF48"]),
        ],
    )
    def test_wells_by_number(self, names: list[str], wells: list[str]) -> None:
        found = ScanrReader().survey(listing(*names))

        assert [p.well for p in found.planes] == wells

    def test_counted_wells_are_reported(self) -> None:
        name = "x--a--W0013--P002--T00003--Z004--C.tif"

        found = ScanrReader().survey(listing(name))

        assert found.planes == [SourcePlane(name, "B01", "2", "C", z=4, t=3)]
        (problem,) = found.problems
        assert (problem.code, problem.files) == ("assumed_wells", (name,))
        assert "12 columns" in problem.message

    def test_a_well_beyond_all_plates(self) -> None:
        found = ScanrReader().survey(listing("W09999--P1--Z0--T0--DAPI.tif"))

        assert found.planes == []
        assert "bad_name" in codes(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AS_09125_050116030001_D03f00d0.tif", ("D03", "0", "0", 0, 0)),
        ("MFGTMP_110615110001_A01f12d1.C01", ("A01", "12", "1", 0, 0)),
        ("p_P24f3.tif", ("P24", "3", "", 0, 0)),
    ],
)
def test_cellomics(name: str, expected: tuple[object, ...]) -> None:
    (plane,) = CellomicsReader().survey(listing(name)).planes

    assert plane[1:6] == expected


def test_overlays_of_cellomics_are_no_images() -> None:
    found = CellomicsReader().survey(
        listing("x_D03f00d0.tif", "x_D03f00d0_Overlay.png", "x_D03f00d0o1.tif")
    )

    assert [p.file for p in found.planes] == ["x_D03f00d0.tif"]
    assert found.problems == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slide_1_p12DAPI.tif", ("", "12", "DAPI", 0, 0)),
        ("x_p000012t00000003z004c01.tif", ("", "12", "c01", 4, 3)),
        ("x_B02_p3.tif", ("B02", "3", "", 0, 0)),
    ],
)
def test_axio(name: str, expected: tuple[object, ...]) -> None:
    (plane,) = AxioReader().survey(listing(name)).planes

    assert plane[1:6] == expected


class TestTiles:
    def test_places(self, tmp_path: Path) -> None:
        folders.tiles(tmp_path, 3)

        found = TileConfigurationReader().survey(scan(tmp_path))

        assert [(p.file, p.site, p.y_px, p.x_px) for p in found.planes] == [
            ("tile_0.tif", "1", 0.0, 0.0), ("tile_1.tif", "2", -0.5, 460.0), ("tile_2.tif", "3", -1.0, 920.0),
        ]  # fmt: skip
        assert found.unplaced == []

    def test_images_without_a_place_are_left_out_and_named(self, tmp_path: Path) -> None:
        folders.tiles(tmp_path, 2)
        folders.touch(tmp_path, ["tile_9.tif"])

        found = TileConfigurationReader().survey(scan(tmp_path))

        assert found.unplaced == ["tile_9.tif"]
        assert [(p.code, p.files) for p in found.problems] == [("unplaced_files", ("tile_9.tif",))]
        assert [f.path for f in found.files or ()] == ["tile_0.tif", "tile_1.tif"]

    def test_registered_places_count_more(self, tmp_path: Path) -> None:
        folders.tiles(tmp_path, 2)
        (tmp_path / "TileConfiguration.registered.txt").write_text(
            "dim = 2\ntile_0.tif; ; (0.0, 0.0)\ntile_1.tif; ; (457.25, 3.5)\n"
        )

        found = TileConfigurationReader().survey(scan(tmp_path))

        assert [(p.y_px, p.x_px) for p in found.planes] == [(0.0, 0.0), (3.5, 457.25)]

    @pytest.mark.parametrize(
        "line",
        ["tile_9.tif; ; (a, b)", "tile_9.tif; ; (1)", "; ; (1, 2)", "tile_9.tif; ; (1e99, 0)"],
    )
    def test_lines_that_say_nothing(self, tmp_path: Path, line: str) -> None:
        folders.tiles(tmp_path, 2)
        with (tmp_path / "TileConfiguration.txt").open("a") as stream:
            stream.write(f"\n{line}\n")

        found = TileConfigurationReader().survey(scan(tmp_path))

        assert codes(found) == {"bad_metadata"}
        assert len(found.planes) == 2
