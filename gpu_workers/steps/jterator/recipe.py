"""The resolved arguments of one run of jterator, and what it works on; entry point: `Recipe.resolve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.alignment.translation import Box, translate
from gpu_workers.messages import Json, Problem
from gpu_workers.modules.module import Kind
from gpu_workers.pipelines.description import ALL_CHANNELS, ObjectOutput, Pipeline
from gpu_workers.pipelines.memory import peak_bytes
from gpu_workers.pipelines.prepared import Images, Prepared, Spacing, prepare
from gpu_workers.registry import StepContext
from gpu_workers.steps.align.use import alignment_of
from gpu_workers.steps.jterator.arguments import JteratorArguments, pipeline_of
from gpu_workers.steps.jterator.labels import Given, LabelSources, Source
from gpu_workers.steps.jterator.pixels import (
    Image,
    Pixels,
    before_equal,
    choose_planes,
    derived_channels,
)
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.derived import manifest_path
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.layout import Layout, PlateLayout, SiteLayout, load_layout
from gpu_workers.storage.objects import index_pyramid
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.pyramid import Pyramid

# What a worker takes before it holds an image: the interpreter, libraries, compiled kernels.
BASE_MB: Final = 300


@dataclass(frozen=True)
class Recipe:
    """Pipeline, layout, pixels and labels; the same in every job of a run."""

    context: StepContext
    arguments: JteratorArguments
    layout: Layout
    pixels: Pixels
    labels: LabelSources
    sources: Mapping[str, Source]
    prepared: Prepared

    @classmethod
    def resolve(cls, context: StepContext, arguments: JteratorArguments) -> Recipe:
        """Check the arguments against what earlier steps have made.

        Raises
        ------
        UserError
            The pipeline cannot run, no such projection, too few images for a correction, or a derived
            channel has the name of another one.
        DataMissing
            Correction was asked for and there are no statistics, or alignment and align has not run.
        """
        alignment = alignment_of(context, arguments.align)
        layout = (
            alignment.layout if alignment else load_layout(context.root, context.inputs["layout"])
        )
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        aligned = alignment.manifest.key if alignment else None
        labels = LabelSources.open(context, layout, plates, aligned)
        derived = derived_channels(context, layout, alignment)
        names = tuple(c.name for c in layout.channels)
        pipeline = pipeline_of(arguments, (*names, *derived), labels.names)
        _check_names(pipeline, names)
        labels = labels.started_from(pipeline)
        sources = labels.sources(pipeline)
        named = {*pipeline.channels.values(), *pipeline.stacks.values()}
        used = before_equal(context, {n: d for n, d in derived.items() if n in named}, pipeline)
        imported = {name: labels.features(source) for name, source in sources.items()}
        spacing = Spacing(layout.pixel_size_um, layout.z_step_um)
        prepared = prepare(pipeline, (*names, *used), imported, spacing)
        own = {n: sources[n] for n in pipeline.labels.values()}
        for source in own.values():
            labels.check(source, pipeline.dimensions)
        stacked = [n for n, source in own.items() if not labels.is_flat(source)]
        projection, flatten = choose_planes(arguments.projection, plates, pipeline, stacked)
        corrections = _corrections(context, arguments, layout) if arguments.correct else None
        subpixel = arguments.align_subpixel
        pixels = Pixels(layout, plates, projection, flatten, corrections, alignment, subpixel, used)
        return cls(context, arguments, layout, pixels, labels, own, prepared)

    @property
    def corrections(self) -> Corrections | None:
        """Statistics that illumination is corrected with, if it is."""
        return self.pixels.corrections

    @property
    def alignment(self) -> Alignment | None:
        """Alignment that pixels are moved by, if they are."""
        return self.pixels.alignment

    @property
    def projection(self) -> str | None:
        """The projection that is analysed; None: planes or stacks."""
        return "max" if self.pixels.flatten else self.pixels.projection

    @property
    def z_step_um(self) -> float | None:
        """Distance of the planes that are analysed."""
        return None if self.projection else self.layout.z_step_um

    @property
    def volumes(self) -> bool:
        """Whether all z planes of a site are one image."""
        return self.prepared.pipeline.dimensions == 3

    @property
    def corrected(self) -> dict[str, str]:
        """How each channel's illumination is corrected, of those that are."""
        methods = self.corrections.methods if self.corrections else {}
        return {c.name: methods[c.index] for c in self.layout.channels if c.index in methods}

    @property
    def n_zplanes(self) -> int:
        """Planes along z of what is analysed."""
        return 1 if self.projection else self.layout.n_zplanes

    @property
    def types(self) -> tuple[str, ...]:
        """Object types, in the pipeline's order."""
        return tuple(o.name for o in self.prepared.pipeline.objects)

    @cached_property
    def outputs(self) -> tuple[ObjectOutput, ...]:
        """What becomes object types: points that the pipeline took as they are stay points."""
        found = []
        for output in self.prepared.pipeline.objects:
            source = self.given_source(output.labels)
            points = source is not None and self.labels.are_points(source)
            change = {"representation": "points"} if points else {}
            found.append(output.model_copy(update=change))
        return tuple(found)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Channels that are read: all of them only if a module takes them all."""
        pipeline = self.prepared.pipeline
        named = set(pipeline.channels.values())
        for use in self.prepared.uses:
            for handle, variable in use.use.inputs.items():
                several = (variable,) if isinstance(variable, str) else variable
                if use.module.inputs[handle] is Kind.CHANNELS and ALL_CHANNELS in several:
                    return self.prepared.channels
        return tuple(c for c in self.prepared.channels if c in named)

    def feature_names(self, object_type: str) -> tuple[str, ...]:
        """Return the names of a type's features, in their order everywhere."""
        return tuple(f.name for f in self.prepared.features[object_type])

    def given_source(self, variable: str) -> Source | None:
        """Return where a label image comes from that the pipeline took as it is; None if it made it."""
        name = self.prepared.pipeline.labels.get(variable)
        return None if name is None else self.sources[name]

    @property
    def given(self) -> dict[str, str]:
        """Inputs besides the plates that are used, as ``objects/<type>``, and their manifests."""
        found = dict(
            filter(None, (self.labels.path(self.context, s) for s in self.sources.values()))
        )
        for name, derived in self.pixels.derived.items():
            found[f"derived/{name}"] = manifest_path(derived.manifest.key)
        return found

    def key(self, name: str, version: int) -> str:
        """Return the key of what is made; what is not used doesn't change it."""
        methods = self.corrections.methods if self.corrections else {}
        chosen: Json = {"projection": self.projection, "correct": methods or False}
        wanted = ["layout", "plates", *(["illumination"] if methods else [])]
        if self.alignment is not None:
            wanted.append("alignment")
            chosen["align_subpixel"] = self.arguments.align_subpixel
        given = {n: self.labels.version(source) for n, source in self.sources.items()}
        chosen["labels"] = {n: version for n, version in given.items() if version}
        chosen["derived"] = {n: d.manifest.key for n, d in self.pixels.derived.items()}
        inputs = {k: v for k, v in self.context.inputs.items() if k in wanted}
        fingerprint = self.prepared.fingerprint()
        return paths.content_key(name, version, self.context.backend, chosen, inputs, fingerprint)

    def images(self, plate: str, site: SiteLayout, t: int, z: int) -> Images:
        """Return the channels of a site at a time, corrected and aligned if asked; None: missing."""
        pipeline, pixels, index = self.prepared.pipeline, self.pixels, site.index
        shape: tuple[int, ...] = (site.height, site.width)
        if self.volumes:
            shape = (self.n_zplanes, *shape)
            return Images({n: pixels.stack(plate, index, t, n) for n in self.channels}, shape)
        stacks = {n: pixels.stack(plate, index, t, n) for n in set(pipeline.stacks.values())}
        channels: dict[str, Image | None] = {}
        for name in self.channels:
            stack = stacks.get(name)
            if pixels.flatten and stack is not None:
                channels[name] = stack.max(axis=0)
            else:
                channels[name] = pixels.plane(plate, index, t, z, name)
        return Images(channels, shape, stacks)

    def seen(self, plate: str, site: SiteLayout) -> Box:
        """Return the pixels (y0, x0, y1, x1) of a site that all its images show."""
        if self.alignment is None:
            return 0, 0, site.height, site.width
        return self.alignment.intersection(plate, site)

    def given_labels(self, plate: str, site: SiteLayout, t: int, z: int) -> dict[str, Given]:
        """Return the labels of a plane or stack that the pipeline uses; those that are there."""
        found = {}
        for name, source in self.sources.items():
            planes = range(self.n_zplanes) if self.volumes else (z,)
            images = [self._labels(source, plate, site, t, each) for each in planes]
            present = [i for i in images if i is not None]
            if not present:
                continue
            blank = np.zeros_like(present[0])
            image = np.stack([blank if i is None else i for i in images])
            image, where = (image, None) if self.volumes else (image[0], z)
            found[name] = self.labels.given(source, image, plate, site.index, t, where)
        return found

    def _labels(
        self, source: Source, plate: str, site: SiteLayout, t: int, z: int
    ) -> NDArray[np.uint32] | None:
        """Return the labels of a plane where the reference cycle shows their objects."""
        labels = self.labels.read(source, plate, site.index, t, z)
        cycle = self.labels.cycle(source, plate, site.index, t)
        if labels is None or self.alignment is None or cycle is None:
            return labels
        moved = translate(labels, self.alignment.shift(plate, site.index, cycle))
        y0, x0, y1, x1 = self.seen(plate, site)
        seen = np.zeros_like(labels)
        seen[y0:y1, x0:x1] = moved[y0:y1, x0:x1]
        return seen

    def pyramid(self, key: str, object_type: str, plate: PlateLayout) -> Pyramid:
        """Return the index mosaic of a type on a plate."""
        n = self.layout.n_tpoints
        return index_pyramid(self.context.root, key, object_type, plate, n, self.n_zplanes)

    def problems(self) -> list[Problem]:
        """Return what a person should know before anything runs."""
        return self.labels.clashes(self.prepared.pipeline)

    def check_memory(self) -> int:
        """Return about how many bytes a job takes at its peak.

        Raises
        ------
        UserError
            That is more than a job may take (``not_enough_memory``).
        """
        sites = [s for plate in self.layout.plates for s in plate.sites]
        if not sites:
            return 0
        site = max(sites, key=lambda s: s.height * s.width)
        shape: tuple[int, ...] = (site.height, site.width)
        shape = (self.n_zplanes, *shape) if self.volumes else shape
        itemsize = self.pixels.itemsize(self.channels)
        read = replace(self.prepared, channels=self.channels)
        images = peak_bytes(read, shape, itemsize, self.layout.n_zplanes)
        needed, allowed = BASE_MB + images / 2**20, self.context.limits.memory_mb
        if needed > allowed:
            size = " x ".join(map(str, shape))
            raise UserError(
                f"a site of {size} px would take about {needed:.0f} MB, and a job may take {allowed} MB:"
                " raise the step's memory limit, or use fewer channels and modules at once",
                code="not_enough_memory",
            )
        return int(needed * 2**20)


def _check_names(pipeline: Pipeline, channels: tuple[str, ...]) -> None:
    """Refuse derived channels that would hide one of the experiment's."""
    for output in pipeline.images:
        if output.name in channels:
            message = (
                f"the experiment has a channel {output.name!r}: call the derived image otherwise"
            )
            raise UserError(message, code="name_taken")


def _corrections(context: StepContext, arguments: JteratorArguments, layout: Layout) -> Corrections:
    return Corrections.resolve(
        context.root,
        context.inputs.get("illumination"),
        layout,
        arguments.correct_method,
        arguments.correct_except,
        force=arguments.force,
    )
