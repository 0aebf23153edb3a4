"""Pipelines on plain image files, without a server; entry points: `run_files` and `RunOptions`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.messages import Json
from gpu_workers.pipelines import library
from gpu_workers.pipelines.batches import process_batch, sites_per_batch
from gpu_workers.pipelines.binding import bind, with_objects
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.memory import peak_bytes
from gpu_workers.pipelines.plain.images import channel_names, read_channels, read_labels
from gpu_workers.pipelines.plain.matching import ImageSet, match
from gpu_workers.pipelines.plain.results import Results, write_images, write_labels
from gpu_workers.pipelines.prepared import (
    UNKNOWN,
    Device,
    Images,
    ImportedObjects,
    Memory,
    Outcome,
    Prepared,
    Spacing,
    prepare,
)
from gpu_workers.pipelines.text import read_pipeline
from gpu_workers.xp import free_bytes

SPARSE = 65_536


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to run on which files.

    Attributes
    ----------
    pipeline
        Name of a template, or a file with a pipeline.
    channels, objects
        Channel or object type -> pattern of files.
    roles
        Role of the pipeline -> channel; by default found from the channels' names.
    """

    pipeline: str
    channels: Mapping[str, str]
    out: Path
    objects: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    device: Device = "cpu"
    workers: int = 1
    spacing: Spacing = UNKNOWN


@dataclass(frozen=True, slots=True)
class Job:
    """A prepared pipeline and where its results go; the same for every image."""

    prepared: Prepared
    out: Path
    device: Device


@dataclass(frozen=True, slots=True)
class Given:
    """Objects of a label image under the numbers that the pipeline uses, and the file's own."""

    objects: ImportedObjects
    numbers: NDArray[np.int64]


def load_pipeline(named: str) -> Pipeline:
    """Return the pipeline of a file, or the template of that name.

    Raises
    ------
    UserError
        There is neither (``unknown_template``), or the file holds no pipeline.
    """
    path = Path(named)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return read_pipeline(path.read_text(encoding="utf-8"))
    return library.load(named)


def given_objects(labels: NDArray[np.int64]) -> Given:
    """Return a label image in the form that pipelines take.

    Tables by label are as long as the largest one: where that is far above the number of objects,
    they are numbered anew, and `Given.numbers` leads back (entry i belongs to label i + 1).
    """
    largest = int(labels.max()) if labels.size else 0
    if largest <= SPARSE:
        numbers = np.arange(1, largest + 1)
        return Given(ImportedObjects(labels.astype(np.int32), {}), numbers)
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    dense = np.searchsorted(numbers, labels) + 1
    image = np.where(labels > 0, dense, 0).astype(np.int32)
    return Given(ImportedObjects(image, {}), numbers)


def _shape(stem: str, images: Iterable[tuple[str, NDArray[Any] | None]]) -> tuple[int, ...]:
    """Return the common shape of an image's channels and labels."""
    shapes = {name: image.shape for name, image in images if image is not None}
    if not shapes:
        raise UserError(f"{stem} has no image", code="no_files")
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{name} {'x'.join(map(str, s))}" for name, s in shapes.items())
        raise UserError(f"the images of {stem} differ in size: {told} px", code="other_size")
    return next(iter(shapes.values()))


def _load(job: Job, image: ImageSet) -> tuple[Images, dict[str, Given]]:
    """Read the files of one image."""
    channels = read_channels(image.channels)
    given = {
        name: given_objects(read_labels(path))
        for name, path in image.objects.items()
        if path is not None
    }
    pipeline = job.prepared.pipeline
    stacks = {name: channels[name] for name in pipeline.stacks.values() if name in channels}
    stacks = {n: s[None] if s is not None and s.ndim == 2 else s for n, s in stacks.items()}
    if stacks:
        flat = {
            n: s.max(axis=0) if s is not None and s.ndim == 3 else s for n, s in channels.items()
        }
        channels = flat
    labels = {name: g.objects for name, g in given.items()}
    shape = _shape(image.stem, [*channels.items(), *((n, g.labels) for n, g in labels.items())])
    if len(shape) != pipeline.dimensions:
        raise UserError(
            f"{image.stem} has {len(shape)} dimensions, the pipeline works on"
            f" {pipeline.dimensions} (its key dimensions, or stacks with a projection)",
            code="wrong_dimensions",
        )
    return Images(channels, shape, stacks, labels), given


def process_image(
    job: Job, image: ImageSet, memory: Memory | None = None
) -> tuple[Results, Memory]:
    """Run the pipeline on one image, write its labels and derived images, return its measurements.

    Raises
    ------
    UserError
        A file can't be read or a module can't work with it; the message names the image.
    """
    loaded = _read(job, image)
    try:
        outcome: Outcome = job.prepared.process(loaded.images, memory, job.device)
    except UserError as error:
        told = f"{image.stem}: {error.message}"
        raise UserError(told, code=error.code, files=error.files) from error
    results = _finished(job, image, loaded.given, outcome, loaded.seconds)
    return results, outcome.memory


def _finished(
    job: Job, image: ImageSet, given: Mapping[str, Given], outcome: Outcome, load_s: float
) -> Results:
    """Write labels and derived images of one image, and return its measurements."""
    numbers = {name: g.numbers for name, g in given.items()}
    done = time.perf_counter()
    write_labels(job.out, image.stem, outcome, numbers)
    write_images(job.out, image.stem, outcome)
    return Results.of(image.stem, outcome, numbers, load_s, time.perf_counter() - done)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read of one image, and how long it took."""

    image: ImageSet
    images: Images
    given: dict[str, Given]
    seconds: float


def _read(job: Job, image: ImageSet) -> _Loaded:
    started = time.perf_counter()
    try:
        images, given = _load(job, image)
    except UserError as error:
        told = f"{image.stem}: {error.message}"
        raise UserError(told, code=error.code, files=error.files) from error
    return _Loaded(image, images, given, time.perf_counter() - started)


def process_batches(job: Job, images: tuple[ImageSet, ...]) -> Iterator[Results]:
    """Yield the results of images that fill a GPU together; none may depend on the one before.

    Raises
    ------
    UserError
        As `process_image`.
    """
    waiting: list[_Loaded] = []
    for image in images:
        waiting.append(_read(job, image))
        shape = waiting[0].images.shape
        per_pixel = peak_bytes(job.prepared, shape) / max(1, math.prod(shape))
        if len(waiting) >= sites_per_batch(shape, per_pixel, free_bytes()):
            yield from _batch(job, waiting)
            waiting = []
    yield from _batch(job, waiting)


def _batch(job: Job, waiting: list[_Loaded]) -> Iterator[Results]:
    try:
        outcomes = process_batch(job.prepared, [w.images for w in waiting], job.device)
    except UserError:
        # one by one, so that the message names the image
        yield from (process_image(job, w.image)[0] for w in waiting)
        return
    for loaded, outcome in zip(waiting, outcomes, strict=True):
        yield _finished(job, loaded.image, loaded.given, outcome, loaded.seconds)


def _prepare(options: RunOptions, images: tuple[ImageSet, ...]) -> Prepared:
    pipeline = load_pipeline(options.pipeline)
    if options.objects:
        pipeline = with_objects(pipeline, tuple(options.objects))
    first = {
        name: next((i.channels[name] for i in images if i.channels[name]), None)
        for name in options.channels
    }
    names = [n for name, path in first.items() if path for n in channel_names(name, path)]
    bound = bind(pipeline, names, options.roles)
    wanted = set(bound.channels.values()) | set(bound.stacks.values())
    # Components of colours count as channels of their own only where the pipeline asks for them.
    known = tuple(n for n in names if n in options.channels or n in wanted)
    return prepare(bound, known, dict.fromkeys(options.objects, ()), options.spacing)


def estimate_files(options: RunOptions) -> Json:
    """Run a pipeline on the first image and tell what all of them will take; nothing is written.

    Returns
    -------
    dict
        ``modules`` with their seconds, ``seconds_per_image`` (reading included), ``images``, and
        ``seconds`` for all of them with as many processes as the options say. The image is
        processed twice and the second time counts: the first one compiles.
    """
    images, _ = match(options.channels, options.objects)
    prepared = _prepare(options, images)
    job = Job(prepared, options.out, options.device)
    first, _ = _load(job, images[0])
    prepared.process(first, device=options.device)
    started = time.perf_counter()
    first, _ = _load(job, images[0])
    read = time.perf_counter() - started
    outcome = prepared.process(first, device=options.device)
    modules = [
        {"module": use.module.name, "where": use.where, "seconds": round(spent, 6)}
        for use, spent in zip(prepared.uses, outcome.seconds, strict=True)
    ]
    each = read + sum(outcome.seconds)
    workers = 1 if prepared.remembers else max(1, options.workers)
    return {
        "modules": modules,
        "read_s": round(read, 6),
        "seconds_per_image": round(each, 6),
        "images": len(images),
        "seconds": round(each * len(images) / workers, 3),
    }


def run_files(
    options: RunOptions, progress: Callable[[float, str], None]
) -> tuple[Prepared, list[Results], Json]:
    """Run a pipeline on plain image files and write labels, derived images, measurements and a report.

    Raises
    ------
    UserError
        The pipeline can't run on these channels and objects, or a file can't be read.
    """
    from gpu_workers.pipelines.plain.workers import process_all

    images, how = match(options.channels, options.objects)
    prepared = _prepare(options, images)
    job = Job(prepared, options.out, options.device)
    workers = 1 if prepared.remembers else options.workers
    results = list(process_all(job, images, workers, progress))
    missing = [
        f"{i.stem}: no file of {name}"
        for i in images
        for name, path in (*i.channels.items(), *i.objects.items())
        if path is None
    ]
    facts: Json = {"matched_by": how, "missing": missing, "workers": workers}
    return prepared, results, facts
