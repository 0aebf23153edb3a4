"""Reads of what illumination correction and alignment found: figures, pictures, shifts."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.experiments.models import Product
from apps.experiments.selectors.experiments import experiment_root, reach
from apps.experiments.selectors.plates import plate_get

MAX_PICTURE = 4 * 2**20
SHIFT_COLUMNS = [
    "site", "cycle", "y", "x", "measured_y", "measured_x", "confidence", "outlier", "residual_px",
    "residual_median_px", "y0", "x0", "y1", "x1",
]  # fmt: skip


def _manifest(experiment_id: UUID, name: str, key: str | None = None) -> dict[str, Any]:
    rows = Product.objects.filter(experiment_id=experiment_id, name=name)
    rows = rows.filter(is_current=True) if key is None else rows.filter(key=key)
    product = rows.first()
    if product is None:
        raise NotFound(f"there is no {name} yet: run the workflow up to the step that makes it")
    try:
        text = (experiment_root(experiment_id) / product.path).read_bytes()
        # JSON of ours may hold NaN, which others do not take.
        found: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    except (OSError, ValueError):
        raise NotFound(f"the {name} is not there any more") from None
    return {**found, "created_at": product.created_at}


def _whole(user: User, experiment_id: UUID, name: str) -> None:
    """Raise NotFound for those who see a part only: statistics are made of all plates."""
    if reach(user=user, experiment_id=experiment_id).plates != "all":
        raise NotFound(f"there is no {name}")


def illumination_get(*, user: User, experiment_id: UUID) -> dict[str, Any]:
    """Return the current illumination statistics: each channel's figures and pictures.

    Raises
    ------
    NotFound
        None have been made, or the user sees a part of the experiment only.
    """
    _whole(user, experiment_id, "illumination")
    return _manifest(experiment_id, "illumination")


def illumination_picture(
    *, user: User, experiment_id: UUID, key: str, channel: int, picture: str
) -> bytes:
    """Return a PNG picture that the statistics of a channel name; raises NotFound."""
    _whole(user, experiment_id, "illumination")
    manifest = _manifest(experiment_id, "illumination", key)
    own = [c.get("pictures") or {} for c in manifest["channels"] if c["index"] == channel]
    path = own[0].get(picture) if own else None
    folder = f"illumination/{key}/"
    if not path or not path.startswith(folder) or ".." in PurePosixPath(path).parts:
        raise NotFound("there is no such picture")
    try:
        with (experiment_root(experiment_id) / path).open("rb") as stream:
            data: bytes = stream.read(MAX_PICTURE)
    except OSError:
        raise NotFound("the picture is not there any more") from None
    return data


def alignment_get(*, user: User, experiment_id: UUID) -> dict[str, Any]:
    """Return the current alignment without its wells; raises NotFound."""
    _whole(user, experiment_id, "alignment")
    found = _manifest(experiment_id, "alignment")
    # A manifest of an alignment of cycles alone may lack the rest.
    return {"stitching": [], "models": [], **found, "wells": []}


def alignment_wells(
    *, user: User, experiment_id: UUID, plate: UUID, after: int = 0, size: int = 100
) -> list[dict[str, Any]]:
    """Return up to `size` wells of a plate with their shifts and outliers; raises NotFound."""
    plate_get(user=user, experiment_id=experiment_id, plate_id=plate)
    found = _manifest(experiment_id, "alignment")
    wells = [w for w in found.get("wells") or [] if w["plate"] == str(plate)]
    return wells[after : after + size]


def alignment_shifts(
    *, user: User, experiment_id: UUID, plate: UUID, after: int = 0, size: int = 100
) -> list[dict[str, Any]]:
    """Return up to `size` rows of a plate's table of shifts, a row for each site and cycle.

    Raises
    ------
    NotFound
        There is no alignment of cycles, or the plate is not to be seen.
    """
    import pyarrow.parquet as parquet

    plate_get(user=user, experiment_id=experiment_id, plate_id=plate)
    found = _manifest(experiment_id, "alignment")
    if not found.get("shifts"):
        return []
    path = experiment_root(experiment_id) / found["shifts"]
    try:
        filters = [("plate", "==", str(plate))]
        table = parquet.read_table(path, columns=SHIFT_COLUMNS, filters=filters)
    except FileNotFoundError:
        raise NotFound("the table of shifts is not there any more") from None
    rows: list[dict[str, Any]] = table.slice(after, size).to_pylist()
    return rows
