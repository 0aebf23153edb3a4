"""Measurements as bytes: one value per object, in the order of the object index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.accounts.models import User
from apps.core.errors import Invalid, NotFound
from apps.experiments.models import ObjectSet
from apps.experiments.selectors import experiment_root, object_set_get
from gpu_workers.storage.columns import quantised

if TYPE_CHECKING:
    from gpu_workers.storage.features import FeatureStore


# Where an object lies, served like its measurements: scripts join object types by them.
PLACES = ("site", "t", "z", "label", "y", "x", "is_border")


@dataclass(frozen=True, slots=True)
class Column:
    """Values as they go to the browser, and the range they stand for."""

    data: bytes
    low: float
    high: float
    count: int


@lru_cache(16)
def _store(root: str, manifest: str) -> FeatureStore:
    from gpu_workers.storage.features import FeatureStore

    return FeatureStore(Path(root), manifest)


def _store_of(objects: ObjectSet) -> FeatureStore:
    return _store(str(experiment_root(objects.experiment_id)), objects.path)


def _limits(
    feature: dict[str, Any], values: NDArray[np.floating], low: float | None, high: float | None
) -> tuple[float, float]:
    """Return the asked range; what was not asked for is the feature's own."""
    finite = values[np.isfinite(values)]
    nothing = not len(finite)
    own_low, own_high = feature.get("low"), feature.get("high")
    if own_low is None:
        own_low = 0.0 if nothing else float(finite.min())
    if own_high is None:
        own_high = 1.0 if nothing else float(finite.max())
    found = (own_low if low is None else low, own_high if high is None else high)
    if not all(map(math.isfinite, found)) or found[0] > found[1]:
        raise Invalid(f"the range from {found[0]:g} to {found[1]:g} is empty")
    return found


def _values(objects: ObjectSet, name: str) -> tuple[dict[str, Any], NDArray[np.floating]]:
    kind, plate = objects.object_type.name, str(objects.plate_id)
    if name in PLACES:
        places = _store_of(objects).positions(kind, plate)
        return {}, places.get(name, np.empty(0)).astype(np.float32)
    feature = next((f for f in objects.info.get("features", []) if f["name"] == name), None)
    if feature is None:
        raise NotFound(f"{kind} have no measurement {name[:100]!r}")
    return feature, _store_of(objects).column(kind, plate, name)


def feature_column(
    *,
    user: User,
    experiment_id: UUID,
    object_set_id: UUID,
    name: str,
    kind: Literal["f4", "u1"] = "f4",
    low: float | None = None,
    high: float | None = None,
    first: int = 1,
    count: int | None = None,
) -> Column:
    """Return a measurement of `count` objects from index `first` on, little-endian.

    Besides the set's measurements there are the columns of `PLACES`; positions are pixels of the
    plate's mosaic.

    Raises
    ------
    NotFound
        The object set may not be seen, or has no such measurement.
    Invalid
        An empty range of values.
    """
    objects = object_set_get(user=user, experiment_id=experiment_id, object_set_id=object_set_id)
    feature, values = _values(objects, name)
    limits = _limits(feature, values, low, high)
    part = values[first - 1 : None if count is None else first - 1 + count]
    data = quantised(part, *limits) if kind == "u1" else np.ascontiguousarray(part, "<f4")
    return Column(data.tobytes(), *limits, len(part))


def object_get(
    *, user: User, experiment_id: UUID, object_set_id: UUID, index: int
) -> dict[str, Any]:
    """Return all that is known of one object; raises NotFound."""
    objects = object_set_get(user=user, experiment_id=experiment_id, object_set_id=object_set_id)
    if not 1 <= index <= objects.n_objects:
        raise NotFound(f"there is no object {index}: the set has {objects.n_objects}")
    found: dict[str, Any] = _store_of(objects).object(
        objects.object_type.name, str(objects.plate_id), index
    )
    features = {name: _number(value) for name, value in found["features"].items()}
    return {**found, "features": features}


def _number(value: float | None) -> float | None:
    """Return what JSON can say: it has no word for NaN."""
    return None if value is None or not math.isfinite(value) else float(value)
