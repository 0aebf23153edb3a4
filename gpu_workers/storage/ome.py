"""OME-Zarr 0.5 metadata as plain JSON: arrays, groups, plates, wells, multiscale images, labels.

Only dictionaries are made here (and written by `write_group`, `write_array`); pixels are written by
`gpu_workers.storage.shards`. Validity is checked in the tests with ome-zarr-models and zarr-python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpu_workers.messages import Json
from gpu_workers.storage import paths
from gpu_workers.storage.layout import ChannelLayout, PlateLayout, WellLayout
from gpu_workers.storage.shards import CHUNK

VERSION = "0.5"
AXES = ("t", "c", "z", "y", "x")


class Window(NamedTuple):
    """Least and largest possible value of a channel, and those to be shown black and brightest."""

    min: float
    max: float
    start: float
    end: float


def codecs(itemsize: int, *, clevel: int = 1, chunk: int = CHUNK) -> list[Json]:
    """Return the codec chain of our arrays: shards of blosc-zstd chunks, index last."""
    little: Json = {"name": "bytes", "configuration": {"endian": "little"}}
    blosc: Json = {
        "name": "blosc",
        "configuration": {
            "typesize": itemsize,
            "cname": "zstd",
            "clevel": clevel,
            "shuffle": "bitshuffle",
            "blocksize": 0,
        },
    }
    return [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [1, 1, 1, chunk, chunk],
                "codecs": [little, blosc],
                "index_codecs": [little, {"name": "crc32c"}],
                "index_location": "end",
            },
        }
    ]


def array_metadata(
    shape: Sequence[int],
    dtype: str,
    *,
    shard: tuple[int, int],
    clevel: int = 1,
    chunk: int = CHUNK,
    fill: int = 0,
    attributes: Json | None = None,
) -> Json:
    """Return ``zarr.json`` of a (t, c, z, y, x) array whose shards are those of `encode_shard`.

    Parameters
    ----------
    shard
        Height and width of a shard, px, multiples of `chunk`.
    """
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [int(n) for n in shape],
        "data_type": dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [1, 1, 1, int(shard[0]), int(shard[1])]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs(np.dtype(dtype).itemsize, clevel=clevel, chunk=chunk),
        "attributes": attributes or {},
        "dimension_names": list(AXES),
    }


def shard_path(array: Path, t: int, c: int, z: int, row: int = 0, column: int = 0) -> Path:
    """Return the file of the shard at these shard coordinates."""
    # In one piece: millions of these are made.
    return array / f"c/{t}/{c}/{z}/{row}/{column}"


def group_metadata(ome: Json | None = None, attributes: Json | None = None) -> Json:
    """Return ``zarr.json`` of a group; `ome` becomes its OME attributes."""
    own: Json = {"ome": {"version": VERSION, **ome}} if ome is not None else {}
    return {"zarr_format": 3, "node_type": "group", "attributes": {**own, **(attributes or {})}}


def write_group(folder: Path, ome: Json | None = None, attributes: Json | None = None) -> None:
    """Write a group's ``zarr.json`` atomically."""
    paths.write_json(folder / "zarr.json", group_metadata(ome, attributes))


def write_array(folder: Path, metadata: Json) -> None:
    """Write an array's ``zarr.json`` atomically."""
    paths.write_json(folder / "zarr.json", metadata)


def axes(*, micrometer: bool, second: bool = False) -> list[Json]:
    """Return the five axes; lengths and times carry a unit only where they are known."""
    unit: Json = {"unit": "micrometer"} if micrometer else {}
    return [
        {"name": "t", "type": "time", **({"unit": "second"} if second else {})},
        {"name": "c", "type": "channel"},
        *({"name": name, "type": "space", **unit} for name in "zyx"),
    ]


def multiscales(
    name: str,
    *,
    pixel_size_um: float | None,
    z_step_um: float | None = None,
    n_levels: int = 1,
    sampled: bool = False,
    t_step_s: float | None = None,
    corner_um: tuple[float, float] | None = None,
) -> list[Json]:
    """Return the ``multiscales`` attribute of an image with levels "0", "1", …, each half the last.

    A pixel of level L is the mean of 2^L x 2^L pixels, so its centre lies (2^L - 1)/2 px further;
    with `sampled` (labels) it is the top left one of them, which lies where it lay. `corner_um` is
    where the centre of the top left pixel of level 0 lies, (y, x).
    """
    xy, z, t = pixel_size_um or 1.0, z_step_um or 1.0, t_step_s or 1.0
    y0, x0 = corner_um or (0.0, 0.0)
    datasets: list[Json] = []
    for level in range(n_levels):
        factor = 2**level
        transformations: list[Json] = [
            {"type": "scale", "scale": [t, 1.0, z, xy * factor, xy * factor]}
        ]
        shift = 0.0 if sampled else xy * (factor - 1) / 2
        if shift or corner_um is not None:
            place = [0.0, 0.0, 0.0, y0 + shift, x0 + shift]
            transformations.append({"type": "translation", "translation": place})
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    known = axes(micrometer=pixel_size_um is not None, second=t_step_s is not None)
    return [{"name": name, "axes": known, "datasets": datasets}]


def omero(
    channels: Iterable[ChannelLayout],
    windows: Sequence[Window | tuple[float, float] | None] = (),
) -> Json:
    """Return the ``omero`` attribute: name, colour and display window of each channel.

    Parameters
    ----------
    windows
        By channel, whole or only start and end; the range of the type where there is none.
    """
    entries: list[Json] = []
    for channel in channels:
        dtype = np.dtype(channel.dtype)
        top = float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0
        found = windows[channel.index] if channel.index < len(windows) else None
        if not isinstance(found, Window):
            found = Window(0.0, top, *(found or (0.0, top)))
        entries.append(
            {
                "label": channel.name,
                "color": channel.color.lstrip("#").upper(),
                "active": True,
                "window": {name: float(value) for name, value in found._asdict().items()},
            }
        )
    return {"channels": entries}


def row_name(row: int) -> str:
    """Return the letters of a row counted from 0: A to Z, then AA, AB."""
    letters = chr(ord("A") + row % 26)
    return letters if row < 26 else row_name(row // 26 - 1) + letters


def well_path(well: WellLayout) -> str:
    """Return a well's path in its plate: row letters / column from 1."""
    return f"{row_name(well.row)}/{well.column + 1}"


def plate_metadata(
    plate: PlateLayout, acquisitions: Sequence[tuple[int, str, int]], field_count: int
) -> Json:
    """Return the ``plate`` attribute.

    Parameters
    ----------
    acquisitions
        Index, name and most images in a well of each acquisition of the plate.
    """
    rows = sorted({w.row for w in plate.wells})
    columns = sorted({w.column for w in plate.wells})
    return {
        "plate": {
            "version": VERSION,
            "name": plate.name,
            "field_count": max(field_count, 1),
            "rows": [{"name": row_name(r)} for r in rows],
            "columns": [{"name": str(c + 1)} for c in columns],
            "wells": [
                {
                    "path": well_path(w),
                    "rowIndex": rows.index(w.row),
                    "columnIndex": columns.index(w.column),
                }
                for w in plate.wells
            ],
            "acquisitions": [
                {"id": number, "name": name, "maximumfieldcount": max(most, 1)}
                for number, name, most in acquisitions
            ],
        }
    }


def well_metadata(images: Sequence[tuple[str, int]]) -> Json:
    """Return the ``well`` attribute of a well's images (path, index of the acquisition)."""
    return {
        "well": {"version": VERSION, "images": [{"path": p, "acquisition": a} for p, a in images]}
    }


def label_metadata(*, source: str = "../../") -> Json:
    """Return the ``image-label`` attribute; `source` is the relative path of the labelled image."""
    return {"image-label": {"source": {"image": source}}}


def attributes_of(folder: Path) -> dict[str, Any]:
    """Return the OME attributes of a group."""
    attributes: dict[str, Any] = paths.read_json(folder / "zarr.json")["attributes"]["ome"]
    return attributes
