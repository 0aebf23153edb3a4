"""The resolved arguments of one run of jterator, and the images it works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.alignment.translation import Box, translate
from gpu_workers.messages import Json
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import ImportedObjects, Prepared, prepare
from gpu_workers.registry import StepContext
from gpu_workers.steps.align.use import alignment_of
from gpu_workers.steps.jterator.arguments import JteratorArguments, pipeline_of
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import Alignment
from gpu_workers.storage.illumination import Corrections
from gpu_workers.storage.labels import ImportedLabels
from gpu_workers.storage.layout import Layout, PlateLayout, SiteLayout, load_layout
from gpu_workers.storage.objects import index_pyramid
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.pyramid import Pyramid

SPARSE: Final = 65_536


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


def _of_planes(wanted: str, plates: Plates, of_planes: set[str], pipeline: Pipeline) -> str | None:
    """Return the projection to analyse with the labels that a pipeline uses.

    Raises
    ------
    UserError
        A projection is asked for, and the labels differ from plane to plane (`labels_of_planes`).
    """
    projection = choose_projection(wanted, plates)
    stacked = sorted(of_planes.intersection(pipeline.labels.values()))
    if projection is None or not stacked:
        return projection
    if wanted == "auto":
        return None
    raise UserError(
        f"the labels {', '.join(stacked)} are of each z plane, not of a projection: analyse the planes"
        " (projection: none)",
        code="labels_of_planes",
    )


@dataclass(frozen=True)
class Recipe:
    """Pipeline, layout and pixels; the same in every job of a run."""

    context: StepContext
    arguments: JteratorArguments
    layout: Layout
    plates: Plates
    projection: str | None
    prepared: Prepared
    labels: ImportedLabels
    corrections: Corrections | None
    alignment: Alignment | None

    @classmethod
    def resolve(cls, context: StepContext, arguments: JteratorArguments) -> Recipe:
        """Check the arguments against what earlier steps have made.

        Raises
        ------
        UserError
            The pipeline cannot run, no such projection, or too few images for a correction.
        DataMissing
            Correction was asked for and there are no statistics, or alignment and align has not run.
        """
        alignment = alignment_of(context, arguments.align)
        layout = (
            alignment.layout if alignment else load_layout(context.root, context.inputs["layout"])
        )
        plates = Plates.open(context.root, context.inputs["plates"], layout)
        names = tuple(c.name for c in layout.channels)
        labels = ImportedLabels(plates)
        imported = labels.features
        pipeline = pipeline_of(arguments, names, tuple(imported))
        prepared = prepare(pipeline, names, imported)
        projection = _of_planes(arguments.projection, plates, set(labels.stacked), pipeline)
        corrections = _corrections(context, arguments, layout) if arguments.correct else None
        return cls(
            context, arguments, layout, plates, projection, prepared, labels, corrections, alignment
        )

    @property
    def corrected(self) -> dict[str, str]:
        """How each channel's illumination is corrected, of those that are."""
        methods = self.corrections.methods if self.corrections else {}
        return {c.name: methods[c.index] for c in self.layout.channels if c.index in methods}

    @property
    def n_zplanes(self) -> int:
        """Planes along z that are analysed."""
        return self.plates.n_zplanes(self.projection)

    @property
    def types(self) -> tuple[str, ...]:
        """Object types, in the pipeline's order."""
        return tuple(o.name for o in self.prepared.pipeline.objects)

    def feature_names(self, object_type: str) -> tuple[str, ...]:
        """Return the names of a type's features, in their order everywhere."""
        return tuple(f.name for f in self.prepared.features[object_type])

    def key(self, name: str, version: int) -> str:
        """Return the key of what is made; statistics and alignments that are not used don't change it."""
        methods = self.corrections.methods if self.corrections else {}
        chosen: Json = {"projection": self.projection, "correct": methods or False}
        wanted = ["layout", "plates", *(["illumination"] if methods else [])]
        if self.alignment is not None:
            wanted.append("alignment")
            chosen["align_subpixel"] = self.arguments.align_subpixel
        inputs = {k: v for k, v in self.context.inputs.items() if k in wanted}
        fingerprint = self.prepared.fingerprint()
        return paths.content_key(name, version, self.context.backend, chosen, inputs, fingerprint)

    def read(self, plate: str, site: int, t: int, z: int) -> dict[str, NDArray | None]:
        """Return all channels of a plane by name, corrected and aligned if asked; None: missing."""
        images: dict[str, NDArray | None] = {}
        for channel in self.layout.channels:
            image = self.plates.read(plate, site, t, channel.index, z, self.projection)
            if image is not None and self.corrections is not None:
                image = self.corrections.apply(channel.index, image)
            if image is not None and self.alignment is not None:
                subpixel = self.arguments.align_subpixel
                image = self.alignment.apply(image, plate, site, channel.index, subpixel=subpixel)
            images[channel.name] = image
        return images

    def seen(self, plate: str, site: SiteLayout) -> Box:
        """Return the pixels (y0, x0, y1, x1) of a site that all its images show."""
        if self.alignment is None:
            return 0, 0, site.height, site.width
        return self.alignment.intersection(plate, site)

    def read_labels(self, plate: str, site: int, t: int, z: int) -> dict[str, ImportedObjects]:
        """Return the imported labels of a plane that the pipeline uses; those that are there."""
        found = {}
        for name in set(self.prepared.pipeline.labels.values()):
            image = self.labels.read(plate, site, t, z, name)
            if image is not None:
                image = self._aligned(image, plate, site, self.labels.cycle(plate, site, t, name))
                known, values = self.labels.table(plate, site, t, name)
                features = self.prepared.imported[name]
                found[name] = imported_objects(image, known, values, features)
        return found

    def _aligned(
        self, labels: NDArray[np.uint32], plate: str, site: int, cycle: int
    ) -> NDArray[np.uint32]:
        """Return the labels of a cycle where the reference cycle shows their objects."""
        if self.alignment is None:
            return labels
        moved = translate(labels, self.alignment.shift(plate, site, cycle))
        y0, x0, y1, x1 = self.seen(plate, self.layout.plate(plate).sites[site])
        seen = np.zeros_like(labels)
        seen[y0:y1, x0:x1] = moved[y0:y1, x0:x1]
        return seen

    def pyramid(self, key: str, object_type: str, plate: PlateLayout) -> Pyramid:
        """Return the index mosaic of a type on a plate."""
        n = self.layout.n_tpoints
        return index_pyramid(self.context.root, key, object_type, plate, n, self.n_zplanes)


def _corrections(context: StepContext, arguments: JteratorArguments, layout: Layout) -> Corrections:
    return Corrections.resolve(
        context.root,
        context.inputs.get("illumination"),
        layout,
        arguments.correct_method,
        arguments.correct_except,
        force=arguments.force,
    )


def imported_objects(
    labels: NDArray[np.uint32],
    known: NDArray[np.uint32],
    values: Mapping[str, NDArray[np.float64]],
    features: tuple[str, ...],
) -> ImportedObjects:
    """Return a plane's imported objects in the form that pipelines take.

    Tables by label are as long as the largest label: where that is far above the number of objects,
    objects are numbered anew, in the order of their labels.

    Parameters
    ----------
    labels : ndarray of uint32, shape (y, x)
        The plane.
    known : ndarray of uint32, shape (n,)
        Labels that tables know.
    values
        Feature -> value of each of `known`.
    features
        All features that objects of this kind may have.
    """
    present = np.unique(labels)
    present = present[present > 0]
    largest = int(present[-1]) if present.size else 0
    if largest > 2 * present.size + SPARSE:
        numbered = np.searchsorted(present, labels) + 1
        image = np.where(labels > 0, numbered, 0).astype(np.int32)
        numbers, largest = np.arange(1, present.size + 1), present.size
    else:
        image, numbers = labels.astype(np.int32), present.astype(np.int64)
    _, here, there = np.intersect1d(present, known, return_indices=True)
    columns = {}
    for feature in features:
        columns[feature] = np.full(largest, np.nan)
        if feature in values:
            columns[feature][numbers[here] - 1] = values[feature][there]
    return ImportedObjects(image, columns)
