"""Module: how channels go together within objects."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.colocalisation import COLUMNS, Measure, colocalisation
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.modules.measure.assignment import MeasureArguments, assigned, n_labels
from gpu_workers.modules.module import (
    Channels,
    Features,
    LabelImage,
    Measurements,
    Setting,
    module,
)


class MeasureColocalisationArguments(MeasureArguments):
    pairs: tuple[tuple[str, str], ...] = Field(
        (), title="Pairs", description="of channels; empty: all pairs"
    )
    measures: tuple[Measure, ...] = Field(
        tuple(COLUMNS),
        min_length=1,
        title="Measures",
        description="correlation: Pearson's and the slope; rwc: weighted by ranks",
    )
    threshold: float = Field(
        15,
        ge=0,
        lt=100,
        title="Threshold (%)",
        description="of each object's maximum: darker pixels don't count for overlap, Manders and "
        "rank-weighted colocalisation",
    )
    costes_steps: int | None = Field(
        None,
        ge=2,
        title="Costes: steps",
        description="that thresholds may take; empty: 255 for 8 bits, else 65,535",
    )


def _pairs(
    arguments: MeasureColocalisationArguments, channels: Mapping[str, NDArray[Any] | None]
) -> list[tuple[str, str]]:
    """Return the pairs of channels.

    Raises
    ------
    UserError
        A named channel isn't there (``unknown_channel``).
    """
    for name in (name for pair in arguments.pairs for name in pair):
        if name not in channels:
            raise UserError(
                f"pairs: there is no channel {name!r}, only {', '.join(channels)}",
                code="unknown_channel",
            )
    return list(arguments.pairs) or list(combinations(channels, 2))


@module(
    title="Measure colocalisation",
    help="Correlation, overlap, Manders, rank-weighted and Costes' coefficients of two channels.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
    dimensions=(2, 3),
    bytes_per_pixel=12,
)
def measure_colocalisation(
    arguments: MeasureColocalisationArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Colocalisation_<measure>_<channel>_<channel>``; missing without one of the planes.

    Raises
    ------
    UserError
        A named channel isn't there (``unknown_channel``).
    """
    n = n_labels(extract_objects)
    names = [
        name for measure in COLUMNS if measure in arguments.measures for name in COLUMNS[measure]
    ]
    pixels = object_pixels(extract_objects)
    columns = {}
    for first, second in _pairs(arguments, intensity_image):
        one, two = intensity_image[first], intensity_image[second]
        found = {}
        if one is not None and two is not None:
            found = colocalisation(
                extract_objects,
                one,
                two,
                arguments.measures,
                arguments.threshold,
                arguments.costes_steps,
                pixels,
            )
        for name in names:
            values = found.get(name, np.full(n, np.nan))
            columns[f"Colocalisation_{name}_{first}_{second}"] = values
    return assigned(
        Features(columns, {}),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
