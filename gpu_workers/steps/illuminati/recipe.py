"""What goes into a mosaic: which projection, which correction, which map to 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging import mosaic
from gpu_workers.imaging.illumination.correction import Choice
from gpu_workers.registry import Arguments, StepContext
from gpu_workers.steps.align import use
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.layout import ChannelLayout, Layout, load_layout
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.pyramid import Place


class IlluminatiArguments(Arguments):
    """What a person chooses for the mosaic."""

    projection: Literal["auto", "none", "max", "mean", "best"] = Field(
        "auto",
        title="Projection",
        description="Which image of a z stack to show: all planes (none), or the projection that"
        " imextract made (max, mean, best = in best focus). auto: the projection if there is one.",
    )
    correct: bool = Field(
        False,
        title="Correct illumination",
        description="Even out the illumination with corilla's statistics. Measurements never use"
        " the mosaic; this changes only what is seen.",
    )
    correct_method: Choice = Field(
        "auto",
        title="Way of correction",
        description="basic: flat and dark field; flat: mean of the logarithms; std: their spread, too (changes"
        " contrasts); vendor: the microscope's own profile. auto: the first of basic, std, flat and"
        " vendor that there is and for which there were enough images.",
    )
    correct_except: tuple[str, ...] = Field(
        (), title="Channels left alone", description="Names of channels not to correct."
    )
    force: bool = Field(
        False,
        title="Correct in any case",
        description="Correct although the statistics stand on too few images and may distort.",
    )
    clip_percent: float = Field(
        99.9,
        ge=50,
        le=100,
        title="Upper end of the display, percent",
        description="Channels are first shown up to this percentile of their pixels. No pixel is clipped:"
        " the window can be changed on the map at any time.",
    )
    clip_value: float | None = Field(
        None,
        title="Upper end of the display, value",
        description="The same intensity for all channels, instead of a percentile.",
    )
    align: use.Wanted = Field("auto", title=use.TITLE, description=use.DESCRIPTION)
    align_subpixel: bool = Field(
        False, title=use.SUBPIXEL_TITLE, description=use.SUBPIXEL_DESCRIPTION
    )


@dataclass(frozen=True, slots=True)
class ValueMap:
    """How stored values become original ones: ``stored * scale + offset``."""

    scale: float = 1.0
    offset: float = 0.0
    n_not_finite: int = 0


@dataclass(frozen=True)
class Recipe:
    """The resolved arguments of one run of the step, and the images it works on."""

    context: StepContext
    arguments: IlluminatiArguments
    layout: Layout
    plates: Plates
    projection: str | None
    corrections: Corrections | None
    alignment: Alignment | None

    @classmethod
    def resolve(cls, context: StepContext, arguments: IlluminatiArguments) -> Recipe:
        """Check the arguments against what earlier steps have made.

        Raises
        ------
        UserError
            No such projection (``no_projection``), no such channel (``unknown_channel``), too few
            images for a correction (``too_few_images``).
        DataMissing
            Correction was asked for and there are no statistics, or alignment and align has not run.
        """
        alignment = use.alignment_of(context, arguments.align)
        layout = (
            alignment.layout if alignment else load_layout(context.root, context.inputs["layout"])
        )
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        projection = _projection(arguments.projection, plates)
        corrections = _corrections(context, arguments, layout) if arguments.correct else None
        return cls(context, arguments, layout, plates, projection, corrections, alignment)

    @property
    def corrected(self) -> Mapping[int, str]:
        """Channels whose illumination is corrected, and how."""
        return self.corrections.methods if self.corrections else {}

    @property
    def n_zplanes(self) -> int:
        """Planes of the mosaic along z."""
        return self.plates.n_zplanes(self.projection)

    @property
    def float_channels(self) -> tuple[int, ...]:
        """Channels that must be mapped to 16 bits."""
        return tuple(c.index for c in self.layout.channels if c.dtype == "float32")

    @property
    def places(self) -> tuple[Place, ...]:
        """All planes of a plate: (t, c, z)."""
        sizes = (self.layout.n_tpoints, len(self.layout.channels), self.n_zplanes)
        return tuple((t, c, z) for t, c, z in np.ndindex(*sizes))

    def read(self, plate: str, site: int, place: Place) -> NDArray | None:
        """Return a site's plane, corrected and aligned if asked, in its original type; None if missing."""
        t, c, z = place
        image = self.plates.read(plate, site, t, c, z, self.projection)
        if image is not None and self.corrections is not None:
            image = self.corrections.apply(c, image)
        if image is not None and self.alignment is not None:
            subpixel = self.arguments.align_subpixel
            image = self.alignment.apply(image, plate, site, c, subpixel=subpixel)
        return image

    def read_stored(
        self, plate: str, maps: dict[int, ValueMap], site: int, place: Place
    ) -> NDArray | None:
        """Return a site's plane as the mosaic stores it: uint8 or uint16."""
        image = self.read(plate, site, place)
        value_map = maps[place[1]]
        if image is None or image.dtype.kind == "u":
            return image
        return mosaic.quantise(image, value_map.offset, value_map.scale)


def key_of(name: str, version: int, recipe: Recipe) -> str:
    """Return the key of the mosaic; statistics and alignments that are not used don't change it."""
    context, arguments = recipe.context, recipe.arguments
    chosen = arguments.model_dump(mode="json", exclude={"align", "align_subpixel"})
    if not arguments.correct:
        chosen = {"projection": arguments.projection, "correct": False}
        chosen |= {"clip": [arguments.clip_percent, arguments.clip_value]}
    wanted = ["layout", "plates", *(["illumination"] if arguments.correct else [])]
    if recipe.alignment is not None:
        wanted.append("alignment")
        chosen["align_subpixel"] = arguments.align_subpixel
    inputs = {k: v for k, v in context.inputs.items() if k in wanted}
    return paths.content_key(name, version, context.backend, chosen, inputs)


def value_map(low: float, high: float, n_not_finite: int = 0) -> ValueMap:
    """Return the map whose 65,536 values span the range; of nothing finite, or of one value: scale 1."""
    if not low < high:
        return ValueMap(1.0, low if np.isfinite(low) else 0.0, n_not_finite)
    return ValueMap((high - low) / (mosaic.N_VALUES - 1), low, n_not_finite)


def padding_of(channel: ChannelLayout) -> int:
    """Return the stored value of pixels that no site shows: white where light means nothing there."""
    if not channel.brightfield:
        return 0
    return 255 if channel.dtype == "uint8" else mosaic.N_VALUES - 1


def _projection(wanted: str, plates: Plates) -> str | None:
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


def _corrections(
    context: StepContext, arguments: IlluminatiArguments, layout: Layout
) -> Corrections:
    return Corrections.resolve(
        context.root,
        context.inputs.get("illumination"),
        layout,
        arguments.correct_method,
        arguments.correct_except,
        force=arguments.force,
    )
