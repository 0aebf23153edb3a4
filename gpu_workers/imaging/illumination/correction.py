"""Uneven illumination: its estimate from many images and its removal; entry points: `LogMoments`, `Correction`.

A microscope lights the middle of a field better than its corners. Over many images of a channel
the content averages out and the lamp remains: as mean and standard deviation, pixel by pixel, of the
logarithm of the intensities (here), or as a flat and a dark field (`gpu_workers.imaging.illumination.flatfield`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.imaging.filters import gaussian

Method = Literal["basic", "std", "flat", "vendor"]
Choice = Literal["auto", "basic", "std", "flat", "vendor"]

MIN_IMAGES: dict[Method, int] = {"basic": 30, "std": 100, "flat": 30, "vendor": 0}
"""Images per channel below which a correction does more harm than good; the vendor's needs none of ours."""

SMOOTHING_SIGMA = 5.0
LEAST_FLOAT = 1e-6


@cache
def _logarithms(n: int) -> NDArray[np.float64]:
    """Return log10 of 0…n-1, where 0 counts as 1."""
    found: NDArray[np.float64] = np.log10(np.maximum(np.arange(n), 1))
    return found


@njit(nogil=True, cache=True)
def _take_in(image, table, n, mean, m2):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = table[image[y, x]]
            delta = value - mean[y, x]
            mean[y, x] += delta / n
            m2[y, x] += delta * (value - mean[y, x])


@njit(nogil=True, cache=True)
def _take_in_floats(image, least, n, mean, m2):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = np.log10(max(np.float64(image[y, x]), least))
            delta = value - mean[y, x]
            mean[y, x] += delta / n
            m2[y, x] += delta * (value - mean[y, x])


@dataclass(slots=True)
class LogMoments:
    """Running mean and squared deviation of log10 intensities, pixel by pixel (Welford 1962).

    Exact: equal to mean and variance in float64 of all images at once, to its rounding.

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
        """Take in one image (height, width) of finite values; integers below 1 count as 1, floats as 1e-6.

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
        self.n += 1
        if image.dtype.kind == "u":
            table = _logarithms(1 << 8 * image.dtype.itemsize)
            _take_in(image, table, self.n, self.mean, self.m2)
        else:
            _take_in_floats(image, LEAST_FLOAT, self.n, self.mean, self.m2)

    def merge(self, other: LogMoments) -> LogMoments:
        """Return the moments of both sets of images together (Chan, Golub & LeVeque 1979)."""
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


@dataclass(frozen=True, slots=True)
class IlluminationStatistics:
    """What is known of a channel's illumination from log10 intensities.

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


def choose_method(
    n_images: int,
    available: Collection[Method],
    wanted: Choice = "auto",
    *,
    force: bool = False,
) -> Method:
    """Return the correction to apply.

    Parameters
    ----------
    n_images
        Images that the channel's estimates stand on.
    available
        Methods there are estimates for.
    wanted
        "auto": the first of basic, std, flat and vendor that there is and that so many images allow.
    force
        Too few images are no reason against a method.

    Raises
    ------
    UserError
        Too few images and not forced (``too_few_images``).
    DataMissing
        There is no such estimate.
    """
    order: tuple[Method, ...] = get_args(Method)
    if wanted != "auto":
        if wanted not in available:
            known = ", ".join(m for m in order if m in available) or "none"
            raise DataMissing(
                f"there is no estimate for the correction {wanted!r}; there are: {known}"
            )
        order = (wanted,)
    there = [m for m in order if m in available]
    allowed = [m for m in there if n_images >= MIN_IMAGES[m]]
    if allowed:
        return allowed[0]
    if not there:
        raise DataMissing("nothing is known of the channel's illumination")
    # Of too few images a spread says least of all.
    cautious = [m for m in there if m != "std"] or there
    if force:
        return cautious[0]
    method = cautious[0]
    raise UserError(
        f"illumination was estimated from {n_images} images and correction ({method}) needs"
        f" {MIN_IMAGES[method]}: it would distort intensities; switch it off or force it",
        code="too_few_images",
    )


@njit(nogil=True, cache=True)
def _scale_integers(image, gain, bias, top, out):  # type: ignore[no-untyped-def]
    below = above = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = np.rint(np.float64(image[y, x]) * gain[y, x] + bias[y, x])
            if value < 0:
                below += 1
                value = 0.0
            elif value > top:
                above += 1
                value = top
            out[y, x] = value
    return below, above


@njit(nogil=True, cache=True)
def _scale_logarithms(image, table, gain, bias, top, out):  # type: ignore[no-untyped-def]
    above = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = 0.0
            if image[y, x] > 0:
                value = np.rint(10.0 ** (table[image[y, x]] * gain[y, x] + bias[y, x]))
                if value > top:
                    above += 1
                    value = top
            out[y, x] = value
    return above


@dataclass(frozen=True, slots=True)
class Clipped:
    """How many pixels of an image left the range of its type when it was corrected."""

    below: int = 0
    above: int = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """The removal of uneven illumination from the images of one channel.

    Attributes
    ----------
    method
        What it stands on: "basic" or "vendor" (flat and dark field), "flat" (mean of the logarithms),
        "std" (their spread, too).
    n_images
        Images it was estimated from; 0 for the vendor's own.
    gain, bias
        float32, shape (height, width): see `apply_counted`.
    logarithmic
        They are for logarithms ("std").

    Notes
    -----
    - basic, vendor (Peng et al. 2017, eq. 1): ``(I - D) / S + <D>`` with flat field S (mean 1), dark
      field D; <> is the average over the field. The black level <D> is added again and S has
      mean 1, so that backgrounds and the range of intensities stay where they were.
    - flat: ``I * 10^(<m> - m)`` with m = mean of log10 intensities.
    - std (as in TissueMAPS 0.5): ``10^((log10 I - m) / s * <s> + <m>)``. It changes contrasts, not only
      the level: intensities are no longer proportional to light.
    """

    method: Method
    n_images: int
    gain: NDArray[np.float32]
    bias: NDArray[np.float32]
    logarithmic: bool = False

    @classmethod
    def from_fields(
        cls,
        flat: NDArray[Any],
        dark: NDArray[Any] | None = None,
        *,
        method: Method = "basic",
        n_images: int = 0,
    ) -> Correction:
        """Return the correction by a flat field (positive, any mean) and a dark field, (height, width)."""
        gain = flat.mean(dtype=np.float64) / flat.astype(np.float64)
        dark = np.zeros(flat.shape) if dark is None else dark.astype(np.float64)
        bias = dark.mean() - dark * gain
        return cls(method, n_images, gain.astype(np.float32), bias.astype(np.float32))

    @classmethod
    def from_statistics(cls, known: IlluminationStatistics, method: Method) -> Correction:
        """Return the correction "flat" or "std" by statistics of logarithms."""
        mean = known.mean.astype(np.float64)
        bias = np.zeros(mean.shape, np.float32)
        if method != "std":
            gain = 10 ** (mean.mean() - mean)
            return cls("flat", known.n_images, gain.astype(np.float32), bias)
        std = known.std.astype(np.float64)
        # A pixel that varies less than a hundredth of the others is broken: it stays the most it can be.
        power = std.mean() / np.maximum(std, max(std.mean() / 100, 1e-6))
        bias = (mean.mean() - mean * power).astype(np.float32)
        return cls("std", known.n_images, power.astype(np.float32), bias, logarithmic=True)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images it is for."""
        return (self.gain.shape[0], self.gain.shape[1])

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the image (height, width) corrected, in its own type; see `apply_counted`."""
        return self.apply_counted(image)[0]

    def apply_counted(self, image: NDArray[Any]) -> tuple[NDArray[Any], Clipped]:
        """Remove uneven illumination from an image.

        Parameters
        ----------
        image : ndarray, shape (height, width), uint8, uint16 or float32
            Raw intensities.

        Returns
        -------
        ndarray, same shape and dtype
            ``image * gain + bias``, or ``10^(log10(image) * gain + bias)`` where zero and less stay as
            they are; computed in float64.
            Integers are rounded once (half to even) and clipped to the range of the type; floats are neither.
        Clipped
            Pixels that had to be clipped.

        Raises
        ------
        UserError
            The image has another size (``image_size``).
        """
        if image.shape != self.gain.shape:
            raise UserError(
                f"the illumination was estimated for images of {self.gain.shape}, not {image.shape}",
                code="image_size",
            )
        if image.dtype.kind == "f":
            return self._apply_to_floats(image), Clipped()
        out = np.empty_like(image, order="C")
        top = float(np.iinfo(image.dtype).max)
        if self.logarithmic:
            table = _logarithms(1 << 8 * image.dtype.itemsize)
            above = _scale_logarithms(image, table, self.gain, self.bias, top, out)
            return out, Clipped(0, int(above))
        below, above = _scale_integers(image, self.gain, self.bias, top, out)
        return out, Clipped(int(below), int(above))

    def _apply_to_floats(self, image: NDArray[Any]) -> NDArray[Any]:
        values = image.astype(np.float64)
        if not self.logarithmic:
            return (values * self.gain + self.bias).astype(image.dtype)
        positive = values > 0
        raised = 10 ** (np.log10(np.where(positive, values, 1.0)) * self.gain + self.bias)
        return np.where(positive, raised, values).astype(image.dtype)


def correct(
    image: NDArray[Any],
    illumination: IlluminationStatistics,
    *,
    method: Choice = "auto",
    force: bool = False,
) -> NDArray[Any]:
    """Remove uneven illumination from an image by statistics of logarithms alone.

    Raises
    ------
    UserError
        Too few images and not forced (``too_few_images``), or another size (``image_size``).
    """
    chosen = choose_method(illumination.n_images, ("std", "flat"), method, force=force)
    return Correction.from_statistics(illumination, chosen).apply(image)
