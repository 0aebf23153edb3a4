"""Module: small bright spots of about one size, with centres to fractions of a pixel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.spots import (
    difference_of_gaussians,
    laplacian_of_gaussian,
    paint_spots,
    robust_spread,
    spot_centres,
)
from gpu_workers.modules.module import (
    Features,
    Intensity,
    LabelImage,
    Mask,
    Measurements,
    Setting,
    module,
)
from gpu_workers.registry import Arguments

RATIO = 1.6


class DetectSpotsArguments(Arguments):
    method: Literal["log", "dog"] = Field(
        "log",
        title="Filter",
        description="log: Laplacian of Gaussian; dog: difference of two Gaussians",
    )
    sigma: float = Field(
        1.5, gt=0, le=50, title="Sigma (px)", description="standard deviation of a spot's profile"
    )
    sigma_z: float | None = Field(
        None, gt=0, le=50, title="Sigma across planes", description="in planes; as above if empty"
    )
    min_snr: float = Field(
        6,
        ge=0,
        le=1000,
        title="Least signal to noise",
        description="filtered peak over the noise of the filtered image",
    )
    min_intensity: float = Field(
        0, ge=0, title="Least height", description="of a spot over its surroundings, in grey values"
    )
    min_distance: int = Field(
        2, ge=1, le=200, title="Least distance (px)", description="between two spots"
    )


def _height_factor(arguments: DetectSpotsArguments, ndim: int) -> float:
    """Return the height of a Gaussian spot of these sigmas over its filtered peak."""
    if arguments.method == "log":
        return float(2 ** (ndim / 2 + 1) / ndim)
    narrow, wide = 2 ** (-ndim / 2), (1 + RATIO**2) ** (-ndim / 2)
    return float((RATIO - 1) / (narrow - wide))


def _positions(
    centres: NDArray[np.float64], setting: Setting
) -> tuple[dict[str, Any], dict[str, str]]:
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    steps = {"z": setting.z_step_um, "y": setting.pixel_size_um, "x": setting.pixel_size_um}
    for axis, name in enumerate("zyx"[3 - centres.shape[1] :]):
        columns[f"Spot_{name}"] = centres[:, axis]
        units[f"Spot_{name}"] = "planes" if name == "z" else "px"
        step = steps[name]
        if step is not None:
            columns[f"Spot_{name}_um"] = centres[:, axis] * step
            units[f"Spot_{name}_um"] = "µm"
    return columns, units


@module(
    title="Detect spots",
    help="Finds small bright spots of about one size, with sub-pixel centres, heights and signal to noise.",
    version=1,
    outputs=("spots", "features"),
    measures="spots",
    dimensions=(2, 3),
    bytes_per_pixel=24,
)
def detect_spots(
    arguments: DetectSpotsArguments,
    image: Intensity,
    setting: Setting,
    mask: Mask | None = None,
) -> tuple[LabelImage, Measurements]:
    """Return spots 1…n and their features.

    Notes
    -----
    ``Spot_intensity`` is the filtered peak times the constant that makes it the height of a Gaussian
    spot of exactly these sigmas over its surroundings; ``Spot_snr`` the filtered peak over 1.4826
    times the median absolute deviation of the filtered image. A spot's pixels are those within
    sqrt(2) sigma (the zero crossing of the Laplacian) and nearer to it than to other spots.
    """
    if arguments.method == "log":
        response = laplacian_of_gaussian(image, arguments.sigma, arguments.sigma_z)
    else:
        response = difference_of_gaussians(image, arguments.sigma, arguments.sigma_z, RATIO)
    factor = _height_factor(arguments, image.ndim)
    noise = robust_spread(response)
    least = max(arguments.min_snr * noise, arguments.min_intensity / factor)
    # rounding leaves a trace of the image in the response of a flat one
    least = max(least, 1e-5 * float(np.nanmax(np.abs(image), initial=0)))
    centres, peak = spot_centres(response, least, arguments.min_distance, mask)
    reach = float(np.sqrt(2))
    reach_z = None if arguments.sigma_z is None else reach * arguments.sigma_z
    spots = paint_spots(response, centres, reach * arguments.sigma, reach_z)
    columns, units = _positions(centres, setting)
    columns["Spot_intensity"] = peak * factor
    columns["Spot_snr"] = peak / noise if noise > 0 else np.full(peak.size, np.inf)
    return spots, Features(columns, units | {"Spot_intensity": "intensity"})
