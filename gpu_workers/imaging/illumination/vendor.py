"""The microscope's own flat field, rendered; entry points: `polynomial_field` and `image_field`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.messages import FlatField

CODE = "vendor_flatfield"
LEAST = 0.05
"""Smallest part of its mean that a flat field may have anywhere."""
EVEN = 1e-3
"""A flat field whose brightest and darkest places differ by less says nothing."""


def polynomial_field(profile: FlatField, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the flat field that a polynomial describes.

    Parameters
    ----------
    profile
        Of kind "polynomial".
    shape
        Height and width of the images, px.

    Returns
    -------
    ndarray of float32, shape `shape`
        Mean 1.

    Raises
    ------
    UserError
        It is that of other images, is not positive, or is even (``vendor_flatfield``).

    Notes
    -----
    ``S(y, x) = sum_i sum_j c[i][j] X^(i-j) Y^j`` with X = (x - origin_x) scale_x and Y = (y - origin_y) scale_y:
    row i of the coefficients holds the terms of total degree i, the highest power of x first. The origin
    is the middle of the images, which tells for which size the profile was made.

    Examples
    --------
    >>> lamp = FlatField(kind="polynomial", coefficients=((1.0,), (0.5, 0.0)), origin=(0, 1), scale=(0.5, 0.5))
    >>> polynomial_field(lamp, (1, 3))
    array([[0.75, 1.  , 1.25]], dtype=float32)
    """
    expected = tuple(round(2 * o + 1) for o in profile.origin)
    if expected != tuple(shape):
        raise UserError(
            f"the microscope's flat field is that of images of {expected[0]} x {expected[1]} pixels, these have"
            f" {shape[0]} x {shape[1]}",
            code=CODE,
        )
    y = ((np.arange(shape[0]) - profile.origin[0]) * profile.scale[0])[:, None]
    x = ((np.arange(shape[1]) - profile.origin[1]) * profile.scale[1])[None, :]
    field = np.zeros(shape)
    for degree, row in enumerate(profile.coefficients):
        for power, coefficient in enumerate(row):
            field += coefficient * x ** (degree - power) * y**power
    return _checked(field)


def image_field(
    flat: NDArray[Any], dark: NDArray[Any] | None, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the flat field that an image of an even object shows.

    Parameters
    ----------
    flat, dark
        The image, and one without light, (height, width).
    shape
        Height and width of the images to correct, px.

    Returns
    -------
    ndarray of float32, shape `shape`
        ``(flat - dark)`` over its mean.

    Raises
    ------
    UserError
        They have another size, or show nothing: black, not positive, even (``vendor_flatfield``).
    """
    for name, image in (("flat", flat), ("dark", dark)):
        if image is not None and image.shape != shape:
            raise UserError(
                f"the microscope's {name} field image is of {image.shape[0]} x {image.shape[1]} pixels, the images"
                f" have {shape[0]} x {shape[1]}",
                code=CODE,
            )
    field = flat.astype(np.float64)
    return _checked(field if dark is None else field - dark)


def _checked(field: NDArray[np.float64]) -> NDArray[np.float32]:
    mean = float(field.mean())
    if not np.isfinite(field).all() or mean <= 0:
        raise UserError("the microscope's flat field is black", code=CODE)
    field = field / mean
    if field.min() < LEAST:
        raise UserError(
            f"the microscope's flat field falls to {field.min():.3f} of its mean", code=CODE
        )
    if field.max() - field.min() < EVEN:
        raise UserError("the microscope's flat field is even: it says nothing", code=CODE)
    return field.astype(np.float32)
