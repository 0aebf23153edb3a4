"""Readers on made-up listings: names and metadata only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats import colors, imagexpress, reader, survey
from gpu_workers.formats.cellvoyager import CellVoyagerReader
from gpu_workers.formats.imagexpress import ImageXpressReader, parse_htd
from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.survey import ChannelFacts


def listing(folder: Path, *names: str) -> Listing:
    return Listing(folder, tuple(FileEntry(n, 1, 1) for n in sorted(names)))


def test_a_pattern_chooses_the_pattern_reader(tmp_path: Path) -> None:
    files = listing(tmp_path, "a.HTD", "a_A01_s1.tif")

    assert reader.choose(files).name == "imagexpress"
    assert reader.choose(files, pattern="(?P<well>A01)").name == "pattern"
    assert reader.choose(files, microscope="cellvoyager").name == "cellvoyager"
    with pytest.raises(UserError, match="known: axio"):
        reader.choose(files, microscope="eyeglass")


def test_a_pattern_for_a_reader_that_has_no_use_for_it(tmp_path: Path) -> None:
    found = reader.survey_of(
        ImageXpressReader(), listing(tmp_path, "p_A01_s1.tif"), "(?P<well>A01)"
    )

    assert [p.code for p in found.problems] == ["pattern_ignored"]


class TestImageXpress:
    def test_thumbnails_are_ignored(self, tmp_path: Path) -> None:
        guid = "E94C24BD-45E4-450A-9919-257C714278F7"
        names = [f"TimePoint_1/p_B02_s1_w1{guid}.tif", f"TimePoint_1/p_B02_s1_w1_thumb{guid}.tif"]

        found = ImageXpressReader().survey(listing(tmp_path, *names))

        assert [p.file for p in found.planes] == names[:1]
        assert found.problems == []

    def test_site_and_guid_are_told_apart(self, tmp_path: Path) -> None:
        name = "ZStep_1/p_E08_s117654C10-92F1-4DFD-98AA-6A01BBD77557.tif"

        (plane,) = ImageXpressReader().survey(listing(tmp_path, name)).planes

        assert (plane.well, plane.site, plane.z) == ("E08", "1", 1)

    def test_site_and_channel_of_two_digits(self, tmp_path: Path) -> None:
        name = "TimePoint_1/p_A01_s10_w12.TIF"

        (plane,) = ImageXpressReader().survey(listing(tmp_path, name)).planes

        assert plane[1:4] == ("A01", "10", "w12")

    def test_files_beside_z_folders_are_projections(self, tmp_path: Path) -> None:
        names = [
            "T/p_A01_s1.tif",
            "T/ZStep_1/p_A01_s1.tif",
            "T/ZStep_2/p_A01_s1.tif",
            "T/p_A02_s1.tif",
        ]

        planes = {p.file: p for p in ImageXpressReader().survey(listing(tmp_path, *names)).planes}

        assert planes[names[0]].role == "projection"
        assert planes[names[3]].role == "plane"
        assert planes[names[2]].z == 2

    def test_time_points(self, tmp_path: Path) -> None:
        names = [f"TimePoint_{t}/p_AA13_s1_w1.tif" for t in (1, 2, 10)]

        planes = ImageXpressReader().survey(listing(tmp_path, *names)).planes

        assert sorted(p.t for p in planes) == [1, 2, 10]
        assert planes[0].well == "AA13"

    @given(st.text(max_size=300))
    def test_any_text_as_htd(self, text: str) -> None:
        for content in (text, f'"HTSInfoFile", Version 1.0\n"XWells", 12\n{text}'):
            try:
                found = parse_htd(content, "x.HTD")
            except FileError as error:
                assert error.files == ("x.HTD",)  # noqa: PT017
            else:
                assert found.n_columns <= 48

    def test_every_promised_file_name_is_understood(self) -> None:
        htd = imagexpress._Htd("p q", 8, 12, ("B02",), (1, 2), (1, 2), ("a", "b"), 1, 3, True, True)

        path = imagexpress._file_name(htd, "B02", 2, 1, 1, 3, "sub/x.HTD")

        plane = imagexpress._parse(FileEntry(path, 1, 1))
        assert path == "sub/TimePoint_1/ZStep_3/p q_B02_s2_w1.TIF"
        assert plane is not None
        assert plane[1:6] == ("B02", "2", "w1", 3, 1)


BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def _record(name: str, **attributes: object) -> str:
    values = {"Row": 1, "Column": 1, "FieldIndex": 1, "ZIndex": 1, "TimePoint": 1, "TimelineIndex": 1,
              "ActionIndex": 1, "X": 0, "Y": 0, "Z": 0, "Ch": 1, "Type": "IMG", **attributes}  # fmt: skip
    text = " ".join(f'bts:{k}="{v}"' for k, v in values.items() if v is not None)
    return f"<bts:MeasurementRecord {text}>{name}</bts:MeasurementRecord>"


def _measurement(folder: Path, *records: str) -> Listing:
    text = f"<bts:MeasurementData {BTS}>{''.join(records)}</bts:MeasurementData>"
    (folder / "MeasurementData.mlf").write_text(text)
    for n in range(len(records)):
        (folder / f"{n}.tif").write_bytes(b"x")
    return scan(folder)


class TestCellVoyager:
    def test_a_channel_of_two_actions_is_two_channels(self, tmp_path: Path) -> None:
        files = _measurement(
            tmp_path, _record("0.tif"), _record("1.tif", ActionIndex=2), _record("2.tif", Ch=2)
        )

        found = CellVoyagerReader().survey(files)

        assert [p.channel for p in found.planes] == ["A01_C01", "A02_C01", "C02"]

    @pytest.mark.parametrize(
        ("channels", "names"),
        [
            ([("DAPI", ""), ("488", "GFP")], ["DAPI", "GFP"]),
            ([("405", ""), ("488", "")], ["C01", "C02"]),
            ([("405", "Hoechst 33342"), ("488", "")], ["Hoechst 33342", "C02"]),
            ([("FITC", ""), ("FITC", "")], ["C01", "C02"]),
            ([("x", "a\nb"), ("y", "z" * 300)], ["x", "y"]),
        ],
    )
    def test_channels_are_called_what_the_settings_call_them(
        self, tmp_path: Path, channels: list[tuple[str, str]], names: list[str]
    ) -> None:
        settings = "".join(
            f'<bts:Channel bts:Ch="{n}" bts:Target="{target}" bts:Fluorophore="{dye}"/>'.replace(
                "\n", "&#10;"
            )
            for n, (target, dye) in enumerate(channels, 1)
        )
        (tmp_path / "x.mes").write_text(f"<bts:Settings {BTS}>{settings}</bts:Settings>")
        files = _measurement(tmp_path, _record("0.tif"), _record("1.tif", Ch=2))

        found = CellVoyagerReader().survey(files)

        assert [c.name for c in found.facts.channels] == names
        assert [c.key for c in found.facts.channels] == ["C01", "C02"]

    def test_a_channel_of_two_actions_keeps_them_apart_in_its_names(self, tmp_path: Path) -> None:
        (tmp_path / "x.mes").write_text(
            f'<bts:Settings {BTS}><bts:Channel bts:Ch="1" bts:Target="DAPI"/></bts:Settings>'
        )
        files = _measurement(tmp_path, _record("0.tif"), _record("1.tif", ActionIndex=2))

        found = CellVoyagerReader().survey(files)

        assert [c.name for c in found.facts.channels] == ["A01_DAPI", "A02_DAPI"]

    def test_timelines_that_restart_follow_each_other(self, tmp_path: Path) -> None:
        files = _measurement(
            tmp_path,
            _record("0.tif", TimePoint=1, TimelineIndex=1),
            _record("1.tif", TimePoint=2, TimelineIndex=1),
            _record("2.tif", TimePoint=1, TimelineIndex=2),
        )

        found = CellVoyagerReader().survey(files)

        assert [p.t for p in found.planes] == [0, 1, 2]

    def test_timelines_of_other_wells_share_time_points(self, tmp_path: Path) -> None:
        files = _measurement(
            tmp_path, _record("0.tif"), _record("1.tif", TimelineIndex=2, Column=2)
        )

        found = CellVoyagerReader().survey(files)

        assert [p.t for p in found.planes] == [1, 1]

    def test_converted_images_are_found(self, tmp_path: Path) -> None:
        files = _measurement(tmp_path, _record("a.tif"))
        (tmp_path / "a.png").write_bytes(b"x")

        found = CellVoyagerReader().survey(scan(tmp_path))

        assert [p.file for p in found.planes] == ["a.png"]
        assert files.get("a.png") is None

    def test_images_nobody_names_are_reported(self, tmp_path: Path) -> None:
        files = _measurement(tmp_path, _record("0.tif"), "")
        (tmp_path / "SC_BP445.tif").write_bytes(b"x")

        found = CellVoyagerReader().survey(scan(tmp_path))

        (problem,) = (p for p in found.problems if p.code == "unlisted_files")
        assert problem.files == ("1.tif",)
        assert len(files.files) == 3

    def test_projections_have_their_role(self, tmp_path: Path) -> None:
        files = _measurement(
            tmp_path, _record("0.tif"), _record("1.tif", ZImageProcessing="Maximum")
        )

        found = CellVoyagerReader().survey(files)

        assert [(p.role, p.method) for p in found.planes] == [
            ("plane", None),
            ("projection", "Maximum"),
        ]

    @pytest.mark.parametrize(
        "change", [{"Row": 0}, {"Row": "x"}, {"Column": 4711}, {"Row": None}, {"Column": -1}]
    )
    def test_records_without_a_well(self, tmp_path: Path, change: dict[str, object]) -> None:
        found = CellVoyagerReader().survey(_measurement(tmp_path, _record("0.tif", **change)))

        assert found.planes == []
        assert "bad_metadata" in {p.code for p in found.problems}


def test_wells() -> None:
    assert survey.well_position("B02") == (1, 1)
    assert survey.well_position("aa13") == (26, 12)
    assert survey.well_name(31, 47) == "AF48"
    for wrong in ("B", "B00", "02", "AG01", "ZZ01", "B99", "B02\n", "B٢"):
        with pytest.raises(ValueError, match=r"well|row"):
            survey.well_position(wrong)


@given(st.integers(0, 31), st.integers(0, 47))
def test_names_of_wells_go_both_ways(row: int, column: int) -> None:
    assert survey.well_position(survey.well_name(row, column)) == (row, column)


def test_colours() -> None:
    names = ["DAPI", "FITC", "Cy5", "something", "other"]

    found = colors.assign([ChannelFacts(key=n, name=n) for n in names])

    assert found[:3] == [colors.BLUE, colors.GREEN, colors.MAGENTA]
    assert len(set(found)) == 5
    assert colors.assign([ChannelFacts(key="x", name="x")]) == [colors.GREY]
    by_wavelength = [
        ChannelFacts(key=str(w), name=str(w), wavelength_nm=w) for w in (445, 525, 676)
    ]
    assert colors.assign(by_wavelength) == [colors.BLUE, colors.GREEN, colors.MAGENTA]


def test_scanning(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.TIF").write_bytes(b"123")
    (tmp_path / ".hidden").write_bytes(b"")

    found = scan(tmp_path)

    assert [(f.path, f.size, f.suffix) for f in found.files] == [("a/b/x.TIF", 3, ".tif")]
    assert found.images() == list(found.files)
    assert found.fingerprint() == scan(tmp_path).fingerprint()
    (tmp_path / "a" / "b" / "x.TIF").write_bytes(b"1234")
    assert found.fingerprint() != scan(tmp_path).fingerprint()
