"""The step itself: images are sampled per channel, accumulated in parts, merged, estimated from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from gpu_workers.messages import Json, Message, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.corilla.estimation import estimate
from gpu_workers.steps.corilla.sampling import (
    BYTES_PER_PIXEL,
    CorillaArguments,
    Recipe,
    SampleBatch,
    accumulate,
)
from gpu_workers.storage import paths
from gpu_workers.storage.illumination import (
    ChannelIllumination,
    IlluminationManifest,
    load_part,
    part_path,
    save_manifest,
    save_part,
)

# Fields and pictures of a channel: six float32 per pixel.
BYTES_PER_PIXEL_KEPT = 24


class MergeBatch(Message):
    """Join a channel's parts."""

    kind: Literal["merge"] = "merge"
    channel: int
    parts: int


class Corilla(Step[CorillaArguments]):
    """Estimate the illumination of each channel.

    Rounds: parts of each channel's sample; one job per channel that joins them.
    """

    name: ClassVar[str] = "corilla"
    title: ClassVar[str] = "Estimate illumination"
    help: ClassVar[str] = (
        "How evenly each channel is lit, from many images: flat and dark field, mean and spread of"
        " intensities, to even out illumination."
    )
    VERSION: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("layout", "plates")
    Arguments: ClassVar[type[CorillaArguments]] = CorillaArguments

    def plan(self, context: StepContext, arguments: CorillaArguments) -> Plan:
        """List the jobs; raises UserError for a projection that isn't there."""
        recipe = Recipe.resolve(context, arguments)
        chosen = arguments.model_dump(mode="json")
        wanted = {k: v for k, v in context.inputs.items() if k in self.requires}
        key = paths.content_key(self.name, self.VERSION, context.backend, chosen, wanted)
        channels = [c.index for c in recipe.layout.channels]
        parts = recipe.n_parts
        first = [
            SampleBatch(channel=c, part=i, parts=parts).model_dump()
            for c in channels
            for i in range(parts)
        ]
        second = [MergeBatch(channel=c, parts=parts).model_dump() for c in channels]
        height, width = recipe.shape or (0, 0)
        per_pixel = BYTES_PER_PIXEL * parts + BYTES_PER_PIXEL_KEPT
        return Plan(
            key=key,
            rounds=tuple(tuple(r) for r in (first, second) if r),
            bytes_to_write=len(channels) * per_pixel * height * width,
        )

    def run(self, context: StepContext, arguments: CorillaArguments, batch: Json) -> StepOutput:
        """Accumulate one part of a channel's images, or join a channel's parts."""
        recipe = Recipe.resolve(context, arguments)
        if batch.get("kind") == "merge":
            return _merge(context, recipe, MergeBatch.model_validate(batch))
        work = SampleBatch.model_validate(batch)
        part = accumulate(context, recipe, work)
        path = part_path(context.key, work.channel, work.part, work.parts)
        save_part(context.root / path, part)
        return StepOutput({"images": part.moments.n})

    def collect(self, context: StepContext, arguments: CorillaArguments) -> StepOutput:
        """Write the manifest and remove the parts; warns of channels with too few images for a correction."""
        recipe = Recipe.resolve(context, arguments)
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
        for part in (context.root / _parts(context.key)).glob("*.npz"):
            part.unlink(missing_ok=True)
        return StepOutput({"images": sum(c.n_images for c in channels)}, {"illumination": path})


def _parts(key: str) -> str:
    return f"{paths.illumination_folder(key)}/parts"


def _summary_path(key: str, channel: int) -> str:
    return f"{_parts(key)}/{channel}.json"


def _merge(context: StepContext, recipe: Recipe, work: MergeBatch) -> StepOutput:
    summary_path = context.root / _summary_path(context.key, work.channel)
    files = [
        context.root / part_path(context.key, work.channel, part, work.parts)
        for part in range(work.parts)
    ]
    if summary_path.is_file() and not all(f.is_file() for f in files):
        # collect has run since and removed the parts: this is a late repetition.
        return StepOutput({"images": paths.read_json(summary_path)["n_images"]})
    channel = next(c for c in recipe.layout.channels if c.index == work.channel)
    summary = estimate(context, recipe, channel, (load_part(f) for f in files))
    paths.write_json(summary_path, summary.model_dump(mode="json"))
    return StepOutput({"images": summary.n_images})


def _scarce(channels: tuple[ChannelIllumination, ...]) -> Iterator[Problem]:
    """Yield one problem for all channels that lack images in the same way."""
    found: dict[tuple[str, str], list[str]] = {}
    for channel in channels:
        if channel.method is None:
            found.setdefault(("too_few_images", str(channel.warning)), []).append(channel.name)
        elif channel.warning and channel.n_sites < channel.n_images:
            found.setdefault(("few_sites", channel.warning), []).append(channel.name)
    for (code, warning), names in found.items():
        channel_s = "channel" if len(names) == 1 else "channels"
        yield Problem(code=code, message=f"{channel_s} {', '.join(names)}: {warning}")


def _problems(channels: tuple[ChannelIllumination, ...], recipe: Recipe) -> Iterator[Problem]:
    yield from _scarce(channels)
    for channel in channels:
        name = f"channel {channel.name}"
        if channel.vendor_problem:
            yield Problem(code="vendor_flatfield", message=f"{name}: {channel.vendor_problem}")
        if channel.n_left_out:
            message = (
                f"{name}: {channel.n_left_out} images with NaN or infinite pixels were left out"
            )
            yield Problem(code="not_finite", message=message)
    if recipe.n_other_shapes:
        yield Problem(
            code="image_size",
            message=f"{recipe.n_other_shapes} sites have another size than the most and were left out",
        )
