"""The readers of OME-TIFF, slides, and images of any name, on small acquisitions."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats import reader as readers
from gpu_workers.formats.files import read_contents
from gpu_workers.formats.listing import scan
from gpu_workers.formats.survey import Survey
from tests.conformance.readers import ReaderConformance
from tests.data_sets import data_set
from tests.unit.formats.test_tiff_ome import document, image, write, write_set
from tests.unit.formats.test_tiff_slides import smooth, write_svs

HEADER = b"II*\0" + bytes(28)


def survey(folder: Path, name: str) -> Survey:
    return readers.load(name).survey(scan(folder))


class TestImages(ReaderConformance):
    reader: ClassVar = "images"

    def build(self, folder: Path) -> None:
        for name in ("sample 2.tif", "sample 10.tif"):
            tifffile.imwrite(folder / name, np.zeros((8, 8), "uint8"))

    def grow(self, folder: Path, n: int) -> bool:
        for i in range(n):
            (folder / f"sample {i}.tif").write_bytes(HEADER)
        return True

    def real(self) -> list[Path]:
        return [data_set("zstack_dna_2ch"), data_set("two_rounds_dapi_registration")]

    def test_files_are_sites_in_the_order_of_their_numbers(self, folder: Path) -> None:
        found = survey(folder, "images").planes

        assert [(p.file, p.well, p.site) for p in found] == [
            ("sample 2.tif", "", "1"), ("sample 10.tif", "", "2"),
        ]  # fmt: skip

    def test_masks_beside_their_images_are_left_out(self, folder: Path) -> None:
        for name in ("a_img.tif", "a_mask.tif", "lonely_mask.tif", "sample 2 labels.tif"):
            (folder / name).write_bytes(HEADER)

        found = survey(folder, "images")

        assert {p.file for p in found.planes} == {
            "sample 2.tif", "sample 10.tif", "a_img.tif", "lonely_mask.tif",
        }  # fmt: skip
        assert [(p.code, p.files) for p in found.problems] == [
            ("mask", ("a_mask.tif", "sample 2 labels.tif"))
        ]


class TestChannelPages(ReaderConformance):
    reader: ClassVar = "channel_pages"
    masters: ClassVar = frozenset({"one.tif"})

    def build(self, folder: Path) -> None:
        for name in ("one.tif", "two.tif"):
            tifffile.imwrite(folder / name, np.zeros((3, 8, 8), "uint16"), photometric="minisblack")

    def test_it_recognises_its_own_folder_best(self, folder: Path) -> None:
        assert readers.choose(scan(folder)).name == "images"
        assert readers.choose(scan(folder), self.reader).name == self.reader

    def test_problems_name_files(self, folder: Path) -> None:
        (folder / "one.tif").write_bytes(b"II*\0")

        with pytest.raises(FileError) as caught:
            survey(folder, self.reader)

        assert caught.value.files == ("one.tif",)

    @pytest.mark.skip("the first file is asked how many pages there are")
    def test_more_files_are_not_more_openings(self, folder: Path) -> None: ...

    def test_each_page_is_a_channel(self, folder: Path) -> None:
        found = survey(folder, self.reader)

        assert [(p.file, p.site, p.channel, p.page) for p in found.planes] == [
            (name, site, str(n + 1), n)
            for name, site in (("one.tif", "1"), ("two.tif", "2"))
            for n in range(3)
        ]
        assert [c.name for c in found.facts.channels] == ["Channel1", "Channel2", "Channel3"]


class TestSlides(ReaderConformance):
    reader: ClassVar = "slides"

    def build(self, folder: Path) -> None:
        for name in ("slide 1.svs", "slide 2.svs"):
            write_svs(folder / name, smooth(300, 500))

    def grow(self, folder: Path, n: int) -> bool:
        for i in range(min(n, 1500)):
            (folder / f"slide {i}.svs").write_bytes(HEADER)
        return True

    def real(self) -> list[Path]:
        return [data_set("he_svs")]

    def test_each_slide_has_a_well(self, folder: Path) -> None:
        found = survey(folder, "slides")

        assert [(p.file, p.well) for p in found.planes] == [
            ("slide 1.svs", "A01"),
            ("slide 2.svs", "A02"),
        ]
        assert (found.facts.plate_format, found.facts.n_rows, found.facts.n_columns) == (6, 2, 3)

    def test_pictures_beside_slides_are_left_out(self, folder: Path) -> None:
        (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff" + bytes(30))

        found = survey(folder, "slides")

        assert {p.file for p in found.planes} == {"slide 1.svs", "slide 2.svs"}
        assert [(p.code, p.files) for p in found.problems] == [("no_slide", ("photo.jpg",))]

    def test_pyramids_are_recognised_without_a_scanners_name(self, tmp_path: Path) -> None:
        pixels = smooth(300, 500)
        with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
            tiff.write(pixels, subifds=1, tile=(64, 64), photometric="rgb", metadata=None)
            tiff.write(
                pixels[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1, metadata=None
            )

        assert readers.choose(scan(tmp_path)).name == "slides"

    def test_more_slides_than_wells(self, tmp_path: Path) -> None:
        for i in range(1537):
            (tmp_path / f"{i}.svs").write_bytes(HEADER)

        with pytest.raises(FileError) as caught:
            survey(tmp_path, "slides")

        assert caught.value.code == "too_many_slides"


class TestOmeTiffSets(ReaderConformance):
    reader: ClassVar = "ome_tiff"
    masters: ClassVar = frozenset({"c0.ome.tif"})

    def build(self, folder: Path) -> None:
        write_set(folder)

    def escape(self, folder: Path) -> bool:
        blocks = (
            '<TiffData IFD="0"><UUID FileName="c0.ome.tif">urn:uuid:1</UUID></TiffData><TiffData FirstC="1">'
            '<UUID FileName="../secret.tif">urn:uuid:2</UUID></TiffData>'
        )
        write(folder / "c0.ome.tif", np.zeros((1, 8, 9), "uint16"), document(image(blocks, C=2)))
        return True

    def test_only_the_first_file_of_a_set_is_asked(self, folder: Path) -> None:
        found = survey(folder, "ome_tiff")

        assert [p.file for p in found.planes] == ["c0.ome.tif"]
        assert [f.path for f in found.files or ()] == ["c0.ome.tif"]

    def test_sets_and_single_files_are_sites(self, folder: Path) -> None:
        (folder / "other").mkdir()
        write_set(folder / "other", 2)
        write(folder / "single.ome.tif", np.zeros((1, 8, 9), "uint16"), document(image()))

        found = survey(folder, "ome_tiff")

        assert [(p.file, p.site) for p in found.planes] == [
            ("c0.ome.tif", "1"), ("other/c0.ome.tif", "2"), ("single.ome.tif", "3"),
        ]  # fmt: skip

    def test_missing_files_of_a_set_are_named(self, folder: Path) -> None:
        (folder / "c1.ome.tif").unlink()

        found = survey(folder, "ome_tiff")

        assert [(p.code, p.files) for p in found.problems] == [("file_missing", ("c1.ome.tif",))]
        assert [p.file for p in found.planes] == ["c0.ome.tif"]

    def test_the_second_file_speaks_where_the_first_is_missing(self, folder: Path) -> None:
        (folder / "c0.ome.tif").unlink()

        (plane,) = survey(folder, "ome_tiff").planes
        (content,) = read_contents(folder, plane.file)

        assert plane.file == "c1.ome.tif"
        assert [(p.c, p.file) for p in content.each_plane()] == [(1, None), (2, "c2.ome.tif")]


class TestOmeTiffCompanion(ReaderConformance):
    reader: ClassVar = "ome_tiff"
    metadata: ClassVar = ("x.companion.ome",)
    xml: ClassVar = True

    def build(self, folder: Path) -> None:
        blocks = "".join(
            f'<TiffData FirstT="{t}" IFD="0"><UUID FileName="t{t}.tif">urn:uuid:{t}</UUID></TiffData>'
            for t in range(2)
        )
        (folder / "x.companion.ome").write_text(document(image(blocks, T=2), "urn:uuid:9"))
        for t in range(2):
            tifffile.imwrite(folder / f"t{t}.tif", np.zeros((8, 9), "uint16"), metadata=None)

    def escape(self, folder: Path) -> bool:
        path = folder / "x.companion.ome"
        path.write_text(path.read_text().replace("t1.tif", "../secret.tif"))
        return True

    def test_the_companion_is_asked(self, folder: Path) -> None:
        found = survey(folder, "ome_tiff")

        assert [(p.file, p.site) for p in found.planes] == [("x.companion.ome", "")]


def test_a_plate_in_single_files_keeps_its_wells(tmp_path: Path) -> None:
    for n, row in enumerate("AB"):
        plate = (
            f'<Plate ID="P" Name="p"><Well Row="{n}" Column="0"><WellSample><ImageRef ID="Image:0"/>'
            "</WellSample></Well></Plate>"
        )
        write(tmp_path / f"{row}.ome.tif", np.zeros((1, 8, 9), "uint16"), document(plate + image()))

    found = survey(tmp_path, "ome_tiff")

    assert readers.choose(scan(tmp_path)).name == "ome_tiff"
    assert [(p.file, p.well, p.site) for p in found.planes] == [
        ("A.ome.tif", "", ""), ("B.ome.tif", "", ""),
    ]  # fmt: skip
