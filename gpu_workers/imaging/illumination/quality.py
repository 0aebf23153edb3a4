"""What a correction is worth: shading of images that it was not estimated from; entry point: `held_out`.

Everything works on small images (`gpu_workers.imaging.illumination.flatfield.reduced`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.illumination.correction import (
    Correction,
    LogMoments,
    Method,
    statistics,
)
from gpu_workers.imaging.illumination.flatfield import estimate_flatfield

Stack = NDArray[np.float32]
Fit = Callable[[Stack], Correction]

FEWEST = 4
"""Images below which nothing can be held out."""
SMOOTHING = 1 / 16
"""Standard deviation of the smoothing of a shading, as part of the image's side."""
DARK_MUST_GAIN = 2 / 3
"""A dark field is kept if it leaves at most this part of the shading that the flat field alone leaves."""
NEGLIGIBLE = 0.01
"""Shading that is no reason for a dark field."""


def light(images: Stack) -> NDArray[np.float32] | None:
    """Return how bright each place is over many images, relative to the image.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)

    Returns
    -------
    ndarray of float32, shape (height, width)
        Median over the images of each pixel's value divided by its image's median, smoothed, mean 1: a
        measure of the background, which single bright objects hardly change. Of images that are black
        but for objects, means take the place of medians. None if all is black.
    """
    for average in (np.median, np.mean):
        level = average(images, axis=(1, 2))
        used = images[level > 0] / level[level > 0][:, None, None]
        if not len(used):
            continue
        field = average(used, axis=0).astype(np.float32)
        smooth = gaussian(field, SMOOTHING * max(field.shape))
        if smooth.min() > 0:
            return np.asarray(smooth / smooth.mean(dtype=np.float64), np.float32)
    return None


def shading(images: Stack) -> float | None:
    """Return brightest over darkest place of `light`; 1 is even."""
    field = light(images)
    return None if field is None else float(field.max() / field.min())


def halves(groups: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which images are in the second half; images of one group (site) stay together if they can.

    Examples
    --------
    >>> halves(np.array([7, 7, 8, 9, 9])).astype(int)
    array([0, 0, 1, 0, 0])
    """
    _, order = np.unique(groups, return_inverse=True)
    if order.size and order.max() == 0:
        order = np.arange(len(order))
    second: NDArray[np.bool_] = order % 2 == 1
    return second


def held_out(images: Stack, second: NDArray[np.bool_], fit: Fit) -> tuple[Stack, float]:
    """Correct each half of the images by what the other half tells.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)
    second : ndarray of bool, shape (n,)
        Which images are in the second half (`halves`); neither is empty.
    fit
        From images to a correction.

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        Corrected images.
    float
        Root mean square of the relative difference of both corrections' fields.
    """
    corrected = np.empty_like(images)
    gains = []
    for half in (second, ~second):
        correction = fit(images[~half])
        gains.append(np.log(np.maximum(correction.gain, 1e-6)))
        for i in np.flatnonzero(half):
            corrected[i] = correction.apply(images[i])
    apart = gains[0] - gains[1]
    return corrected, float(np.sqrt(np.mean((apart - apart.mean()) ** 2)))


def fit_fields(images: Stack, *, darkfield: bool) -> Correction:
    """Return the correction by flat and dark field of these images."""
    found = estimate_flatfield(images, darkfield=darkfield)
    return Correction.from_fields(found.flat, found.dark, n_images=found.n_images)


def fit_logarithms(images: Stack, method: Method, sigma: float, least: float) -> Correction:
    """Return the correction "flat" or "std" of these images; values below `least` count as `least`."""
    moments = LogMoments.empty((images.shape[1], images.shape[2]))
    for image in images:
        moments.update(np.maximum(image, np.float32(least)))
    return Correction.from_statistics(statistics(moments, sigma), method)


def darkfield_gains(without: float | None, with_it: float | None) -> bool:
    """Return whether a dark field makes images plainly more even that it was not estimated from.

    The estimate of a dark field is unstable where images hardly differ in brightness or are full of
    objects, and then harms the flat field; so its shading (`shading`) must tell.
    """
    if without is None or with_it is None:
        return False
    return without - 1 > NEGLIGIBLE and (with_it - 1) <= DARK_MUST_GAIN * (without - 1)
