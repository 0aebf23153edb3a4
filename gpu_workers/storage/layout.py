"""The layout: which site lies where, which plane is which. Written by metaconfig, read by all.

Coordinates are full-resolution pixels, y down, (y, x) order. Site and well positions are relative
to their plate's mosaic; `PlateLayout.origin` places the plate in the experiment's world.

A person's corrections (`messages.LayoutCorrections`) change names, wells and places, never pixels.
So there are two layouts in a version's folder, both of class `Layout`:

- ``raw.json`` (`load_raw_layout`) is what metaconfig found. ``planes.parquet`` counts its sites and
  names its wells, and imextract, which writes the pixels, reads these two and nothing else: with other
  corrections its key stays the same.
- ``layout.json`` (`load_layout`) is the same with the corrections: everybody else's. A site's `raw`
  says where imextract put its pixels; `raw_sites` leads from there to the rows of ``planes.parquet``.
  Sites and wells that a person left out stand in ``raw.json`` alone.

Without corrections the two are equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from gpu_workers.messages import FlatField, Message
from gpu_workers.storage import paths

REGION_TYPES = ("Plates", "Wells", "Sites")  # objects that the layout gives; no pipeline makes them
PLANE_TYPES = {
    "plate": "string", "well": "string", "site": "int32", "acquisition": "string", "t": "int32",
    "channel": "int32", "z": "int32", "role": "string", "file": "string", "page": "int32",
    "sample": "int32", "method": "string", "size": "int64", "mtime_ns": "int64", "z_um": "double",
    "time_s": "double",
}  # fmt: skip


class ChannelLayout(Message):
    """One channel of the experiment; `index` is its position on the c axis everywhere."""

    index: int
    name: str
    wavelength_nm: float | None = None
    color: str = Field(description="#rrggbb")
    dtype: Literal["uint8", "uint16", "float32"]
    cycle: int = Field(0, description="round of staining that shows it")
    excitation_nm: float | None = None
    exposure_ms: float | None = None
    brightfield: bool = Field(False, description="light means nothing there: padding is white")
    flatfield: FlatField | None = Field(None, description="the microscope's own profile")


class AcquisitionLayout(Message):
    """How an acquisition's own time points map to the experiment's t axis."""

    id: str
    name: str
    plate: str
    index: int
    tpoint_offset: int = 0
    cycle: int = 0
    n_tpoints: int = 1


class SiteLayout(Message):
    """One field of view. `index` is dense, 0…S-1, within the plate."""

    index: int
    name: str = Field(description="the microscope's own number or name of the field")
    well: str
    y: int
    x: int
    height: int
    width: int
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    stage_y_sign: Literal[1, -1] = Field(
        1, description="-1 where stage_y_um grows upwards in the image"
    )
    raw: str | None = Field(
        None,
        description="path of its images in the plate's Zarr hierarchy without the acquisition: row, column "
        "and number within the well from 0, such as B/3/0 (then images are B/3/0a0, B/3/0a1mip, …). "
        "Neither corrections nor wells that are added change it. None (layouts before version 4 of "
        "metaconfig): row, column and index",
    )


class WellLayout(Message):
    """One well; `name` is a letter row and a two-digit column such as B02.

    `row` and `column` count from 0 on the physical plate, also where empty ones are collapsed.
    """

    name: str
    row: int
    column: int
    y: int
    x: int
    height: int
    width: int


class PlateLayout(Message):
    """One plate and its place in the experiment's world.

    `n_rows` and `n_columns` are the physical plate's. No two wells share a shard: `pitch` is a
    multiple of `shard` on both axes.
    """

    id: str
    name: str
    slug: str
    n_rows: int
    n_columns: int
    origin: tuple[int, int] = (0, 0)
    height: int
    width: int
    pitch: tuple[int, int] = Field(description="y and x distance of neighbouring wells, px")
    shard: int = Field(description="side of a mosaic shard, px; a multiple of 512")
    n_levels: int
    wells: tuple[WellLayout, ...]
    sites: tuple[SiteLayout, ...]


class Layout(Message):
    """The whole table but for the planes, which stand in ``planes.parquet`` beside it.

    ``planes.parquet`` has one row per plane of the source, ordered by plate, site, acquisition, t,
    channel and z; its columns are `PLANE_TYPES`: plate (id), well, site (index in ``raw.json``),
    acquisition (id), t (the acquisition's own, from 0), channel (index), z (from 0), role ("plane" or
    "projection" = made by the vendor, then `method` says how, if known), file (path below the
    acquisition's folder), page (index within the file), sample (colour component within the page),
    size and mtime_ns of the file, z_um and time_s of the plane where known.
    """

    version: Literal[1] = 1
    key: str
    n_tpoints: int
    n_zplanes: int
    n_cycles: int = 1
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    times_s: tuple[float, ...] | None = Field(
        None, description="of each time point, seconds since the first; medians over sites"
    )
    objective: str | None = None
    magnification: float | None = None
    mip: bool = Field(False, description="the maximum projection along z is asked for")
    cropped: bool = Field(
        False,
        description="images may be larger than their sites, whose upper left part is kept of them",
    )
    channels: tuple[ChannelLayout, ...]
    acquisitions: tuple[AcquisitionLayout, ...]
    plates: tuple[PlateLayout, ...]

    def plate(self, identifier: str) -> PlateLayout:
        """Return the plate with that id; KeyError if there is none."""
        for plate in self.plates:
            if plate.id == str(identifier):
                return plate
        raise KeyError(identifier)


def raw_path(row: int, column: int, number: int) -> str:
    """Return where the images of a well's site lie in the plate's Zarr hierarchy; all from 0."""
    letters = chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
    return f"{letters}/{column + 1}/{number}"


def layout_path(key: str) -> str:
    """Path of a layout below the experiment root."""
    return f"{paths.layout_folder(key)}/layout.json"


def raw_layout_path(manifest: str) -> str:
    """Path of the uncorrected layout beside the one named by an ``inputs["layout"]`` path."""
    return f"{manifest.rpartition('/')[0]}/raw.json"


def planes_path(key: str) -> str:
    """Path of a layout's table of planes below the experiment root."""
    return f"{paths.layout_folder(key)}/planes.parquet"


def load_layout(root: Path, manifest: str) -> Layout:
    """Read the layout named by an ``inputs["layout"]`` path."""
    return Layout.model_validate_json((root / manifest).read_bytes())


def load_raw_layout(root: Path, manifest: str) -> Layout:
    """Read the uncorrected layout beside the one named by an ``inputs["layout"]`` path.

    Layouts from before there were corrections have none beside them: they are uncorrected themselves.
    """
    try:
        data = (root / raw_layout_path(manifest)).read_bytes()
    except FileNotFoundError:
        return load_layout(root, manifest)
    return Layout.model_validate_json(data)


def raw_sites(plate: PlateLayout) -> dict[str, int]:
    """Return, of a plate of ``raw.json``, the index of the site whose pixels lie at each `raw` path."""
    return {site.raw: site.index for site in plate.sites if site.raw is not None}
