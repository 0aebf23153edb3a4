"""What the readers by names and metadata see in real acquisitions, against numbers read independently."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from gpu_workers.formats.harmony import HarmonyReader
from gpu_workers.formats.listing import scan
from gpu_workers.formats.reader import choose
from gpu_workers.formats.survey import SourcePlane, Survey
from tests.data_sets import data_set, unpacked

pytestmark = pytest.mark.data


def survey(folder: Path, pattern: str | None = None, *, reader: str) -> Survey:
    """Return what the reader that fits best sees; it must be the one expected."""
    listing = scan(folder)
    chosen = choose(listing, None, pattern)
    assert chosen.name == reader
    return chosen.survey(listing, pattern)


def counts(planes: list[SourcePlane]) -> dict[str, int]:
    """Return how many wells, sites, channels, z planes and time points there are."""
    return {
        "wells": len({p.well for p in planes}),
        "sites": len({(p.well, p.site) for p in planes}),
        "channels": len({p.channel for p in planes}),
        "z": len({p.z for p in planes if p.role == "plane"}),
        "t": len({p.t for p in planes}),
        "planes": sum(p.role == "plane" for p in planes),
        "projections": sum(p.role == "projection" for p in planes),
    }


def numbers(
    wells: int, sites: int, channels: int, z: int, t: int, planes: int, projections: int = 0
) -> dict[str, int]:
    """Return what `counts` should."""
    return {
        "wells": wells, "sites": sites, "channels": channels, "z": z, "t": t, "planes": planes,
        "projections": projections,
    }  # fmt: skip


def local(element: ElementTree.Element) -> dict[str, str]:
    """Return the attributes of an element without their name space."""
    return {k.rpartition("}")[2]: v for k, v in element.attrib.items()}


class TestImageXpress:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("9987_Plate_3420", numbers(1, 1, 1, 1, 1, 1)),
            ("9987_Plate_3433", numbers(2, 4, 2, 3, 1, 24, 8)),
        ],
    )
    def test_exported(self, name: str, expected: dict[str, int]) -> None:
        found = survey(data_set("imagexpress_htd_3420_3433") / name, reader="imagexpress")

        assert counts(found.planes) == expected
        assert (found.problems, found.absent) == ([], [])
        assert found.facts.plate_format == 96
        assert found.facts.plate_name == "9987"

    def test_database_layout(self) -> None:
        found = survey(data_set("imagexpress_guid_layout") / "2023-02-21", reader="imagexpress")

        assert counts(found.planes) == numbers(2, 4, 1, 2, 1, 8, 4)
        assert {p.well for p in found.planes} == {"E07", "E08"}
        assert found.problems == []
        assert len(found.files or ()) == 12, "thumbnails aren't opened"


class TestHarmony:
    NS = "{http://www.perkinelmer.com/PEHH/HarmonyV5}"

    def test_two_fields(self) -> None:
        folder = data_set("operetta_harmony_2field") / "Images"
        root = ElementTree.parse(folder / "Index.idx.xml").getroot()
        images = [
            {e.tag.removeprefix(self.NS): e.text or "" for e in image}
            for image in root.iter(f"{self.NS}Image")
            if len(image)
        ]

        found = survey(folder, reader="harmony")

        assert counts(found.planes) == numbers(1, 2, 1, 1, 1, 2)
        assert found.problems == []
        for plane, image in zip(found.planes, images, strict=True):
            assert (plane.file, plane.well, plane.site) == (image["URL"], "C03", image["FieldID"])
            assert plane.stage_x_um == pytest.approx(float(image["PositionX"]) * 1e6, abs=1e-9)
            assert plane.stage_y_um == pytest.approx(float(image["PositionY"]) * 1e6, abs=1e-9)
        assert [p.time_s for p in found.planes] == [34.336, 34.913]
        facts = found.facts
        assert facts.pixel_size_um == pytest.approx(1.1959521619135234, rel=1e-11)
        assert (facts.n_rows, facts.n_columns, facts.plate_format) == (16, 24, 384)
        assert (facts.objective, facts.shape, facts.y_sign) == ("10x/0.3", (1080, 1080), -1)
        (channel,) = facts.channels
        assert (channel.name, channel.excitation_nm, channel.wavelength_nm) == (
            "Fluorescein (FITC)",
            475,
            525,
        )
        assert channel.exposure_ms == 6.0

    def test_neighbouring_fields_touch(self) -> None:
        found = survey(data_set("operetta_harmony_2field") / "Images", reader="harmony")

        left, right = found.planes
        assert left.stage_y_um == right.stage_y_um
        assert found.facts.pixel_size_um is not None
        step = ((right.stage_x_um or 0) - (left.stage_x_um or 0)) / found.facts.pixel_size_um
        assert step == pytest.approx(1080, abs=0.01)

    @pytest.mark.parametrize(
        ("name", "channels", "pixel", "plate", "t", "profiles"),
        [
            ("extra_index_xml_only_Version1", 6, 0.5979760809567617, 384, 0, 5),
            ("extra_index_xml_only_Version7", 7, 0.296688132474701, 96, 1, 3),
        ],
    )
    def test_other_versions(
        self, name: str, channels: int, pixel: float, plate: int, t: int, profiles: int
    ) -> None:
        folder = data_set("operetta_harmony_2field") / name

        found = HarmonyReader().survey(scan(folder))

        assert found.planes == []
        assert counts(found.absent) == numbers(1, 1, channels, 1, 1, channels)
        assert {p.well for p in found.absent} == {"A01"}
        assert {p.t for p in found.absent} == {t}
        assert found.facts.pixel_size_um == pytest.approx(pixel, rel=1e-11)
        assert found.facts.plate_format == plate
        assert [c.brightfield for c in found.facts.channels] == [False] * (channels - 1) + [True]
        assert sum(c.flatfield is not None for c in found.facts.channels) == profiles
        assert len({c.name for c in found.facts.channels}) == channels
        assert [p.code for p in found.problems] == ["absent_files"]

    def test_the_order_of_a_profiles_terms_is_that_of_the_images(self) -> None:
        """The darkest twentieth of each block of the real images shows the shading of the background.

        Only two images of a few cells: their correlation with the profile is far from 1, but with x
        and y exchanged it is lower, for the background's profile (0.74, 0.65) and the foreground's.
        """
        import tifffile

        folder = data_set("operetta_harmony_2field") / "Images"
        found = survey(folder, reader="harmony")
        images = [tifffile.imread(folder / p.file) for p in found.planes]
        dark = np.minimum(*[np.percentile(_blocks(i.astype(float)), 5, axis=2) for i in images])
        field = found.facts.channels[0].flatfield
        assert field is not None
        row, column = np.mgrid[:1080, :1080]
        y = (row - field.origin[0]) * field.scale[0]
        x = (column - field.origin[1]) * field.scale[1]

        def likeness(y: np.ndarray, x: np.ndarray) -> float:
            terms = (
                c * x ** (i - j) * y**j
                for i, row in enumerate(field.coefficients)
                for j, c in enumerate(row)
            )
            shape = _blocks(sum(terms, np.zeros_like(x))).mean(axis=2)
            return float(np.corrcoef(shape.ravel(), dark.ravel())[0, 1])

        assert likeness(y, x) > 0.72
        assert likeness(y, x) > likeness(x, y) + 0.02


def _blocks(image: np.ndarray, side: int = 40) -> np.ndarray:
    n = image.shape[0] // side
    return image.reshape(n, side, n, side).transpose(0, 2, 1, 3).reshape(n, n, -1)


class TestCellVoyager:
    SETS = {
        "CV7000-example": (numbers(4, 64, 4, 31, 4, 1984), 0, 0.325, "20250303-Illumination-QC-20x"),
        "CV7000_z_processed": (numbers(5, 45, 3, 0, 1, 0, 135), 0, 0.325 / 3, "AssayPlate_Cellvis_#384-1.5H-N"),
        "CV8000_AF_Error": (numbers(4, 60, 4, 31, 4, 1860), 4, 0.1625, "20250403-Illumination-QC-40x"),
    }  # fmt: skip

    def _records(self, folder: Path) -> list[dict[str, str]]:
        root = ElementTree.parse(next(folder.rglob("*.mlf"))).getroot()
        return [{**local(e), "name": e.text or ""} for e in root]

    @pytest.mark.parametrize("name", SETS)
    def test_metadata_without_images(self, name: str) -> None:
        folder = data_set("cellvoyager_cv8000_meta") / name
        expected, errors, pixel, plate = self.SETS[name]
        records = self._records(folder)

        found = survey(folder, reader="cellvoyager")

        assert counts(found.absent) == expected
        assert sum(r["Type"] == "ERR" for r in records) == errors
        assert ("acquisition_error" in {p.code for p in found.problems}) == bool(errors)
        images = [r for r in records if r["Type"] == "IMG"]
        assert [(p.file, p.site, p.stage_x_um, p.stage_y_um) for p in found.absent] == [
            (r["name"], r["FieldIndex"], float(r["X"]), float(r["Y"])) for r in images
        ]
        assert found.facts.pixel_size_um == pytest.approx(pixel, rel=1e-12)
        assert found.facts.plate_name == plate
        times = [p.time_s for p in found.absent]
        assert None not in times
        assert times == sorted(times)

    def test_with_images_and_shading(self) -> None:
        root = data_set("cellvoyager_cv8000_meta")
        folder = next(root.glob("CV8000-Minimal-*"))

        found = survey(folder, reader="cellvoyager")

        assert counts(found.planes) == numbers(3, 12, 2, 4, 1, 96)
        assert (found.problems, found.absent) == ([], [])
        assert len(found.files or ()) == 96, "shading and dark images aren't opened"
        facts = found.facts
        assert (facts.pixel_size_um, facts.plate_format, facts.shape) == (0.325, 96, (2000, 2000))
        assert (facts.objective, facts.magnification) == ("20x v2", 20.0)
        assert [(c.wavelength_nm, c.excitation_nm, c.exposure_ms) for c in facts.channels] == [
            (445, 405, 100), (525, 488, 100),
        ]  # fmt: skip
        fields = [c.flatfield for c in facts.channels]
        assert [Path(f.flat_file or "").name for f in fields if f] == [
            "SC_BP445-45_20x v2_M01_CH01.tif", "SC_BP525-50_20x v2_M01_CH02.tif",
        ]  # fmt: skip
        assert {Path(f.dark_file or "").name for f in fields if f} == {"DC_DCAM#1_CAM3.tif"}
        assert all((folder / (f.flat_file or "")).is_file() for f in fields if f)


class TestInCell:
    def test_both_cycles(self) -> None:
        folder = data_set("incell6000_xdce_meta")
        expected = [
            line.rpartition("IC6000_data/")[2]
            for line in (folder / "FILELIST.txt").read_text().splitlines()
            if line.endswith(".tif")
        ]

        found = survey(folder, reader="incell")

        assert len(expected) == 32
        assert sorted(p.file for p in found.absent) == sorted(expected)
        assert Counter(p.cycle for p in found.absent) == {0: 16, 1: 16}
        # The software kept only projections of its 13 planes.
        assert counts(found.absent) == numbers(2, 4, 4, 0, 1, 0, 32)
        assert {p.well for p in found.absent} == {"C03", "D03"}
        assert {(p.stage_x_um, p.stage_y_um) for p in found.absent if p.site == "1"} == {
            (-1248.487, 1295.458)
        }
        assert {(p.stage_x_um, p.stage_y_um) for p in found.absent if p.site == "2"} == {
            (-915.687, 1295.458)
        }
        facts = found.facts
        assert [c.name for c in facts.channels] == ["DAPI", "FITC", "dsRed", "Cy5"]
        assert [c.excitation_nm for c in facts.channels] == [405, 488, 561, 642]
        assert [c.exposure_ms for c in facts.channels] == [60, 200, 200, 1000]
        assert (facts.plate_format, facts.pixel_size_um, facts.shape) == (384, 0.1625, (2048, 2048))
        # Somebody moved half of the images to row D: labels and names say so, the numbers don't.
        assert Counter(p.code for p in found.problems) == {"absent_files": 2, "doubtful_well": 2}

    def test_fields_of_view_touch(self) -> None:
        found = survey(data_set("incell6000_xdce_meta") / "cycle_1", reader="incell")

        xs = sorted({p.stage_x_um or 0 for p in found.absent})
        assert (xs[1] - xs[0]) / 0.1625 == pytest.approx(2048)

    def test_names_alone(self, tmp_path: Path) -> None:
        folder = data_set("incell6000_xdce_meta")
        for line in (folder / "FILELIST.txt").read_text().splitlines():
            if line.endswith(".tif") and "cycle_0" in line:
                (tmp_path / line.rpartition("/")[2]).touch()

        found = survey(tmp_path, reader="incell")

        assert counts(found.planes) == numbers(2, 4, 4, 1, 1, 16)
        assert {c.name for c in found.facts.channels} == {"DAPI", "FITC", "dsRed", "Cy5"}


class TestNames:
    def test_arrayscan(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        found = survey(unpacked("arrayscan_8wells_3sites", tmp_path_factory), reader="cellomics")

        assert counts(found.planes) == numbers(8, 24, 1, 1, 1, 24)
        assert {p.well for p in found.planes} == {f"O{n:02d}" for n in range(1, 9)}
        assert {p.site for p in found.planes} == {"0", "1", "2"}
        assert found.problems == []

    def test_bbbc013(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        found = survey(unpacked("sbs_bbbc013_rowA", tmp_path_factory), reader="pattern")

        assert counts(found.planes) == numbers(12, 12, 2, 1, 1, 24)
        assert {p.well for p in found.planes} == {f"A{n:02d}" for n in range(1, 13)}
        assert [c.name for c in found.facts.channels] == ["Channel1", "Channel2"]

    def test_nf1(self) -> None:
        found = survey(data_set("nf1_cellpainting_reference") / "Plate_2_images", reader="pattern")

        assert counts(found.planes) == numbers(2, 2, 3, 1, 1, 6)
        assert {(p.well, p.site) for p in found.planes} == {("B07", "3"), ("D06", "2")}
        assert {c.name for c in found.facts.channels} == {"DAPI", "GFP", "RFP"}
        assert found.problems == []

    def test_time_lapse(self) -> None:
        found = survey(data_set("timelapse_mitocheck_h2b"), reader="scanr")

        assert counts(found.planes) == numbers(1, 1, 1, 1, 30, 30)
        assert sorted(p.t for p in found.planes) == list(range(30))
        assert {p.well for p in found.planes} == {"A02"}
        assert {p.code: len(p.files) for p in found.problems} == {
            "unknown_name": 4,
            "assumed_wells": 30,
        }

    def test_example_human(self) -> None:
        found = survey(data_set("examplehuman_cellprofiler_features"), reader="cellomics")

        assert counts(found.planes) == numbers(1, 1, 3, 1, 1, 3)
        assert {p.well for p in found.planes} == {"D03"}
        assert found.problems == []

    def test_tiles_of_a_slide_in_many_channels(self) -> None:
        folder = data_set("cycif_crc_tile_pyramid_18ch")

        found = survey(folder, r"(?P<channel>[^/]+)/6_(?P<x>\d+)_(?P<y>\d+)\.jpg", reader="pattern")

        tiles = [p for p in folder.rglob("*.jpg") if re.fullmatch(r"6_\d+_\d+\.jpg", p.name)]
        assert counts(found.planes) == numbers(1, 2, 19, 1, 1, len(tiles))
        assert found.facts.grid == (1, 2)
        assert {p.site for p in found.planes if p.file.endswith("6_1_0.jpg")} == {"2"}

    def test_nuclei(self) -> None:
        folder = data_set("nuclei_dsb2018_dev")
        with (folder / "index.csv").open() as stream:
            images = {row["image"].removesuffix(".png") for row in csv.DictReader(stream)}

        found = survey(folder, r"images/(?P<site>\w+)\.png", reader="pattern")

        assert len(found.planes) == len(images) == 29
        assert {p.site for p in found.planes} == images


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brain")
    for tile in unpacked("wsi_brain_tiles", tmp_path_factory).rglob("*.tif"):
        (folder / tile.name).hardlink_to(tile)
    shutil.copy(data_set("wsi_brain_tiles") / "TileConfiguration.txt", folder)
    return folder


def test_tiles_with_places(brain: Path) -> None:
    text = (brain / "TileConfiguration.txt").read_text()
    expected = {
        m[1]: (float(m[3]), float(m[2])) for m in re.finditer(r"(\S+); ; \((\S+), (\S+)\)", text)
    }

    found = survey(brain, reader="tileconfiguration")

    assert len(expected) == len(found.planes) == 54
    assert {p.file: (p.y_px, p.x_px) for p in found.planes} == expected
    assert found.unplaced == [f"C3-BrainSection{n:04d}.tif" for n in range(55, 64)]
    (problem,) = found.problems
    assert (problem.code, problem.files) == ("unplaced_files", tuple(found.unplaced))
    assert {p.y_px for p in found.planes} == {460.0 * n for n in range(6)}
    assert {p.x_px for p in found.planes} == {460.0 * n for n in range(9)}
