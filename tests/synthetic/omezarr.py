"""OME-Zarr hierarchies as other people's software writes them: made with ngio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

AXES = ("t", "c", "z", "y", "x")


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
