"""OME-TIFF: images, planes, plates and sets, against tifffile and the documents as written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents, read_plane

RNG = np.random.default_rng(0)
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def noise(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 200, shape).astype(dtype)


def document(body: str, uuid: str = "urn:uuid:1") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}" UUID="{uuid}">{body}</OME>'
    )


def image(
    body: str = "<TiffData/>",
    number: int = 0,
    order: str = "XYZCT",
    outside: str = "",
    **sizes: int,
) -> str:
    size = {"Z": 1, "C": 1, "T": 1, "Y": 8, "X": 9} | {k[-1]: v for k, v in sizes.items()}
    numbers = " ".join(f'Size{axis}="{n}"' for axis, n in size.items())
    return (
        f'<Image ID="Image:{number}" Name="image {number}">{outside}<Pixels ID="Pixels:{number}" '
        f'DimensionOrder="{order}" Type="uint16" {numbers}>{body}</Pixels></Image>'
    )


def write(path: Path, pages: np.ndarray, text: str, **how: Any) -> None:
    with tifffile.TiffWriter(path) as tiff:
        for n, page in enumerate(pages):
            tiff.write(page, metadata=None, description=text if n == 0 else None, **how)


def values(folder: Path, content: ImageContent, name: str) -> np.ndarray:
    """Return all planes as t, c, z, y, x."""
    found = np.zeros(
        (content.n_t, content.n_c, content.n_z, content.height, content.width), content.dtype
    )
    for p in content.each_plane():
        found[p.t, p.c, p.z] = read_plane(folder, p.file or name, p.page)
    return found


def test_what_tifffile_writes(tmp_path: Path) -> None:
    planes = noise(3, 2, 4, 8, 9)
    tifffile.imwrite(
        tmp_path / "x.ome.tif", planes,
        metadata={
            "axes": "TCZYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeZ": 500,
            "PhysicalSizeZUnit": "nm", "TimeIncrement": 0.5, "TimeIncrementUnit": "min",
            "Channel": {"Name": ["DAPI", "GFP"], "EmissionWavelength": [460, 525], "Color": [65535, -16776961]},
            "Plane": {"PositionX": [100.0] * 24, "PositionXUnit": ["µm"] * 24, "PositionY": [0.2] * 24,
                      "PositionYUnit": ["mm"] * 24},
        },
    )  # fmt: skip

    (found,) = read_contents(tmp_path, "x.ome.tif")

    assert (found.n_t, found.n_c, found.n_z, found.dtype) == (3, 2, 4, "uint16")
    assert (found.pixel_size_um, found.z_step_um, found.t_step_s) == (0.25, 0.5, 30)
    assert (found.stage_x_um, found.stage_y_um) == (100, 200)
    assert [(c.key, c.wavelength_nm, c.color) for c in found.channels] == [
        ("DAPI", 460, "#0000ff"), ("GFP", 525, "#ff0000"),
    ]  # fmt: skip
    np.testing.assert_array_equal(values(tmp_path, found, "x.ome.tif"), planes)


@pytest.mark.parametrize("order", ["XYZCT", "XYCZT", "XYTCZ", "XYCTZ", "XYZTC", "XYTZC"])
def test_every_order_of_dimensions(tmp_path: Path, order: str) -> None:
    sizes = {"T": 2, "C": 3, "Z": 4}
    pages = noise(24, 8, 9)
    write(tmp_path / "x.ome.tif", pages, document(image(order=order, **sizes)))

    (found,) = read_contents(tmp_path, "x.ome.tif")

    axes = order[:1:-1]
    expected = pages.reshape(*(sizes[a] for a in axes), 8, 9)
    expected = expected.transpose(*(axes.index(a) for a in "TCZ"), 3, 4)
    assert not found.planes
    np.testing.assert_array_equal(values(tmp_path, found, "x.ome.tif"), expected)
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tiff:
        np.testing.assert_array_equal(tiff.series[0].asarray().reshape(pages.shape), pages)


def test_blocks_in_any_order(tmp_path: Path) -> None:
    pages = noise(4, 8, 9)
    blocks = (
        '<TiffData FirstZ="1" IFD="0"/><TiffData FirstZ="0" FirstC="1" IFD="3" PlaneCount="1"/>'
        '<TiffData FirstZ="0" IFD="2"/>'
    )
    write(tmp_path / "x.ome.tif", pages, document(image(blocks, Z=2, C=2)))

    (found,) = read_contents(tmp_path, "x.ome.tif")

    assert {(p.c, p.z): p.page for p in found.each_plane()} == {(0, 1): 0, (1, 0): 3, (0, 0): 2}
    assert (found.n_c, found.n_z) == (2, 2)


def test_several_images_with_times_and_heights(tmp_path: Path) -> None:
    first = '<TiffData IFD="0" PlaneCount="2"/>' + "".join(
        f'<Plane TheZ="0" TheC="0" TheT="{t}" DeltaT="{1500 * t}" DeltaTUnit="ms" ExposureTime="0.1" '
        'PositionX="5" PositionY="6" PositionZ="7"/>' for t in range(2)
    )  # fmt: skip
    second = '<TiffData IFD="2" PlaneCount="2"/>' + "".join(
        f'<Plane TheZ="{z}" TheC="0" TheT="0" PositionX="1" PositionXUnit="mm" PositionY="2" '
        f'PositionYUnit="reference frame" PositionZ="{z / 4}"/>' for z in range(2)
    )  # fmt: skip
    lens = '<Instrument ID="I:0"><Objective ID="O:0" Model="Plan Apo" NominalMagnification="40"/></Instrument>'
    used = '<ObjectiveSettings ID="O:0"/><AcquisitionDate>2020-01-02T03:04:05</AcquisitionDate>'
    text = document(
        lens + image(first, 0, T=2)
        + image(second, 1, Z=2, outside=used)
    )  # fmt: skip
    write(tmp_path / "x.ome.tif", noise(4, 8, 9), text)

    a, b = read_contents(tmp_path, "x.ome.tif")

    assert [(p.time_s, p.z_um) for p in a.each_plane()] == [(0, None), (1.5, None)]
    assert (a.stage_x_um, a.stage_y_um, a.z_um, a.site, a.name) == (5, 6, 7, "1", "image 0")
    assert [(p.page, p.z_um) for p in b.each_plane()] == [(2, 0), (3, 0.25)]
    assert (b.stage_x_um, b.stage_y_um, b.site) == (1000, 2, "2")
    assert (b.objective, b.magnification) == ("Plan Apo", 40)
    assert b.acquired_at == "2020-01-02T03:04:05"


def test_plate(tmp_path: Path) -> None:
    images = "".join(image(f'<TiffData IFD="{n}"/>', n) for n in range(3))
    plate = (
        '<Plate ID="Plate:0" Name="screen 7"><Well ID="W:0" Row="1" Column="2">'
        '<WellSample ID="S:0" Index="0" PositionX="10" PositionY="20"><ImageRef ID="Image:0"/></WellSample>'
        '<WellSample ID="S:1" Index="1"><ImageRef ID="Image:2"/></WellSample></Well>'
        '<Well ID="W:1" Row="26" Column="0"><WellSample ID="S:2" Index="2"><ImageRef ID="Image:1"/>'
        "</WellSample></Well></Plate>"
    )
    write(tmp_path / "x.ome.tif", noise(3, 8, 9), document(plate + images))

    found = read_contents(tmp_path, "x.ome.tif")

    assert [(c.well, c.site, c.plate) for c in found] == [
        ("B03", "1", "screen 7"), ("AA01", "1", "screen 7"), ("B03", "2", "screen 7"),
    ]  # fmt: skip
    assert (found[0].stage_x_um, found[0].stage_y_um) == (10, 20)


def write_set(folder: Path, n: int = 3) -> np.ndarray:
    """Write a set of one file for each of n channels, each of which describes all."""
    pages = noise(n, 8, 9)
    blocks = "".join(
        f'<TiffData FirstC="{c}"><UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in range(n)
    )
    for c in range(n):
        write(
            folder / f"c{c}.ome.tif",
            pages[c : c + 1],
            document(image(blocks, C=n), f"urn:uuid:{c}"),
        )
    return pages


def test_the_first_file_of_a_set_speaks_for_all(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    pages = write_set(tmp_path / "sub")

    (first,) = read_contents(tmp_path, "sub/c0.ome.tif")
    (last,) = read_contents(tmp_path, "sub/c2.ome.tif")

    assert [(p.c, p.file, p.page) for p in first.each_plane()] == [
        (0, None, 0), (1, "sub/c1.ome.tif", 0), (2, "sub/c2.ome.tif", 0),
    ]  # fmt: skip
    np.testing.assert_array_equal(values(tmp_path, first, "sub/c0.ome.tif")[0, :, 0], pages)
    assert [(p.c, p.file, p.page) for p in last.each_plane()] == [(2, None, 0)]
    with tifffile.TiffFile(tmp_path / "sub/c0.ome.tif") as tiff:
        np.testing.assert_array_equal(tiff.series[0].asarray(), pages)


def test_a_set_with_a_missing_file(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "c1.ome.tif").unlink()

    (found,) = read_contents(tmp_path, "c0.ome.tif")

    assert found.n_c == 3
    assert [p.c for p in found.each_plane()] == [0, 2]


def test_a_renamed_file_is_still_itself(tmp_path: Path) -> None:
    blocks = '<TiffData IFD="0"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
    write(tmp_path / "new.ome.tif", noise(1, 8, 9), document(image(blocks)))

    (found,) = read_contents(tmp_path, "new.ome.tif")

    assert [p.file for p in found.each_plane()] == [None]


def test_companion_file(tmp_path: Path) -> None:
    pages = noise(2, 8, 9)
    blocks = "".join(
        f'<TiffData FirstT="{t}"><UUID FileName="t{t}.ome.tif">urn:uuid:{t}</UUID></TiffData>'
        for t in range(2)
    )
    (tmp_path / "x.companion.ome").write_text(document(image(blocks, T=2), "urn:uuid:9"))
    for t in range(2):
        text = document(
            '<BinaryOnly MetadataFile="x.companion.ome" UUID="urn:uuid:9"/>', f"urn:uuid:{t}"
        )
        write(tmp_path / f"t{t}.ome.tif", pages[t : t + 1], text)

    (found,) = read_contents(tmp_path, "x.companion.ome")

    assert [(p.t, p.file) for p in found.each_plane()] == [(0, "t0.ome.tif"), (1, "t1.ome.tif")]
    np.testing.assert_array_equal(values(tmp_path, found, "")[:, 0, 0], pages)
    assert read_contents(tmp_path, "t1.ome.tif")[0].n_t == 1


@pytest.mark.parametrize("name", ["../secret.ome.tif", "/etc/passwd", "a/../../secret.ome.tif"])
def test_names_that_leave_the_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    write(tmp_path / "secret.ome.tif", noise(1, 8, 9), "")
    blocks = f'<TiffData IFD="0"/><TiffData FirstC="1"><UUID FileName="{name}">urn:uuid:7</UUID></TiffData>'
    write(folder / "x.ome.tif", noise(1, 8, 9), document(image(blocks, C=2)))

    (found,) = read_contents(folder, "x.ome.tif")

    assert [p.file for p in found.each_plane()] == [None]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours(tmp_path: Path, planar: str) -> None:
    pixels = noise(2, 8, 9, 3, dtype="uint8")
    body = '<Channel ID="Channel:0" SamplesPerPixel="3" ContrastMethod="Brightfield"/><TiffData/>'
    data = pixels if planar == "contig" else np.moveaxis(pixels, -1, 1)
    text = document(image(body, C=3, Z=2))
    write(tmp_path / "x.ome.tif", data, text, photometric="rgb", planarconfig=planar)

    (found,) = read_contents(tmp_path, "x.ome.tif")

    assert (found.samples, found.n_c, found.n_z, found.brightfield) == (3, 1, 2, True)
    for s in range(3):
        np.testing.assert_array_equal(read_plane(tmp_path, "x.ome.tif", 1, s), pixels[1, ..., s])


def test_smaller_copies_are_no_images(tmp_path: Path) -> None:
    planes = noise(2, 64, 64)
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as tiff:
        tiff.write(planes, subifds=1, metadata={"axes": "CYX"}, tile=(32, 32))
        tiff.write(planes[:, ::2, ::2], subfiletype=1, tile=(32, 32))

    (found,) = read_contents(tmp_path, "x.ome.tif")

    assert (found.n_c, found.height, found.y_px) == (2, 64, None)
    np.testing.assert_array_equal(values(tmp_path, found, "x.ome.tif")[0, :, 0], planes)


def test_channels_without_names_or_with_the_same(tmp_path: Path) -> None:
    body = '<Channel ID="c0"/><Channel ID="c1" Name="GFP"/><Channel ID="c2" Name="GFP"/><TiffData/>'
    write(tmp_path / "x.ome.tif", noise(3, 8, 9), document(image(body, C=3)))

    (found,) = read_contents(tmp_path, "x.ome.tif")

    assert [c.key for c in found.channels] == ["1", "GFP 2", "GFP 3"]


@pytest.mark.parametrize(
    "text",
    [
        document(image(Y=80)), document(image(Z=0)), document(image(T=10**6, Z=10**6)),
        document(image())[:-20] + "</OME>", document(image(order="XYABC")),
        document('<Plate ID="P" Name="p"><Well Row="99" Column="0"><WellSample><ImageRef ID="Image:0"/>'
                 "</WellSample></Well></Plate>" + image()),
        document(image('<TiffData IFD="7"/>')), document(image('<TiffData IFD="-1"/>')),
        document("&x;" + image()).replace("<OME", '<!DOCTYPE x [<!ENTITY x "y">]><OME'),
    ],
)  # fmt: skip
def test_documents_that_cannot_be_true(tmp_path: Path, text: str) -> None:
    write(tmp_path / "x.ome.tif", noise(1, 8, 9), text)

    try:
        found = read_contents(tmp_path, "x.ome.tif")
    except FileError as error:
        assert error.files == ("x.ome.tif",)  # noqa: PT017
    else:
        # A document that declares entities is none of OME's: the page alone is believed.
        assert "DOCTYPE" in text
        assert (found[0].height, found[0].n_z) == (8, 1)


@pytest.mark.parametrize(
    "body",
    [
        '<TiffData PlaneCount="900000"><UUID FileName="y.tif">urn:uuid:7</UUID></TiffData>' * 3000,
        '<TiffData FirstT="1"><UUID FileName="y.tif">urn:uuid:7</UUID></TiffData>' * 40_000,
        "<a>" * 600_000 + "</a>" * 600_000,
    ],
    ids=["places", "blocks", "elements"],
)
def test_documents_that_would_take_for_ever(tmp_path: Path, body: str) -> None:
    write(tmp_path / "x.ome.tif", noise(1, 8, 9), document(image(body, T=900_000)))
    (tmp_path / "y.tif").touch()

    with pytest.raises(FileError) as caught:
        read_contents(tmp_path, "x.ome.tif")

    assert caught.value.files == ("x.ome.tif",)
