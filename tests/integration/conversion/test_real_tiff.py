"""Real TIFF, SVS, JPEG and PNG files, compared with other readings, and through the steps."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from gpu_workers.formats import reader as readers
from gpu_workers.formats.files import FileCache, read_contents, read_plane
from gpu_workers.formats.listing import scan
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import Converted, convert, experiment

pytestmark = pytest.mark.data
SVS = "cmu-1-small-region.svs"


def _folder(tmp_path: Path, *files: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder / file.name)
    return folder


def _stored(result: Converted, site: int, c: int, z: int = 0) -> np.ndarray[Any, Any]:
    plane = result.plates.read(result.layout.plates[0].id, site, 0, c, z)
    assert plane is not None
    return plane


def test_hyperstack_of_one_nucleus(tmp_path: Path) -> None:
    source = data_set("zstack_dna_2ch")

    result = convert(tmp_path, experiment(source))

    layout = result.layout
    assert [w.name for w in layout.plates[0].wells] == ["A01"]
    assert len(layout.plates[0].sites) == 1
    assert (layout.n_zplanes, layout.n_tpoints, len(layout.channels)) == (45, 1, 2)
    # 1953591 pixels in a million micrometres; the distance of planes is in the description.
    assert layout.pixel_size_um == pytest.approx(1e6 / 1953591)
    assert layout.z_step_um == pytest.approx(0.4994126016284111)
    assert [c.dtype for c in layout.channels] == ["uint16", "uint16"]
    assert result.problems == []
    expected = tifffile.imread(next(source.glob("*.tif")))
    assert expected.shape == (45, 2, 130, 133)
    for z in range(45):
        for c in range(2):
            assert np.array_equal(_stored(result, 0, c, z), expected[z, c])


def test_two_rounds_of_float_images() -> None:
    source = data_set("two_rounds_dapi_registration")
    sizes = {"anchor_nuclei_downsampled.tif": (912, 630), "r1_DAPI_downsampled.tif": (917, 624)}

    for name, size in sizes.items():
        (found,) = read_contents(source, name)
        plane = read_plane(source, name)

        assert (found.height, found.width, found.dtype) == (*size, "float32")
        assert (found.n_t, found.n_c, found.n_z, found.pixel_size_um) == (1, 1, 1, None)
        assert np.array_equal(plane, cv2.imread(str(source / name), cv2.IMREAD_UNCHANGED))


def test_markers_of_mass_cytometry_are_channels(tmp_path: Path) -> None:
    source = data_set("imc_5marker_with_masks")
    folder = _folder(tmp_path, *source.glob("*.tiff"))

    result = convert(tmp_path / "out", experiment(folder, microscope="images"))

    layout = result.layout
    assert [s.name for s in layout.plates[0].sites] == ["1", "2", "3"]
    assert [(c.name, c.dtype) for c in layout.channels] == [
        (f"Channel{n}", "float32") for n in range(1, 6)
    ]
    assert (layout.n_zplanes, layout.n_tpoints) == (1, 1)
    assert result.files("mask") == {"E34_mask.tiff", "G01_mask.tiff", "J02_mask.tiff"}
    for site, name in enumerate(("E34_imc.tiff", "G01_imc.tiff", "J02_imc.tiff")):
        _, expected = cv2.imreadmulti(str(source / name), flags=cv2.IMREAD_UNCHANGED)
        assert len(expected) == 5
        for c in range(5):
            assert np.array_equal(_stored(result, site, c), expected[c])


def test_pages_are_channels_where_somebody_says_so(tmp_path: Path) -> None:
    source = data_set("imc_5marker_with_masks")
    folder = _folder(tmp_path, *source.glob("*_imc.tiff"))
    for path in folder.iterdir():
        # As integers nothing tells them from a stack.
        planes = tifffile.imread(path).astype("uint16")
        tifffile.imwrite(path, planes, metadata=None, photometric="minisblack")

    stack = convert(tmp_path / "a", experiment(folder, microscope="images"), until="metaconfig")
    result = convert(tmp_path / "b", experiment(folder, microscope="channel_pages"))

    assert (stack.layout.n_zplanes, len(stack.layout.channels)) == (5, 1)
    assert (result.layout.n_zplanes, len(result.layout.channels)) == (1, 5)
    assert np.array_equal(_stored(result, 1, 3), tifffile.imread(folder / "G01_imc.tiff")[3])


def test_slide(tmp_path: Path) -> None:
    source = data_set("he_svs")
    folder = _folder(tmp_path, source / SVS)

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    (site,) = layout.plates[0].sites
    assert (site.height, site.width) == (2967, 2220)
    assert [c.dtype for c in layout.channels] == ["uint8"] * 3
    assert [c.name.rpartition(" ")[2] for c in layout.channels] == ["red", "green", "blue"]
    assert (layout.pixel_size_um, layout.magnification) == (0.499, 20)
    assert result.problems == []
    with tifffile.TiffFile(source / SVS) as tiff:
        expected = tiff.series[0].asarray()
    for c in range(3):
        assert np.array_equal(_stored(result, 0, c), expected[..., c])


def test_slide_facts_and_reader() -> None:
    source = data_set("he_svs")

    (slide,) = read_contents(source, SVS)
    (photo,) = read_contents(source, "histo.jpg")

    assert (slide.brightfield, slide.samples, slide.acquired_at) == (True, 3, "2009-12-29T09:59:15")
    assert (photo.height, photo.width, photo.samples, photo.dtype) == (300, 500, 3, "uint8")
    assert readers.choose(scan(source)).name == "slides"
    theirs = cv2.imread(str(source / "histo.jpg"))
    for s in range(3):
        plane = read_plane(source, "histo.jpg", 0, s).astype(int)
        # Two builds of libjpeg may round by one.
        assert np.abs(plane - theirs[..., 2 - s]).max() <= 1


def test_metamorph_stack() -> None:
    source = data_set("single_files") / "metamorph_stk_tif"

    (found,) = read_contents(source, "MetamorphImage.tif")
    plane = read_plane(source, "MetamorphImage.tif")

    assert (found.height, found.width, found.dtype) == (520, 696, "uint16")
    assert (found.n_t, found.n_c, found.n_z) == (1, 1, 1)
    assert found.pixel_size_um == 0.645
    assert (found.stage_x_um, found.stage_y_um, found.z_um) == (115815.18, 242997.32, 11702.6)
    assert [c.name for c in found.channels] == ["Cy5"]
    # The pixels follow the header of 8 bytes.
    raw = np.fromfile(source / "MetamorphImage.tif", "<u2", 520 * 696, offset=8)
    assert np.array_equal(plane, raw.reshape(520, 696))


def test_brain_tiles(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = unpacked("wsi_brain_tiles", tmp_path_factory)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.tif"))

    assert len(names) == 63
    with FileCache(folder) as files:
        for name in names:
            (found,) = read_contents(folder, name)
            assert (found.height, found.width, found.dtype, found.n_z) == (512, 512, "uint16", 1)
            expected = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(files.read(name), expected)


def test_nuclei_in_png() -> None:
    source = data_set("nuclei_dsb2018_dev") / "images"
    with (source.parent / "index.csv").open() as file:
        rows = list(csv.DictReader(file))

    names = sorted(p.name for p in source.glob("*.png"))
    assert len(names) == len(rows) == 29
    for name in names:
        (found,) = read_contents(source, name)
        theirs = cv2.imread(str(source / name), cv2.IMREAD_UNCHANGED)
        assert theirs.shape == (found.height, found.width, 4)
        assert (found.samples, found.dtype) == (3, "uint8")
        for s in range(3):
            assert np.array_equal(read_plane(source, name, 0, s), theirs[..., 2 - s])


@pytest.mark.parametrize(
    ("name", "sub", "reader", "n_files"),
    [
        ("zstack_dna_2ch", "", "images", 1), ("two_rounds_dapi_registration", "", "images", 2),
        ("nuclei_dsb2018_dev", "images", "images", 29), ("he_svs", "", "slides", 1),
        ("single_files", "metamorph_stk_tif", "images", 1),
    ],
)  # fmt: skip
def test_readers_are_found(name: str, sub: str, reader: str, n_files: int) -> None:
    listing = scan(data_set(name) / sub)

    chosen = readers.choose(listing)

    assert chosen.name == reader
    assert len({p.file for p in chosen.survey(listing).planes}) == n_files
