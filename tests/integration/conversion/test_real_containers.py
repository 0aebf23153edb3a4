"""Real CZI, ND2 and C01 files, compared with other libraries' reading, and through the steps."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_workers.formats.files import FileCache, read_contents
from tests.data_sets import data_set
from tests.integration.conversion.source import Converted, convert, experiment
from tests.synthetic import containers

pytestmark = pytest.mark.data
CELL_DIVISION = "CellDivision_T3_Z5_CH2_X240_Y170.czi"


def _folder(tmp_path: Path, kind: str, name: str) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copy(data_set("single_files") / kind / name, folder / name)
    return folder


def _stored(result: Converted, site: int, t: int, c: int, z: int) -> np.ndarray[Any, Any]:
    plane = result.plates.read(result.layout.plates[0].id, site, t, c, z)
    assert plane is not None
    return plane


def _libczi(path: Path, **plane: int) -> np.ndarray[Any, Any]:
    from pylibCZIrw import czi as pyczi

    with pyczi.open_czi(str(path)) as file:
        found: np.ndarray[Any, Any] = file.read(plane=plane)[..., 0]
    return found


def test_czi_of_dividing_cells(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "czi", CELL_DIVISION)

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    assert [w.name for w in layout.plates[0].wells] == ["A01"]
    assert len(layout.plates[0].sites) == 1
    assert (layout.n_tpoints, layout.n_zplanes) == (3, 5)
    assert [c.name for c in layout.channels] == ["LED555", "LED470"]
    assert [c.wavelength_nm for c in layout.channels] == [568, 517]
    assert [c.excitation_nm for c in layout.channels] == [553, 493]
    assert layout.pixel_size_um == pytest.approx(0.09057667)
    assert layout.z_step_um == pytest.approx(0.32)
    assert layout.magnification == 50
    assert layout.objective == "Plan-Apochromat 50x/1.2"
    assert result.problems == []
    for t in range(3):
        for c in range(2):
            for z in range(5):
                theirs = _libczi(folder / CELL_DIVISION, T=t, C=c, Z=z)
                assert theirs.shape == (170, 240)
                assert np.array_equal(_stored(result, 0, t, c, z), theirs)


def test_czi_times_and_stage() -> None:
    (found,) = read_contents(data_set("single_files") / "czi", CELL_DIVISION)

    # The metadata says that there is a minute between the time points.
    times = sorted({(p.t, p.time_s) for p in found.planes})
    assert [t for t, _ in times] == [0, 1, 2]
    assert np.diff([s for _, s in times if s is not None]) == pytest.approx(60, abs=0.5)
    assert found.t_step_s == pytest.approx(60.075)
    assert (found.stage_y_um, found.stage_x_um) == (18621.489, 16977.153)
    assert found.acquired_at == "2016-02-12T09:41:02.4915604Z"


@pytest.mark.parametrize(
    ("name", "channels", "shape", "pixel_size_um"),
    [
        ("DAPI_GFP.czi", [("DAPI", "#0000ff"), ("GFP", "#00ff00")], (640, 640), None),
        ("nuc_small_new_red.czi", [("nuclei", "#ff0000")], (240, 320), 0.1),
    ],
)
def test_czi_of_8_bits(
    name: str, channels: list[tuple[str, str]], shape: tuple[int, int], pixel_size_um: float | None
) -> None:
    folder = data_set("single_files") / "czi"

    (found,) = read_contents(folder, name)

    assert (found.height, found.width) == shape
    assert (found.n_t, found.n_c, found.n_z) == (1, len(channels), 1)
    assert found.dtype == "uint8"
    assert [(c.name, c.color) for c in found.channels] == channels
    assert found.pixel_size_um == (pixel_size_um and pytest.approx(pixel_size_um))
    with FileCache(folder) as files:
        for plane in found.planes:
            theirs = _libczi(folder / name, C=plane.c)
            assert np.array_equal(files.read(name, plane.page), theirs)


def test_a_folder_of_czi_files(tmp_path: Path) -> None:
    from pylibCZIrw import czi as pyczi

    folder = data_set("single_files") / "czi"

    result = convert(tmp_path, experiment(folder))

    (plate,) = result.layout.plates
    files = {row["site"]: row["file"] for row in result.planes}
    names = [c.name for c in result.layout.channels]
    assert [(files[s.index], s.height, s.width) for s in plate.sites] == [
        (CELL_DIVISION, 170, 240), ("DAPI_GFP.czi", 640, 640), ("nuc_small_new_red.czi", 240, 320),
    ]  # fmt: skip
    assert sorted(names) == ["DAPI", "GFP", "LED470", "LED555", "nuclei"]
    assert (result.layout.n_tpoints, result.layout.n_zplanes, len(result.planes)) == (3, 5, 33)
    for site, channels in ((0, ("LED555", "LED470")), (1, ("DAPI", "GFP")), (2, ("nuclei",))):
        for c, channel in enumerate(channels):
            with pyczi.open_czi(str(folder / files[site])) as file:
                theirs = file.read(plane={"C": c})[..., 0]
            assert np.array_equal(_stored(result, site, 0, names.index(channel), 0), theirs)


def test_nd2_of_a_cluster(tmp_path: Path) -> None:
    import nd2

    folder = _folder(tmp_path, "nd2", "cluster.nd2")

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    assert (layout.n_tpoints, layout.n_zplanes) == (3, 10)
    assert [c.name for c in layout.channels] == ["5-FAM/pH 9.0", "FM 4-64/2% CHAPS"]
    assert [c.wavelength_nm for c in layout.channels] == [525, 700]
    assert [c.excitation_nm for c in layout.channels] == [488, 561]
    assert layout.pixel_size_um == pytest.approx(0.168, abs=5e-4)
    assert layout.z_step_um == 0.5
    assert (layout.objective, layout.magnification) == ("Plan Apo λ 60x", 60)
    assert result.problems == []
    theirs = nd2.imread(folder / "cluster.nd2")
    assert theirs.shape == (3, 10, 2, 31, 38)
    for t in range(3):
        for z in range(10):
            for c in range(2):
                assert np.array_equal(_stored(result, 0, t, c, z), theirs[t, z, c])


def test_nd2_times_and_stage() -> None:
    (found,) = read_contents(data_set("single_files") / "nd2", "cluster.nd2")

    times = sorted({(p.t, p.time_s) for p in found.planes})
    # nd2's own table of events.
    assert [s for _, s in times] == pytest.approx([0.445, 11.086, 21.740], abs=1e-3)
    assert (found.stage_y_um, found.stage_x_um) == pytest.approx((-4155.46, -26056.95), abs=0.01)
    assert found.acquired_at == "2014-06-18T13:55:23+00:00"


def test_c01_of_an_arrayscan() -> None:
    folder = data_set("single_files") / "c01"

    (found,) = read_contents(folder, "iamac01file.c01")
    with FileCache(folder) as files:
        image = files.read("iamac01file.c01")

    # Read straight from the bitmap: a header of 52 bytes, then 16-bit pixels row by row.
    raw = zlib.decompress((folder / "iamac01file.c01").read_bytes()[4:])
    assert np.array_equal(image, np.frombuffer(raw, "<u2", offset=52).reshape(512, 512))
    assert (found.height, found.width, found.dtype) == (512, 512, "uint16")
    assert found.pixel_size_um == pytest.approx(1.29, abs=1e-3)
    # 12 bits of a camera, a dark field with bright cells, neighbours alike.
    assert (image.min(), image.max()) == (526, 1788)
    assert np.median(image) < 620 < np.percentile(image, 95)
    step = np.abs(np.diff(image.astype(int), axis=0)).mean()
    assert step < 0.3 * image.std()


def _czi_plate() -> tuple[bytes, dict[tuple[str, int, int], np.ndarray[Any, Any]]]:
    """Return a CZI file of two wells with three overlapping tiles each, and its images."""
    rng = np.random.default_rng(1)
    scenes = ""
    blocks = []
    images = {}
    for scene, well in enumerate(["B2", "B3"]):
        scenes += (
            f'<Scene Index="{scene}" Name="P{scene + 1}"><ArrayName>{well}</ArrayName></Scene>'
        )
        for tile in range(3):
            for channel in range(2):
                image = rng.integers(0, 4000, (48, 64), np.uint16)
                images[f"B0{scene + 2}", tile, channel] = image
                place = {"S": scene, "M": tile, "C": channel}
                blocks.append(
                    {"image": image, "place": place, "x": 5000 * scene + 60 * tile, "y": 4 * tile}
                )
    xml = (
        "<ImageDocument><Metadata><Information><Image><Dimensions><S><Scenes>"
        f"{scenes}</Scenes></S></Dimensions></Image></Information></Metadata></ImageDocument>"
    )
    return containers.czi(blocks, xml), images


def test_a_plate_in_one_czi_file(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    data, images = _czi_plate()
    (folder / "plate.czi").write_bytes(data)

    result = convert(tmp_path / "out", experiment(folder))

    (plate,) = result.layout.plates
    wells = {w.name: w for w in plate.wells}
    assert sorted(wells) == ["B02", "B03"]
    for index, site in enumerate(plate.sites):
        tile = int(site.name) - 1
        origin = wells[site.well]
        # Tiles lie where the file says, as they were taken, overlaps and all.
        assert (site.y - origin.y, site.x - origin.x) == (4 * tile, 60 * tile)
        for channel in range(2):
            assert np.array_equal(
                _stored(result, index, 0, channel, 0), images[site.well, tile, channel]
            )


def test_a_plate_in_one_lif_file(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    rng = np.random.default_rng(2)
    data = {
        (well, region): rng.integers(0, 4000, (2, 3, 48, 64), np.uint16)
        for well in ("B/3", "C/11") for region in (1, 2)
    }  # fmt: skip
    series = [
        {
            "name": f"TileScan 1/{well}/R{region}", "data": pixels, "dims": "CZYX",
            "luts": ("Blue", "Green"), "lengths": {"X": 63e-7, "Y": 47e-7, "Z": 2e-6},
        }
        for (well, region), pixels in data.items()
    ]  # fmt: skip
    (folder / "plate.lif").write_bytes(containers.lif(series))

    result = convert(tmp_path / "out", experiment(folder))

    (plate,) = result.layout.plates
    assert [(s.well, s.name) for s in plate.sites] == [
        ("B03", "R1"), ("B03", "R2"), ("C11", "R1"), ("C11", "R2"),
    ]  # fmt: skip
    assert [c.name for c in result.layout.channels] == ["Blue", "Green"]
    assert result.layout.pixel_size_um == pytest.approx(0.1)
    assert result.layout.z_step_um == pytest.approx(1.0)
    for index, pixels in enumerate(data.values()):
        for c in range(2):
            for z in range(3):
                assert np.array_equal(_stored(result, index, 0, c, z), pixels[c, z])
