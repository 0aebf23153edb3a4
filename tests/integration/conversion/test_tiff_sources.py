"""OME-TIFF sets and plates, MetaMorph stacks and slides, through the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.integration.conversion.source import Converted, convert, experiment
from tests.synthetic.stk import write_stk
from tests.unit.formats.test_tiff_ome import document, image, noise, write, write_set
from tests.unit.formats.test_tiff_slides import smooth, write_svs


def _stored(result: Converted, site: int = 0, t: int = 0, c: int = 0, z: int = 0) -> Any:
    return result.plates.read(result.layout.plates[0].id, site, t, c, z)


def test_regions_of_slides_lie_where_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("b.svs", "a.svs"):
        write_svs(folder / name, smooth(300, 5000))

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    wells = {w.name: w for w in layout.plates[0].wells}
    places = [
        (s.well, s.y - wells[s.well].y, s.x - wells[s.well].x, s.height, s.width)
        for s in layout.plates[0].sites
    ]
    assert places == [
        ("A01", 0, 0, 300, 4096), ("A01", 0, 4096, 300, 904),
        ("A02", 0, 0, 300, 4096), ("A02", 0, 4096, 300, 904),
    ]  # fmt: skip
    assert result.problems == []
    assert layout.pixel_size_um == 0.2527
    expected = tifffile.imread(folder / "a.svs", series=0)
    whole = np.concatenate([_stored(result, site, c=1) for site in (0, 1)], axis=1)
    np.testing.assert_array_equal(whole, expected[..., 1])


def test_a_set_of_files_is_one_site(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    pages = write_set(folder, 3)

    result = convert(tmp_path / "out", experiment(folder))

    assert len(result.layout.plates[0].sites) == 1
    assert len(result.layout.channels) == 3
    assert result.codes == {"no_pixel_size"}
    for c in range(3):
        np.testing.assert_array_equal(_stored(result, c=c), pages[c])


def test_another_reader_takes_no_plane_of_a_set_twice(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    pages = write_set(folder, 3)

    result = convert(tmp_path / "out", experiment(folder, pattern=r"^(?P<site>c)\d"))

    assert len(result.planes) == 3
    assert [s.name for s in result.layout.plates[0].sites] == ["c"]
    for c in range(3):
        np.testing.assert_array_equal(_stored(result, c=c), pages[c])


def test_a_companion_file_and_its_images(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    planes = noise(2, 8, 9)
    blocks = "".join(
        f'<TiffData FirstT="{t}" IFD="0"><UUID FileName="t{t}.tif">urn:uuid:{t}</UUID></TiffData>'
        for t in range(2)
    )
    (folder / "x.companion.ome").write_text(document(image(blocks, T=2), "urn:uuid:9"))
    for t in range(2):
        tifffile.imwrite(folder / f"t{t}.tif", planes[t], metadata=None)

    result = convert(tmp_path / "out", experiment(folder))

    assert (result.layout.n_tpoints, result.codes) == (2, {"no_pixel_size"})
    for t in range(2):
        np.testing.assert_array_equal(_stored(result, t=t), planes[t])


def test_a_plate_described_by_ome_xml(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    planes = noise(4, 8, 9)
    stage = '<Plane TheZ="0" TheC="0" TheT="0" PositionX="{x}" PositionY="0"/>'
    images = "".join(
        image(f'<TiffData IFD="{n}"/>' + stage.format(x=4 * (n % 2)), n).replace(
            "<Pixels", '<Pixels PhysicalSizeX="0.5" PhysicalSizeY="0.5"'
        )
        for n in range(4)
    )
    wells = "".join(
        f'<Well Row="{row}" Column="1">'
        + "".join(
            f'<WellSample><ImageRef ID="Image:{2 * row + n}"/></WellSample>' for n in range(2)
        )
        + "</Well>"
        for row in range(2)
    )
    write(folder / "x.ome.tif", planes, document(f'<Plate ID="P" Name="p">{wells}</Plate>{images}'))

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    assert [w.name for w in layout.plates[0].wells] == ["A02", "B02"]
    assert [(s.well, s.name) for s in layout.plates[0].sites] == [
        ("A02", "1"), ("A02", "2"), ("B02", "1"), ("B02", "2"),
    ]  # fmt: skip
    first, second = layout.plates[0].sites[:2]
    # 4 µm of 0.5 µm a pixel.
    assert second.x - first.x == 8
    for n in range(4):
        np.testing.assert_array_equal(_stored(result, n), planes[n])


def test_metamorph_stacks_of_two_wavelengths(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    planes = noise(6, 10, 12)
    write_stk(
        folder / "x.stk",
        planes,
        z_distance_um=1.5,
        wavelengths=[525.0, 460.0] * 3,
        pixel_size_um=0.3,
    )

    result = convert(tmp_path / "out", experiment(folder))

    layout = result.layout
    assert (layout.n_zplanes, layout.pixel_size_um, layout.z_step_um) == (3, 0.3, 1.5)
    assert sorted(c.wavelength_nm or 0 for c in layout.channels) == [460, 525]
    for c, channel in enumerate(layout.channels):
        own = planes[0::2] if channel.wavelength_nm == 525 else planes[1::2]
        for z in range(3):
            np.testing.assert_array_equal(_stored(result, c=c, z=z), own[z])
