"""Channels that pipelines make of others; entry points: `SiteImages`, `DerivedManifest`, `Derived`.

Below ``derived/<key>/``: ``<plate>.zarr/<row>/<column>/<number>`` is the OME-Zarr image (t, c, z, y, x)
of one site, float32, as a pipeline made it (whole numbers up to 2^24 and all single-precision numbers
are kept exactly); ``mosaics/<plate.slug>.zarr`` what the map shows of it, as mosaics have it;
``derived.json`` (written last) is a ``mosaic.json`` with more. A missing image is a missing file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json, Message
from gpu_workers.storage import ome, paths
from gpu_workers.storage.layout import Layout, PlateLayout, SiteLayout
from gpu_workers.storage.mosaics import MosaicManifest
from gpu_workers.storage.plates import site_path
from gpu_workers.storage.shards import decode_shard, encode_shard, padded


class DerivedPlate(Message):
    """Where the images of a plate's sites lie; `path` is below the experiment's folder."""

    id: str
    path: str


class DerivedManifest(MosaicManifest):
    """``derived.json``; `channels` are in the order of the c axis.

    Attributes
    ----------
    images
        The images of the sites, for pipelines to use.
    pipeline, modules, code, given
        As in `gpu_workers.storage.objects.ObjectsManifest`.
    """

    images: tuple[DerivedPlate, ...]
    pipeline: Json = {}
    modules: dict[str, int] = {}
    code: str = ""
    given: dict[str, str] = {}


def manifest_path(key: str) -> str:
    """Path of the manifest below the experiment's folder."""
    return f"{paths.derived_folder(key)}/derived.json"


def load_derived(root: Path, path: str) -> DerivedManifest:
    """Read a manifest named by ``inputs["derived/<channel>"]``."""
    return DerivedManifest.model_validate_json((root / path).read_bytes())


def images_path(key: str, plate: PlateLayout) -> str:
    """Path of the images of a plate's sites, below the experiment's folder."""
    return f"{paths.derived_folder(key)}/{paths.slug('plate', plate.id)}.zarr"


def mosaic_path(key: str, plate: PlateLayout) -> str:
    """Path of what the map shows of a plate, below the experiment's folder."""
    return f"{paths.derived_folder(key)}/mosaics/{plate.slug}.zarr"


def part_path(key: str, plate: PlateLayout, part: str) -> str:
    """Path of what one run job left for the later ones, below the experiment's folder."""
    return f"{paths.derived_folder(key)}/parts/{plate.slug}/{part}"


def _place(plate: PlateLayout, site: SiteLayout) -> str:
    return site_path(site, next(w for w in plate.wells if w.name == site.well))


@dataclass(frozen=True, slots=True)
class SiteImages:
    """The derived images of a plate's sites; `folder` is the plate's."""

    folder: Path
    plate: PlateLayout

    def write(self, site: SiteLayout, place: tuple[int, int, int], image: NDArray[Any]) -> None:
        """Write the image (height, width) at (t, c, z) of a site."""
        data = encode_shard(image.astype(np.float32))
        assert data is not None
        paths.write_atomically(self._stored(site, place), data)

    def read(self, site: SiteLayout, place: tuple[int, int, int]) -> NDArray[np.float32] | None:
        """Return the image at (t, c, z) of a site, None if it is missing; raises BadShard."""
        try:
            data = self._stored(site, place).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        image: NDArray[np.float32] = decode_shard(data, (site.height, site.width), "float32")
        return image

    def write_metadata(
        self,
        site: SiteLayout,
        shape: tuple[int, int, int],
        pixel_size_um: float | None,
        z_step_um: float | None,
    ) -> None:
        """Make a site's image of `shape` (t, c, z) known: group and array metadata."""
        folder = self.folder / _place(self.plate, site)
        side = (padded(site.height), padded(site.width))
        whole = (*shape, site.height, site.width)
        ome.write_array(folder / "0", ome.array_metadata(whole, "float32", shard=side))
        scales = ome.multiscales(site.name, pixel_size_um=pixel_size_um, z_step_um=z_step_um)
        ome.write_group(folder, {"multiscales": scales})

    def _stored(self, site: SiteLayout, place: tuple[int, int, int]) -> Path:
        return ome.shard_path(self.folder / _place(self.plate, site) / "0", *place)


def site_images(root: Path, key: str, plate: PlateLayout) -> SiteImages:
    """Return the images that are being made of a plate's sites."""
    return SiteImages(root / images_path(key, plate), plate)


@dataclass(frozen=True, slots=True)
class Derived:
    """Reader of the derived images of one version."""

    root: Path
    manifest: DerivedManifest
    layout: Layout

    @classmethod
    def open(cls, root: Path, path: str, layout: Layout) -> Derived:
        """Return a reader of the version at a manifest's path; `layout` says which sites are meant."""
        return cls(root, load_derived(root, path), layout)

    def read(
        self, plate_id: str, site_index: int, t: int, z: int, name: str
    ) -> NDArray[np.float32] | None:
        """Return the image (height, width) of one plane, None if it is missing.

        An image with a single plane along z stands for all of them. Raises BadShard.
        """
        plate = self.layout.plate(plate_id)
        folder = next((p.path for p in self.manifest.images if p.id == plate.id), None)
        number = [c.name for c in self.manifest.channels].index(name)
        if folder is None or t >= self.manifest.n_tpoints:
            return None
        own = 0 if self.manifest.n_zplanes == 1 else z
        images = SiteImages(self.root / folder, plate)
        return images.read(plate.sites[site_index], (t, number, own))
