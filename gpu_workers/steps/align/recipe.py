"""The resolved arguments of one run of align, and the images it compares."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.messages import Problem
from gpu_workers.pipelines.templates import choose_nuclei_channel
from gpu_workers.registry import StepContext
from gpu_workers.steps.align.arguments import AlignArguments
from gpu_workers.storage import paths
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.layout import ChannelLayout, Layout, load_layout
from gpu_workers.storage.plates import Plates

CACHE_BYTES = 256 * 1024**2
Image = NDArray[Any]


def base_name(channel: ChannelLayout) -> str:
    """Return a channel's name without the number of its cycle: ``1_DAPI`` of cycle 1 is ``DAPI``."""
    return channel.name.removeprefix(f"{channel.cycle}_")


def reference_channels(
    layout: Layout, cycle: int, wanted: str | None
) -> tuple[str, dict[int, ChannelLayout]]:
    """Return the name of the channel that is compared, and the channel of each cycle that shows it.

    Raises
    ------
    UserError
        The cycle isn't there (``unknown_cycle``), or doesn't show the channel
        (``unknown_channel``).
    """
    if cycle >= layout.n_cycles:
        raise UserError(
            f"there is no cycle {cycle}; the experiment has {layout.n_cycles}, counted from 0",
            code="unknown_cycle",
        )
    names = [base_name(c) for c in layout.channels if c.cycle == cycle]
    if not names:
        raise UserError(f"cycle {cycle} has no channel", code="unknown_cycle")
    if wanted is None:
        shared = [
            n
            for n in names
            if all(
                any(c.cycle == other and base_name(c) == n for c in layout.channels)
                for other in range(layout.n_cycles)
            )
        ]
        chosen = choose_nuclei_channel(shared or names)
    else:
        own = {c.name: base_name(c) for c in layout.channels}
        chosen = wanted if wanted in names else own.get(wanted, wanted)
    if chosen not in names:
        raise UserError(
            f"cycle {cycle} has no channel {wanted!r}; it has: {', '.join(names)}",
            code="unknown_channel",
        )
    return chosen, {c.cycle: c for c in layout.channels if base_name(c) == chosen}


@dataclass(frozen=True)
class Recipe:
    """Layout, pixels and which of them are compared; the same in every job of a run."""

    context: StepContext
    arguments: AlignArguments
    layout: Layout
    plates: Plates
    channel: str
    channels: dict[int, ChannelLayout]
    corrections: Corrections | None
    _images: OrderedDict[tuple[str, int, int], Image | None] = field(default_factory=OrderedDict)

    @classmethod
    def resolve(cls, context: StepContext, arguments: AlignArguments) -> Recipe:
        """Check the arguments against what earlier steps have made.

        Raises
        ------
        UserError
            No such cycle or channel, or too few images for a correction that was asked for.
        DataMissing
            Correction was asked for and there are no statistics.
        """
        layout = load_layout(context.root, context.inputs["layout"])
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        name, channels = reference_channels(layout, arguments.ref_cycle, arguments.ref_wavelength)
        corrections = _corrections(context, arguments, layout, channels)
        return cls(context, arguments, layout, plates, name, channels, corrections)

    @property
    def cycles(self) -> tuple[int, ...]:
        """Cycles to move onto the reference: all others that show the channel."""
        return tuple(sorted(set(self.channels) - {self.arguments.ref_cycle}))

    @property
    def blind_cycles(self) -> tuple[int, ...]:
        """Cycles that don't show the channel and so stay where they are."""
        return tuple(sorted(set(range(self.layout.n_cycles)) - set(self.channels)))

    def key(self, name: str, version: int) -> str:
        """Return the key of the alignment; statistics that are not used don't change it."""
        methods = self.corrections.methods if self.corrections else {}
        left_out = {"batch_size", "correct", "correct_method", "force"}
        chosen = self.arguments.model_dump(mode="json", exclude=left_out)
        wanted = ("layout", "plates", *(("illumination",) if methods else ()))
        inputs = {k: v for k, v in self.context.inputs.items() if k in wanted}
        return paths.content_key(name, version, chosen, inputs, methods)

    def image(self, plate: str, site: int, cycle: int) -> Image | None:
        """Return what is compared of a site in a cycle: its projection at the first time point it has.

        Without a stored projection it is the maximum along z. None where nothing is there.
        """
        key = (plate, site, cycle)
        if key not in self._images:
            self._images[key] = self._read(plate, site, self.channels[cycle].index)
            sizes = (i.nbytes for i in self._images.values() if i is not None)
            if sum(sizes) > CACHE_BYTES and len(self._images) > 2:
                self._images.popitem(last=False)
        self._images.move_to_end(key)
        return self._images[key]

    def present(self, plate: str, site: int, cycle: int) -> bool:
        """Return whether a site has any plane of a cycle."""
        projection = next(iter(self.plates.projections), None)
        planes = np.ndindex(self.layout.n_tpoints, self.plates.n_zplanes(projection))
        channels = [c.index for c in self.layout.channels if c.cycle == cycle]
        return any(
            self.plates.exists(plate, site, t, c, z, projection)
            for t, z in planes
            for c in channels
        )

    def _read(self, plate: str, site: int, channel: int) -> Image | None:
        projection = next(iter(self.plates.projections), None)
        for t in range(self.layout.n_tpoints):
            found: Image | None = None
            for z in range(self.plates.n_zplanes(projection)):
                plane = self.plates.read(plate, site, t, channel, z, projection)
                if plane is not None:
                    found = plane if found is None else np.maximum(found, plane)
            if found is not None:
                return self.corrections.apply(channel, found) if self.corrections else found
        return None


def _corrections(
    context: StepContext,
    arguments: AlignArguments,
    layout: Layout,
    channels: dict[int, ChannelLayout],
) -> Corrections | None:
    compared = {c.index for c in channels.values()}
    path = context.inputs.get("illumination")
    if arguments.correct == "off" or (arguments.correct == "auto" and path is None):
        return None
    try:
        return Corrections.resolve(
            context.root,
            path,
            layout,
            arguments.correct_method,
            tuple(c.name for c in layout.channels if c.index not in compared),
            force=arguments.force,
        )
    except UserError as error:
        if arguments.correct == "on" or (isinstance(error, DataMissing) and path is None):
            raise
        if not context.key:
            message = f"images are compared as they are: {error.message}"
            context.problems.append(Problem(code=error.code, message=message))
        return None
