"""What a person chooses for the analysis, and the pipeline that follows from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.illumination.correction import Choice
from gpu_workers.pipelines import library
from gpu_workers.pipelines.binding import OBJECTS, bind, with_objects
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.templates import (
    NucleiAndCells,
    choose_cells_channel,
    choose_nuclei_channel,
    imported_objects,
    nuclei_and_cells,
)
from gpu_workers.pipelines.text import parse_pipeline, read_pipeline
from gpu_workers.registry import Arguments
from gpu_workers.steps.align import use

_TYPE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}\Z")
Template = Literal[
    "auto",
    "nuclei_and_cells",
    "imported_objects",
    "nuclei",
    "nuclei-cells-cytoplasm",
    "spots-in-cells",
    "tissue-he",
    "time-lapse",
    "measure",
]


@dataclass(frozen=True, slots=True)
class LabelNames:
    """Label images that pipelines may use: made by people or other programs, and by earlier runs."""

    given: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


class JteratorArguments(Arguments):
    """Arguments of the step; those from `nuclei_channel` to `cytoplasm` set nuclei and cells."""

    pipeline: dict[str, Any] | str | None = Field(
        None,
        title="Pipeline",
        description="A pipeline as YAML or JSON; empty: a built-in one.",
    )
    template: Template = Field(
        "auto",
        title="Built-in pipeline",
        description="nuclei_and_cells follows the options below. imported_objects: measure the objects"
        " whose labels came with the images (OME-Zarr) or were uploaded; auto: those if there are any,"
        " else nuclei and cells. The others come from the library; measure: more features of objects"
        " that there are.",
    )
    template_channels: dict[str, str] = Field(
        default_factory=dict,
        title="Channels of the pipeline",
        description="What the pipeline calls a channel -> channel of the experiment; those left out are"
        " chosen by their names.",
    )
    template_objects: tuple[str, ...] = Field(
        (),
        title="Given objects",
        description="Objects of a pipeline of the library that it need not find, because there are label"
        " images or objects of that name; measure: which to measure, empty: all.",
    )
    nuclei_channel: str | None = Field(
        None,
        title="Channel of nuclei",
        description="Empty: the first whose name is that of a nuclear stain, else the first.",
    )
    cells: Literal["auto", "channel", "expansion"] = Field(
        "auto",
        title="Cells",
        description="channel: the bright region around each nucleus; expansion: nuclei grown by a"
        " distance; auto: the channel if one is named or found.",
    )
    cells_channel: str | None = Field(None, title="Channel of cells")
    sigma: float = Field(1.0, ge=0, le=50, title="Smoothing (px)")
    threshold_correction: float = Field(
        0.65,
        gt=0,
        le=10,
        title="Threshold factor",
        description="On the distance of Otsu's threshold from the background: below 1 dim nuclei"
        " are found, too; above 1 only bright ones.",
    )
    min_area: float = Field(30, ge=0, title="Smallest nucleus (px)")
    max_area: float | None = Field(None, gt=0, title="Largest nucleus (px)")
    min_distance: int = Field(
        7, ge=1, le=200, title="Least distance of nuclei (px)", description="between two centres"
    )
    expansion: float = Field(5, ge=0, le=500, title="Expansion (px)")
    cytoplasm: bool = Field(
        False, title="Cytoplasm", description="Also measure cells without their nuclei."
    )
    projection: Literal["auto", "none", "max", "mean", "best"] = Field(
        "auto",
        title="Projection",
        description="auto: the projection if there is one, else each z plane on its own.",
    )
    correct: bool = Field(
        False,
        title="Correct illumination",
        description="Analyse images with evened illumination; needs enough images.",
    )
    correct_method: Choice = Field(
        "auto",
        title="Way of correction",
        description="As in illuminati. auto: the first of basic, std, flat and vendor that there is and"
        " for which there were enough images. After std intensities are no longer proportional to light.",
    )
    correct_except: tuple[str, ...] = Field(
        (), title="Channels left alone", description="Names of channels not to correct."
    )
    force: bool = Field(
        False,
        title="Correct in any case",
        description="Although the statistics stand on too few images and may distort.",
    )
    align: use.Wanted = Field("auto", title=use.TITLE, description=use.DESCRIPTION)
    align_subpixel: bool = Field(
        False, title=use.SUBPIXEL_TITLE, description=use.SUBPIXEL_DESCRIPTION
    )
    batch_size: int = Field(8, ge=1, le=1000, title="Sites per job")


def _require(name: str, channels: tuple[str, ...]) -> str:
    if name not in channels:
        known = ", ".join(channels)
        raise UserError(
            f"there is no channel {name!r}; the experiment has: {known}", code="unknown_channel"
        )
    return name


def _cells(arguments: JteratorArguments, nuclei: str, channels: tuple[str, ...]) -> str | None:
    if arguments.cells == "expansion":
        return None
    if arguments.cells_channel is not None:
        return _require(arguments.cells_channel, channels)
    found = choose_cells_channel(channels, nuclei)
    if found is None and arguments.cells == "channel":
        raise UserError(
            "no channel has the name of a stain of whole cells: name one (cells_channel) or let"
            " cells be grown by expansion",
            code="missing_channel",
        )
    return found


def _written(arguments: JteratorArguments) -> Pipeline | None:
    """Return the pipeline that a person wrote, if any."""
    written = arguments.pipeline
    if written is None or (isinstance(written, str) and not written.strip()):
        return None
    found = read_pipeline(written) if isinstance(written, str) else parse_pipeline(written)
    chosen = arguments.template_channels
    return found.model_copy(
        update={
            "channels": {v: chosen.get(c, c) for v, c in found.channels.items()},
            "stacks": {v: chosen.get(c, c) for v, c in found.stacks.items()},
        }
    )


def _from_library(
    arguments: JteratorArguments, channels: tuple[str, ...], labels: LabelNames
) -> Pipeline:
    pipeline = library.load(arguments.template)
    given = arguments.template_objects
    if not given and OBJECTS in pipeline.labels.values():
        every = dict.fromkeys((*labels.given, *labels.made))
        given = tuple(name for name in every if _TYPE_NAME.match(name))
        if not given:
            raise UserError(
                "there are no objects to measure yet: run another pipeline, or upload label images",
                code="unknown_labels",
            )
    return bind(with_objects(pipeline, given), channels, arguments.template_channels)


def _nuclei_and_cells(arguments: JteratorArguments, channels: tuple[str, ...]) -> Pipeline:
    if not channels:
        raise UserError("the experiment has no channel", code="missing_channel")
    named = arguments.nuclei_channel
    nuclei = choose_nuclei_channel(channels) if named is None else _require(named, channels)
    options = NucleiAndCells(
        nuclei=nuclei,
        cells=_cells(arguments, nuclei, channels),
        sigma=arguments.sigma,
        correction=arguments.threshold_correction,
        min_area=arguments.min_area,
        max_area=arguments.max_area,
        min_distance=arguments.min_distance,
        expansion=arguments.expansion,
        cytoplasm=arguments.cytoplasm,
    )
    return nuclei_and_cells(options)


def pipeline_of(
    arguments: JteratorArguments, channels: tuple[str, ...], labels: LabelNames
) -> Pipeline:
    """Return the pipeline to run.

    Raises
    ------
    UserError
        It is malformed, names a channel that isn't there, or needs labels and there are none.
    """
    written = _written(arguments)
    if written is not None:
        return written
    if arguments.template not in ("auto", "nuclei_and_cells", "imported_objects"):
        return _from_library(arguments, channels, labels)
    if arguments.template == "imported_objects" and not labels.given:
        message = "no labels were imported with the images or uploaded"
        raise UserError(message, code="unknown_labels")
    if labels.given and arguments.template != "nuclei_and_cells":
        return imported_objects(labels.given)
    return _nuclei_and_cells(arguments, channels)
