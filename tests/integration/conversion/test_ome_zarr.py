"""What is written is valid OME-Zarr 0.5, by ome-zarr-models and by zarr-python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05 import HCS, Image

from gpu_workers.formats.files import read_plane
from tests.integration.conversion.source import Converted, convert, experiment, write_images

NAMES = [
    f"p_{w}_s{s}_w{c}_z{z}.tif"
    for w in ("A01", "A03", "D12")
    for s in (1, 2)
    for c in (1, 2)
    for z in (1, 2)
]
PATTERN = r"_(?P<well>[A-H]\d\d)_s(?P<site>\d)_w(?P<channel>\d)_z(?P<z>\d)"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    root = tmp_path_factory.mktemp("ome")
    folder = write_images(root / "uploads" / "images", NAMES, size=(600, 530))
    assert folder.is_dir()
    description = experiment("uploads/images", pattern=PATTERN)
    return convert(root, description, images={"projection": "max"})


def _plate(converted: Converted) -> Path:
    return converted.root / converted.plates.manifest.plates[0].path


def test_the_plate_is_valid(converted: Converted) -> None:
    hcs = HCS.from_zarr(zarr.open_group(_plate(converted), mode="r"))

    plate = hcs.attributes.ome.plate
    assert [w.path for w in plate.wells] == ["A/1", "A/3", "D/12"]
    assert [(w.rowIndex, w.columnIndex) for w in plate.wells] == [(0, 0), (0, 1), (1, 2)]
    assert [r.name for r in plate.rows] == ["A", "D"]
    assert plate.name == "plate 0"
    assert len(list(hcs.well_groups)) == 3


def test_every_image_is_valid(converted: Converted) -> None:
    root = zarr.open_group(_plate(converted), mode="r")

    for well in ("A/1", "A/3", "D/12"):
        images = root[well].attrs["ome"]["well"]["images"]
        assert len(images) == 4
        for entry in images:
            group = root[f"{well}/{entry['path']}"]
            found = Image.from_zarr(group)
            assert found.attributes.ome.multiscales[0].axes[0].name == "t"
            assert group["0"].shape[2] == (1 if entry["path"].endswith("mip") else 2)
            assert len(group.attrs["ome"]["omero"]["channels"]) == 2


def test_zarr_reads_the_pixels(converted: Converted) -> None:
    root = zarr.open_group(_plate(converted), mode="r")
    folder = converted.root / "uploads" / "images"

    array = root["D/12/1a0/0"]

    assert array.shards == (1, 1, 1, 1024, 1024)
    assert array.chunks == (1, 1, 1, 512, 512)
    for c in range(2):
        planes = [read_plane(folder, f"p_D12_s2_w{c + 1}_z{z}.tif") for z in (1, 2)]
        np.testing.assert_array_equal(array[0, c], planes)
        np.testing.assert_array_equal(root["D/12/1a0mip/0"][0, c, 0], np.max(planes, axis=0))
