"""Readers by names and vendors' metadata keep what every reader promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats import reader as readers
from gpu_workers.formats.listing import scan
from tests.conformance.readers import ReaderConformance
from tests.data_sets import data_set
from tests.unit.formats import folders


def _rename(file: Path, pattern: str, replacement: str) -> bool:
    """Let the first image that a metadata file names lie outside the folder."""
    text, n = re.subn(pattern, replacement, file.read_text(), count=1)
    file.write_text(text)
    assert n == 1
    return True


class TestCellVoyager(ReaderConformance):
    reader = "cellvoyager"
    metadata = ("MeasurementData.mlf",)
    xml = True

    def build(self, folder: Path) -> None:
        folders.cellvoyager(folder, [(1, 1), (2, 3)])

    def grow(self, folder: Path, n: int) -> bool:
        wells = [(row, column) for row in range(1, 6) for column in range(1, 6)]
        folders.cellvoyager(folder, wells, n // 50)
        return True

    def escape(self, folder: Path) -> bool:
        return _rename(folder / "MeasurementData.mlf", ">p_[^<]*<", ">../secret.tif<")

    def real(self) -> list[Path]:
        return [p for p in data_set("cellvoyager_cv8000_meta").iterdir() if p.is_dir()]

    @pytest.mark.parametrize("name", ["MeasurementDetail.mrf", "settings.mes"])
    def test_damaged_files_beside_the_list(self, folder: Path, name: str) -> None:
        (folder / name).write_text("<cut")

        with pytest.raises(FileError, match=name) as caught:
            readers.load("cellvoyager").survey(scan(folder))

        assert caught.value.files == (name,)


class TestImageXpress(ReaderConformance):
    reader = "imagexpress"
    metadata = ("p.HTD",)

    def build(self, folder: Path) -> None:
        folders.imagexpress(folder, n_sites=2)

    def grow(self, folder: Path, n: int) -> bool:
        folders.imagexpress(folder, n_sites=n // 4)
        return True

    def real(self) -> list[Path]:
        plates = data_set("imagexpress_htd_3420_3433")
        return [
            plates / "9987_Plate_3420",
            plates / "9987_Plate_3433",
            data_set("imagexpress_guid_layout") / "2023-02-21",
        ]


class TestHarmony5(ReaderConformance):
    reader = "harmony"
    metadata = ("Index.idx.xml",)
    xml = True
    version = 5

    def build(self, folder: Path) -> None:
        folders.harmony(folder, version=self.version)

    def grow(self, folder: Path, n: int) -> bool:
        folders.harmony(folder, n_fields=n // 4, version=self.version)
        return True

    def escape(self, folder: Path) -> bool:
        return _rename(folder / self.metadata[0], "<URL>[^<]*<", "<URL>../secret.tif<")

    def real(self) -> list[Path]:
        root = data_set("operetta_harmony_2field")
        return [root / "Images", *root.glob("extra_*")]


class TestHarmony7(TestHarmony5):
    metadata = ("Index.xml",)
    version = 7


class TestInCell(ReaderConformance):
    reader = "incell"
    metadata = ("plate.xdce",)
    xml = True

    def build(self, folder: Path) -> None:
        folders.incell(folder)

    def grow(self, folder: Path, n: int) -> bool:
        folders.incell(folder, n_fields=n // 2)
        return True

    def escape(self, folder: Path) -> bool:
        return _rename(folder / "plate.xdce", 'filename="[^"]*"', 'filename="..\\\\\\\\secret.tif"')

    def real(self) -> list[Path]:
        root = data_set("incell6000_xdce_meta")
        return [root, root / "cycle_0"]


class TestInCellNames(ReaderConformance):
    reader = "incell"

    def build(self, folder: Path) -> None:
        names = [
            f"A - 0{c}(fld {f} wv Blue - FITC z {z}).tif"
            for c in (1, 2)
            for f in (1, 2)
            for z in (1, 2)
        ]
        folders.touch(folder, names)

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"A - 01(fld {f} wv Blue - FITC).tif" for f in range(n)])
        return True


class TestVisiView(ReaderConformance):
    reader = "visiview"
    metadata = ("exp.nd",)

    def build(self, folder: Path) -> None:
        folders.visiview(
            folder, stages=("row:A,column:1,site:1", "row:A,column:1,site:2"), n_tpoints=2
        )

    def grow(self, folder: Path, n: int) -> bool:
        folders.visiview(folder, stages=[f"Position{i}" for i in range(n // 2)])
        return True


class TestScanr(ReaderConformance):
    reader = "scanr"
    metadata = ("experiment_descriptor.xml",)
    xml = True

    def build(self, folder: Path) -> None:
        folders.scanr(folder)

    def grow(self, folder: Path, n: int) -> bool:
        folders.scanr(folder, n_positions=n // 2)
        return True


class TestScanrOme(ReaderConformance):
    reader = "scanr"
    metadata = ("data/metadata.ome.xml",)
    xml = True

    def build(self, folder: Path) -> None:
        folders.scanr_ome(folder)

    def grow(self, folder: Path, n: int) -> bool:
        folders.scanr_ome(folder, n_positions=n // 4)
        return True


class TestEmbl(ReaderConformance):
    reader = "scanr"

    def build(self, folder: Path) -> None:
        folders.touch(folder, [f"x--a--b--W0001--P001--T{t:05d}--Z000--C.tif" for t in range(5)])

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"x--a--b--W0001--P001--T{t:05d}--Z000--C.tif" for t in range(n)])
        return True


class TestCellomics(ReaderConformance):
    reader = "cellomics"

    def build(self, folder: Path) -> None:
        names = [f"AS_1_{w}f0{f}d{c}.TIF" for w in ("A01", "B02") for f in (0, 1) for c in (0, 1)]
        folders.touch(folder, names)

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"AS_1_A01f{f:02d}d0.C01" for f in range(n)])
        return True


class TestAxio(ReaderConformance):
    reader = "axio"

    def build(self, folder: Path) -> None:
        folders.touch(folder, [f"slide_p{p}{c}.tif" for p in (1, 2) for c in ("DAPI", "c2")])

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"slide_p{p}DAPI.tif" for p in range(n)])
        return True


class TestTileConfiguration(ReaderConformance):
    reader = "tileconfiguration"
    metadata = ("TileConfiguration.txt",)

    def build(self, folder: Path) -> None:
        folders.tiles(folder)

    def grow(self, folder: Path, n: int) -> bool:
        folders.tiles(folder, n)
        return True

    def escape(self, folder: Path) -> bool:
        return _rename(folder / "TileConfiguration.txt", r"tile_0\.tif", "../secret.tif")


class TestPattern(ReaderConformance):
    reader = "pattern"

    def build(self, folder: Path) -> None:
        folders.touch(folder, [f"{w}_f{f}-DAPI.png" for w in ("A01", "B02") for f in (1, 2)])

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"C07_f{f}-DAPI.png" for f in range(n)])
        return True
