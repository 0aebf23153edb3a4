"""Small valid inputs: files of every registered type, and folders of every registered reader."""

from __future__ import annotations

import importlib
import io
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import tests.unit.formats
from tests.conformance.readers import ReaderConformance
from tests.synthetic import containers

_Y, _X = np.mgrid[:20, :30]
IMAGE: Final[npt.NDArray[Any]] = (500 + 100 * np.sin(_Y / 4) * np.cos(_X / 3)).astype(np.uint16)
_BYTES: Final = (IMAGE >> 2).astype(np.uint8)
_RGB: Final = np.stack([_BYTES, _BYTES // 2, _BYTES // 3], -1)


def _tiff(**how: Any) -> bytes:
    import tifffile

    stream = io.BytesIO()
    image = how.pop("image", np.stack([IMAGE, IMAGE + 1]))
    with tifffile.TiffWriter(
        stream,
        imagej=how.pop("imagej", False),
        ome=how.pop("ome", False),
        bigtiff=how.pop("big", False),
    ) as file:
        file.write(image, **how)
    return stream.getvalue()


def _tiffs() -> Iterator[bytes]:
    stack = np.stack([IMAGE] * 4).reshape(2, 2, 20, 30)
    yield _tiff()
    yield _tiff(big=True, compression="zlib", tile=(16, 16))
    yield _tiff(compression="lzw", predictor=True)
    yield _tiff(image=stack, imagej=True, metadata={"axes": "ZCYX", "spacing": 2, "unit": "um"})
    yield _tiff(image=stack, ome=True, metadata={"axes": "CZYX", "Channel": {"Name": ["a", "b"]}})
    yield _tiff(image=_RGB, photometric="rgb", compression="jpeg")
    yield _tiff(description='<MetaData><prop id="spatial-calibration-x" value="2"/></MetaData>')


def _jpeg() -> Iterator[bytes]:
    import imagecodecs

    yield bytes(imagecodecs.jpeg_encode(_RGB))
    yield bytes(imagecodecs.jpeg_encode(_BYTES))


def _png() -> Iterator[bytes]:
    import imagecodecs

    yield bytes(imagecodecs.png_encode(IMAGE))
    yield bytes(imagecodecs.png_encode(_RGB))


def _czi() -> Iterator[bytes]:
    import imagecodecs

    scenes = (
        '<Scene Index="0" Name="P1"><ArrayName>B2</ArrayName></Scene><Scene Index="1" Name="P2"/>'
    )
    xml = (
        f"<ImageDocument><Metadata><Information><Image><Dimensions><S><Scenes>{scenes}</Scenes></S>"
        '<Channels><Channel Id="Channel:0" Name="DAPI"><Color>#FF0000FF</Color></Channel></Channels>'
        '</Dimensions></Image></Information><Scaling><Items><Distance Id="X"><Value>1e-07</Value>'
        "</Distance></Items></Scaling></Metadata></ImageDocument>"
    )
    tags = "<METADATA><Tags><AcquisitionTime>2020-05-01T10:00:00.5Z</AcquisitionTime></Tags></METADATA>"
    yield containers.czi(
        [
            {"image": IMAGE, "place": {"C": 0, "S": s, "M": m, "T": t}, "x": 30 * m, "tags": tags}
            for s in range(2) for m in range(2) for t in range(2)
        ],
        xml,
    )  # fmt: skip
    packed: list[tuple[int, bytes]] = [
        (4, bytes(imagecodecs.jpegxr_encode(IMAGE, level=1.0))), (5, bytes(imagecodecs.zstd_encode(IMAGE.tobytes()))),
        (6, containers.zstd1(IMAGE)), (2, bytes(imagecodecs.lzw_encode(IMAGE.tobytes()))),
    ]  # fmt: skip
    yield containers.czi(
        [
            {"data": d, "compression": k, "size": IMAGE.shape, "pixel_type": 1, "place": {"C": c}}
            for c, (k, d) in enumerate(packed)
        ],
        xml,
    )
    yield containers.czi([{"image": _RGB, "place": {"C": 0}}], xml)


def _nd2() -> Iterator[bytes]:
    frames = np.stack([IMAGE] * 8).reshape(2, 2, 1, 2, 20, 30)
    places = [("B02_0001", 0, 0), ("B02_0002", 9, 9)]
    yield containers.nd2(frames, names=["DAPI", "GFP"], positions=places, period_ms=5.0)
    yield containers.nd2(_RGB[None, None, None], names=["RGB"], color=True)


def _lif() -> Iterator[bytes]:
    stack = np.stack([IMAGE] * 4).reshape(2, 2, 20, 30)
    yield containers.lif(
        [
            {"name": "scan/B/3/R1", "data": stack, "dims": "TCYX", "lengths": {"X": 1e-6, "T": 3}},
            {"name": "scan/B/4/R1", "data": _RGB, "dims": "YXS"},
        ]
    )


def _c01() -> Iterator[bytes]:
    yield containers.c01(IMAGE)


_FILES: Final[dict[str, tuple[str, Callable[[], Iterator[bytes]]]]] = {
    "c01": ("a.c01", _c01), "czi": ("a.czi", _czi), "jpeg": ("a.jpg", _jpeg), "lif": ("a.lif", _lif),
    "nd2": ("a.nd2", _nd2), "png": ("a.png", _png), "tiff": ("a.tif", _tiffs),
}  # fmt: skip
# Types whose files come as folders or sets: the reader that knows how to write them, and what to open.
_SETS: Final = {"zarr": "ome_zarr", "ome_companion": "ome_tiff"}


def file_seeds(kind: str) -> list[tuple[str, bytes]]:
    """Return name and content of valid files of a type; nothing if no seed is known."""
    if kind not in _FILES:
        return []
    name, build = _FILES[kind]
    return [(name, data) for data in build()]


def reader_seeds(reader: str) -> list[Callable[[Path], None]]:
    """Return what writes small acquisitions of a reader: the builders of its conformance tests."""
    for module in pkgutil.iter_modules(tests.unit.formats.__path__):
        importlib.import_module(f"tests.unit.formats.{module.name}")
    return [c().build for c in _subclasses(ReaderConformance) if getattr(c, "reader", "") == reader]


def set_seeds(kind: str) -> list[Callable[[Path], None]]:
    """Return what writes folders in which a type's files lie, for types that aren't one file."""
    return reader_seeds(_SETS[kind]) if kind in _SETS else []


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for found in base.__subclasses__():
        yield found
        yield from _subclasses(found)
