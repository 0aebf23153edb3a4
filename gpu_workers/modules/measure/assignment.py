"""From measured columns to the features of a pipeline's objects, as all ``measure_*`` modules do it.

Entry points: `MeasureArguments`, `channel_columns`, `in_micrometres` and `assigned`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.aggregates import (
    aggregate,
    align_rows,
    count_children,
    parents_of,
)
from gpu_workers.modules.module import Features, LabelImage, Setting
from gpu_workers.registry import Arguments
from gpu_workers.xp import to_host, to_host_together

Column = NDArray[np.float64]
Columns = Mapping[str, Column]

_POWERS = {"px": 1, "px²": 2, "px³": 3}
_MICROMETRES = {1: ("_um", "µm"), 2: ("_um2", "µm²"), 3: ("_um3", "µm³")}


class MeasureArguments(Arguments):
    """Arguments that all modules which measure objects have."""

    aggregate: bool = Field(
        False,
        title="Aggregate",
        description="with assign_objects: give each of these mean, standard deviation and sum over "
        "the extracted objects in it, and their number; else one by one, by equal labels",
    )


def n_labels(labels: LabelImage) -> int:
    """Return the highest label."""
    return int(labels.max()) if labels.size else 0


def channel_columns(
    kind: str,
    names: Iterable[str],
    channels: Mapping[str, NDArray[Any] | None],
    n: int,
    measure: Callable[[NDArray[Any]], Columns],
) -> dict[str, Column]:
    """Return ``<kind>_<name>_<channel>`` of all channels; NaN where a channel's plane is missing.

    Parameters
    ----------
    kind
        Class of the features, as "Intensity".
    names
        What `measure` returns, in the order of the columns.
    n
        Number of rows: the highest label.
    measure
        From a channel's image to its columns by name.
    """
    wanted = tuple(names)
    columns: dict[str, Column] = {}
    for channel, image in channels.items():
        found = {} if image is None else measure(image)
        for name in wanted:
            values = np.full(n, np.nan) if image is None else found[name]
            columns[f"{kind}_{name}_{channel}"] = values
    return columns


def in_micrometres(features: Features, setting: Setting, channels: Iterable[str] = ()) -> Features:
    """Return features with lengths and areas in µm, too: ``_um``, ``_um2``, before the channel.

    Parameters
    ----------
    features
        Those with the unit px or px² (px³ for cubes of lengths in the plane) get a second column.
    setting
        Without a pixel size nothing is added.
    channels
        Names that may end a feature's name.
    """
    size = setting.pixel_size_um
    if size is None:
        return features
    columns: dict[str, Column] = {}
    units = dict(features.units)
    for name, values in features.columns.items():
        columns[name] = values
        power = _POWERS.get(units.get(name, ""), 0)
        if power:
            suffix, unit = _MICROMETRES[power]
            channel = next((f"_{c}" for c in channels if name.endswith(f"_{c}")), "")
            longer = f"{name.removesuffix(channel)}{suffix}{channel}"
            columns[longer] = values * size**power
            units[longer] = unit
    return Features(columns, units)


def _strangers(parents: NDArray[np.int32], n: int, setting: Setting) -> NDArray[np.bool_]:
    """Return of which of the labels 1…n the extracted object lies in an object of another label."""
    is_elsewhere = (parents > 0) & (parents != np.arange(1, parents.size + 1))
    if 2 * is_elsewhere.sum() > (parents > 0).sum():
        extracted = setting.names.get("extract_objects", "extract_objects")
        assigned_to = setting.names.get("assign_objects", "assign_objects")
        raise UserError(
            f"{extracted} and {assigned_to} don't belong together one by one: "
            f"{int(is_elsewhere.sum())} of {int((parents > 0).sum())} have other labels than the "
            "objects that they lie in; aggregate them",
            code="not_one_to_one",
        )
    strangers = np.zeros(n, np.bool_)
    common = min(n, parents.size)
    strangers[:common] = is_elsewhere[:common]
    return strangers


def assigned(
    features: Features,
    extract_objects: LabelImage,
    assign_objects: LabelImage | None,
    setting: Setting,
    *,
    aggregated: bool = False,
) -> Features:
    """Return features of the extracted objects as features of those that they are assigned to.

    Parameters
    ----------
    features
        Of `extract_objects`, rows by label - 1.
    assign_objects
        None, or the same objects: the features stay as they are.
    aggregated
        False: rows go to the object of the same label and names begin with that of the extracted
        objects (``Nuclei_Morphology_Area``). True: ``Mean_``, ``Std_`` and ``Sum_`` of each
        (``Mean_Nuclei_Morphology_Area``), and ``Count_Nuclei``, over the extracted objects that
        have most of their pixels in the object (see `parents_of`).

    Raises
    ------
    UserError
        One by one, but most of the extracted objects lie in objects of other labels
        (``not_one_to_one``). The rows of single ones that do so are missing.
    """
    extracted = setting.names.get("extract_objects", "objects")
    if assign_objects is None or assign_objects is extract_objects:
        return features
    if extracted == setting.names.get("assign_objects"):
        return features
    n = n_labels(assign_objects)
    # tables are small: they are joined in host memory wherever they were made
    is_present = to_host(np.bincount(assign_objects.ravel(), minlength=n + 1))[1:] > 0
    tables = to_host_together(list(features.columns.values()))
    features = Features(dict(zip(features.columns, tables, strict=True)), features.units)
    parents = to_host(parents_of(extract_objects, assign_objects))
    if not aggregated:
        is_present &= ~_strangers(parents, n, setting)
        columns = {
            f"{extracted}_{name}": align_rows(values, n, is_present)
            for name, values in features.columns.items()
        }
        return Features(columns, {f"{extracted}_{k}": v for k, v in features.units.items()})
    count = align_rows(count_children(parents, n).astype(np.float64), n, is_present)
    columns = {f"Count_{extracted}": count}
    units = {}
    for name, values in features.columns.items():
        found = aggregate(values, parents, n)
        for statistic in ("mean", "std", "sum"):
            longer = f"{statistic.title()}_{extracted}_{name}"
            columns[longer] = align_rows(getattr(found, statistic), n, is_present)
            if name in features.units:
                units[longer] = features.units[name]
    return Features(columns, units)
