"""Running pipelines; entry points: `prepare` (check, once) and `Prepared.process` (per plane or stack)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers import registry, xp
from gpu_workers.errors import UserError
from gpu_workers.messages import Json
from gpu_workers.modules.module import Features, Kind, Past, Setting
from gpu_workers.pipelines.check import (
    NOTHING,
    Imported,
    PipelineProblem,
    Use,
    check_pipeline,
)
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.values import Values, last_uses

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance of pixel and plane centres, µm; None where it isn't known."""

    pixel_size_um: float | None = None
    z_step_um: float | None = None


UNKNOWN = Spacing()


@dataclass(frozen=True, slots=True)
class ObjectsFound:
    """Objects of one type in one plane or stack.

    Attributes
    ----------
    labels
        int32, (height, width) or (z, height, width); numbers may be missing.
    columns
        Feature name -> float64 values; row i belongs to label i + 1.
    """

    labels: NDArray[np.int32]
    columns: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class ImportedObjects:
    """A label image that comes with the images, and what is known of its objects.

    Attributes
    ----------
    labels
        int32, (height, width) or (z, height, width); 0 is background.
    columns
        Feature name -> float64 values; row i belongs to label i + 1, NaN is a missing value.
    """

    labels: NDArray[np.int32]
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FeatureName:
    """A feature that a pipeline measures."""

    name: str
    unit: str | None


# What modules made of a time point, by their place in the pipeline; for those that remember.
Memory = Mapping[int, Past]
# Called after each module: its place, what was used, its outputs in host memory, seconds.
Watch = Callable[[int, Use, Mapping[str, Any], float], None]


@dataclass(frozen=True, slots=True)
class Images:
    """The pixels of one site at one time.

    Attributes
    ----------
    channels
        Channel -> image, (height, width) or in three dimensions (z, height, width); None where it
        is missing. What needs a missing image finds no objects; measurements of it are NaN.
    shape
        Of an image, px.
    stacks
        Channel -> all its planes (z, height, width), for pipelines of two dimensions that ask.
    labels
        Name of a label image -> its objects; one that isn't there has none.
    """

    channels: Mapping[str, NDArray[Any] | None]
    shape: tuple[int, ...]
    stacks: Mapping[str, NDArray[Any] | None] = field(default_factory=dict)
    labels: Mapping[str, ImportedObjects] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pipeline made of the images of one site at one time.

    Attributes
    ----------
    objects
        Object type -> its objects.
    images
        Name of a derived channel -> its image; None where it could not be made.
    memory
        Handed to `Prepared.process` with the next time point.
    seconds
        Of each module that ran, in order.
    """

    objects: dict[str, ObjectsFound]
    images: dict[str, NDArray[Any] | None]
    memory: Memory
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline that was checked for the channels and labels there are."""

    pipeline: Pipeline
    channels: tuple[str, ...]
    uses: tuple[Use, ...]
    features: Mapping[str, tuple[FeatureName, ...]] = field(default_factory=dict)
    imported: Imported = field(default_factory=dict)
    spacing: Spacing = UNKNOWN

    @property
    def remembers(self) -> bool:
        """Whether time points must be processed in their order."""
        return any(use.module.remembers for use in self.uses)

    def fingerprint(self) -> Json:
        """Return what its results depend on: the pipeline and the versions of its modules."""
        versions = {u.module.name: u.module.VERSION for u in self.uses}
        arguments = [u.arguments.model_dump(mode="json") for u in self.uses]
        unused = {"name", "title", "description"}
        # What is left at its default does not change the key of what was made before it existed.
        plain = self.pipeline.model_dump(mode="json", exclude=unused, exclude_defaults=True)
        found: Json = {"pipeline": plain, "versions": versions, "arguments": arguments}
        sources = self.sources()
        return found | {"sources": sources} if sources else found

    def sources(self) -> dict[str, str]:
        """Return the digest of each module that isn't one of ours, and of each network's weights."""
        found: dict[str, str] = {}
        for use in self.uses:
            digest = registry.source_digest("modules", use.module.name)
            if digest is not None:
                found[use.module.name] = digest
            found |= use.arguments.sources()
        return found

    def run(
        self,
        images: Mapping[str, NDArray[Any] | None],
        shape: tuple[int, ...],
        imported: Mapping[str, ImportedObjects] | None = None,
    ) -> dict[str, ObjectsFound]:
        """Find and measure the objects of one plane; as `process`, without the rest."""
        return self.process(Images(images, shape, labels=imported or {})).objects

    def process(
        self,
        images: Images,
        memory: Memory | None = None,
        device: Device = "cpu",
        watch: Watch | None = None,
        *,
        fetch: bool = True,
    ) -> Outcome:
        """Find and measure the objects of one site at one time.

        Parameters
        ----------
        memory
            What the outcome of the time point before holds; None at the first one.
        device
            Where modules work that can work on both; images go there once.
        watch
            Called after each module.
        fetch
            Whether what was made on a device is copied to host memory, all of it in one go; else the
            outcome's arrays lie where they were made.

        Raises
        ------
        UserError
            A module can't work with its input (the message names the module), or there is no GPU.
        """
        if device == "gpu" and not xp.has_gpu():
            raise UserError("this machine has no usable GPU", code="no_gpu")
        values = Values(self.pipeline, self.channels, images.shape, device)
        values.fill(images.channels, images.stacks)
        for variable, name in self.pipeline.labels.items():
            own = images.labels.get(name) or self._no_objects(name, images.shape)
            values.put_labels(variable, own.labels, Features(own.columns, {}))
        if device == "gpu":
            values.send(self.uses)
        remembered: dict[int, Past] = {}
        seconds = []
        over = last_uses(self.pipeline, self.uses)
        for number, use in enumerate(self.uses):
            started = time.perf_counter()
            outputs = self._do(values, number, use, memory or {}, remembered)
            seconds.append(time.perf_counter() - started)
            if watch is not None:
                watch(number, use, values.on_host(outputs), seconds[-1])
            values.forget(over[number])
        outcome = self._outcome(values, remembered, tuple(seconds))
        return fetched([outcome])[0] if fetch else outcome

    def _do(
        self,
        values: Values,
        number: int,
        use: Use,
        memory: Memory,
        remembered: dict[int, Past],
    ) -> dict[str, Any]:
        """Run one module and keep what it made."""
        given = values.given(use)
        outputs = _run_module(use, given, values, self._setting(use), memory.get(number))
        values.put(use, outputs)
        if use.module.remembers:
            remembered[number] = Past(values.on_host(given), values.on_host(outputs))
        return outputs

    def _setting(self, use: Use) -> Setting:
        names = {}
        for handle, variable in use.use.inputs.items():
            if isinstance(variable, str):
                names[handle] = self.name_of(variable)
        return Setting(names, self.spacing.pixel_size_um, self.spacing.z_step_um)

    def name_of(self, variable: str) -> str:
        """Return what people call a variable: its channel or object type, else as it is written."""
        pipeline = self.pipeline
        named = {o.labels: o.name for o in reversed(pipeline.objects)}
        named |= {i.image: i.name for i in reversed(pipeline.images)}
        named = {**pipeline.labels, **pipeline.stacks, **pipeline.channels, **named}
        return named.get(variable, variable)

    def _outcome(
        self, values: Values, memory: dict[int, Past], seconds: tuple[float, ...]
    ) -> Outcome:
        objects = {}
        for output in self.pipeline.objects:
            columns = values.features(output.labels).columns
            objects[output.name] = ObjectsFound(values.image(output.labels), dict(columns))
        images = {output.name: values.image(output.image) for output in self.pipeline.images}
        return Outcome(objects, images, memory, seconds)

    def _no_objects(self, name: str, shape: tuple[int, ...]) -> ImportedObjects:
        none = {feature: np.zeros(0) for feature in self.imported.get(name, ())}
        return ImportedObjects(np.zeros(shape, np.int32), none)


def fetched(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return outcomes with all their arrays in host memory, copied from a device in one go."""
    arrays = [a for o in outcomes for a in _arrays(o) if a is not None]
    there = iter(xp.to_host_together(arrays))
    return [
        _with_arrays(o, [None if a is None else next(there) for a in _arrays(o)]) for o in outcomes
    ]


def _arrays(outcome: Outcome) -> list[Any]:
    found: list[Any] = list(outcome.images.values())
    for objects in outcome.objects.values():
        found += [objects.labels, *objects.columns.values()]
    return found


def _with_arrays(outcome: Outcome, arrays: list[Any]) -> Outcome:
    """Return an outcome with other arrays, in the order of `_arrays`."""
    rest = iter(arrays)
    images = {name: next(rest) for name in outcome.images}
    objects = {
        name: ObjectsFound(next(rest), {column: next(rest) for column in found.columns})
        for name, found in outcome.objects.items()
    }
    return replace(outcome, images=images, objects=objects)


def _run_module(
    use: Use, given: dict[str, Any], values: Values, setting: Setting, before: Past | None
) -> dict[str, Any]:
    absent = [n for n, value in given.items() if value is None and n not in use.module.optional]
    if absent and Kind.FEATURES not in use.module.outputs.values():
        return values.nothing(use)
    try:
        outputs = use.module(use.arguments, given | values.blank(use, absent), setting, before)
    except UserError as error:
        raise UserError(f"{use.where}: {error.message}", code=error.code) from error
    return values.without_values(use, outputs) if absent else outputs


def _features(prepared: Prepared) -> dict[str, tuple[FeatureName, ...]]:
    """Return the features of each object type, found by measuring an empty image."""
    units: dict[str, str] = {}

    def watch(number: int, use: Use, outputs: Mapping[str, Any], seconds: float) -> None:
        del number, use, seconds
        for value in outputs.values():
            if isinstance(value, Features):
                units.update(value.units)

    shape = (8, 8) if prepared.pipeline.dimensions == 2 else (2, 8, 8)
    empty, stack = np.zeros(shape, np.uint16), np.zeros((2, 8, 8), np.uint16)
    channels = prepared.channels
    images = Images(dict.fromkeys(channels, empty), shape, dict.fromkeys(channels, stack))
    found = prepared.process(images, watch=watch).objects
    return {
        name: tuple(FeatureName(feature, units.get(feature)) for feature in objects.columns)
        for name, objects in found.items()
    }


def _tried(
    pipeline: Pipeline, channels: tuple[str, ...], imported: Imported, spacing: Spacing
) -> tuple[Prepared | None, tuple[PipelineProblem, ...]]:
    """Check a pipeline and run it on an empty image; returns it if nothing is wrong."""
    check = check_pipeline(pipeline, channels, imported)
    if check.problems:
        return None, tuple(check.problems)
    bare = Prepared(pipeline, channels, tuple(check.uses), imported=imported, spacing=spacing)
    try:
        return replace(bare, features=_features(bare)), ()
    except UserError as error:
        return None, (PipelineProblem(error.code, "modules", error.message),)


def pipeline_problems(
    pipeline: Pipeline,
    channels: tuple[str, ...],
    imported: Imported = NOTHING,
    spacing: Spacing = UNKNOWN,
) -> tuple[PipelineProblem, ...]:
    """Return everything that is wrong with a pipeline for images with these channels and labels."""
    return _tried(pipeline, channels, imported, spacing)[1]


def prepare(
    pipeline: Pipeline,
    channels: tuple[str, ...],
    imported: Imported = NOTHING,
    spacing: Spacing = UNKNOWN,
) -> Prepared:
    """Check a pipeline before anything runs.

    Parameters
    ----------
    channels
        Names of the channels there are.
    imported
        Name of each label image that can be used -> the features that are known of its objects.
    spacing
        Size of pixels; where it is known, lengths are also measured in µm.

    Raises
    ------
    UserError
        Code of the first problem; the message names all of them.
    """
    prepared, problems = _tried(pipeline, channels, imported, spacing)
    if prepared is None:
        text = "; ".join(f"{p.where}: {p.message}" for p in problems)
        raise UserError(f"the pipeline cannot run: {text}", code=problems[0].code)
    return prepared
