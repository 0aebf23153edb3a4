"""Label images that people upload; entry points: `write_plane`, `publish`, `Segmentations`.

Below ``segmentations/<key>/``: ``<Type>/<plate>.zarr/<row>/<column>/<number>`` is the OME-Zarr image
(t, 1, z, y, x) of one site's labels, in the form of `gpu_workers.storage.objects.SiteLabels`, and
``segmentations.json`` (written last) lists what there is of all types. Sites are named by where
imextract put their pixels, so corrections of the layout lose no upload. A version never changes: an
upload makes a new one, which links what it takes over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.messages import Message
from gpu_workers.storage import ome, paths
from gpu_workers.storage.layout import REGION_TYPES, Layout, PlateLayout, SiteLayout
from gpu_workers.storage.plates import site_path
from gpu_workers.storage.reuse import take_over
from gpu_workers.storage.shards import decode_shard, encode_shard, padded

TypeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$")]


class UploadedPlane(Message):
    """One uploaded label image; without `z` it stands for all z planes of its site."""

    type: TypeName
    plate: str
    site: int = Field(ge=0, description="index in the current layout")
    t: int = Field(0, ge=0)
    z: int | None = Field(None, ge=0)

    def check_name(self) -> None:
        """Raise UserError where the type's name is one of the layout's regions (`reserved_name`)."""
        if self.type in REGION_TYPES:
            told = f"{self.type!r} is what the layout's regions are called"
            raise UserError(told, code="reserved_name")


class SegmentedImage(Message):
    """The labels of one site; `planes` lists each (t, z) that was uploaded, if only without objects."""

    image: str = Field(description="path in the plate's Zarr hierarchy, such as B/3/0")
    height: int
    width: int
    planes: tuple[tuple[int, int], ...]


class SegmentedPlate(Message):
    """The labelled sites of one plate; `path` is their folder below the experiment's."""

    id: str
    path: str
    images: tuple[SegmentedImage, ...]


class SegmentedType(Message):
    """The uploaded labels of one type.

    Attributes
    ----------
    version
        Key of the upload that changed it last: what is made of it depends on this and no other.
    flat
        Each image has one plane, which stands for all z planes.
    cycle
        Round of staining on whose images the labels lie.
    """

    name: TypeName
    version: str
    flat: bool = True
    cycle: int = 0
    plates: tuple[SegmentedPlate, ...]

    @property
    def n_images(self) -> int:
        """How many planes were uploaded."""
        return sum(len(i.planes) for p in self.plates for i in p.images)


class SegmentationsManifest(Message):
    """``segmentations.json``."""

    version: Literal[1] = 1
    key: str
    types: tuple[SegmentedType, ...]

    def type(self, name: str) -> SegmentedType | None:
        """Return what is known of a type; None if nothing of that name was uploaded."""
        return next((t for t in self.types if t.name == name), None)


def manifest_path(key: str) -> str:
    """Path of the manifest below the experiment's folder."""
    return f"{paths.segmentations_folder(key)}/segmentations.json"


def upload_path(upload: object) -> str:
    """Path below the experiment's folder of a label image that waits to be taken in."""
    return f"segmentations/incoming/{upload}"


def load_segmentations(root: Path, path: str) -> SegmentationsManifest:
    """Read a manifest named by ``inputs["segmentations"]``."""
    return SegmentationsManifest.model_validate_json((root / path).read_bytes())


def _plate_path(key: str, name: str, plate: PlateLayout | str) -> str:
    identifier = plate if isinstance(plate, str) else plate.id
    return f"{paths.segmentations_folder(key)}/{name}/{paths.slug('plate', identifier)}.zarr"


def _image(plate: PlateLayout, site: SiteLayout) -> str:
    return site_path(site, next(w for w in plate.wells if w.name == site.well))


def _stored(image: Path, t: int, z: int) -> Path:
    return ome.shard_path(image / "0", t, 0, z)


def write_plane(
    root: Path, key: str, layout: Layout, plane: UploadedPlane, labels: NDArray[np.integer]
) -> None:
    """Write one uploaded label image; `publish` makes it known.

    Parameters
    ----------
    key
        Of the version that is being made.
    labels : ndarray of int, shape (height, width)
        0 is background; numbers may be missing.

    Raises
    ------
    UserError
        There is no such plate, site or plane (``unknown_site``), the name belongs to the layout's
        regions (``reserved_name``), or the image has another size (``wrong_size``) or numbers that
        are no labels (``invalid_labels``).
    """
    plate, site = _find(layout, plane)
    if labels.shape != (site.height, site.width):
        raise UserError(
            f"the labels of site {site.name} of well {site.well} are {labels.shape} px, its images"
            f" {(site.height, site.width)}",
            code="wrong_size",
        )
    if labels.dtype.kind not in "ui" or (
        labels.size and not 0 <= labels.min() <= labels.max() < 2**32
    ):
        raise UserError(
            "labels must be whole numbers from 0 to 4294967295, 0 for background",
            code="invalid_labels",
        )  # fmt: skip
    path = root / _plate_path(key, plane.type, plate) / _image(plate, site)
    path = _stored(path, plane.t, plane.z or 0)
    if not labels.any():
        path.unlink(missing_ok=True)  # uploaded twice before it was published
        return
    data = encode_shard(labels.astype(np.uint32))
    assert data is not None
    paths.write_atomically(path, data)


def _find(layout: Layout, plane: UploadedPlane) -> tuple[PlateLayout, SiteLayout]:
    plane.check_name()
    plate = next((p for p in layout.plates if p.id == str(plane.plate)), None)
    sites = plate.sites if plate else ()
    site = next((s for s in sites if s.index == plane.site), None)
    inside = plane.t < layout.n_tpoints and (plane.z or 0) < layout.n_zplanes
    if plate is None or site is None or not inside:
        raise UserError(
            f"there is no site {plane.site} with t {plane.t}, z {plane.z or 0} on plate {plane.plate}",
            code="unknown_site",
        )
    return plate, site


def publish(
    root: Path,
    key: str,
    layout: Layout,
    uploaded: Sequence[UploadedPlane],
    base: str | None = None,
    *,
    removed: Iterable[str] = (),
    cycle: int = 0,
) -> str:
    """Make a version of what was written under `key`, and of what was uploaded before.

    Parameters
    ----------
    uploaded
        All that `write_plane` was called for.
    base
        Manifest of the version before; its images stay, but for planes that were uploaded again.
    removed
        Types to leave out.
    cycle
        Round of staining on whose images the labels lie.

    Returns
    -------
    str
        Path of the manifest, product ``segmentations``.

    Raises
    ------
    UserError
        A type has images of single z planes and such of all of them (``mixed_planes``).
    """
    known = {t.name: t for t in load_segmentations(root, base).types} if base else {}
    by_type: dict[str, list[UploadedPlane]] = defaultdict(list)
    for plane in uploaded:
        by_type[plane.type].append(plane)
    gone = set(removed)
    types = {name: found for name, found in known.items() if name not in gone}
    for name, planes in by_type.items():
        types[name] = _joined(root, key, layout, name, planes, types.get(name), cycle)
    manifest = SegmentationsManifest(key=key, types=tuple(types[n] for n in sorted(types)))
    path = manifest_path(key)
    paths.write_json(root / path, manifest.model_dump(mode="json"))
    return path


def _joined(
    root: Path,
    key: str,
    layout: Layout,
    name: str,
    planes: list[UploadedPlane],
    before: SegmentedType | None,
    cycle: int,
) -> SegmentedType:
    """Return a type with what was uploaded now and, where that leaves it, before."""
    kinds = {plane.z is None for plane in planes} | ({before.flat} if before else set())
    if len(kinds) > 1:
        raise UserError(
            f"{name}: some labels are of one z plane and some of all of them: upload the same for all",
            code="mixed_planes",
        )
    images: dict[str, dict[str, SegmentedImage]] = defaultdict(dict)
    for plane in planes:
        plate, site = _find(layout, plane)
        own = images[plate.id]
        path, place = _image(plate, site), (plane.t, plane.z or 0)
        there = own[path].planes if path in own else ()
        own[path] = SegmentedImage(
            image=path, height=site.height, width=site.width, planes=tuple(sorted({*there, place}))
        )
    for earlier in before.plates if before else ():
        folder = root / _plate_path(key, name, earlier.id)
        for image in earlier.images:
            fresh = images[earlier.id].get(image.image)
            missing = set(image.planes) - set(fresh.planes if fresh else ())
            for t, z in missing:
                old = _stored(root / earlier.path / image.image, t, z)
                take_over(old, _stored(folder / image.image, t, z))
            every = tuple(sorted({*image.planes, *(fresh.planes if fresh else ())}))
            images[earlier.id][image.image] = image.model_copy(update={"planes": every})
    plates = tuple(
        SegmentedPlate(
            id=plate,
            path=_plate_path(key, name, plate),
            images=tuple(own[path] for path in sorted(own)),
        )
        for plate, own in sorted(images.items())
    )
    flat = next(iter(kinds))
    for found in plates:
        _describe(root, layout, found, 1 if flat else layout.n_zplanes)
    return SegmentedType(name=name, version=key, flat=flat, cycle=cycle, plates=plates)


def _describe(root: Path, layout: Layout, plate: SegmentedPlate, n_zplanes: int) -> None:
    """Write the metadata of a plate's label images, so that they are OME-Zarr."""
    ome.write_group(root / plate.path)
    for image in plate.images:
        folder = root / plate.path / image.image
        shape = (layout.n_tpoints, 1, n_zplanes, image.height, image.width)
        side = (padded(image.height), padded(image.width))
        ome.write_array(folder / "0", ome.array_metadata(shape, "uint32", shard=side))
        scales = ome.multiscales(
            image.image,
            pixel_size_um=layout.pixel_size_um,
            z_step_um=layout.z_step_um,
            sampled=True,
        )
        ome.write_group(folder, {"multiscales": scales, "image-label": {}})


@dataclass(frozen=True, slots=True)
class Segmentations:
    """Reader of uploaded labels."""

    root: Path
    manifest: SegmentationsManifest
    layout: Layout
    _images: dict[tuple[str, str, str], tuple[Path, frozenset[tuple[int, int]]]] = field(init=False)

    def __post_init__(self) -> None:
        images = {
            (t.name, p.id, i.image): (self.root / p.path / i.image, frozenset(i.planes))
            for t in self.manifest.types
            for p in t.plates
            for i in p.images
        }
        object.__setattr__(self, "_images", images)

    @classmethod
    def open(cls, root: Path, path: str, layout: Layout) -> Segmentations:
        """Return a reader of the version at a manifest's path; `layout` says which sites are meant."""
        return cls(root, load_segmentations(root, path), layout)

    def read(
        self, plate_id: str, site_index: int, t: int, z: int, name: str
    ) -> NDArray[np.uint32] | None:
        """Return the labels (height, width) of one plane; None where nothing was uploaded.

        Raises
        ------
        BadShard
            The stored plane is damaged.
        """
        plate = self.layout.plate(plate_id)
        site = plate.sites[site_index]
        kind = self.manifest.type(name)
        folder, planes = self._images.get(
            (name, plate.id, _image(plate, site)), (None, frozenset())
        )
        place = (t, 0 if kind is not None and kind.flat else z)
        if folder is None or place not in planes:
            return None
        size = site.height, site.width
        try:
            data = _stored(folder, *place).read_bytes()
        except FileNotFoundError:
            return np.zeros(size, np.uint32)
        labels: NDArray[np.uint32] = decode_shard(data, size, "uint32")
        return labels
