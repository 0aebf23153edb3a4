"""Where a served image lies: from its row to its folder, once per image and second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from apps.experiments.models import Mosaic, ObjectSet
from apps.experiments.selectors import experiment_root


@dataclass(frozen=True, slots=True)
class ServedChannel:
    """How a channel's stored values become original ones, and its display window (original)."""

    scale: float
    offset: float
    window: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ServedImage:
    """A mosaic or the labels of an object set, as the tile application needs it.

    Attributes
    ----------
    plate, object_type
        Hexadecimal ids that a user must reach; mosaics have no object type.
    root
        The experiment's folder.
    folder
        The multiscale image's folder.
    levels
        Folders of its levels.
    manifest, type_name, plate_id
        What the readers of outlines and features want to know.
    """

    id: UUID
    key: str
    plate: str
    object_type: str | None
    root: Path
    folder: Path
    levels: tuple[Path, ...]
    is_current: bool
    channels: tuple[ServedChannel, ...] = ()
    manifest: str = ""
    type_name: str = ""
    plate_id: str = ""


def _inside(root: Path, relative: str) -> Path:
    """Return a path below `root`; rows come from manifests, so they are not trusted to stay there."""
    parts = Path(relative).parts
    if not parts or Path(relative).is_absolute() or ".." in parts:
        raise ValueError(f"{relative!r} is not a path below the experiment's folder")
    return root / relative


def mosaic_folder(mosaic: Mosaic) -> Path:
    """Return the folder of a mosaic's image."""
    return _inside(experiment_root(mosaic.experiment_id), mosaic.info.get("path") or mosaic.path)


def labels_folder(objects: ObjectSet) -> Path:
    """Return the folder of the index mosaic of an object set."""
    relative = objects.info["path"]
    name = relative if relative.endswith(".zarr") else f"{relative}/mosaic.zarr"
    return _inside(experiment_root(objects.experiment_id), name)


def mosaic_channels(info: dict[str, Any]) -> tuple[ServedChannel, ...]:
    """Return how the channels of a mosaic are stored and shown, by index."""
    ordered = sorted(info.get("channels", []), key=lambda c: c["index"])
    return tuple(
        ServedChannel(c.get("scale", 1.0), c.get("offset", 0.0), tuple(c["window"]))
        for c in ordered
    )


def _levels(folder: Path, info: dict[str, Any]) -> tuple[Path, ...]:
    return tuple(_inside(folder, str(level["path"])) for level in info.get("levels", []))


def image_find(*, experiment_id: UUID, image_id: UUID) -> ServedImage | None:
    """Return where an image of an experiment lies; whether it may be seen, the caller's permit says."""
    mosaic = Mosaic.objects.filter(id=image_id, experiment_id=experiment_id).first()
    if mosaic is not None:
        folder = mosaic_folder(mosaic)
        return ServedImage(
            id=image_id,
            key=mosaic.key,
            plate=mosaic.plate_id.hex,
            object_type=None,
            root=experiment_root(experiment_id),
            folder=folder,
            levels=_levels(folder, mosaic.info),
            is_current=mosaic.is_current,
            channels=mosaic_channels(mosaic.info),
            plate_id=str(mosaic.plate_id),
        )
    rows = ObjectSet.objects.filter(id=image_id, experiment_id=experiment_id)
    objects = rows.select_related("object_type").first()
    if objects is None:
        return None
    folder = labels_folder(objects)
    return ServedImage(
        id=image_id,
        key=objects.key,
        plate=objects.plate_id.hex,
        object_type=objects.object_type_id.hex,
        root=experiment_root(experiment_id),
        folder=folder,
        levels=_levels(folder, objects.info),
        is_current=objects.is_current,
        manifest=objects.path,
        type_name=objects.object_type.name,
        plate_id=str(objects.plate_id),
    )
