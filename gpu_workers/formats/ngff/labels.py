"""Label images beside an image; entry point: `open_labels`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.files.ngff import Place, ZarrFile, plane
from gpu_workers.formats.listing import shown
from gpu_workers.formats.ngff import groups, multiscales
from gpu_workers.formats.ngff.arrays import ZarrArray, open_array
from gpu_workers.formats.ngff.multiscales import Multiscale

MAX_LABELS: Final = 100
MAX_LABEL: Final = 2**32 - 1
_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Labels:
    """A label image that fits an image.

    Attributes
    ----------
    path
        Below the acquisition's folder.
    factor
        How many pixels of the image one of the labels covers, along y and x.
    """

    path: str
    name: str
    array: ZarrArray
    scale: Multiscale
    factor: tuple[int, int]

    @property
    def is_flat(self) -> bool:
        """Whether it has one z plane only."""
        return self.scale.size(self.array.shape, "z") == 1

    def read(self, place: Place) -> npt.NDArray[np.uint32]:
        """Return the labels (y, x) of a rectangle of a plane, coarser ones enlarged by repetition.

        Raises
        ------
        FileError
            A chunk is damaged, or a label is below 0 or above 2^32 - 1.
        """
        shape, (fy, fx) = self.array.shape, self.factor
        height, width = self.scale.size(shape, "y"), self.scale.size(shape, "x")
        y0, x0 = place.y // fy, place.x // fx
        y1 = min(math.ceil((place.y + place.height) / fy), height)
        x1 = min(math.ceil((place.x + place.width) / fx), width)
        found = np.zeros((place.height, place.width), np.uint32)
        if y1 <= y0 or x1 <= x0:
            return found
        t = min(place.t, self.scale.size(shape, "t") - 1)
        z = min(place.z, self.scale.size(shape, "z") - 1)
        values = plane(self.array, self.scale, Place(t, 0, z, y0, x0, y1 - y0, x1 - x0))
        values = _unsigned(values, self.path)
        if self.factor != (1, 1):
            values = values.repeat(fy, axis=0).repeat(fx, axis=1)
        top, left = place.y - y0 * fy, place.x - x0 * fx
        values = values[top : top + place.height, left : left + place.width]
        found[: values.shape[0], : values.shape[1]] = values
        return found


def _unsigned(values: npt.NDArray[Any], path: str) -> npt.NDArray[np.uint32]:
    if values.size and (values.min() < 0 or values.max() > MAX_LABEL):
        name = shown(path)
        raise FileError(
            f"the label image {name} has labels from {values.min()} to {values.max()}; 0 to {MAX_LABEL}"
            " can be kept",
            code="unsupported_type", files=(name,),
        )  # fmt: skip
    return values.astype(np.uint32)


def open_labels(folder: Path, image: ZarrFile) -> Iterator[Labels | FileError]:
    """Yield the label images that an image group lists; the reason instead where one can't be used."""
    try:
        below = groups.joined(image.file, "labels")
        listed = groups.attributes(folder, below).ome.get("labels")
    except FileError as error:
        yield error
        return
    names = [n for n in listed if isinstance(n, str)] if isinstance(listed, list) else []
    for name in names[:MAX_LABELS]:
        try:
            yield _open(folder, groups.joined(below, name), name, image)
        except FileError as error:
            yield error


def _open(folder: Path, path: str, name: str, image: ZarrFile) -> Labels:
    found = groups.attributes(folder, path)
    if not multiscales.is_image(found):
        raise groups.bad(found.file, "it describes no label image")
    scale = multiscales.describe(path, found)
    array = open_array(folder, scale.path)
    if len(array.shape) != len(scale.axes) or array.dtype.kind not in "iub":
        raise FileError(
            f"the label image {shown(path)} holds {array.dtype} of {array.shape}, not whole numbers over"
            f" {', '.join(scale.axes)}",
            code="unsupported_type", files=(shown(path),),
        )  # fmt: skip
    return Labels(path, name, array, scale, _factor(array, scale, image, path))


def _factor(array: ZarrArray, scale: Multiscale, image: ZarrFile, path: str) -> tuple[int, int]:
    """Return the pixels per label pixel.

    Raises
    ------
    FileError
        The labels lie elsewhere, are finer, no whole number coarser, or of other planes
        (`labels_differ`).
    """
    t, c, z = (scale.size(array.shape, axis) for axis in "tcz")
    fits = c == 1 and t in (1, image.size[0]) and z in (1, image.size[2])
    factors = []
    for axis, whole in (("y", image.height), ("x", image.width)):
        own, steps = (
            scale.size(array.shape, axis),
            (scale.scale.get(axis), image.scale.scale.get(axis)),
        )
        ratio = steps[0] / steps[1] if steps[0] and steps[1] else whole / max(own, 1)
        factor = max(round(ratio), 1)
        fits &= abs(ratio - factor) <= _TOLERANCE * factor
        fits &= own in (whole // factor, math.ceil(whole / factor))
        places = scale.offset.get(axis), image.scale.offset.get(axis)
        if places[0] is not None and places[1] is not None and steps[1]:
            fits &= abs(places[0] - places[1]) <= factor * steps[1]
        factors.append(factor)
    if not fits:
        name = shown(path)
        raise FileError(
            f"the label image {name} of {array.shape} doesn't fit the image of {image.array.shape}: it may be"
            " coarser by a whole number, and flat in z and t",
            code="labels_differ", files=(name,),
        )  # fmt: skip
    return factors[0], factors[1]
