"""Module: remove noise."""

from __future__ import annotations

from typing import Literal

from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.filters import average, bilateral, gaussian, median, over_missing
from gpu_workers.modules.module import Intensity, module
from gpu_workers.registry import Arguments
from gpu_workers.xp import namespace

_SIDE = 5
_SIGMA = 1.5


class SmoothArguments(Arguments):
    filter_name: Literal["average", "gaussian", "median", "bilateral"] = Field(
        "gaussian", title="Filter", description="median and bilateral keep edges"
    )
    filter_size: float | None = Field(
        None,
        gt=0,
        le=500,
        title="Size (px)",
        description="average and median: side of the square, rounded up to the next odd number;"
        " gaussian and bilateral: standard deviation. If empty 5 and 1.5",
    )
    sigma: float | None = Field(
        None,
        ge=0,
        le=500,
        title="Sigma (px)",
        description="standard deviation of gaussian and bilateral, instead of the size; 0: no"
        " smoothing",
    )
    sigma_z: float | None = Field(
        None,
        ge=0,
        le=500,
        title="Sigma across planes",
        description="of the gaussian in three dimensions, planes; as sigma if empty",
    )
    sigma_intensity: float | None = Field(
        None,
        gt=0,
        title="Sigma of intensities",
        description="bilateral: differences of this size are smoothed; the image's standard"
        " deviation if empty",
    )

    @property
    def side(self) -> int:
        """Side of the square: odd, at least 1."""
        return 2 * (int(self.filter_size or _SIDE) // 2) + 1

    @property
    def width(self) -> float:
        """Standard deviation, px."""
        if self.sigma is not None:
            return self.sigma
        return _SIGMA if self.filter_size is None else self.filter_size


def _whole(image: NDArray, side: int) -> NDArray:
    """Return the image with means of their surroundings in place of pixels that aren't finite."""
    xp = namespace(image)
    finite = xp.isfinite(image)
    if finite.all():
        return image
    filled = over_missing(lambda values: average(values, side), image)
    whole: NDArray = xp.where(finite, image, xp.nan_to_num(filled)).astype(image.dtype)
    return whole


def _edge_preserving(arguments: SmoothArguments, image: NDArray) -> NDArray:
    xp = namespace(image)
    whole = _whole(image, arguments.side)
    if arguments.filter_name == "median":
        smoothed = median(whole, arguments.side)
    else:
        spread = arguments.sigma_intensity or float(whole.std()) if whole.size else 0
        smoothed = bilateral(whole, arguments.width, spread)
    if whole is not image:
        smoothed = xp.where(xp.isfinite(image), smoothed, xp.nan).astype(smoothed.dtype)
    return smoothed


@module(
    title="Smooth",
    help="Removes noise with a mean, a Gaussian, a median or a bilateral filter.",
    version=2,
    outputs=("smoothed_image",),
    dimensions=(2, 3),
    device=True,
)
def smooth(arguments: SmoothArguments, image: Intensity) -> Intensity:
    """Return the smoothed image; float32, after a median in the input's type.

    Pixels that aren't finite are left out of means; median and bilateral filter leave them as NaN.

    Raises
    ------
    UserError
        The bilateral filter in three dimensions (``wrong_dimensions``).
    """
    if arguments.filter_name == "average":
        return over_missing(lambda values: average(values, arguments.side), image)
    if arguments.filter_name == "gaussian":
        return over_missing(
            lambda values: gaussian(values, arguments.width, arguments.sigma_z), image
        )
    return _edge_preserving(arguments, image)
