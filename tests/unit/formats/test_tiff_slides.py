"""Slides and other large images, read region by region; against tifffile and the pixels as written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats.files import FileCache, open_file, read_contents, read_plane
from gpu_workers.formats.files.tiff import TiffFile

RNG = np.random.default_rng(0)
APERIO = (
    "Aperio Image Library v11.2.1\r\n5000x4500 (256x256) JPEG/RGB Q=30|AppMag = 40|Date = 12/29/09|"
    "Time = 09:59:15|MPP = 0.2527"
)


def smooth(height: int, width: int) -> np.ndarray:
    """Return an RGB image that JPEG packs well and whose places all differ."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y // 32 % 256, x // 32 % 256, (y + x) // 64 % 256], -1).astype("uint8")


def write_svs(path: Path, image: np.ndarray, text: str = APERIO, tile: int = 256) -> None:
    """Write a slide as Aperio does: image, thumbnail, a smaller copy, label, macro image."""
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            image,
            tile=(tile, tile),
            compression="jpeg",
            description=text,
            metadata=None,
            photometric="rgb",
        )
        tiff.write(image[::16, ::16], metadata=None, photometric="rgb")
        tiff.write(
            image[::4, ::4], tile=(tile, tile), compression="jpeg", metadata=None, photometric="rgb"
        )
        tiff.write(image[:90, :80], metadata=None, photometric="rgb", subfiletype=1)
        tiff.write(image[:70, :200], metadata=None, photometric="rgb", subfiletype=9)


def test_svs_is_cut_into_regions(tmp_path: Path) -> None:
    write_svs(tmp_path / "x.svs", smooth(4500, 5000))

    found = read_contents(tmp_path, "x.svs")

    assert [(c.y_px, c.x_px, c.height, c.width) for c in found] == [
        (0, 0, 4096, 4096), (0, 4096, 4096, 904), (4096, 0, 404, 4096), (4096, 4096, 404, 904),
    ]  # fmt: skip
    assert {(c.samples, c.n_c, c.n_z, c.dtype, c.brightfield) for c in found} == {
        (3, 1, 1, "uint8", True)
    }
    assert (found[0].pixel_size_um, found[0].magnification) == (0.2527, 40)
    assert found[0].acquired_at == "2009-12-29T09:59:15"
    with tifffile.TiffFile(tmp_path / "x.svs") as tiff:
        expected = tiff.series[0].asarray()
    with FileCache(tmp_path) as files:
        for c in found:
            for s in range(3):
                plane = files.read("x.svs", c.first_page, s)
                part = expected[c.y_px or 0 :, c.x_px or 0 :][: c.height, : c.width, s]
                np.testing.assert_array_equal(plane, part)


@pytest.mark.parametrize(("tile", "side"), [(240, 4080), (512, 4096), (1024, 4096)])
def test_regions_end_where_tiles_do(tmp_path: Path, tile: int, side: int) -> None:
    write_svs(tmp_path / "x.svs", smooth(100, 5000), tile=tile)

    assert [c.x_px for c in read_contents(tmp_path, "x.svs")] == [0, side]


def test_pyramids_of_several_channels(tmp_path: Path) -> None:
    planes = RNG.integers(0, 999, (3, 300, 5000), dtype="uint16")
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as tiff:
        tiff.write(planes, subifds=1, metadata={"axes": "CYX"}, tile=(256, 256), compression="zlib")
        tiff.write(planes[:, ::2, ::2], subfiletype=1, tile=(256, 256), compression="zlib")

    left, right = read_contents(tmp_path, "x.ome.tif")

    assert (left.n_c, left.samples, right.x_px, right.width) == (3, 1, 4096, 904)
    for p in right.each_plane():
        np.testing.assert_array_equal(
            read_plane(tmp_path, "x.ome.tif", p.page), planes[p.c, :, 4096:]
        )


def test_smaller_copies_in_further_pages(tmp_path: Path) -> None:
    image = RNG.integers(0, 999, (600, 5000), dtype="uint16")
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        for step in (1, 2, 4):
            tiff.write(image[::step, ::step], tile=(256, 256), metadata=None, resolution=(4e4, 4e4),
                       resolutionunit="centimeter")  # fmt: skip

    found = read_contents(tmp_path, "x.tif")

    assert [(c.width, c.n_z, c.pixel_size_um) for c in found] == [(4096, 1, 0.25), (904, 1, 0.25)]


def test_images_of_cameras_stay_whole(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((5000, 6000), "uint8"), compression="zlib")

    (found,) = read_contents(tmp_path, "x.tif")

    assert (found.height, found.width, found.y_px) == (5000, 6000, None)


@pytest.mark.parametrize("how", [{}, {"compression": "zlib", "rowsperstrip": 100}])
def test_large_images_in_strips(tmp_path: Path, how: dict[str, object]) -> None:
    image = np.arange(8200 * 8200, dtype="uint32").reshape(8200, 8200).astype("uint8")
    tifffile.imwrite(tmp_path / "x.tif", image, metadata=None, **how)

    found = read_contents(tmp_path, "x.tif")

    assert len(found) == 9
    last = found[-1]
    np.testing.assert_array_equal(
        read_plane(tmp_path, "x.tif", last.first_page), image[last.y_px :, last.x_px :]
    )


def test_scn(tmp_path: Path) -> None:
    image, overview = smooth(512, 768), smooth(256, 256)
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection '
        'sizeX="26000000" sizeY="76000000"><image name="overview"><pixels sizeX="256" sizeY="256"><dimension '
        'sizeX="256" sizeY="256" r="0" ifd="0"/></pixels><view sizeX="26000000" sizeY="76000000" offsetX="0" '
        'offsetY="0"/></image><image name="tissue"><pixels sizeX="768" sizeY="512"><dimension sizeX="768" '
        'sizeY="512" r="0" ifd="1"/><dimension sizeX="192" sizeY="128" r="1" ifd="2"/></pixels><view '
        'sizeX="384000" sizeY="256000" offsetX="5000000" offsetY="1000000"/><scanSettings><objectiveSettings>'
        "<objective>20</objective></objectiveSettings><illuminationSettings><illuminationSource>brightfield"
        "</illuminationSource></illuminationSettings></scanSettings></image></collection></scn>"
    )
    with tifffile.TiffWriter(tmp_path / "x.scn", bigtiff=True) as tiff:
        for n, pixels in enumerate((overview, image, image[::4, ::4])):
            tiff.write(
                pixels,
                tile=(256, 256),
                photometric="rgb",
                metadata=None,
                description=text if n == 0 else None,
            )

    (found,) = read_contents(tmp_path, "x.scn")

    assert (found.height, found.width, found.first_page, found.name) == (512, 768, 1, "tissue")
    assert (found.pixel_size_um, found.magnification, found.brightfield) == (0.5, 20, True)
    np.testing.assert_array_equal(read_plane(tmp_path, "x.scn", 1, 0), image[..., 0])


def test_vectra_channels(tmp_path: Path) -> None:
    planes = RNG.integers(0, 99, (2, 64, 96), dtype="uint16")
    with tifffile.TiffWriter(tmp_path / "x.qptiff") as tiff:
        for name, color, plane in zip(
            ("DAPI", "CD8"), ("0,0,255", "255,255,0"), planes, strict=True
        ):
            text = (
                f'<?xml version="1.0"?><PerkinElmer-QPI-ImageDescription><ImageType>FullResolution</ImageType>'
                f"<Name>{name}</Name><Color>{color}</Color><Objective>20x</Objective></PerkinElmer-QPI-ImageDescription>"
            )
            tiff.write(plane, tile=(32, 32), description=text, metadata=None, software="PerkinElmer-QPI",
                       resolution=(2e4, 2e4), resolutionunit="centimeter")  # fmt: skip
        tiff.write(planes[0, ::2, ::2], tile=(32, 32), metadata=None, subfiletype=1)

    (found,) = read_contents(tmp_path, "x.qptiff")

    assert [(c.name, c.color) for c in found.channels] == [("DAPI", "#0000ff"), ("CD8", "#ffff00")]
    assert (found.n_c, found.magnification, found.pixel_size_um) == (2, 20, 0.5)
    np.testing.assert_array_equal(read_plane(tmp_path, "x.qptiff", 1), planes[1])


def write_sparse(path: Path, side: int, tile: int = 256) -> None:
    """Write a slide of which one tile in a thousand has pixels: gigapixels in a small file."""
    n = -(-side // tile)
    filled = np.full((tile, tile, 3), 7, "uint8")

    def tiles() -> object:
        for i in range(n * n):
            yield filled if i % 1000 == 0 else None

    tifffile.imwrite(
        path, tiles(), shape=(side, side, 3), dtype="uint8", tile=(tile, tile), compression="jpeg",
        photometric="rgb", description=APERIO, metadata=None, bigtiff=True,
    )  # fmt: skip


def test_a_slide_of_ten_gigapixels_needs_the_memory_of_a_region(tmp_path: Path) -> None:
    write_sparse(tmp_path / "x.svs", 100_000)
    program = (
        "import resource, sys, tifffile, imagecodecs, numpy, defusedxml.ElementTree\n"
        "from pathlib import Path\n"
        "from gpu_workers.formats.files import read_contents, open_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = read_contents(Path(sys.argv[1]), 'x.svs')\n"
        "opened = open_file(Path(sys.argv[1]), 'x.svs')\n"
        "values = [set(numpy.unique(opened.read(found[i].first_page, s)).tolist())\n"
        "          for i in (0, 300, 624) for s in range(3)]\n"
        "print(len(found), set.union(*values), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )

    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout

    n, rest = output.split(" ", 1)
    memory_mb = int(rest.rsplit(" ", 1)[1])
    assert int(n) == 625
    assert "{255, 7}" in rest or "{7, 255}" in rest
    # A region is 48 MB, one component of it 16 MB, the list of 153,000 tiles some 20 MB.
    assert memory_mb < 250


def test_a_region_reads_only_its_tiles(tmp_path: Path) -> None:
    write_svs(tmp_path / "x.svs", smooth(600, 9000))
    opened = open_file(tmp_path, "x.svs")
    assert isinstance(opened, TiffFile)
    last = opened.contents()[-1]
    size = (tmp_path / "x.svs").stat().st_size
    n_read = 0
    read = opened._stream.read

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(stream, name)

        def read(self, n: int = -1) -> bytes:
            nonlocal n_read
            data = read(n)
            n_read += len(data)
            return data

    stream, opened._stream = opened._stream, Counting()  # type: ignore[assignment]
    opened.read(last.first_page)
    opened.read(last.first_page, 2)

    assert 0 < n_read < size / 10


@pytest.mark.parametrize("side", [2**22, 2**31])
def test_absurd_sizes_are_refused(tmp_path: Path, side: int) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((16, 16), "uint8"), tile=(16, 16), metadata=None)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tiff:
        tiff.pages.first.tags["ImageWidth"].overwrite(side, dtype="I")
        tiff.pages.first.tags["ImageLength"].overwrite(side, dtype="I")

    for read in (read_contents, read_plane):
        with pytest.raises(FileError) as caught:
            read(tmp_path, "x.tif")
        assert caught.value.files == ("x.tif",)
