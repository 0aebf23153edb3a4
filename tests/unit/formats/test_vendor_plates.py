"""CellVoyager, ImageXpress, Harmony and IN Cell, in small folders written as they write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.cellvoyager import CellVoyagerReader
from gpu_workers.formats.harmony import HarmonyReader, parse_profile
from gpu_workers.formats.imagexpress import ImageXpressReader
from gpu_workers.formats.incell import InCellReader
from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.survey import Survey
from tests.unit.formats import folders


def listing(*names: str) -> Listing:
    return Listing(Path(), tuple(FileEntry(n, 1, 1) for n in sorted(names)))


def codes(found: Survey) -> set[str]:
    return {p.code for p in found.problems}


class TestCellVoyager:
    def test_channels_have_lasers_exposure_and_shading_images(self, tmp_path: Path) -> None:
        folders.cellvoyager(tmp_path, [(1, 1)])

        facts = CellVoyagerReader().survey(scan(tmp_path)).facts

        first, second = facts.channels
        assert (first.wavelength_nm, first.excitation_nm, first.exposure_ms) == (445, 405, 100)
        assert (first.brightfield, second.brightfield, second.wavelength_nm) == (False, True, None)
        assert first.flatfield is not None
        assert second.flatfield is not None
        assert (first.flatfield.flat_file, first.flatfield.dark_file) == (
            "SC_1.tif",
            "DC_x#1_CAM3.tif",
        )
        assert (second.flatfield.flat_file, second.flatfield.dark_file) == ("SC_2.tif", None)
        assert (facts.objective, facts.magnification, facts.plate_format) == ("20x v2", 20.0, 96)

    def test_times_count_from_the_beginning(self, tmp_path: Path) -> None:
        folders.cellvoyager(tmp_path, [(1, 1)])

        planes = CellVoyagerReader().survey(scan(tmp_path)).planes

        assert [p.time_s for p in planes[:2]] == [5.5, 6.5]

    def test_without_the_details_the_first_image_is_the_beginning(self, tmp_path: Path) -> None:
        folders.cellvoyager(tmp_path, [(1, 1)])
        (tmp_path / "MeasurementDetail.mrf").unlink()

        found = CellVoyagerReader().survey(scan(tmp_path))

        assert [p.time_s for p in found.planes[:2]] == [0.0, 1.0]
        assert codes(found) == {"no_metadata"}
        assert found.facts.pixel_size_um is None

    @pytest.mark.parametrize("suffix", ["png", "jpg", "TIFF"])
    def test_converted_images(self, tmp_path: Path, suffix: str) -> None:
        folders.cellvoyager(tmp_path, [(1, 1)])
        for image in tmp_path.glob("p_*.tif"):
            image.rename(image.with_suffix(f".{suffix}"))

        found = CellVoyagerReader().survey(scan(tmp_path))

        assert found.problems == []
        assert {p.file.rpartition(".")[2] for p in found.planes} == {suffix}


class TestImageXpress:
    def test_time_points_in_names(self) -> None:
        names = [f"p_B02_s1_w1_t{t}.TIF" for t in (1, 2, 11)]

        found = ImageXpressReader().survey(listing(*names))

        assert sorted(p.t for p in found.planes) == [1, 2, 11]

    def test_names_without_folders_or_htd(self) -> None:
        images = listing(*(f"p_B02_s{s}_w{w}.TIF" for s in (1, 2) for w in (1, 2)))

        assert ImageXpressReader().score(images) == 0.5
        assert len(ImageXpressReader().survey(images).planes) == 4

    def test_one_channel_is_a_stack_and_another_a_projection(self) -> None:
        images = listing(
            "Z/ZStep_1/p_A01_w1.tif", "Z/ZStep_2/p_A01_w1.tif", "Z/p_A01_w1.tif", "Z/p_A01_w2.tif"
        )

        found = ImageXpressReader().survey(images)

        assert sorted((p.channel, p.role, p.z) for p in found.planes) == [
            ("w1", "plane", 1), ("w1", "plane", 2), ("w1", "projection", 0), ("w2", "plane", 1),
        ]  # fmt: skip


class TestHarmony:
    @pytest.mark.parametrize("version", [1, 5, 6, 7])
    def test_every_version_says_the_same(self, tmp_path: Path, version: int) -> None:
        folders.harmony(tmp_path, version=version)

        found = HarmonyReader().survey(scan(tmp_path))

        assert found.problems == []
        assert len(found.planes) == 8
        first = found.planes[0]
        assert first[1:6] == ("B03", "1", "1", 1, 0)
        assert (first.stage_y_um, first.stage_x_um, first.z_um, first.time_s) == (
            -200.0,
            100.0,
            2.0,
            21.5,
        )
        facts = found.facts
        assert (facts.n_rows, facts.n_columns, facts.plate_format, facts.plate_name) == (
            8,
            12,
            96,
            "plate one",
        )
        assert (facts.pixel_size_um, facts.shape, facts.y_sign) == (0.598, (2, 4), -1)
        assert (facts.objective, facts.magnification) == ("20x/0.8", 20.0)
        dna, bright = facts.channels
        assert (dna.name, dna.wavelength_nm, dna.excitation_nm, dna.exposure_ms) == (
            "HOECHST 33342",
            456,
            405,
            40,
        )
        assert (dna.brightfield, bright.brightfield, bright.wavelength_nm) == (False, True, None)
        assert bright.flatfield is None

    def test_the_profile_of_the_foreground_is_taken(self) -> None:
        found = parse_profile(folders.PROFILE)

        assert found is not None
        assert found.coefficients == ((1.0,), (-0.5, 0.2), (0.1, 0.2, 0.3))
        assert (found.origin, found.scale) == ((0.5, 1.5), (0.5, 0.25))

    def test_the_background_stands_in_for_an_even_foreground(self) -> None:
        head, _, tail = folders.PROFILE.partition("Foreground: {Character: NonFlat, ")
        flat = f"{head}Foreground: {{Profile: {{Type: Identity}}}}, Version: 1}}"

        found = parse_profile(flat)

        assert tail
        assert found is not None
        assert found.coefficients == ((2.0,),)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{Background: {Character: Null, Profile: {Type: Identity}, Quality: 1}}",
            "{Foreground: {",
            "}" * 99,
        ],
    )
    def test_no_profile(self, text: str) -> None:
        assert parse_profile(text) is None

    @given(st.text(alphabet="{}[]:,. 0123456789eINFTypeolymiaCffcntsOrgSl", max_size=200))
    def test_any_profile(self, text: str) -> None:
        found = parse_profile(
            f"{{Foreground: {{Profile: {{Coefficients: {text}, Type: Polynomial}}}}}}"
        )

        assert found is None or all(len(row) == i + 1 for i, row in enumerate(found.coefficients))

    def test_a_profile_that_is_not_understood_is_reported(self, tmp_path: Path) -> None:
        folders.harmony(tmp_path)
        index = tmp_path / "Index.idx.xml"
        index.write_text(
            index.read_text(encoding="utf-8-sig")
            .replace("[[2.0]]", "[2.0]")
            .replace("[-0.5, 2e-1]", "[x]")
        )

        found = HarmonyReader().survey(scan(tmp_path))

        assert codes(found) == {"bad_flatfield"}
        assert found.facts.channels[0].flatfield is None

    def test_failed_images_are_reported(self, tmp_path: Path) -> None:
        folders.harmony(tmp_path)
        index = tmp_path / "Index.idx.xml"
        index.write_text(
            index.read_text(encoding="utf-8-sig").replace("<State>Ok", "<State>Failed", 1)
        )
        next(tmp_path.glob("r02c03f01p01-ch1*")).unlink()

        found = HarmonyReader().survey(scan(tmp_path))

        assert codes(found) == {"acquisition_error"}
        assert len(found.planes) == 7

    def test_channels_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        folders.harmony(tmp_path)
        index = tmp_path / "Index.idx.xml"
        index.write_text(
            index.read_text(encoding="utf-8-sig").replace("HOECHST 33342", "Brightfield")
        )

        found = HarmonyReader().survey(scan(tmp_path))

        assert [c.name for c in found.facts.channels] == ["Brightfield 1", "Brightfield 2"]


class TestInCell:
    def test_facts(self, tmp_path: Path) -> None:
        folders.incell(tmp_path)

        found = InCellReader().survey(scan(tmp_path))

        facts = found.facts
        assert (facts.plate_format, facts.pixel_size_um, facts.magnification) == (384, 0.1625, 40.0)
        assert (facts.shape, facts.z_step_um, facts.y_sign) == ((4, 6), 1.3, -1)
        assert [c.name for c in facts.channels] == ["DAPI", "Cy3"]
        assert [c.brightfield for c in facts.channels] == [False, True]
        assert [c.excitation_nm for c in facts.channels] == [405.0, None]
        last = found.planes[-1]
        assert last[1:6] == ("C03", "2", "1", 0, 0)
        assert (last.stage_y_um, last.stage_x_um, last.time_s) == (12.5, 300.5, 1.0)

    def test_two_lists_of_one_plate_are_cycles(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            folders.incell(tmp_path / name)

        found = InCellReader().survey(scan(tmp_path))

        assert [p.cycle for p in found.planes] == [0] * 4 + [1] * 4

    def test_two_plates_are_refused(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            folders.incell(tmp_path / name, plate=name)

        with pytest.raises(FileError, match="2 plates") as caught:
            InCellReader().survey(scan(tmp_path))

        assert caught.value.files == ("a/plate.xdce", "b/plate.xdce")

    def test_projections(self, tmp_path: Path) -> None:
        folders.incell(tmp_path, mode="Max Intensity Projection")

        found = InCellReader().survey(scan(tmp_path))

        assert {(p.role, p.method) for p in found.planes} == {
            ("projection", "Max Intensity Projection")
        }
        assert found.facts.z_step_um is None

    def test_a_label_counts_more_than_numbers(self, tmp_path: Path) -> None:
        folders.incell(tmp_path, n_fields=1)
        plate = tmp_path / "plate.xdce"
        plate.write_text(plate.read_text().replace("C - 3", "D - 4"))

        found = InCellReader().survey(scan(tmp_path))

        assert {p.well for p in found.planes} == {"D04"}
        assert codes(found) == {"doubtful_well"}

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("A - 01(fld 1 wv DAPI - DAPI).tif", ("A01", "1", "DAPI - DAPI", 0, 0)),
            ("P - 24(fld 12 wv Blue - FITC z 7).tif", ("P24", "12", "Blue - FITC", 7, 0)),
            ("B - 2(fld 03 z 4 time 5 wv UV - DAPI).tif", ("B02", "3", "UV - DAPI", 4, 5)),
            (
                "B - 02(fld 1 wv TL-Brightfield - Cy3 time 2 - 500 ms).tif",
                ("B02", "1", "TL-Brightfield - Cy3", 0, 2),
            ),
            ("AB - 02(fld 1).tif", ("AB02", "1", "1", 0, 0)),
        ],
    )
    def test_names(self, name: str, expected: tuple[object, ...]) -> None:
        (plane,) = InCellReader().survey(listing(name)).planes

        assert plane[1:6] == expected
