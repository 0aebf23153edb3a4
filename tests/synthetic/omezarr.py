"""OME-Zarr hierarchies as other people's software writes them (made with ngio), and what we read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import read_contents, read_plane
from gpu_workers.formats.listing import scan
from gpu_workers.formats.omezarr import OmeZarrReader
from gpu_workers.formats.survey import Survey

AXES = ("t", "c", "z", "y", "x")
FIELDS = [("B", 3, "0", None), ("B", 3, "1", None), ("C", 11, "0", None)]


def pixels(seed: int, shape: Sequence[int], dtype: str = "uint16") -> np.ndarray[Any, Any]:
    """Return random pixels."""
    return np.random.default_rng(seed).integers(0, 250, tuple(shape)).astype(dtype)


def write_image(store: Path | str | Any, array: np.ndarray[Any, Any], axes: str, **how: Any) -> Any:
    """Write one multiscale image and return ngio's container of it."""
    import ngio

    options: dict[str, Any] = {
        "pixelsize": 0.325, "z_spacing": 1.5, "time_spacing": 60.0, "axes_names": tuple(axes),
        "levels": 1, "overwrite": True, "ngff_version": "0.5",
    }  # fmt: skip
    if "c" in axes:
        options["channels_meta"] = [f"C{n}" for n in range(array.shape[axes.index("c")])]
    return ngio.create_ome_zarr_from_array(store, array, **(options | how))


def write_plate(
    store: Path,
    images: Sequence[tuple[str, int, str, int | None]],
    version: Any = "0.5",
    shape: Sequence[int] = (1, 2, 1, 24, 32),
    **how: Any,
) -> dict[str, np.ndarray[Any, Any]]:
    """Write a plate of images (row, column, path, acquisition); return the pixels by path."""
    import ngio

    places = [
        ngio.ImageInWellPath(
            row=row, column=column, path=path, acquisition_id=acquisition,
            acquisition_name=None if acquisition is None else f"acquisition {acquisition}",
        )
        for row, column, path, acquisition in images
    ]  # fmt: skip
    plate = ngio.create_empty_plate(store, "a plate", images=places, ngff_version=version)
    found = {}
    for seed, place in enumerate(plate.images_paths(max_workers=1)):
        found[place] = pixels(seed, shape)
        write_image(store / place, found[place], "tczyx", ngff_version=version, **how)
    return found


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit(file: Path, **changes: Any) -> None:
    """Change the attributes of a group of version 0.4."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def survey(folder: Path) -> Survey:
    return OmeZarrReader().survey(scan(folder))


def one(folder: Path, file: str = "a.zarr") -> ImageContent:
    (content,) = read_contents(folder, file)
    return content


def whole(folder: Path, content: ImageContent, file: str = "a.zarr") -> np.ndarray[Any, Any]:
    planes = [read_plane(folder, file, p.page) for p in content.each_plane()]
    size = content.n_t, content.n_c, content.n_z, content.height, content.width
    return np.asarray(planes).reshape(size)
