"""Label images that came with the pixels; entry points: `write_plane`, `write_groups`, `ImportedLabels`.

They lie where OME-Zarr has them, in ``labels/<name>`` of their image; what tables say of their objects
lies beside the plate, ``plates/<key>/labels/plate-<id>/<row>/<column>/<image>/<name>.parquet``: column
``label``, then one number per feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_workers.storage import ome, paths, tables
from gpu_workers.storage.layout import PlateLayout
from gpu_workers.storage.plates import LabelImage, Plates, plate_path
from gpu_workers.storage.shards import decode_shard, encode_shard, padded

Numbers = npt.NDArray[np.float64]


def label_folder(image: Path, name: str) -> Path:
    """Return the folder of a label image of an image."""
    return image / "labels" / name


def write_plane(image: Path, name: str, t: int, z: int, labels: npt.NDArray[np.uint32]) -> int:
    """Write one plane of a label image and return its bytes; without labels nothing is stored."""
    if not labels.any():
        return 0
    data = encode_shard(labels)
    assert data is not None
    paths.write_atomically(ome.shard_path(label_folder(image, name) / "0", t, 0, z), data)
    return len(data)


def write_array(image: Path, name: str, shape: tuple[int, int, int, int]) -> None:
    """Write the metadata of the array of a label image of `shape` (t, z, y, x)."""
    t, z, height, width = shape
    side = padded(height), padded(width)
    metadata = ome.array_metadata((t, 1, z, height, width), "uint32", shard=side)
    ome.write_array(label_folder(image, name) / "0", metadata)


def write_groups(image: Path, names: Sequence[str]) -> None:
    """Write the metadata of the groups of an image's label images, which lie as the image itself does."""
    (scales,) = ome.attributes_of(image)["multiscales"]
    for name in names:
        own = {"multiscales": [{**scales, "name": name}], **ome.label_metadata()}
        ome.write_group(label_folder(image, name), own)
    ome.write_group(image / "labels", {"labels": list(names)})


def table_path(key: str, plate: PlateLayout, image: str, name: str) -> str:
    """Return the path of what tables say of the objects of a label image."""
    return f"{paths.plates_folder(key)}/labels/{Path(plate_path(key, plate)).stem}/{image}/{name}.parquet"


def write_table(
    path: Path, labels: npt.NDArray[np.uint32], features: Mapping[str, Numbers]
) -> None:
    """Write the features of labels, in any order."""
    types = {"label": "uint32", **dict.fromkeys(features, "double")}
    columns: dict[str, Any] = {"label": labels, **features}
    tables.write_table(path, columns, types)


@dataclass(frozen=True, slots=True)
class ImportedLabels:
    """Reader of the label images that were imported with some plates."""

    plates: Plates
    _known: Mapping[tuple[str, str, str], LabelImage] = field(init=False)

    def __post_init__(self) -> None:
        known = {(i.plate, i.image, i.name): i for i in self.plates.manifest.labels}
        object.__setattr__(self, "_known", known)

    @property
    def features(self) -> dict[str, tuple[str, ...]]:
        """Name of each label image -> features that a table gives to its objects in any image."""
        found: dict[str, dict[str, None]] = {}
        for image in self.plates.manifest.labels:
            found.setdefault(image.name, {}).update(dict.fromkeys(image.features))
        return {name: tuple(names) for name, names in found.items()}

    @property
    def stacked(self) -> tuple[str, ...]:
        """Names of the label images that differ from z plane to z plane."""
        return tuple(sorted({i.name for i in self.plates.manifest.labels if not i.flat}))

    def read(
        self, plate_id: str, site_index: int, t: int, z: int, name: str
    ) -> npt.NDArray[np.uint32] | None:
        """Return the labels (y, x) of one plane; None where the site has no such image.

        Raises
        ------
        BadShard
            The stored plane is damaged.
        """
        found = self._image(plate_id, site_index, t, name)
        if found is None:
            return None
        folder, first, _ = found
        site = self.plates.layout.plate(plate_id).sites[site_index]
        size = site.height, site.width
        path = ome.shard_path(label_folder(folder, name) / "0", t - first, 0, z)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return np.zeros(size, np.uint32)
        labels: npt.NDArray[np.uint32] = decode_shard(data, size, "uint32")
        return labels

    def cycle(self, plate_id: str, site_index: int, t: int, name: str) -> int:
        """Return the round of staining on whose image the labels lie; 0 where there are none."""
        found = self._image(plate_id, site_index, t, name)
        return found[2].cycle if found else 0

    def table(
        self, plate_id: str, site_index: int, t: int, name: str
    ) -> tuple[npt.NDArray[np.uint32], dict[str, Numbers]]:
        """Return the labels that tables know in a site's image, and the features of each."""
        found = self._image(plate_id, site_index, t, name)
        if found is not None:
            plate = self.plates.layout.plate(plate_id)
            path = table_path(self.plates.manifest.key, plate, found[2].image, name)
            if (self.plates.root / path).is_file():
                table = tables.read_table(self.plates.root / path)
                columns = {c: table[c].to_numpy() for c in table.column_names}
                return columns.pop("label"), columns
        return np.zeros(0, np.uint32), {}

    def _image(
        self, plate_id: str, site_index: int, t: int, name: str
    ) -> tuple[Path, int, LabelImage] | None:
        """Return the folder of a site's labelled image, its first time point, and what is known of it."""
        root = self.plates.root / next(
            p.path for p in self.plates.manifest.plates if p.id == str(plate_id)
        )
        for folder, acquisition in self.plates.images(plate_id, site_index, t):
            known = self._known.get((str(plate_id), folder.relative_to(root).as_posix(), name))
            if known is not None:
                return folder, acquisition.tpoint_offset, known
        return None
