"""Every real set of image files through the three steps: all pixels equal an independent read of the files."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import Converted, convert, experiment

pytestmark = pytest.mark.data
Factory = pytest.TempPathFactory


def _brain(factory: Factory) -> Path:
    folder = factory.mktemp("brain")
    for tile in unpacked("wsi_brain_tiles", factory).rglob("*.tif"):
        (folder / tile.name).hardlink_to(tile)
    shutil.copy(data_set("wsi_brain_tiles") / "TileConfiguration.txt", folder)
    return folder


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a set lies and what its layout must hold."""

    folder: Callable[[Factory], Path]
    wells: int
    sites: int
    channels: int
    z: int
    t: int
    planes: int
    projections: int = 0
    pixel_size_um: float | None = None
    pattern: str | None = None
    problems: frozenset[str] = frozenset()


def _in(name: str, below: str = "") -> Callable[[Factory], Path]:
    return lambda _factory: data_set(name) / below


_PLAIN = frozenset({"no_pixel_size"})
SETS = {
    "3420": Expected(_in("imagexpress_htd_3420_3433", "9987_Plate_3420"), 1, 1, 1, 1, 1, 1, 0, 1.3672),
    "3433": Expected(_in("imagexpress_htd_3420_3433", "9987_Plate_3433"), 2, 4, 2, 3, 1, 24, 8, 1.3672),
    "guid": Expected(_in("imagexpress_guid_layout", "2023-02-21"), 2, 4, 1, 2, 1, 8, 4, 1.3668),
    "operetta": Expected(
        # The TIFF files state the size of the camera's pixels, without the objective.
        _in("operetta_harmony_2field", "Images"), 1, 2, 1, 1, 1, 2, 0, 1.1959521619135234,
        problems=frozenset({"pixel_size_differs"}),
    ),
    "arrayscan": Expected(
        lambda f: unpacked("arrayscan_8wells_3sites", f), 8, 24, 1, 1, 1, 24,
        problems=_PLAIN | {"no_stage_positions"},
    ),
    "bbbc013": Expected(lambda f: unpacked("sbs_bbbc013_rowA", f), 12, 12, 2, 1, 1, 24, problems=_PLAIN),
    "nf1": Expected(_in("nf1_cellpainting_reference", "Plate_2_images"), 2, 2, 3, 1, 1, 6, problems=_PLAIN),
    "mitocheck": Expected(
        _in("timelapse_mitocheck_h2b"), 1, 1, 1, 1, 30, 30,
        problems=_PLAIN | {"unknown_name", "assumed_wells"},
    ),
    "human": Expected(_in("examplehuman_cellprofiler_features"), 1, 1, 3, 1, 1, 3, problems=_PLAIN),
    "brain": Expected(_brain, 1, 54, 1, 1, 1, 54, 0, 2.5833118, problems=frozenset({"unplaced_files"})),
    "cycif": Expected(
        # The coarsest level: one tile of each marker, an RGB JPEG of grey.
        _in("cycif_crc_tile_pyramid_18ch"), 1, 1, 18, 1, 1, 18,
        pattern=r"(?P<channel>[^/]+)__.*/7_(?P<x>\d)_(?P<y>\d)\.jpg",
        problems=_PLAIN | {"unknown_name"},
    ),
    "cycif tiles": Expected(
        # A tile of a fine level, with the stain, which is in colour.
        _in("cycif_crc_tile_pyramid_18ch"), 1, 1, 21, 1, 1, 21,
        pattern=r"(?P<channel>[^/]+)/(?:.*/)?2_(?P<x>8)_(?P<y>8)\.jpg",
        problems=_PLAIN | {"unknown_name"},
    ),
    "nuclei": Expected(
        # Those of one size: a plate's sites are alike.
        _in("nuclei_dsb2018_dev"), 1, 12, 3, 1, 1, 36, pattern=r"images/(?P<site>\w+)\.png",
        problems=_PLAIN | {"unknown_name", "other_size", "no_stage_positions"},
    ),
    "pictures": Expected(
        # All of them, each of its own size.
        _in("nuclei_dsb2018_dev", "images"), 1, 29, 3, 1, 1, 87,
        problems=_PLAIN | {"no_stage_positions"},
    ),
    "stk": Expected(_in("single_files", "metamorph_stk_tif"), 1, 1, 1, 1, 1, 1, 0, 0.645),
    # Its header says 775193 pixels in a metre.
    "c01": Expected(_in("single_files", "c01"), 1, 1, 1, 1, 1, 1, 0, 1e6 / 775193),
}  # fmt: skip


def independent(path: Path, page: int, sample: int) -> np.ndarray[Any, Any]:
    """Return one plane of a file as another library reads it, an alpha channel left out."""
    if path.suffix == ".c01":
        # Compressed as a whole: a header of 52 bytes, then 16-bit pixels row by row.
        data = zlib.decompress(path.read_bytes()[4:])
        return np.frombuffer(data, "<u2", offset=52).reshape(512, 512)
    if path.suffix.lower() in (".tif", ".tiff"):
        return tifffile.imread(path, key=page)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image if image.ndim == 2 else image[..., 2 - sample]


def compared(result: Converted, folder: Path) -> int:
    """Return how many stored planes equal those of their files; fail at one that doesn't."""
    plates, layout = result.plates, result.layout
    n = 0
    for row in result.planes:
        projection = None
        if row["role"] == "projection":
            if not plates.manifest.projection:
                continue
            projection = plates.manifest.projection
        stored = plates.read(
            layout.plates[0].id, row["site"], row["t"], row["channel"], row["z"], projection
        )
        expected = independent(folder / row["file"], row["page"], row["sample"])
        assert stored is not None, row
        assert stored.dtype == expected.dtype, row
        np.testing.assert_array_equal(stored, expected, err_msg=row["file"])
        n += 1
    return n


@pytest.mark.parametrize("name", SETS)
def test_every_pixel_of_a_set(name: str, tmp_path: Path, tmp_path_factory: Factory) -> None:
    expected = SETS[name]
    folder = expected.folder(tmp_path_factory)

    result = convert(tmp_path, experiment(folder, pattern=expected.pattern))

    layout = result.layout
    (plate,) = layout.plates
    assert (len(plate.wells), len(plate.sites)) == (expected.wells, expected.sites)
    assert (len(layout.channels), layout.n_zplanes, layout.n_tpoints) == (
        expected.channels, expected.z, expected.t,
    )  # fmt: skip
    assert (layout.pixel_size_um is None) == (expected.pixel_size_um is None)
    if expected.pixel_size_um:
        assert layout.pixel_size_um == pytest.approx(expected.pixel_size_um, rel=1e-7)
    roles = [row["role"] for row in result.planes]
    assert (roles.count("plane"), roles.count("projection")) == (
        expected.planes, expected.projections,
    )  # fmt: skip
    assert result.codes == expected.problems
    assert compared(result, folder) == expected.planes


def test_tiles_lie_where_the_list_says(tmp_path: Path, tmp_path_factory: Factory) -> None:
    folder = _brain(tmp_path_factory)

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    (plate,) = result.layout.plates
    files = {row["site"]: row["file"] for row in result.planes}
    lines = (folder / "TileConfiguration.txt").read_text().splitlines()
    places = {
        line.partition(";")[0]: tuple(
            float(v) for v in line.partition("(")[2].rstrip(")").split(",")
        )
        for line in lines
        if line.endswith(")")
    }
    assert {files[s.index]: (float(s.x), float(s.y)) for s in plate.sites} == places


def test_markers_are_fluorescence_and_the_stain_is_brightfield(tmp_path: Path) -> None:
    folder, pattern = data_set("cycif_crc_tile_pyramid_18ch"), SETS["cycif tiles"].pattern

    layout = convert(tmp_path, experiment(folder, pattern=pattern), until="metaconfig").layout

    bright = {c.name: c.color for c in layout.channels if c.brightfield}
    assert bright == {"he red": "#ff0000", "he green": "#00ff00", "he blue": "#0000ff"}


@pytest.mark.parametrize(
    "name", ["imagexpress_guid_layout/2023-02-21", "imagexpress_htd_3420_3433/9987_Plate_3433"]
)
def test_stage_positions_of_metaxpress_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    folder = data_set(name.partition("/")[0]) / name.partition("/")[2]

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    sites = result.layout.plates[0].sites
    for row in result.planes:
        with tifffile.TiffFile(folder / row["file"]) as tiff:
            said = tiff.metaseries_metadata["PlaneInfo"]
        site = sites[row["site"]]
        place = said["stage-position-y"], said["stage-position-x"]
        # The stage moves by less than a tenth of a pixel between the planes of a site.
        assert (site.stage_y_um, site.stage_x_um) == pytest.approx(place, abs=0.1)
    assert len({(s.stage_y_um, s.stage_x_um) for s in sites}) == 4


def test_fields_of_an_operetta_lie_beside_each_other(tmp_path: Path) -> None:
    folder = data_set("operetta_harmony_2field") / "Images"

    layout = convert(tmp_path, experiment(folder), until="metaconfig").layout

    first, second = layout.plates[0].sites
    assert (first.well, first.name, second.name) == ("C03", "1", "2")
    assert (second.x - first.x, second.y - first.y) == (1080, 0)
    (channel,) = layout.channels
    assert channel.flatfield is not None
    assert channel.flatfield.kind == "polynomial"
    assert (layout.objective, layout.magnification) == ("10x/0.3", 10.0)


def test_shading_images_of_a_cellvoyager_are_no_planes(tmp_path: Path) -> None:
    folder = next(data_set("cellvoyager_cv8000_meta").glob("CV8000-Minimal-*"))

    result = convert(tmp_path, experiment(folder), until="metaconfig")

    assert len(result.planes) == 96
    assert result.problems == []
    fields = [c.flatfield for c in result.layout.channels]
    assert all(f is not None and f.kind == "files" for f in fields)


def test_places_in_a_grid_by_the_steps_own_pattern(
    tmp_path: Path, tmp_path_factory: Factory
) -> None:
    """Where the reader knew no grid, one that the regex of metaconfig gives lays out the sites."""
    folder = unpacked("arrayscan_8wells_3sites", tmp_path_factory)
    regex = r"_(?P<row>[A-P])(?P<column>\d\d)f0(?P<x>\d)d(?P<y>2)\.TIF"

    result = convert(tmp_path, experiment(folder), layout={"regex": regex}, until="metaconfig")

    sites = [s for s in result.layout.plates[0].sites if s.well == "O01"]
    assert [(s.name, s.y, s.x) for s in sites] == [("1", 0, 0), ("2", 0, 512), ("3", 0, 1024)]
