"""What an image file says of itself: the images in it, their planes, and where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy.typing as npt

from gpu_workers.formats.survey import ChannelFacts

MAX_PLANE_PIXELS: Final = 2**28
MAX_PAGES: Final = 1_000_000
DTYPES: Final = ("uint8", "uint16", "float32")


@dataclass(frozen=True, slots=True)
class PlaneContent:
    """One plane of an image whose planes don't follow a regular order, or have facts of their own.

    Attributes
    ----------
    t, c, z
        Counted from 0 within the image.
    page
        Number by which `OpenFile.read` finds the plane.
    file
        Path below the acquisition's folder where it isn't in this file (a master file may describe
        planes of other files); None: this file.
    time_s
        Seconds since the start of the acquisition.
    """

    t: int
    c: int
    z: int
    page: int
    file: str | None = None
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    z_um: float | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class ImageContent:
    """One image within a file: a series, scene, position, mosaic tile, or region of a slide.

    Attributes
    ----------
    height, width
        Size of a plane, px.
    dtype
        Type of the pixels; one that isn't in `DTYPES` is refused with the file's name.
    samples
        1 for grey, 3 for red, green and blue of one page.
    n_t, n_c, n_z
        How many time points, channels (without the samples) and z planes.
    first_page, t_stride, c_stride, z_stride
        Page of plane (t, c, z) = first_page + t * t_stride + c * c_stride + z * z_stride; not used
        where `planes` lists them.
    planes
        All planes there are, where they are irregular, incomplete or have positions of their own.
    well, site
        Where the file says that the image belongs; None: its name or the vendor's metadata say it.
    name
        The file's own name of the image.
    plate
        The plate's name, if the file says it.
    stage_y_um, stage_x_um, z_um
        Position of the stage in the vendor's axes, as `SourcePlane`; `y_sign` as in `VendorFacts`.
    y_px, x_px
        Upper left corner in px, where the file places its images on one canvas (mosaic tiles,
        regions of a slide); relative to each other within one well.
    channels
        One for each c, where the file describes them.
    role, method
        "projection" and how, where the file says so.
    acquired_at
        ISO 8601 date and time, where the file says it.
    """

    height: int
    width: int
    dtype: str
    samples: int = 1
    n_t: int = 1
    n_c: int = 1
    n_z: int = 1
    first_page: int = 0
    t_stride: int = 0
    c_stride: int = 0
    z_stride: int = 1
    planes: tuple[PlaneContent, ...] = ()
    well: str | None = None
    site: str | None = None
    name: str | None = None
    plate: str | None = None
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    z_um: float | None = None
    y_sign: int = 1
    y_px: int | None = None
    x_px: int | None = None
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    t_step_s: float | None = None
    channels: tuple[ChannelFacts, ...] = ()
    objective: str | None = None
    magnification: float | None = None
    role: str | None = None
    method: str | None = None
    acquired_at: str | None = None
    brightfield: bool = False

    def each_plane(self) -> Iterator[PlaneContent]:
        """Yield all planes, from `planes` or from the strides."""
        if self.planes:
            yield from self.planes
            return
        for t in range(self.n_t):
            for c in range(self.n_c):
                for z in range(self.n_z):
                    page = self.first_page + t * self.t_stride + c * self.c_stride
                    yield PlaneContent(t, c, z, page + z * self.z_stride)


class OpenFile(Protocol):
    """An image file that is open; made by a file type of `gpu_workers.formats.files`."""

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the images in the file from its metadata alone; FileError if it is damaged."""
        ...

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return one plane (y, x) in its own type; FileError where it is missing or damaged."""
        ...

    def close(self) -> None:
        """Let the file go."""
        ...
