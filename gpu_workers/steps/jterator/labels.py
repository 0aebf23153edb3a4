"""Label images that a pipeline may use, wherever they come from; entry point: `LabelSources`.

In this order they win where several have the same name: those that people uploaded, those that were
imported with the images, objects that earlier runs have made. The others stay within reach as
``uploaded:<name>``, ``imported:<name>`` and ``objects:<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.messages import Json, Problem
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import ImportedObjects
from gpu_workers.registry import StepContext
from gpu_workers.steps.jterator.arguments import LabelNames
from gpu_workers.steps.jterator.existing import ExistingObjects
from gpu_workers.storage.labels import ImportedLabels
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.objects import load_manifest
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.segmentations import Segmentations

SPARSE: Final = 65_536
Kind = Literal["uploaded", "imported", "objects"]
ORDER: Final[tuple[Kind, ...]] = ("uploaded", "imported", "objects")
_TOLD: Final[dict[Kind, str]] = {
    "uploaded": "uploaded ones",
    "imported": "those imported with the images",
    "objects": "objects of an earlier run",
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a label image comes from: its kind, and its name there."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """The labels of one plane or stack.

    Attributes
    ----------
    counted
        Labels of those that an earlier run counted; None where nobody has decided that.
    """

    objects: ImportedObjects
    counted: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class LabelSources:
    """All label images there are of some plates."""

    layout: Layout
    imported: ImportedLabels
    uploaded: Segmentations | None
    existing: Mapping[str, ExistingObjects]
    _features: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_features", self.imported.features)

    @classmethod
    def open(
        cls, context: StepContext, layout: Layout, plates: Plates, alignment: str | None
    ) -> LabelSources:
        """Find the label images that the inputs of a step hold; `alignment` is its key."""
        path = context.inputs.get("segmentations")
        uploaded = Segmentations.open(context.root, path, layout) if path else None
        return cls(layout, ImportedLabels(plates), uploaded, _existing(context, layout, alignment))

    def _of_kind(self, kind: Kind) -> tuple[str, ...]:
        if kind == "uploaded":
            return tuple(t.name for t in self.uploaded.manifest.types) if self.uploaded else ()
        return tuple(self._features) if kind == "imported" else tuple(self.existing)

    @property
    def names(self) -> LabelNames:
        """The names under which they are found."""
        given = dict.fromkeys((*self._of_kind("uploaded"), *self._of_kind("imported")))
        made = tuple(n for n in self._of_kind("objects") if n not in given)
        return LabelNames(tuple(given), made)

    def sources(self, pipeline: Pipeline) -> dict[str, Source]:
        """Return the source of each name: of all plain ones, and of what the pipeline spells out."""
        found: dict[str, Source] = {}
        for kind in reversed(ORDER):
            found.update({name: Source(kind, name) for name in self._of_kind(kind)})
        for named in pipeline.labels.values():
            prefix, _, name = named.partition(":")
            for kind in ORDER:
                if prefix == kind and name in self._of_kind(kind) and named not in found:
                    found[named] = Source(kind, name)
        return found

    def clashes(self, pipeline: Pipeline) -> list[Problem]:
        """Tell which of several label images of one name is used."""
        problems = []
        for name in dict.fromkeys(pipeline.labels.values()):
            kinds = [kind for kind in ORDER if name in self._of_kind(kind)]
            if len(kinds) > 1:
                others = ", ".join(f"{kind}:{name}" for kind in kinds[1:])
                problems.append(
                    Problem(
                        code="ambiguous_labels",
                        message=f"there are several labels {name}: {_TOLD[kinds[0]]} are used; the"
                        f" others are called {others}",
                    )
                )
        return problems

    def started_from(self, pipeline: Pipeline) -> LabelSources:
        """Return the sources for a pipeline that may have run before.

        Where the objects of a name were made by this very pipeline of objects of the same name, it
        starts from what it started from then: to run it again changes nothing.
        """
        same = {n: e.before_equal(pipeline) or e for n, e in self.existing.items()}
        return LabelSources(self.layout, self.imported, self.uploaded, same)

    def features(self, source: Source) -> tuple[str, ...]:
        """Return the features that are known of the objects."""
        if source.kind == "imported":
            return self._features[source.name]
        return self.existing[source.name].features if source.kind == "objects" else ()

    def units(self, source: Source) -> Mapping[str, str | None]:
        """Return the units of known features."""
        return self.existing[source.name].units if source.kind == "objects" else {}

    def parent(self, source: Source) -> str | None:
        """Return the type whose labels these objects share, if an earlier run said so."""
        return self.existing[source.name].type.parent if source.kind == "objects" else None

    def are_points(self, source: Source) -> bool:
        """Return whether only the centres of these objects were kept."""
        if source.kind != "objects":
            return False
        return self.existing[source.name].type.representation == "points"

    def is_flat(self, source: Source) -> bool:
        """Return whether one plane stands for all z planes."""
        if source.kind == "imported":
            return source.name not in self.imported.stacked
        if source.kind == "objects":
            return self.existing[source.name].n_zplanes == 1
        kind = self.uploaded.manifest.type(source.name) if self.uploaded else None
        return kind is None or kind.flat or self.layout.n_zplanes == 1

    def version(self, source: Source) -> Json | None:
        """Return what results depend on besides the plates; None if nothing."""
        if source.kind == "uploaded" and self.uploaded is not None:
            kind = self.uploaded.manifest.type(source.name)
            return {"uploaded": kind.version if kind else None, "name": source.name}
        if source.kind == "objects":
            return {"objects": self.existing[source.name].manifest.key, "name": source.name}
        return None

    def path(self, context: StepContext, source: Source) -> tuple[str, str] | None:
        """Return the input and the manifest that labels come from; None for the plates' own."""
        if source.kind == "uploaded":
            return f"segmentations/{source.name}", context.inputs["segmentations"]
        if source.kind == "objects":
            return f"objects/{source.name}", self.existing[source.name].path
        return None

    def check(self, source: Source, dimensions: int) -> None:
        """Refuse objects that a pipeline of so many dimensions can't use.

        Raises
        ------
        UserError
            They were found on another layout (``stale_objects``), or in each z plane by itself where a
            stack is needed (``labels_of_planes``).
        """
        if source.kind != "objects":
            return
        found = self.existing[source.name]
        if dimensions == 3 and found.manifest.dimensions == 2 and found.n_zplanes > 1:
            raise UserError(
                f"the objects {source.name} were found in each z plane by itself: their numbers mean"
                " nothing from plane to plane",
                code="labels_of_planes",
            )
        if found.is_stale:
            raise UserError(
                f"the objects {source.name} were found on another layout or alignment: run the pipeline"
                " that made them again first",
                code="stale_objects",
            )

    def cycle(self, source: Source, plate: str, site: int, t: int) -> int | None:
        """Return the round of staining whose images the labels lie on; None: they are aligned."""
        if source.kind == "imported":
            return self.imported.cycle(plate, site, t, source.name)
        if source.kind == "uploaded" and self.uploaded is not None:
            kind = self.uploaded.manifest.type(source.name)
            return kind.cycle if kind else 0
        return None

    def read(
        self, source: Source, plate: str, site: int, t: int, z: int
    ) -> NDArray[np.uint32] | None:
        """Return the labels (y, x) of one plane; None where there are none for this image."""
        if source.kind == "imported":
            return self.imported.read(plate, site, t, z, source.name)
        if source.kind == "objects":
            return self.existing[source.name].read(plate, site, t, z)
        assert self.uploaded is not None
        return self.uploaded.read(plate, site, t, z, source.name)

    def given(
        self,
        source: Source,
        labels: NDArray[np.uint32],
        plate: str,
        site: int,
        t: int,
        z: int | None,
    ) -> Given:
        """Return labels with what is known of their objects, in the form that pipelines take."""
        features = self.features(source)
        if source.kind == "objects":
            known, values = self.existing[source.name].table(plate, site, t, z)
            own = imported_objects(labels, known, values, features, renumber=False)
            return Given(own, known.astype(np.int64))
        known, values = np.zeros(0, np.uint32), {}
        if source.kind == "imported":
            known, values = self.imported.table(plate, site, t, source.name)
        return Given(imported_objects(labels, known, values, features))


def _existing(
    context: StepContext, layout: Layout, alignment: str | None
) -> dict[str, ExistingObjects]:
    """Return the objects that earlier runs have made, by type."""
    paths = {
        n.removeprefix("objects/"): p for n, p in context.inputs.items() if n[:8] == "objects/"
    }
    latest = context.inputs.get("objects")
    every = dict.fromkeys([*paths.values(), *([latest] if latest else [])])
    manifests = {path: load_manifest(context.root, path) for path in every}
    if latest is not None:
        paths = {kind.name: latest for kind in manifests[latest].types} | paths
    return {
        name: ExistingObjects(context.root, path, name, layout, alignment, manifests[path])
        for name, path in sorted(paths.items())
    }


def imported_objects(
    labels: NDArray[np.uint32],
    known: NDArray[np.uint32],
    values: Mapping[str, NDArray[np.floating]],
    features: tuple[str, ...],
    *,
    renumber: bool = True,
) -> ImportedObjects:
    """Return given objects in the form that pipelines take.

    Tables by label are as long as the largest label: where that is far above the number of objects,
    objects are numbered anew, in the order of their labels.

    Parameters
    ----------
    labels : ndarray of uint32, shape (y, x) or (z, y, x)
        The plane or stack.
    known : ndarray of uint32, shape (n,)
        Labels that tables know.
    values
        Feature -> value of each of `known`.
    features
        All features that objects of this kind may have.
    renumber
        False: labels are below 2^31 and stay what they are.
    """
    present = np.unique(labels)
    present = present[present > 0]
    largest = int(present[-1]) if present.size else 0
    if renumber and largest > 2 * present.size + SPARSE:
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
