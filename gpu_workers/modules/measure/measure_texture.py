"""Module: textures of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.gabor import gabor
from gpu_workers.imaging.features.haralick import GrayRange, Statistic, haralick
from gpu_workers.imaging.features.hu import intensity_hu
from gpu_workers.imaging.features.lbp import Sampling, local_binary_patterns
from gpu_workers.imaging.features.pixels import ObjectPixels, object_pixels
from gpu_workers.imaging.features.tas import threshold_adjacency
from gpu_workers.imaging.thresholds import otsu
from gpu_workers.modules.measure.assignment import (
    Columns,
    MeasureArguments,
    assigned,
    channel_columns,
    n_labels,
)
from gpu_workers.modules.module import (
    Channels,
    Features,
    LabelImage,
    Measurements,
    Setting,
    module,
)

Length = Annotated[int, Field(ge=1, le=1000)]
Lengths = Annotated[tuple[Length, ...], Field(min_length=1, max_length=20)]


class MeasureTextureArguments(MeasureArguments):
    measure_gabor: bool = Field(True, title="Gabor", description="scores of Gabor filters")
    frequencies: Lengths = Field(
        (1, 5, 10), title="Frequencies", description="wave lengths of the Gabor filters, px"
    )
    measure_hu: bool = Field(True, title="Hu", description="Hu's moments of the intensities")
    measure_TAS: bool = Field(  # noqa: N815 (the original's name)
        False, title="TAS", description="threshold adjacency statistics"
    )
    tas_threshold: float | None = Field(
        None, title="TAS: threshold", description="empty: Otsu's, of the whole image"
    )
    tas_margin: float | None = Field(
        None,
        ge=0,
        title="TAS: margin",
        description="about the mean of what is above the threshold; empty: a standard deviation",
    )
    measure_LBP: bool = Field(  # noqa: N815 (the original's name)
        False, title="LBP", description="histograms of local binary patterns"
    )
    radii: Lengths = Field(
        (1, 5, 10), title="LBP: radii (px)", description="of the circles of eight points"
    )
    lbp_sampling: Sampling = Field(
        "mahotas",
        title="LBP: points",
        description="mahotas: pixels of the object's box, as that library takes them; "
        "interpolated: exact points round the object's own pixels",
    )
    measure_haralick: bool = Field(
        False, title="Haralick", description="features of pairs of gray levels"
    )
    scales: Lengths = Field(
        (1, 2), title="Haralick: scales (px)", description="distances between the pixels of a pair"
    )
    haralick_statistics: tuple[Statistic, ...] = Field(
        ("mean",),
        min_length=1,
        title="Haralick: over directions",
        description="mean, range, or each direction for itself",
    )
    gray_range: GrayRange = Field(
        "auto",
        title="Haralick: gray levels from",
        description="the range of the image's type, of the image or of each object; auto: the type "
        "for 8 bits and for floats between 0 and 1, else the image",
    )
    gray_low: float | None = Field(
        None, title="Haralick: darkest", description="intensity of gray level 0, for all sites"
    )
    gray_high: float | None = Field(
        None, title="Haralick: brightest", description="intensity of the highest gray level"
    )
    gray_levels: int = Field(
        256, ge=2, le=256, title="Haralick: gray levels", description="fewer are coarser"
    )
    legacy: bool = Field(
        False,
        title="As the first TissueMAPS",
        description="TAS and LBP in boxes with a frame of a pixel, Haralick with the gray levels of "
        "each object for itself",
    )


def _limits(arguments: MeasureTextureArguments) -> tuple[float, float] | None:
    """Return the intensities of the lowest and the highest gray level, if they are given."""
    low, high = arguments.gray_low, arguments.gray_high
    if high is None:
        return None
    low = 0.0 if low is None else low
    if not high > low:
        raise UserError(
            f"gray_high ({high:g}) must be above gray_low ({low:g})", code="invalid_arguments"
        )
    return low, high


def _in_space(arguments: MeasureTextureArguments) -> MeasureTextureArguments:
    """Return what is measured in three dimensions: Haralick's features, which need directions only.

    Raises
    ------
    UserError
        A family of the plane is asked for, or nothing that is left (``plane_only``).
    """
    for name in ("measure_TAS", "measure_LBP"):
        if getattr(arguments, name):
            raise UserError(f"{name} is for images of two dimensions only", code="plane_only")
    if not arguments.measure_haralick:
        raise UserError(
            "in three dimensions textures are Haralick's: set measure_haralick", code="plane_only"
        )
    return arguments.model_copy(update={"measure_gabor": False, "measure_hu": False})


def _threshold(image: NDArray[Any]) -> float:
    return float(otsu(image)) if np.isfinite(image).any() else 0.0


def _families(
    arguments: MeasureTextureArguments,
    labels: LabelImage,
    image: NDArray[Any],
    pixels: ObjectPixels,
) -> Iterator[Columns]:
    """Yield the columns of the families that are wanted, in the order of the original."""
    padding = 1 if arguments.legacy else 0
    if arguments.measure_gabor:
        yield gabor(labels, image, arguments.frequencies, pixels=pixels)
    if arguments.measure_TAS:
        threshold = arguments.tas_threshold
        if threshold is None:
            threshold = _threshold(image)
        yield threshold_adjacency(labels, image, threshold, arguments.tas_margin, padding, pixels)
    if arguments.measure_hu:
        yield intensity_hu(labels, image, pixels)
    if arguments.measure_LBP:
        yield local_binary_patterns(labels, image, arguments.radii, arguments.lbp_sampling, padding)
    if arguments.measure_haralick:
        yield haralick(
            labels,
            image,
            arguments.scales,
            arguments.haralick_statistics,
            "object" if arguments.legacy else arguments.gray_range,
            _limits(arguments),
            arguments.gray_levels,
        )


@module(
    title="Measure texture",
    help="Textures of objects in channels: Gabor, Hu, TAS, LBP and Haralick (in 3-D the last alone).",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
    dimensions=(2, 3),
    bytes_per_pixel=24,
)
def measure_texture(
    arguments: MeasureTextureArguments,
    extract_objects: LabelImage,
    intensity_image: Channels,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Texture_<measure>_<channel>``; all missing where a channel's plane is missing.

    Raises
    ------
    UserError
        The limits of the gray levels are in the wrong order (``invalid_arguments``); families of
        the plane in three dimensions (``plane_only``).
    """
    wanted = arguments if extract_objects.ndim == 2 else _in_space(arguments)

    def measurer(labels: LabelImage) -> Callable[[NDArray[Any]], Columns]:
        pixels = object_pixels(labels)
        return lambda image: dict(
            column
            for family in _families(wanted, labels, image, pixels)
            for column in family.items()
        )

    nothing = np.zeros((1,) * extract_objects.ndim, np.int32)
    columns = channel_columns(
        "Texture",
        measurer(nothing)(nothing),
        intensity_image,
        n_labels(extract_objects),
        measurer(extract_objects),
    )
    units = {name: "intensity" for name in columns if name.startswith("Texture_Gabor-")}
    return assigned(
        Features(columns, units),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
