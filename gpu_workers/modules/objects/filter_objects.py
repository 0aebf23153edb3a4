"""Module: objects kept by what was measured of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.relations import highest, without
from gpu_workers.modules.module import Features, LabelImage, Measurements, module
from gpu_workers.registry import Arguments


class Condition(Arguments):
    """A range of one feature; both ends belong to it."""

    feature: str = Field(title="Feature")
    minimum: float | None = Field(None, title="Lowest value")
    maximum: float | None = Field(None, title="Highest value")


class FilterObjectsArguments(Arguments):
    conditions: tuple[Condition, ...] = Field(
        min_length=1, title="Conditions", description="ranges of measured features"
    )
    combine: Literal["all", "any"] = Field(
        "all", title="Keep", description="objects that fulfil all conditions, or any of them"
    )
    keep_missing: bool = Field(
        False,
        title="Keep missing values",
        description="a value that is missing fulfils a condition",
    )


def _fulfilled(condition: Condition, features: Features, *, missing: bool) -> NDArray[np.bool_]:
    if condition.feature not in features.columns:
        known = ", ".join(sorted(features.columns)) or "nothing"
        raise UserError(
            f"{condition.feature!r} was not measured before; there is: {known}",
            code="unknown_feature",
        )
    values = features.columns[condition.feature]
    with np.errstate(invalid="ignore"):
        inside = np.ones(values.size, np.bool_)
        if condition.minimum is not None:
            inside &= values >= condition.minimum
        if condition.maximum is not None:
            inside &= values <= condition.maximum
    return np.where(np.isnan(values), missing, inside)


@module(
    title="Filter objects",
    help="Keeps objects whose measured features lie in given ranges; numbers and features stay.",
    version=1,
    outputs=("filtered", "features"),
    measures="filtered",
    dimensions=(2, 3),
)
def filter_objects(
    arguments: FilterObjectsArguments, labels: LabelImage, measurements: Measurements
) -> tuple[LabelImage, Measurements]:
    """Return the objects that are kept, and all that was measured of them.

    Raises
    ------
    UserError
        A feature was not measured before (``unknown_feature``).
    """
    several = [
        _fulfilled(condition, measurements, missing=arguments.keep_missing)
        for condition in arguments.conditions
    ]
    kept = np.all(several, axis=0) if arguments.combine == "all" else np.any(several, axis=0)
    n = highest(labels)
    dropped = np.ones(n, np.bool_)
    dropped[: kept.size] = ~kept[:n]
    filtered = without(labels, dropped)
    last = highest(filtered)
    gone = dropped[:last]
    columns = {
        name: np.where(gone, np.nan, values[:last]) for name, values in measurements.columns.items()
    }
    return filtered, Features(columns, measurements.units)
