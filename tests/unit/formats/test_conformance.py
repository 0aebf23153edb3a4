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


class TestCellVoyager(ReaderConformance):
    reader = "cellvoyager"
    metadata = ("MeasurementData.mlf",)
    xml = True

    def build(self, folder: Path) -> None:
        folders.cellvoyager(folder, [(1, 1), (2, 3)])

    def grow(self, folder: Path, n: int) -> bool:
        folders.cellvoyager(folder, [(r, c) for r in range(1, 6) for c in range(1, 6)], n // 50)
        return True

    def escape(self, folder: Path) -> bool:
        file = folder / "MeasurementData.mlf"
        file.write_text(re.sub(">p_[^<]*<", ">../secret.tif<", file.read_text(), count=1))
        return True

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


class TestPattern(ReaderConformance):
    reader = "pattern"

    def build(self, folder: Path) -> None:
        folders.touch(folder, [f"{w}_f{f}-DAPI.png" for w in ("A01", "B02") for f in (1, 2)])

    def grow(self, folder: Path, n: int) -> bool:
        folders.touch(folder, [f"C07_f{f}-DAPI.png" for f in range(n)])
        return True
