"""Registries of steps, readers, file types, modules and tools; entry point: `load` and `names`.

Built-in entries register the way a plug-in would, through entry points; a static list stands in
when the package's metadata is missing (a source tree on ``sys.path`` without an installation).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from gpu_workers import plugins
from gpu_workers.errors import UserError
from gpu_workers.messages import ExperimentDescription, Json, Limits, Plan, Problem

Family = Literal["steps", "readers", "files", "modules", "tools"]

BUILT_IN: dict[Family, dict[str, str]] = {
    "steps": {
        "metaextract": "gpu_workers.steps.metaextract:MetaExtract",
        "metaconfig": "gpu_workers.steps.metaconfig:MetaConfig",
        "imextract": "gpu_workers.steps.imextract:ImExtract",
        "corilla": "gpu_workers.steps.corilla:Corilla",
        "align": "gpu_workers.steps.align:Align",
        "illuminati": "gpu_workers.steps.illuminati:Illuminati",
        "jterator": "gpu_workers.steps.jterator:Jterator",
    },
    "readers": {
        "czi": "gpu_workers.formats.containers:CziReader",
        "lif": "gpu_workers.formats.containers:LifReader",
        "nd2": "gpu_workers.formats.containers:Nd2Reader",
        "axio": "gpu_workers.formats.axio:AxioReader",
        "cellomics": "gpu_workers.formats.cellomics:CellomicsReader",
        "harmony": "gpu_workers.formats.harmony:HarmonyReader",
        "incell": "gpu_workers.formats.incell:InCellReader",
        "scanr": "gpu_workers.formats.scanr:ScanrReader",
        "tileconfiguration": "gpu_workers.formats.tileconfiguration:TileConfigurationReader",
        "visiview": "gpu_workers.formats.visiview:VisiViewReader",
        "cellvoyager": "gpu_workers.formats.cellvoyager:CellVoyagerReader",
        "imagexpress": "gpu_workers.formats.imagexpress:ImageXpressReader",
        "ome_zarr": "gpu_workers.formats.omezarr:OmeZarrReader",
        "channel_pages": "gpu_workers.formats.images:ChannelPagesReader",
        "images": "gpu_workers.formats.images:ImagesReader",
        "ome_tiff": "gpu_workers.formats.ometiff:OmeTiffReader",
        "slides": "gpu_workers.formats.slides:SlidesReader",
        "pattern": "gpu_workers.formats.pattern:PatternReader",
    },
    "files": {
        "c01": "gpu_workers.formats.files.cellomics_c01:C01File",
        "czi": "gpu_workers.formats.files.zeiss:CziFile",
        "lif": "gpu_workers.formats.files.leica:LifFile",
        "nd2": "gpu_workers.formats.files.nikon:Nd2File",
        "jpeg": "gpu_workers.formats.files.jpeg:JpegFile",
        "ome_companion": "gpu_workers.formats.files.ome_companion:CompanionFile",
        "png": "gpu_workers.formats.files.png:PngFile",
        "tiff": "gpu_workers.formats.files.tiff:TiffFile",
        "zarr": "gpu_workers.formats.files.ngff:ZarrFile",
    },
    "modules": {
        "add_border": "gpu_workers.modules.images.add_border:add_border",
        "aggregate_features": "gpu_workers.modules.objects.aggregate_features:aggregate_features",
        "apply_mask": "gpu_workers.modules.images.apply_mask:apply_mask",
        "apply_mask_intensity": (
            "gpu_workers.modules.images.apply_mask_intensity:apply_mask_intensity"
        ),
        "clip": "gpu_workers.modules.masks.clip:clip",
        "combine_channels": "gpu_workers.modules.images.combine_channels:combine_channels",
        "combine_masks": "gpu_workers.modules.masks.combine_masks:combine_masks",
        "combine_objects": "gpu_workers.modules.objects.combine_objects:combine_objects",
        "convert_to_intensity": (
            "gpu_workers.modules.images.convert_to_intensity:convert_to_intensity"
        ),
        "count_children": "gpu_workers.modules.objects.count_children:count_children",
        "declump": "gpu_workers.modules.objects.declump:declump",
        "detect_blobs": "gpu_workers.modules.objects.detect_blobs:detect_blobs",
        "detect_spots": "gpu_workers.modules.objects.detect_spots:detect_spots",
        "exclude_border_objects": (
            "gpu_workers.modules.objects.exclude_border_objects:exclude_border_objects"
        ),
        "expand": "gpu_workers.modules.objects.expand:expand",
        "expand_or_shrink": "gpu_workers.modules.objects.expand_or_shrink:expand_or_shrink",
        "fill": "gpu_workers.modules.masks.fill:fill",
        "filter": "gpu_workers.modules.masks.filter:filter",
        "filter_area": "gpu_workers.modules.objects.filter_area:filter_area",
        "filter_objects": "gpu_workers.modules.objects.filter_objects:filter_objects",
        "generate_volume_image": (
            "gpu_workers.modules.images.generate_volume_image:generate_volume_image"
        ),
        "grow": "gpu_workers.modules.objects.grow:grow",
        "identify_spots_2D": "gpu_workers.modules.objects.identify_spots_2D:identify_spots_2D",
        "identify_spots_3D": "gpu_workers.modules.objects.identify_spots_3D:identify_spots_3D",
        "invert": "gpu_workers.modules.images.invert:invert",
        "label": "gpu_workers.modules.objects.label:label",
        "mask_objects": "gpu_workers.modules.objects.mask_objects:mask_objects",
        "measure_colocalisation": (
            "gpu_workers.modules.measure.measure_colocalisation:measure_colocalisation"
        ),
        "measure_granularity": (
            "gpu_workers.modules.measure.measure_granularity:measure_granularity"
        ),
        "measure_intensity": "gpu_workers.modules.measure.measure_intensity:measure_intensity",
        "measure_morphology": "gpu_workers.modules.measure.measure_morphology:measure_morphology",
        "measure_neighbours": "gpu_workers.modules.measure.measure_neighbours:measure_neighbours",
        "measure_point_pattern": (
            "gpu_workers.modules.measure.measure_point_pattern:measure_point_pattern"
        ),
        "measure_radial_distribution": (
            "gpu_workers.modules.measure.measure_radial_distribution:measure_radial_distribution"
        ),
        "measure_texture": "gpu_workers.modules.measure.measure_texture:measure_texture",
        "measure_volume_image": (
            "gpu_workers.modules.measure.measure_volume_image:measure_volume_image"
        ),
        "morphology": "gpu_workers.modules.masks.morphology:morphology",
        "project": "gpu_workers.modules.images.project:project",
        "propagate": "gpu_workers.modules.objects.propagate:propagate",
        "rasterize": "gpu_workers.modules.objects.rasterize:rasterize",
        "ratio": "gpu_workers.modules.images.ratio:ratio",
        "register_objects": "gpu_workers.modules.objects.register_objects:register_objects",
        "register_objects_channel": (
            "gpu_workers.modules.objects.register_objects_channel:register_objects_channel"
        ),
        "relabel": "gpu_workers.modules.objects.relabel:relabel",
        "relate_objects": "gpu_workers.modules.objects.relate_objects:relate_objects",
        "remove_small_objects": (
            "gpu_workers.modules.objects.remove_small_objects:remove_small_objects"
        ),
        "rescale": "gpu_workers.modules.images.rescale:rescale",
        "ring": "gpu_workers.modules.objects.ring:ring",
        "segment_cellpose": "gpu_workers.modules.objects.segment_cellpose:segment_cellpose",
        "segment_primary": "gpu_workers.modules.objects.segment_primary:segment_primary",
        "segment_secondary": "gpu_workers.modules.objects.segment_secondary:segment_secondary",
        "segment_stardist": "gpu_workers.modules.objects.segment_stardist:segment_stardist",
        "separate": "gpu_workers.modules.objects.separate:separate",
        "separate_clumps": "gpu_workers.modules.objects.separate_clumps:separate_clumps",
        "separate_primary_iterative": (
            "gpu_workers.modules.objects.separate_primary_iterative:separate_primary_iterative"
        ),
        "separate_stains": "gpu_workers.modules.images.separate_stains:separate_stains",
        "skeletonize": "gpu_workers.modules.masks.skeletonize:skeletonize",
        "smooth": "gpu_workers.modules.images.smooth:smooth",
        "split_merge": "gpu_workers.modules.objects.split_merge:split_merge",
        "subtract": "gpu_workers.modules.objects.subtract:subtract",
        "subtract_background": "gpu_workers.modules.images.subtract_background:subtract_background",
        "threshold": "gpu_workers.modules.masks.threshold:threshold",
        "threshold_adaptive": "gpu_workers.modules.masks.threshold_adaptive:threshold_adaptive",
        "threshold_manual": "gpu_workers.modules.masks.threshold_manual:threshold_manual",
        "threshold_otsu": "gpu_workers.modules.masks.threshold_otsu:threshold_otsu",
        "track_objects": "gpu_workers.modules.objects.track_objects:track_objects",
        "use_label_image": "gpu_workers.modules.objects.use_label_image:use_label_image",
        "watershed": "gpu_workers.modules.objects.watershed:watershed",
    },
    "tools": {"heatmap": "gpu_workers.tools.heatmap:HeatMap"},
}


class Arguments(BaseModel):
    """Base of every argument model: its JSON Schema makes the form and the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def sources(self) -> dict[str, str]:
        """Return what results depend on besides the values: name -> digest, as of a network's weights."""
        return {}


A = TypeVar("A", bound=Arguments)


def _ignore_progress(fraction: float, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StepContext:
    """Where a step works and what it may use.

    Attributes
    ----------
    root
        Folder of the experiment.
    key
        Version of what is built; empty in `Step.plan`.
    inputs
        Product name -> manifest path below `root`.
    progress
        Called with a fraction in [0, 1] and a short message.
    problems
        Append what a person should know but which does not stop the job.
    limits
        Of the step's jobs.
    code_version
        Which program works, for what records where results come from.
    """

    root: Path
    experiment: ExperimentDescription
    key: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    backend: Literal["cpu", "gpu"] = "cpu"
    progress: Callable[[float, str], None] = _ignore_progress
    problems: list[Problem] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    code_version: str = ""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What `run` or `collect` hands back; both parts are small JSON."""

    output: Json = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)


class Step(ABC, Generic[A]):
    """One step of a workflow: plan, run (in rounds), collect.

    `plan` lists batches and touches no pixel; `run` does one batch and writes only below folders
    named by `StepContext.key`, atomically and deterministically, so that it may run twice;
    `collect` joins metadata and names the products. `requires` names products of earlier steps.
    Only steps that say `is_corrected` are told a person's corrections of the layout. `backends` are
    those it can work with; control decides.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    VERSION: ClassVar[int]
    requires: ClassVar[tuple[str, ...]] = ()
    is_corrected: ClassVar[bool] = False
    backends: ClassVar[tuple[str, ...]] = ("cpu",)
    Arguments: ClassVar[type[Arguments]]

    @abstractmethod
    def plan(self, context: StepContext, arguments: A) -> Plan: ...

    @abstractmethod
    def run(self, context: StepContext, arguments: A, batch: Json) -> StepOutput: ...

    def collect(self, context: StepContext, arguments: A) -> StepOutput:  # noqa: ARG002
        """Join what the run jobs left below the version's folder."""
        return StepOutput()


class Tool(ABC, Generic[A]):
    """One analysis tool: from arguments and the objects of an experiment to values per object.

    `run` is one job on the ``interactive`` queue; it writes only below ``results/<id>`` (the id
    stands in ``batch["result"]``), atomically and deterministically, so that it may run twice.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    VERSION: ClassVar[int]
    requires: ClassVar[tuple[str, ...]] = ("objects",)
    Arguments: ClassVar[type[Arguments]]

    @abstractmethod
    def run(self, context: StepContext, arguments: A, batch: Json) -> StepOutput: ...


@cache
def _targets(family: Family) -> dict[str, str]:
    # An older installation's entry points may name what has moved: the list here wins over them.
    found = {**plugins.own_entries(family), **BUILT_IN[family], **plugins.allowed_entries(family)}
    if family == "modules":
        found |= plugins.entries_of_files(frozenset(found))
    return found


def names(family: Family) -> list[str]:
    """Return the names registered in a family, sorted."""
    return sorted(_targets(family))


def source_digest(family: Family, name: str) -> str | None:
    """Return the digest of the source of an entry that is not built in, None for one that is.

    It belongs into the key of what the entry makes, beside its version: people change their own
    modules without raising a number.
    """
    target = _targets(family).get(name)
    if target is None or target == BUILT_IN[family].get(name):
        return None
    return plugins.source_digest(target)


def forget() -> None:
    """Forget what was found and loaded, so that the administrator's files are read again."""
    plugins.forget()
    _targets.cache_clear()
    load.cache_clear()


def _likely(name: str, known: list[str]) -> str:
    """Say what was meant: the names that are most alike, or of a few all."""
    alike = get_close_matches(name, known, n=3, cutoff=0.6)
    if alike:
        return f"did you mean {' or '.join(alike)}?"
    return f"known: {', '.join(known) or 'none'}"


@cache
def load(family: Family, name: str) -> Any:
    """Return the class or function registered as `name`.

    Raises
    ------
    UserError
        No entry of that name; the message names those that are alike, or all, and files that could not be used.
    """
    try:
        target = _targets(family)[name]
    except KeyError:
        text = f"no {family[:-1]} is called {name!r}; {_likely(name, names(family))}"
        for path, problem in plugins.problems().items() if family == "modules" else ():
            text += f"; {path} could not be used: {problem}"
        raise UserError(text, code="unknown_name") from None
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
