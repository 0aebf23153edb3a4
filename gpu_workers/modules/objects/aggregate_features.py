"""Module: what was measured of children, for their parents."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.aggregates import aggregate, count_children, parents_of
from gpu_workers.imaging.relations import areas
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module
from gpu_workers.registry import Arguments

Statistic = Literal["Mean", "Std", "Sum", "Count"]


class AggregateFeaturesArguments(Arguments):
    features: tuple[str, ...] = Field(
        ("*",),
        min_length=1,
        title="Features",
        description="names of what was measured; * stands for any letters",
    )
    statistics: tuple[Statistic, ...] = Field(
        ("Mean", "Std", "Sum", "Count"), min_length=1, title="Statistics"
    )


def _chosen(patterns: tuple[str, ...], measured: Features) -> list[str]:
    """Return names of features that a pattern fits."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in measured.columns) and pattern != "*":
            known = ", ".join(sorted(measured.columns)) or "nothing"
            raise UserError(
                f"{pattern!r} fits nothing that was measured before; there is: {known}",
                code="unknown_feature",
            )
    return [n for n in measured.columns if any(fnmatchcase(n, pattern) for pattern in patterns)]


@module(
    title="Aggregate features",
    help="Gives objects mean, standard deviation, sum and count of features of the objects in them.",
    version=1,
    outputs=("features",),
    measures="parents",
    dimensions=(2, 3),
)
def aggregate_features(
    arguments: AggregateFeaturesArguments,
    parents: LabelImage,
    children: LabelImage,
    measurements: Measurements,
    setting: Setting,
) -> Measurements:
    """Return ``Mean_<Type>_<feature>`` and the like of the parents; `measurements` are the children's.

    Raises
    ------
    UserError
        A name or pattern fits nothing that was measured (``unknown_feature``).
    """
    name = setting.names.get("children", "children")
    size = areas(parents)
    present = size > 0
    parent = parents_of(children, parents)
    columns, units = {}, {}
    if "Count" in arguments.statistics:
        columns[f"Count_{name}"] = np.where(present, count_children(parent, size.size), np.nan)
    for feature in _chosen(arguments.features, measurements):
        found = aggregate(measurements.columns[feature], parent, size.size)
        for statistic in arguments.statistics:
            if statistic == "Count":
                continue
            longer = f"{statistic}_{name}_{feature}"
            columns[longer] = np.where(present, getattr(found, statistic.lower()), np.nan)
            if feature in measurements.units:
                units[longer] = measurements.units[feature]
    return Features(columns, units)
