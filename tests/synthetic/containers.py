"""Small files as microscopes write them, from the public descriptions of their formats.

Written for tests only; libraries that aren't ours read them back (liffile, nd2, pylibCZIrw).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_CZI_TYPES = {
    ("uint8", 1): 0,
    ("uint16", 1): 1,
    ("float32", 1): 2,
    ("uint8", 3): 3,
    ("uint16", 3): 4,
}


def c01(image: npt.NDArray[Any], pixels_per_metre: int = 1_000_000) -> bytes:
    """Return a Cellomics C01 file of one plane."""
    height, width = image.shape
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, image.itemsize * 8, 0, 0,
        pixels_per_metre, pixels_per_metre, 0, 0,
    )  # fmt: skip
    raw = header + struct.pack("<3I", 0x1F, 0x3E0, 0xFC00) + image.tobytes()
    return b"\0\0\0\x10" + zlib.compress(raw, 1)


def _segment(name: bytes, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 32)
    return struct.pack("<16sqq", name, len(padded), len(content)) + padded


def _entry(block: Mapping[str, Any], position: int) -> bytes:
    height, width = block["size"]
    stored_y, stored_x = block.get("stored", (height, width))
    place = {"X": (block.get("x", 0), width, stored_x), "Y": (block.get("y", 0), height, stored_y)}
    place |= {k: (v, 1, 1) for k, v in block["place"].items()}
    head = struct.pack(
        "<2siqiiB5xi", b"DV", block["pixel_type"], position, 0, block.get("compression", 0),
        block.get("pyramid", 0), len(place),
    )  # fmt: skip
    return head + b"".join(
        struct.pack("<4siifi", k.encode(), first, size, float(first), stored)
        for k, (first, size, stored) in place.items()
    )


def czi(blocks: Sequence[Mapping[str, Any]], xml: str = "<ImageDocument/>") -> bytes:
    """Return a CZI file.

    Parameters
    ----------
    blocks
        Each with `image` (y, x) or (y, x, 3) as red, green, blue, or `data` with `size` and
        `pixel_type`; `place` (dimension letter -> number), `y`, `x`, `tags` (XML), `compression`.
    """
    out = _segment(b"ZISRAWFILE", bytes(512))
    positions = []
    entries = []
    for given in blocks:
        block = dict(given)
        if "image" in block:
            image = block["image"]
            samples = image.shape[2] if image.ndim == 3 else 1
            block["size"] = image.shape[:2]
            block["pixel_type"] = _CZI_TYPES[(str(image.dtype), samples)]
            block.setdefault("data", (image[..., ::-1] if samples == 3 else image).tobytes())
        position = len(out)
        entry = _entry(block, position)
        tags = block.get("tags", "").encode()
        head = struct.pack("<iiq", len(tags), 0, len(block["data"])) + entry
        out += _segment(b"ZISRAWSUBBLOCK", head.ljust(256, b"\0") + tags + block["data"])
        positions.append(position)
        entries.append(entry)
    metadata = len(out)
    text = xml.encode()
    out += _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(text), 0).ljust(256, b"\0") + text)
    directory = len(out)
    head = struct.pack("<i", len(entries)).ljust(128, b"\0")
    out += _segment(b"ZISRAWDIRECTORY", head + b"".join(entries))
    content = (
        struct.pack("<iiii", 1, 0, 0, 0)
        + bytes(32)
        + struct.pack("<iqqiq", 0, directory, metadata, 0, 0)
    )
    return _segment(b"ZISRAWFILE", content.ljust(512, b"\0")) + out[544:]


def zstd1(image: npt.NDArray[Any]) -> bytes:
    """Return the pixels of a 16-bit plane as ZEN packs them: high and low bytes apart, zstd."""
    import imagecodecs

    halves = image.reshape(-1).view(np.uint8).reshape(-1, 2).T
    return b"\x03\x01\x01" + bytes(imagecodecs.zstd_encode(np.ascontiguousarray(halves).tobytes()))


def lif(series: Sequence[Mapping[str, Any]], version: int = 2) -> bytes:
    """Return a LIF file.

    Parameters
    ----------
    series
        Each with `name` (with / for levels), `data` (array), `dims` (letters of all axes of `data`,
        such as TCZYX or YXS), `lengths` (letter -> extent in m or s), `channels` (attributes of each),
        `extra` (XML within Image).
    """
    elements = []
    blocks = b""
    for i, given in enumerate(series):
        data: npt.NDArray[Any] = given["data"]
        dims: str = given["dims"]
        step = dict(zip(dims, data.strides, strict=True))
        n = dict(zip(dims, data.shape, strict=True))
        channel_axis = "S" if "S" in n else "C"
        channels = "".join(
            f'<ChannelDescription DataType="{int(data.dtype.kind == "f")}" '
            f'ChannelTag="{c + 1 if channel_axis == "S" else 0}" Resolution="{8 * data.itemsize}" '
            'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" IsLUTInverted="0" BitInc="0" '
            f'LUTName="{given.get("luts", ("Gray",) * 9)[c]}" BytesInc="{c * step.get(channel_axis, 0)}">'
            f"{given.get('properties', ('',) * 9)[c]}</ChannelDescription>"
            for c in range(n.get(channel_axis, 1))
        )
        ids = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5, "M": 10, "L": 11}
        dimensions = "".join(
            f'<DimensionDescription DimID="{ids[d]}" NumberOfElements="{n[d]}" Origin="0" '
            f'Length="{given.get("lengths", {}).get(d, 0)!r}" Unit="{"s" if d == "T" else "m"}" '
            f'BitInc="0" BytesInc="{step[d]}"/>'
            for d in reversed(dims)
            if d in ids
        )
        *folders, name = given["name"].split("/")
        element = (
            f'<Element Name="{name}" UniqueID="u{i}"><Data><Image><ImageDescription>'
            f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
            f"{given.get('extra', '')}</Image></Data>"
            f'<Memory Size="{data.nbytes}" MemoryBlockID="MemBlock_{i}"/><Children/></Element>'
        )
        for folder in reversed(folders):
            element = (
                f'<Element Name="{folder}"><Data/><Memory Size="0" MemoryBlockID=""/>'
                f"<Children>{element}</Children></Element>"
            )
        elements.append(element)
        identity = f"MemBlock_{i}".encode("utf-16-le")
        blocks += struct.pack(
            "<IIBQBI" if version == 2 else "<IIBIBI", 0x70, len(identity) + 14, 0x2A, data.nbytes,
            0x2A, len(identity) // 2,
        ) + identity + data.tobytes()  # fmt: skip
    xml = (
        f'<LMSDataContainerHeader Version="{version}"><Element Name="project"><Data/>'
        f'<Memory Size="0" MemoryBlockID="MemBlock_x"/><Children>{"".join(elements)}</Children>'
        "</Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    return struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + blocks


_CLX = {bool: (1, "<B"), int: (3, "<I"), float: (6, "<d")}


def _clx(value: Mapping[str, Any]) -> bytes:
    """Return a mapping as Nikon's tagged binary tree."""
    out = b""
    for name, item in value.items():
        tag = f"{name}\0".encode("utf-16-le")
        if isinstance(item, Mapping):
            inner = _clx(item)
            head = 2 + len(tag) + 12
            out += struct.pack("<BB", 11, len(name) + 1) + tag
            out += struct.pack("<IQ", len(item), head + len(inner)) + inner + bytes(8 * len(item))
        elif isinstance(item, str):
            out += struct.pack("<BB", 8, len(name) + 1) + tag + f"{item}\0".encode("utf-16-le")
        elif isinstance(item, bytes):
            out += struct.pack("<BB", 9, len(name) + 1) + tag + struct.pack("<Q", len(item)) + item
        else:
            kind, form = _CLX[type(item)]
            out += struct.pack("<BB", kind, len(name) + 1) + tag + struct.pack(form, item)
    return out


def _loop(kind: int, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"eType": kind, "uLoopPars": parameters, **more}


def _nd2_metadata(
    names: Sequence[str], samples: int, orientation: tuple[int, int]
) -> dict[str, Any]:
    spectrum = {
        "pPoint": {"Point0": {"dTValue": 1.0, "dWavelength": 520.0, "eType": 0}},
        "uiCount": 1,
    }
    plane = {
        f"a{c}": {
            "sDescription": name, "uiColor": 0x0000FF << (8 * c), "uiCompCount": samples,
            "uiSampleIndex": 0, "uiModalityMask": 1,
            "pFluorescentProbe": {"m_ExcitationSpectrum": spectrum, "m_EmissionSpectrum": spectrum},
        }
        for c, name in enumerate(names)
    }  # fmt: skip
    setting = {"pDeviceSetting": {"m_iXYUse0": 1, "m_iXOrientation0": 1, "m_iYOrientation0": 1}}
    return {
        "dTimeMSec": 0.0, "dTimeAbsolute": 2459000.5, "dXPos": 11.0, "dYPos": 22.0, "dZPos": 3.0,
        "bCalibrated": True, "dCalibration": 0.5, "dObjectiveMag": 20.0, "wsObjectiveName": "Plan 20x",
        "dStgLgCT11": float(orientation[0]), "dStgLgCT12": 0.0, "dStgLgCT21": 0.0,
        "dStgLgCT22": float(orientation[1]),
        "sPicturePlanes": {"uiCount": len(plane), "sPlaneNew": plane, "sSampleSetting": {"a0": setting}},
    }  # fmt: skip


def _nd2_experiment(
    counts: tuple[int, int, int],
    positions: Sequence[tuple[str, float, float]],
    period_ms: float,
    z_step_um: float,
) -> dict[str, Any]:
    n_t, n_p, n_z = counts
    loops = []
    if n_t > 1:
        loops.append(
            _loop(1, {"uiCount": n_t, "dStart": 0.0, "dPeriod": period_ms, "dDuration": 0.0})
        )
    if positions:
        points = {
            f"p{i:03}": {"dPosX": float(x), "dPosY": float(y), "dPosZ": 0.0, "dPosName": name}
            for i, (name, x, y) in enumerate(positions)
        }
        loops.append(_loop(2, {"uiCount": n_p, "Points": points}, pItemValid=b"\1" * n_p))
    if n_z > 1:
        loops.append(_loop(4, {"uiCount": n_z, "dZStep": z_step_um, "dZLow": 0.0, "dZHigh": 1.0}))
    experiment: dict[str, Any] = {}
    for loop in reversed(loops):
        experiment = {**loop, "ppNextLevelEx": {"": experiment}} if experiment else loop
    return experiment


def nd2(
    frames: npt.NDArray[Any],
    *,
    names: Sequence[str],
    positions: Sequence[tuple[str, float, float]] = (),
    period_ms: float = 0.0,
    z_step_um: float = 0.0,
    color: bool = False,
    n_frames: int | None = None,
    orientation: tuple[int, int] = (-1, 1),
) -> bytes:
    """Return an ND2 file (version 3.0).

    Parameters
    ----------
    frames
        (t, p, z, c, y, x), or (t, p, z, y, x, 3) as red, green, blue if `color`.
    positions
        Name, x and y in µm of each position.
    n_frames
        How many frames were taken before the acquisition was ended; None: all.
    orientation
        Signs of stage x and y along the image's x and y.
    """
    n_t, n_p, n_z = frames.shape[:3]
    height, width = frames.shape[3:5] if color else frames.shape[4:6]
    n_c, samples = (1, 3) if color else (frames.shape[3], 1)
    stacked = frames[..., ::-1] if color else np.moveaxis(frames, 3, -1)
    planes = stacked.reshape(-1, height, width, n_c * samples)
    taken = len(planes) if n_frames is None else n_frames
    metadata = _nd2_metadata(names, samples, orientation)
    attributes = {
        "uiWidth": width, "uiWidthBytes": width * n_c * samples * frames.itemsize, "uiHeight": height,
        "uiComp": n_c * samples, "uiBpcInMemory": 8 * frames.itemsize,
        "uiBpcSignificant": 8 * frames.itemsize, "uiSequenceCount": taken,
    }  # fmt: skip
    experiment = _nd2_experiment((n_t, n_p, n_z), positions, period_ms, z_step_um)
    times = np.arange(taken, dtype="<f8") * 100
    chunks = [
        (b"ImageAttributesLV!", _clx({"SLxImageAttributes": attributes})),
        (b"ImageMetadataSeqLV|0!", _clx({"SLxPictureMetadata": metadata})),
        (b"ImageTextInfoLV!", _clx({"SLxImageTextInfo": {"TextInfoItem_5": "made by a test"}})),
        (b"CustomData|AcqTimesCache!", times.tobytes()),
    ]
    if experiment:
        chunks.append((b"ImageMetadataLV!", _clx({"SLxExperiment": experiment})))
    frames_ = [
        (f"ImageDataSeq|{i}!".encode(), bytes(8) + p.tobytes())
        for i, p in enumerate(planes[:taken])
    ]
    return _nd2_file([*chunks, *frames_])


def _nd2_file(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    magic = 0x0ABECEDA
    out = struct.pack("<IIQ32s64s", magic, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0")
    table = b""
    for name, data in chunks:
        table += name + struct.pack("<QQ", len(out), len(data))
        # Names are padded so that pixels start 4096 bytes behind the start of their chunk.
        out += struct.pack("<IIQ", magic, 4072, len(data)) + name.ljust(4072, b"\0") + data
    start = len(out)
    table += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", start)
    name = b"ND2 FILEMAP SIGNATURE NAME 0001!"
    return out + struct.pack("<IIQ", magic, len(name), len(table)) + name + table
