"""The images that a pipeline works on, corrected and aligned if asked; entry point: `Pixels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.registry import StepContext
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.derived import Derived
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.plates import Plates

Image = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Pixels:
    """Reader of the experiment's channels, and of those that earlier runs derived from them.

    Attributes
    ----------
    projection
        The stored projection to read; None: single planes.
    flatten
        The maximum projection is made of the planes, because none is stored.
    """

    layout: Layout
    plates: Plates
    projection: str | None
    flatten: bool
    corrections: Corrections | None
    alignment: Alignment | None
    subpixel: bool
    derived: Mapping[str, Derived]

    def plane(self, plate: str, site: int, t: int, z: int, name: str) -> Image | None:
        """Return a plane (height, width) of a channel, or its projection; None if it is missing."""
        if self.flatten or (self.projection is not None and name in self.derived):
            stack = self.stack(plate, site, t, name)
            return None if stack is None else stack.max(axis=0)
        return self._read(plate, site, t, z, name, self.projection)

    def stack(self, plate: str, site: int, t: int, name: str) -> Image | None:
        """Return all planes (z, height, width) of a channel; None if one is missing."""
        planes = []
        for z in range(self.layout.n_zplanes):
            plane = self._read(plate, site, t, z, name, None)
            if plane is None:
                return None
            planes.append(plane)
        return np.stack(planes)

    def _read(
        self, plate: str, site: int, t: int, z: int, name: str, projection: str | None
    ) -> Image | None:
        if name in self.derived:
            return self.derived[name].read(plate, site, t, z, name)
        number = next(c.index for c in self.layout.channels if c.name == name)
        image = self.plates.read(plate, site, t, number, z, projection)
        if image is not None and self.corrections is not None:
            image = self.corrections.apply(number, image)
        if image is not None and self.alignment is not None:
            image = self.alignment.apply(image, plate, site, number, subpixel=self.subpixel)
        return image

    def itemsize(self, names: Iterable[str]) -> int:
        """Return the bytes of a pixel of the largest of some channels."""
        sizes = {c.name: np.dtype(c.dtype).itemsize for c in self.layout.channels}
        return max((sizes.get(name, 4) for name in names), default=2)


def derived_channels(
    context: StepContext, layout: Layout, alignment: Alignment | None
) -> dict[str, Derived]:
    """Return the derived channels that the inputs of a step hold; one named as a channel stays out."""
    own = {c.name for c in layout.channels}
    found: dict[str, Derived] = {}
    opened: dict[str, Derived] = {}
    aligned = alignment.manifest.key if alignment else None
    for name, path in sorted(context.inputs.items()):
        channel = name.removeprefix("derived/")
        if not name.startswith("derived/") or channel in own:
            continue
        if path not in opened:
            opened[path] = Derived.open(context.root, path, layout)
        if opened[path].manifest.alignment == aligned:
            found[channel] = opened[path]
    return found


def before_equal(
    context: StepContext, derived: Mapping[str, Derived], pipeline: Pipeline
) -> dict[str, Derived]:
    """Return the channels for a pipeline that may have made some of them of others of the same name."""
    text = pipeline.model_dump(mode="json")
    found = {}
    for name, channel in derived.items():
        path = channel.manifest.given.get(f"derived/{name}")
        again = path is not None and channel.manifest.pipeline == text
        if again and path is not None and (context.root / path).is_file():
            found[name] = Derived.open(context.root, path, channel.layout)
        else:
            found[name] = channel
    return found


def choose_projection(wanted: str, plates: Plates) -> str | None:
    """Return the projection to analyse, None for the stack.

    Raises
    ------
    UserError
        There is no such projection (``no_projection``).
    """
    if wanted == "none":
        return None
    if wanted == "auto":
        return next((p for p in ("max", "mean", "best") if p in plates.projections), None)
    if wanted not in plates.projections:
        raise UserError(
            f"there is no {wanted} projection: let imextract make one (its argument projection)",
            code="no_projection",
        )
    return wanted


def choose_planes(
    wanted: str, plates: Plates, pipeline: Pipeline, stacked: Iterable[str]
) -> tuple[str | None, bool]:
    """Return the projection to analyse and whether to make it of the planes.

    Parameters
    ----------
    stacked
        Label images of the pipeline that differ from plane to plane.

    Raises
    ------
    UserError
        There is no such projection (``no_projection``), the pipeline needs all planes and is to get
        a projection or the reverse (``wrong_projection``), or labels differ from plane to plane
        (``labels_of_planes``).
    """
    if pipeline.dimensions == 3:
        if wanted not in ("auto", "none"):
            told = "the pipeline works in three dimensions: it takes no projection"
            raise UserError(told, code="wrong_projection")
        return None, False
    if pipeline.stacks and wanted == "none":
        told = "the pipeline takes stacks as a whole: its other images must be projections"
        raise UserError(told, code="wrong_projection")
    on_the_fly = bool(pipeline.stacks) and wanted in ("auto", "max")
    if on_the_fly and not (plates.projections if wanted == "auto" else "max" in plates.projections):
        projection, flatten = None, True
    else:
        projection, flatten = choose_projection(wanted, plates), False
    named = ", ".join(sorted(stacked))
    if not named or (projection is None and not flatten):
        return projection, flatten
    if wanted == "auto" and not pipeline.stacks:
        return None, False
    raise UserError(
        f"the labels {named} are of each z plane, not of a projection: analyse the planes"
        " (projection: none)",
        code="labels_of_planes",
    )
