"""Arithmetic of images, pixel by pixel, on whichever device they lie; entry points: the public functions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.focus import tenengrad
from gpu_workers.xp import namespace

Image = NDArray[Any]


def type_range(dtype: np.dtype) -> tuple[float, float]:
    """Return the lowest and highest intensity of a type; 0 and 1 for floats.

    Examples
    --------
    >>> type_range(np.dtype("uint8"))
    (0.0, 255.0)
    """
    if dtype.kind not in "ui":
        return 0.0, 1.0
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def saturated(values: Image, dtype: np.dtype) -> Image:
    """Return values in another type: rounded and held within its range if it is one of whole numbers.

    Examples
    --------
    >>> saturated(np.array([-3.0, 7.5, 300.0, np.nan]), np.dtype("uint8"))
    array([  0,   8, 255,   0], dtype=uint8)
    """
    xp = namespace(values)
    if dtype.kind not in "ui":
        return values.astype(dtype)
    low, high = type_range(dtype)
    if values.dtype.kind == "f":
        values = xp.rint(xp.nan_to_num(values, nan=0.0))
    held: Image = xp.clip(values.astype(np.float64), low, high).astype(dtype)
    return held


def float_type(*images: Image) -> np.dtype:
    """Return the type of results that are no whole numbers: float32, or float64 if an image is so."""
    return np.dtype(np.float64 if any(i.dtype == np.float64 for i in images) else np.float32)


def finite_limits(image: Image) -> tuple[float, float]:
    """Return the lowest and highest finite value; 0 and 0 if there is none.

    Examples
    --------
    >>> finite_limits(np.array([np.nan, 2.0, np.inf, 5.0]))
    (2.0, 5.0)
    """
    xp = namespace(image)
    values = image
    if image.dtype.kind == "f":
        values = image[xp.isfinite(image)]
    if not values.size:
        return 0.0, 0.0
    return float(values.min()), float(values.max())


def stretched(image: Image, low: float, high: float) -> Image:
    """Return float64 values with `low` at 0 and `high` at 1, held between; 0 if both are equal.

    Examples
    --------
    >>> stretched(np.array([1, 2, 3, 9]), 1, 3)
    array([0. , 0.5, 1. , 1. ])
    """
    xp = namespace(image)
    if not low < high:
        flat: Image = xp.where(xp.isnan(image), image, xp.zeros(1)).astype(np.float64)
        return flat
    held: Image = xp.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    return held


def rescaled(image: Image, low: float, high: float) -> Image:
    """Map a range of intensities to the whole range of the image's type (0 to 1 for floats).

    Examples
    --------
    >>> rescaled(np.array([0, 10, 20, 30], np.uint8), 10, 20)
    array([  0,   0, 255, 255], dtype=uint8)
    """
    bottom, top = type_range(image.dtype)
    return saturated(bottom + stretched(image, low, high) * (top - bottom), image.dtype)


def weighted_sum(image_1: Image, image_2: Image, weight_1: float, weight_2: float) -> Image:
    """Return ``weight_1 · image_1 + weight_2 · image_2`` in the type that holds both.

    Parameters
    ----------
    image_1, image_2 : ndarray, same shape, any real dtype
        Whole numbers give whole numbers, rounded and held within their type's range.

    Examples
    --------
    >>> weighted_sum(np.array([10, 250], np.uint8), np.array([20, 250], np.uint8), 1, 0.5)
    array([ 20, 255], dtype=uint8)
    >>> weighted_sum(np.array([10, 250], np.uint8), np.array([20, 250], np.uint8), 1, -1)
    array([0, 0], dtype=uint8)
    """
    dtype = np.result_type(image_1.dtype, image_2.dtype)
    total = weight_1 * image_1.astype(np.float64)
    total += weight_2 * image_2.astype(np.float64)
    return saturated(total, dtype)


def sum_of_stretched(image_1: Image, image_2: Image, weight_1: float, weight_2: float) -> Image:
    """Return the weighted sum of two images, each stretched from 0 to 1, stretched over their type.

    Examples
    --------
    >>> sum_of_stretched(np.array([0, 5, 9], np.uint8), np.array([7, 7, 7], np.uint8), 1, 1)
    array([  0, 142, 255], dtype=uint8)
    """
    dtype = np.result_type(image_1.dtype, image_2.dtype)
    first = stretched(image_1, *finite_limits(image_1))
    total = weight_1 * first + weight_2 * stretched(image_2, *finite_limits(image_2))
    bottom, top = type_range(dtype)
    scaled = stretched(total, *finite_limits(total))
    return saturated(bottom + scaled * (top - bottom), dtype)


def inverted(image: Image) -> Image:
    """Turn dark into bright.

    Notes
    -----
    Masks are negated; whole numbers become lowest + highest value of their type minus themselves;
    floats lowest + highest finite value of the image minus themselves.

    Examples
    --------
    >>> inverted(np.array([0, 55], np.uint8))
    array([255, 200], dtype=uint8)
    >>> inverted(np.array([1.0, 2.0, 4.0]))
    array([4., 3., 1.])
    """
    if image.dtype == np.bool_:
        return ~image
    if image.dtype.kind == "f":
        low, high = finite_limits(image)
        return (low + high - image).astype(image.dtype)
    # Of a two's complement and of an unsigned number alike, the complement mirrors the range.
    return ~image


def inside(image: Image, mask: Image, value: float = 0) -> Image:
    """Return the image with another value where the mask is 0.

    Raises
    ------
    UserError
        The shapes differ (``wrong_shape``).

    Examples
    --------
    >>> inside(np.array([3, 4], np.uint8), np.array([True, False]), 300)
    array([  3, 255], dtype=uint8)
    """
    xp = namespace(image)
    if image.shape != mask.shape:
        told = f"an image of {image.shape} and a mask of {mask.shape} do not fit"
        raise UserError(told, code="wrong_shape")
    other = np.zeros(1, image.dtype)
    if image.dtype == np.bool_:
        other[0] = value != 0
    else:
        other[:] = saturated(np.full(1, value, np.float64), image.dtype)
    kept: Image = xp.where(mask > 0, image, xp.asarray(other))
    return kept


def bordered(image: Image, width: int, value: float = 0) -> Image:
    """Return the image with another value in a frame along its edges, in each plane of a stack.

    Examples
    --------
    >>> bordered(np.ones((3, 4), np.uint8), 1).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    xp = namespace(image)
    frame = xp.ones(image.shape, bool)
    if width > 0:
        height, across = image.shape[-2:]
        frame[...] = False
        frame[..., width : max(width, height - width), width : max(width, across - width)] = True
    return inside(image, frame, value)


def ratio(
    numerator: Image,
    denominator: Image,
    background: tuple[float, float],
    floor: float,
) -> NDArray[np.float32]:
    """Divide one image by another, both without their background.

    Parameters
    ----------
    numerator, denominator : ndarray, same shape, any real dtype
        Intensities, corrected for uneven illumination.
    background
        Of the numerator and of the denominator.
    floor
        The denominator counts at least as much, so that noise near zero does not blow up; above 0.

    Returns
    -------
    ndarray of float32, same shape
        ``max(numerator - b1, 0) / max(denominator - b2, floor)``.

    Examples
    --------
    >>> ratio(np.array([30, 30, 5]), np.array([20, 11, 90]), (10, 10), 2)
    array([ 2., 10.,  0.], dtype=float32)
    """
    xp = namespace(numerator)
    above = xp.maximum(numerator.astype(np.float64) - background[0], 0)
    below = xp.maximum(denominator.astype(np.float64) - background[1], floor)
    with np.errstate(invalid="ignore", over="ignore"):
        divided: NDArray[np.float32] = (above / below).astype(np.float32)
    return divided


def background_level(image: Image, percentile: float, outside: Image | None = None) -> float:
    """Return the intensity of an image's background.

    Parameters
    ----------
    image : ndarray, any shape
        Pixels that aren't finite are left out.
    percentile
        Of all pixels that is taken for background, if nothing else is known.
    outside
        Where objects are; if they leave at least a hundredth of the image, the median of the rest
        is the background.

    Examples
    --------
    >>> background_level(np.arange(101.0), 5)
    5.0
    >>> background_level(np.array([2.0, 3.0, 4.0, 900.0]), 5, np.array([0, 0, 0, 1]))
    3.0
    """
    xp = namespace(image)
    values = image[xp.isfinite(image)]
    if outside is not None:
        rest = image[(outside == 0) & xp.isfinite(image)]
        if rest.size and 100 * rest.size >= values.size:
            return float(xp.median(rest))
    return float(xp.percentile(values, percentile)) if values.size else 0.0


Projection = Literal["max", "sum", "mean", "best_focus"]


def projected(stack: Image, method: Projection) -> Image:
    """Make one plane of a stack.

    Parameters
    ----------
    stack : ndarray, shape (z, height, width), any real dtype
        Pixels that aren't finite are left out where others are there.
    method
        max, sum or mean over z, or best_focus: the one plane with the largest mean squared gradient.

    Returns
    -------
    ndarray, shape (height, width)
        max and best_focus: of the stack's type. sum and mean: float32 (float64 for a stack of it), so
        that a sum is not cut off at the type's largest value.

    Raises
    ------
    UserError
        There is no plane (``empty_stack``).

    Examples
    --------
    >>> projected(np.array([[[200, 1]], [[100, 2]]], np.uint8), "sum")
    array([[300.,   3.]], dtype=float32)
    """
    xp = namespace(stack)
    if not len(stack):
        raise UserError("the stack has no plane to project", code="empty_stack")
    if method == "best_focus":
        sharpness = [tenengrad(plane) for plane in stack]
        best: Image = stack[int(np.argmax(sharpness))].copy()
        return best
    if method == "max":
        highest: Image = stack[0].copy()
        for plane in stack[1:]:
            highest = xp.fmax(highest, plane)
        return highest
    total = xp.zeros(stack.shape[1:], np.float64)
    count = xp.zeros(stack.shape[1:], np.int32)
    for plane in stack:
        finite = xp.isfinite(plane)
        total += xp.where(finite, plane, xp.zeros(1, stack.dtype))
        count += finite
    if method == "mean":
        total = total / xp.maximum(count, 1)
    made: Image = xp.where(count > 0, total, xp.asarray(np.nan)).astype(float_type(stack))
    return made
