"""Uneven illumination: its estimate from many images and its removal; entry points: `LogMoments` and `correct`.

A microscope lights the middle of a field better than its corners. Over many images of a channel
the content averages out and the lamp remains: mean and standard deviation, pixel by pixel, of the
logarithm of the intensities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian
from gpu_workers.xp import namespace, operation

Method = Literal["flat", "std"]

MIN_IMAGES: dict[Method, int] = {"flat": 30, "std": 100}
"""Images per channel below which a correction does more harm than good."""

SMOOTHING_SIGMA = 5.0
N_BINS = 65536


def _logarithm(image: Any) -> Any:
    xp = namespace(image)
    floor = 1e-6 if image.dtype.kind == "f" else 1.0
    return xp.log10(
        xp.maximum(image, floor), dtype=xp.float32 if image.dtype.itemsize < 8 else None
    )


@dataclass(slots=True)
class LogMoments:
    """Running mean and squared deviation of log10 intensities, pixel by pixel (Welford).

    Attributes
    ----------
    n
        Images seen.
    mean, m2
        Mean, and sum of squared deviations from it; float64, shape (height, width).
    """

    n: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> LogMoments:
        """Return the moments of no image."""
        return cls(0, np.zeros(shape), np.zeros(shape))

    def update(self, image: NDArray[Any]) -> None:
        """Take in one image (height, width); integers below 1 count as 1.

        Raises
        ------
        UserError
            The image has another shape (``image_size``).
        """
        if image.shape != self.mean.shape:
            raise UserError(
                f"an image of {image.shape} among images of {self.mean.shape}: illumination can only be"
                " estimated from images of one size",
                code="image_size",
            )
        value = _logarithm(image)
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        delta *= value - self.mean
        self.m2 += delta

    def merge(self, other: LogMoments) -> LogMoments:
        """Return the moments of both sets of images together (Chan's formula)."""
        n = self.n + other.n
        if not n:
            return LogMoments.empty((self.mean.shape[0], self.mean.shape[1]))
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        m2 = self.m2 + other.m2 + delta**2 * (self.n * other.n / n)
        return LogMoments(n, mean, m2)

    def std(self) -> NDArray[np.float64]:
        """Return the standard deviation over the images (of the population), shape (height, width)."""
        deviation: NDArray[np.float64] = np.sqrt(self.m2 / max(self.n, 1))
        return deviation


def _ordered(image: NDArray[Any]) -> NDArray[np.uint16]:
    """Return 16-bit codes that sort as the values do; for floats the upper half of their bits."""
    if image.dtype.kind in "ui":
        return image.astype(np.uint16)
    bits = np.ascontiguousarray(image, np.float32).view(np.uint32)
    negative = bits >> 31 == 1
    return (np.where(negative, ~bits, bits | np.uint32(1 << 31)) >> 16).astype(np.uint16)


def _value(codes: NDArray[np.int64], *, floating: bool) -> NDArray[np.float64]:
    if not floating:
        return codes.astype(np.float64)
    bits = codes.astype(np.uint32) << 16
    negative = bits >> 31 == 0
    return (
        np.where(negative, ~bits, bits & np.uint32(0x7FFFFFFF))
        .astype(np.uint32)
        .view(np.float32)
        .astype(np.float64)
    )


@dataclass(slots=True)
class IntensityHistogram:
    """Mergeable histogram: exact for 8 and 16 bit, to 0.8 % of the value for float32.

    Examples
    --------
    >>> histogram = IntensityHistogram()
    >>> histogram.update(np.arange(101, dtype=np.uint16))
    >>> histogram.percentile(np.array([0, 50, 100.0]))
    array([  0.,  50., 100.])
    """

    floating: bool = False
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(N_BINS, np.int64))

    def update(self, image: NDArray[Any]) -> None:
        """Count the pixels of an image; NaN is left out."""
        if image.dtype.kind == "f":
            self.floating = True
            image = image[~np.isnan(image)]
        self.counts += np.bincount(_ordered(image).ravel(), minlength=N_BINS)

    def merge(self, other: IntensityHistogram) -> IntensityHistogram:
        """Return the histogram of both."""
        return IntensityHistogram(self.floating or other.floating, self.counts + other.counts)

    def percentile(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the intensities below or at which `q` percent of the pixels lie; NaN without pixels."""
        total = int(self.counts.sum())
        if not total:
            return np.full(np.shape(q), np.nan)
        rank = np.clip(np.ceil(np.asarray(q) / 100 * total), 1, total)
        return _value(np.searchsorted(np.cumsum(self.counts), rank), floating=self.floating)


@dataclass(frozen=True, slots=True)
class IlluminationStatistics:
    """What is known of a channel's illumination.

    Attributes
    ----------
    mean, std
        Smoothed mean and standard deviation of log10 intensities; float32, shape (height, width).
    n_images
        Images they were estimated from.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    n_images: int

    def method(self) -> Method | None:
        """Return the strongest correction that so many images allow, None if none."""
        if self.n_images >= MIN_IMAGES["std"]:
            return "std"
        return "flat" if self.n_images >= MIN_IMAGES["flat"] else None


def statistics(moments: LogMoments, sigma: float = SMOOTHING_SIGMA) -> IlluminationStatistics:
    """Return the smoothed statistics of accumulated moments.

    Raises
    ------
    UserError
        There was no image (``no_images``).
    """
    if not moments.n:
        raise UserError("no image of the channel could be read", code="no_images")
    return IlluminationStatistics(
        gaussian(moments.mean.astype(np.float32), sigma),
        gaussian(moments.std().astype(np.float32), sigma),
        moments.n,
    )


@operation
def correct(
    image: NDArray[Any],
    illumination: IlluminationStatistics,
    *,
    method: Method | None = None,
    force: bool = False,
) -> NDArray[Any]:
    """Remove uneven illumination from an image.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8, uint16 or float32
        Raw intensities.
    illumination
        Statistics of the image's channel.
    method
        "std" divides by the spread as well, "flat" only by the mean; None: the strongest that the
        number of images allows ("flat" if it is forced).
    force
        Correct although there are too few images.

    Returns
    -------
    ndarray, same shape and dtype
        Rounded and clipped to the range of an integer type; zero stays zero.

    Raises
    ------
    UserError
        Too few images (``too_few_images``) or another size (``image_size``).

    Notes
    -----
    With l = log10(image): ``(l - mean) / std * <std> + <mean>`` for "std" and ``l - mean + <mean>``
    for "flat", then ten to that power; <> is the average over the field.
    """
    method = usable_method(illumination.n_images, method, force=force)
    if image.shape != illumination.mean.shape:
        raise UserError(
            f"the illumination was estimated for images of {illumination.mean.shape}, not {image.shape}",
            code="image_size",
        )
    value = _logarithm(image) - illumination.mean
    if method == "std":
        spread = np.maximum(illumination.std, np.float32(1e-6))
        value *= np.float32(illumination.std.mean(dtype=np.float64)) / spread
    value += np.float32(illumination.mean.mean(dtype=np.float64))
    corrected = np.float32(10) ** value
    corrected[image <= 0] = 0
    if image.dtype.kind == "f":
        return np.where(image <= 0, image, corrected).astype(image.dtype)
    top = np.iinfo(image.dtype).max
    return np.asarray(np.clip(np.rint(corrected), 0, top), image.dtype)


def usable_method(n_images: int, method: Method | None = None, *, force: bool = False) -> Method:
    """Return the correction to apply with statistics of so many images.

    Raises
    ------
    UserError
        Too few images for it and not forced (``too_few_images``).
    """
    if method is None:
        method = "std" if n_images >= MIN_IMAGES["std"] else "flat"
    if n_images < MIN_IMAGES[method] and not force:
        raise UserError(
            f"illumination was estimated from {n_images} images and correction ({method}) needs"
            f" {MIN_IMAGES[method]}: it would distort intensities; switch it off or force it",
            code="too_few_images",
        )
    return method
