"""Images of OME-Zarr hierarchies: a group with a multiscale image is one file.

The finest level alone is read. A plane of more than `MAX_REGION_PIXELS` comes as several images, the
regions of a grid; labels of well images shouldn't be cut, so that the limit lies above such images.
Page of plane (t, c, z) = ((region * T + t) * C + c) * Z + z, regions by rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import DTYPES, MAX_PAGES, ImageContent
from gpu_workers.formats.listing import shown
from gpu_workers.formats.ngff import groups, multiscales
from gpu_workers.formats.ngff.arrays import ZarrArray, open_array
from gpu_workers.formats.ngff.multiscales import Multiscale

MAX_REGION_PIXELS: Final = 2**26
REGION_SIDE: Final = 4096
MAX_SIDE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """What a page is: a rectangle of a plane, px."""

    t: int
    c: int
    z: int
    y: int
    x: int
    height: int
    width: int


class ZarrFile:
    """An image group of an OME-Zarr hierarchy of version 0.4 or 0.5."""

    suffixes: ClassVar = (".zarr",)

    def __init__(self, folder: Path, file: str):
        self.folder, self.file = folder, file
        self.attributes = groups.attributes(folder, file)
        if not multiscales.is_image(self.attributes):
            name = shown(file)
            raise FileError(
                f"{name} is no image of an OME-Zarr hierarchy", code="not_an_image", files=(name,)
            )
        self.scale: Multiscale = multiscales.describe(file, self.attributes)
        self.array: ZarrArray = open_array(folder, self.scale.path)
        if len(self.array.shape) != len(self.scale.axes):
            raise groups.bad(file, f"{len(self.scale.axes)} axes, shape {self.array.shape}")
        t, c, z, height, width = (self.scale.size(self.array.shape, a) for a in multiscales.AXES)
        self.size = (t, c, z)
        self.height, self.width = height, width
        if (
            max(height, width) > MAX_SIDE
            or t * c * z > MAX_PAGES
            or min(t, c, z, height, width) < 1
        ):
            name = shown(file)
            raise FileError(
                f"{name} claims {t * c * z} planes of {height} x {width} px",
                code="too_large", files=(name,),
            )  # fmt: skip
        self.grid = _grid(height, width, self._chunk())

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the image, or its regions."""
        t, c, z = self.size
        scale = self.scale
        channels = multiscales.channels_of(self.attributes, c)
        pixel_size, several = scale.pixel_size_um, len(self.grid) > 1
        stage = (None, None) if several else (self._middle("y"), self._middle("x"))
        z_step = scale.scale.get("z") if z > 1 else None
        return tuple(
            ImageContent(
                height=place.height,
                width=place.width,
                dtype=str(self.array.dtype),
                n_t=t,
                n_c=c,
                n_z=z,
                first_page=number * t * c * z,
                t_stride=c * z,
                c_stride=z,
                z_stride=1,
                site=str(number + 1) if several else None,
                name=scale.name,
                stage_y_um=stage[0],
                stage_x_um=stage[1],
                y_px=place.y if several else None,
                x_px=place.x if several else None,
                pixel_size_um=pixel_size,
                z_step_um=z_step,
                t_step_s=scale.scale.get("t") if t > 1 else None,
                channels=channels,
            )
            for number, place in enumerate(self.grid)
        )

    def _middle(self, axis: str) -> float | None:
        """Return where the middle of the image lies, as a stage would say it, µm."""
        step, first = self.scale.scale.get(axis), self.scale.offset.get(axis)
        if step is None or first is None:
            return None
        return first + step * (self.scale.size(self.array.shape, axis) - 1) / 2

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return one plane, or a region of it."""
        place = self.place(page)
        if str(self.array.dtype) not in DTYPES or sample:
            name = shown(self.file)
            raise FileError(
                f"{name} has pixels of type {self.array.dtype}, {', '.join(DTYPES)} can be kept",
                code="unsupported_type", files=(name,),
            )  # fmt: skip
        return plane(self.array, self.scale, place)

    def place(self, page: int) -> Place:
        """Return what a page shows; FileError (`missing_page`) where there is no such page."""
        t, c, z = self.size
        region, rest = divmod(page, t * c * z)
        if not (0 <= region < len(self.grid)):
            name = shown(self.file)
            raise FileError(f"{name} has no page {page}", code="missing_page", files=(name,))
        own = self.grid[region]
        return Place(rest // (c * z), rest // z % c, rest % z, own.y, own.x, own.height, own.width)

    def close(self) -> None:
        """Let the file go; nothing is kept open."""

    def _chunk(self) -> tuple[int, int]:
        y, x = self.scale.axes.index("y"), self.scale.axes.index("x")
        return self.array.chunks[y], self.array.chunks[x]


def plane(array: ZarrArray, scale: Multiscale, place: Place) -> npt.NDArray[Any]:
    """Return a rectangle (y, x) of one plane of an array; axes that it hasn't are left out."""
    low = {"t": place.t, "c": place.c, "z": place.z, "y": place.y, "x": place.x}
    size = {"y": place.height, "x": place.width}
    start = [low[a] for a in scale.axes]
    stop = [low[a] + size.get(a, 1) for a in scale.axes]
    found = array.read(start, stop)
    order = [scale.axes.index(a) for a in multiscales.AXES if a in scale.axes]
    return np.ascontiguousarray(found.transpose(order).reshape(place.height, place.width))


def _grid(height: int, width: int, chunk: tuple[int, int]) -> tuple[Place, ...]:
    """Return the regions of a plane; they begin where chunks do."""
    if height * width <= MAX_REGION_PIXELS:
        return (Place(0, 0, 0, 0, 0, height, width),)
    return tuple(
        Place(0, 0, 0, y0, x0, y1 - y0, x1 - x0)
        for y0, y1 in _spans(height, chunk[0])
        for x0, x1 in _spans(width, chunk[1])
    )


def _spans(length: int, chunk: int) -> Iterator[tuple[int, int]]:
    even = math.ceil(length / math.ceil(length / REGION_SIDE))
    side = math.ceil(even / chunk) * chunk if chunk <= REGION_SIDE else even
    for start in range(0, length, side):
        yield start, min(start + side, length)
