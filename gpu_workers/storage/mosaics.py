"""The mosaic's manifest; entry point: `load_mosaic`.

A mosaic of a plate is an OME-Zarr 0.5 image at ``mosaics/<key>/<plate.slug>.zarr`` (see
`gpu_workers.storage.pyramid`); ``mosaics/<key>/mosaic.json`` describes those of all plates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from gpu_workers.messages import Json, Message
from gpu_workers.storage import paths

N_BINS = 256


class Histogram(Message):
    """Pixels per bin; the bins divide [low, high] evenly, the last one also holds what is above."""

    low: float
    high: float
    counts: tuple[int, ...]


class MosaicChannel(Message):
    """A channel of the mosaic; all values in the original's units: ``stored * scale + offset``."""

    index: int
    name: str
    color: str
    dtype: str = Field(description="of the original pixels; the mosaic's are uint16")
    scale: float = 1.0
    offset: float = 0.0
    min: float
    max: float
    window: tuple[float, float] = Field(description="percentiles 1 and 99.9 of real pixels")
    histogram: Histogram
    corrected: bool = False
    correction: str | None = Field(None, description="how its illumination was corrected")
    brightfield: bool = Field(False, description="where no site lies, it is white")
    n_not_finite: int = Field(0, description="NaN and infinite pixels, stored as the minimum")


class PlateMosaic(Message):
    """The image of one plate."""

    id: str
    name: str
    path: str
    shape: tuple[int, int, int, int, int]
    levels: tuple[Json, ...]
    tile: int
    shard: int
    bytes: int


class MosaicManifest(Message):
    """``mosaic.json``."""

    version: Literal[1] = 1
    key: str
    layout: str
    projection: str | None
    corrected: bool
    illumination: str | None = Field(
        None, description="statistics of the correction: their manifest"
    )
    alignment: str | None = Field(
        None, description="key of the alignment, if its pixels are aligned"
    )
    pixel_size_um: float | None
    n_tpoints: int
    n_zplanes: int
    channels: tuple[MosaicChannel, ...]
    plates: tuple[PlateMosaic, ...]


UNITS = "units.parquet"


def manifest_path(key: str) -> str:
    """Path of the manifest below the experiment's folder."""
    return f"{paths.mosaic_folder(key)}/mosaic.json"


def image_path(key: str, slug: str) -> str:
    """Path of a plate's image below the experiment's folder."""
    return f"{paths.mosaic_folder(key)}/{slug}.zarr"


def part_path(key: str, part: str) -> str:
    """Path of what one run job left for the later ones, below the experiment's folder."""
    return f"{paths.mosaic_folder(key)}/parts/{part}"


def units_path(key: str) -> str:
    """Path of the table of what a mosaic consists of, for later ones to take over."""
    return f"{paths.mosaic_folder(key)}/{UNITS}"


def regions_path(key: str) -> str:
    """Path of the same table for the images of plates, wells and sites."""
    return f"{paths.mosaic_folder(key)}/regions.parquet"


def load_mosaic(root: Path, manifest: str) -> MosaicManifest:
    """Read a manifest named by ``inputs["mosaic"]``."""
    return MosaicManifest.model_validate_json((root / manifest).read_bytes())
