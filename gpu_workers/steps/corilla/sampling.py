"""Which images stand for a channel, and what one job keeps of its part of them; entry point: `accumulate`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.illumination.correction import SMOOTHING_SIGMA, LogMoments
from gpu_workers.imaging.illumination.flatfield import WORKING_SIDE, reduced
from gpu_workers.imaging.illumination.intensities import IntensityHistogram
from gpu_workers.messages import Message
from gpu_workers.registry import Arguments, StepContext
from gpu_workers.steps.jterator.pixels import choose_projection
from gpu_workers.storage.illumination import Part
from gpu_workers.storage.layout import Layout, load_layout
from gpu_workers.storage.plates import Plates

MAX_SMALL = 1000
"""Shrunk images kept of a channel for flat and dark field: 64 KB each."""
PART_BYTES = 1 << 30
"""What the partial results of a channel may take on disk."""
BYTES_PER_PIXEL = 16
"""Of a partial result: two float64."""


class CorillaArguments(Arguments):
    method: Literal["basic", "statistics"] = Field(
        "basic",
        title="Estimate",
        description="basic: flat and dark field (BaSiC), and mean and spread of the logarithms."
        " statistics: only the latter.",
    )
    darkfield: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Dark field",
        description="What the camera shows without light. auto: where it makes images plainly more even"
        " that it was not estimated from.",
    )
    projection: Literal["auto", "none", "max", "mean", "best"] = Field(
        "auto",
        title="Projection",
        description="Which images of z stacks to take. auto: the projection if there is one.",
    )
    max_images: int = Field(
        2000, ge=1, le=100_000, title="Images per channel", description="drawn at random"
    )
    sigma: float = Field(
        SMOOTHING_SIGMA,
        ge=0,
        le=200,
        title="Smoothing (px)",
        description="of mean and spread of the logarithms",
    )
    batch_size: int = Field(
        50,
        ge=1,
        le=1000,
        title="Images per job",
        description="more where the parts would take above 1 GB a channel",
    )


class SampleBatch(Message):
    """Accumulate one part of a channel's sample."""

    kind: Literal["sample"] = "sample"
    channel: int
    part: int
    parts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: plate, site, t, z; `group` is the same for all images of a site."""

    plate: str
    site: int
    t: int
    z: int
    group: int


@dataclass(frozen=True)
class Recipe:
    """Resolved arguments and the images they are about; the same in every job."""

    layout: Layout
    plates: Plates
    projection: str | None
    arguments: CorillaArguments

    @classmethod
    def resolve(cls, context: StepContext, arguments: CorillaArguments) -> Recipe:
        """Read the layout; raises UserError for a projection that isn't there (``no_projection``)."""
        layout = load_layout(context.root, context.inputs["layout"])
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        projection = choose_projection(arguments.projection, plates)
        return cls(layout, plates, projection, arguments)

    @cached_property
    def _shapes(self) -> Counter[tuple[int, int]]:
        return Counter((s.height, s.width) for p in self.layout.plates for s in p.sites)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of most sites; None without sites."""
        return self._shapes.most_common(1)[0][0] if self._shapes else None

    @property
    def n_other_shapes(self) -> int:
        """Sites of another size, which are left out."""
        return self._shapes.total() - max(self._shapes.values(), default=0)

    @cached_property
    def _sites(self) -> list[tuple[str, int]]:
        return [
            (plate.id, site.index)
            for plate in self.layout.plates
            for site in plate.sites
            if (site.height, site.width) == self.shape
        ]

    @property
    def n_samples(self) -> int:
        """Images of a channel that are drawn; fewer are read where some are missing."""
        return min(self._n_images, self.arguments.max_images)

    @property
    def _n_images(self) -> int:
        return len(self._sites) * self.layout.n_tpoints * self.plates.n_zplanes(self.projection)

    @property
    def n_parts(self) -> int:
        """Jobs that share a channel's sample."""
        wanted = -(-self.n_samples // self.arguments.batch_size)
        height, width = self.shape or (1, 1)
        return max(min(wanted, PART_BYTES // (BYTES_PER_PIXEL * height * width)), min(wanted, 1))

    def samples(self, channel: int) -> list[Sample]:
        """Return the images drawn for a channel, the same ones in every job, in the layout's order."""
        chosen = np.arange(self._n_images)
        if self.n_samples < self._n_images:
            rng = np.random.default_rng(channel)
            chosen = np.sort(rng.choice(self._n_images, self.n_samples, replace=False))
        n_z = self.plates.n_zplanes(self.projection)
        sites, times, heights = np.unravel_index(
            chosen, (len(self._sites), self.layout.n_tpoints, n_z)
        )
        return [
            Sample(self._sites[s][0], self._sites[s][1], int(t), int(z), int(s))
            for s, t, z in zip(sites, times, heights, strict=True)
        ]

    def read(self, sample: Sample, channel: int) -> NDArray | None:
        """Return an image; None if it is missing."""
        return self.plates.read(
            sample.plate, sample.site, sample.t, channel, sample.z, self.projection
        )


def accumulate(context: StepContext, recipe: Recipe, work: SampleBatch) -> Part:
    """Return what one job's images add to the knowledge of a channel."""
    assert recipe.shape is not None
    samples = recipe.samples(work.channel)
    first, last = (len(samples) * (work.part + i) // work.parts for i in (0, 1))
    stride = -(-len(samples) // MAX_SMALL)
    moments, histogram = LogMoments.empty(recipe.shape), IntensityHistogram()
    small, places, groups, n_left_out = [], [], [], 0
    for place in range(first, last):
        context.progress((place - first) / (last - first), f"image {place + 1} of {len(samples)}")
        image = recipe.read(samples[place], work.channel)
        if image is None:
            continue
        if not np.isfinite(image).all():
            n_left_out += 1
            continue
        moments.update(image)
        histogram.update(image)
        groups.append(samples[place].group)
        if place % stride == 0:
            small.append(reduced(image))
            places.append(place)
    size = tuple(min(side, WORKING_SIDE) for side in recipe.shape)
    stack = np.array(small, np.float32).reshape(-1, *size)
    return Part(moments, histogram, stack, np.array(places, int), np.array(groups, int), n_left_out)
