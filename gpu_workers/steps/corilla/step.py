"""The step itself: images are sampled per channel, accumulated in parts, merged, smoothed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gpu_workers.imaging.illumination import (
    MIN_IMAGES,
    SMOOTHING_SIGMA,
    LogMoments,
    Method,
    statistics,
)
from gpu_workers.imaging.intensities import IntensityHistogram
from gpu_workers.messages import Json, Message, Plan, Problem
from gpu_workers.registry import Arguments, Step, StepContext, StepOutput
from gpu_workers.steps.jterator.recipe import choose_projection
from gpu_workers.storage import paths
from gpu_workers.storage.illumination import (
    PERCENTILES,
    ChannelIllumination,
    IlluminationManifest,
    channel_path,
    load_part,
    part_path,
    save_channel,
    save_manifest,
    save_part,
)
from gpu_workers.storage.layout import ChannelLayout, Layout, load_layout
from gpu_workers.storage.plates import Plates

NAMED_PERCENTILES = (0, 0.1, 1, 50, 99, 99.9, 100)


class CorillaArguments(Arguments):
    projection: Literal["auto", "none", "max", "mean", "best"] = Field(
        "auto", title="Projection", description="auto: the projection if there is one"
    )
    max_images: int = Field(
        2000, ge=1, le=100_000, title="Images per channel", description="drawn at random"
    )
    sigma: float = Field(SMOOTHING_SIGMA, ge=0, le=200, title="Smoothing (px)")
    batch_size: int = Field(50, ge=1, le=1000, title="Images per job")


class SampleBatch(Message):
    """Accumulate one part of a channel's sample."""

    kind: Literal["sample"] = "sample"
    channel: int
    part: int


class MergeBatch(Message):
    """Join a channel's parts."""

    kind: Literal["merge"] = "merge"
    channel: int
    parts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: plate, site, t, z."""

    plate: str
    site: int
    t: int
    z: int


@dataclass(frozen=True, slots=True)
class _Recipe:
    layout: Layout
    plates: Plates
    projection: str | None
    shape: tuple[int, int] | None
    n_other_shapes: int

    @classmethod
    def resolve(cls, context: StepContext, arguments: CorillaArguments) -> _Recipe:
        layout = load_layout(context.root, context.inputs["layout"])
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        projection = choose_projection(arguments.projection, plates)
        shapes = Counter((s.height, s.width) for p in layout.plates for s in p.sites)
        shape, n = shapes.most_common(1)[0] if shapes else (None, 0)
        return cls(layout, plates, projection, shape, shapes.total() - n)

    def samples(self, channel: int, n: int) -> list[Sample]:
        """Return up to `n` images of a channel, the same ones in every job."""
        every = [
            Sample(plate.id, site.index, t, z)
            for plate in self.layout.plates
            for site in plate.sites
            if (site.height, site.width) == self.shape
            for t in range(self.layout.n_tpoints)
            for z in range(self.plates.n_zplanes(self.projection))
        ]
        order = np.random.default_rng(channel).permutation(len(every))[:n]
        return [every[i] for i in np.sort(order)]


class Corilla(Step[CorillaArguments]):
    """Estimate the illumination of each channel.

    Rounds: parts of each channel's sample; one job per channel that joins them.
    """

    name: ClassVar[str] = "corilla"
    title: ClassVar[str] = "Estimate illumination"
    help: ClassVar[str] = (
        "Mean and spread of each channel's intensities, pixel by pixel over many images, to even out"
        " illumination."
    )
    VERSION: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("layout", "plates")
    Arguments: ClassVar[type[CorillaArguments]] = CorillaArguments

    def plan(self, context: StepContext, arguments: CorillaArguments) -> Plan:
        """List the jobs; raises UserError for a projection that isn't there."""
        recipe = _Recipe.resolve(context, arguments)
        chosen = arguments.model_dump(mode="json", exclude={"batch_size"})
        wanted = {k: v for k, v in context.inputs.items() if k in self.requires}
        key = paths.content_key(self.name, self.VERSION, context.backend, chosen, wanted)
        first: list[Json] = []
        second: list[Json] = []
        for channel in recipe.layout.channels:
            n = len(recipe.samples(channel.index, arguments.max_images))
            parts = -(-n // arguments.batch_size)
            first.extend(
                SampleBatch(channel=channel.index, part=i).model_dump() for i in range(parts)
            )
            second.append(MergeBatch(channel=channel.index, parts=parts).model_dump())
        size = 40 * (recipe.shape[0] * recipe.shape[1] if recipe.shape else 0) * len(first)
        return Plan(
            key=key,
            rounds=tuple(tuple(r) for r in (first, second) if r),
            bytes_to_write=size,
        )

    def run(self, context: StepContext, arguments: CorillaArguments, batch: Json) -> StepOutput:
        """Accumulate one part of a channel's images, or join a channel's parts."""
        if batch.get("kind") == "merge":
            return _merge(context, arguments, MergeBatch.model_validate(batch))
        return _accumulate(context, arguments, SampleBatch.model_validate(batch))

    def collect(self, context: StepContext, arguments: CorillaArguments) -> StepOutput:
        """Write the manifest; warns of channels with too few images for a correction."""
        recipe = _Recipe.resolve(context, arguments)
        channels = tuple(
            ChannelIllumination.model_validate(
                paths.read_json(context.root / _summary_path(context.key, c.index))
            )
            for c in recipe.layout.channels
        )
        context.problems.extend(_problems(channels, recipe))
        manifest = IlluminationManifest(
            key=context.key,
            layout=recipe.layout.key,
            sampled=arguments.max_images,
            channels=channels,
        )
        path = save_manifest(context.root, manifest)
        return StepOutput({"images": sum(c.n_images for c in channels)}, {"illumination": path})


def _summary_path(key: str, channel: int) -> str:
    return f"{paths.illumination_folder(key)}/parts/{channel}.json"


def _accumulate(context: StepContext, arguments: CorillaArguments, work: SampleBatch) -> StepOutput:
    recipe = _Recipe.resolve(context, arguments)
    assert recipe.shape is not None
    samples = recipe.samples(work.channel, arguments.max_images)
    first = work.part * arguments.batch_size
    part = samples[first : first + arguments.batch_size]
    halves = (LogMoments.empty(recipe.shape), LogMoments.empty(recipe.shape))
    histogram = IntensityHistogram()
    for i, s in enumerate(part):
        image = recipe.plates.read(s.plate, s.site, s.t, work.channel, s.z, recipe.projection)
        if image is not None:
            halves[(first + i) % 2].update(image)
            histogram.update(image)
        context.progress((i + 1) / len(part), f"image {i + 1} of {len(part)}")
    save_part(context.root / part_path(context.key, work.channel, work.part), halves, histogram)
    return StepOutput({"images": halves[0].n + halves[1].n})


def _merge(context: StepContext, arguments: CorillaArguments, work: MergeBatch) -> StepOutput:
    layout = load_layout(context.root, context.inputs["layout"])
    channel = next(c for c in layout.channels if c.index == work.channel)
    halves: tuple[LogMoments, LogMoments] | None = None
    histogram = IntensityHistogram()
    for part in range(work.parts):
        own, counted = load_part(context.root / part_path(context.key, work.channel, part))
        halves = own if halves is None else (halves[0].merge(own[0]), halves[1].merge(own[1]))
        histogram = histogram.merge(counted)
    summary = _summarise(context, arguments, channel, halves, histogram)
    paths.write_json(
        context.root / _summary_path(context.key, channel.index), summary.model_dump(mode="json")
    )
    return StepOutput({"images": summary.n_images})


def _summarise(
    context: StepContext,
    arguments: CorillaArguments,
    channel: ChannelLayout,
    halves: tuple[LogMoments, LogMoments] | None,
    histogram: IntensityHistogram,
) -> ChannelIllumination:
    if halves is None or not halves[0].n + halves[1].n:
        warning = "no image of the channel could be read"
        return ChannelIllumination(
            index=channel.index, name=channel.name, path=None, n_images=0, warning=warning
        )
    moments = halves[0].merge(halves[1])
    smoothed = statistics(moments, arguments.sigma)
    path = channel_path(context.key, channel.index)
    save_channel(context.root / path, moments, smoothed, histogram.percentile(PERCENTILES))
    named = histogram.percentile(np.array(NAMED_PERCENTILES))
    return ChannelIllumination(
        index=channel.index,
        name=channel.name,
        path=path,
        n_images=moments.n,
        shape=(moments.mean.shape[0], moments.mean.shape[1]),
        smoothed_sigma=arguments.sigma,
        shading=float(10 ** np.ptp(smoothed.mean)),
        residual=_residual(halves, arguments.sigma),
        method=_method(moments.n),
        percentiles={str(q): float(v) for q, v in zip(NAMED_PERCENTILES, named, strict=True)},
        warning=_warning(moments.n),
    )


def _residual(halves: tuple[LogMoments, LogMoments], sigma: float) -> float | None:
    """Return how far the shapes of both halves' fields differ, as a fraction of the intensity."""
    if not halves[0].n or not halves[1].n:
        return None
    first, second = (statistics(half, sigma).mean for half in halves)
    difference = (first - first.mean()) - (second - second.mean())
    return float(np.log(10) * np.sqrt(np.mean(difference**2)))


def _method(n: int) -> Method | None:
    allowed: tuple[Method, ...] = tuple(m for m in ("std", "flat") if n >= MIN_IMAGES[m])
    return next(iter(allowed), None)


def _warning(n: int) -> str | None:
    if n >= MIN_IMAGES["std"]:
        return None
    if n >= MIN_IMAGES["flat"]:
        return f"{n} images allow a flat-field correction; the full one needs {MIN_IMAGES['std']}"
    return f"{n} images are too few for a correction, which needs {MIN_IMAGES['flat']}"


def _problems(channels: tuple[ChannelIllumination, ...], recipe: _Recipe) -> Iterator[Problem]:
    for channel in channels:
        if channel.method is None:
            yield Problem(
                code="too_few_images", message=f"channel {channel.name}: {channel.warning}"
            )
    if recipe.n_other_shapes:
        yield Problem(
            code="image_size",
            message=f"{recipe.n_other_shapes} sites have another size than the most and were left out",
        )
