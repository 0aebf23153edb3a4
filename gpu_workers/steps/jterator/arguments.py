"""What a person chooses for the analysis, and the pipeline that follows from it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.illumination.correction import Choice
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.templates import (
    NucleiAndCells,
    choose_cells_channel,
    choose_nuclei_channel,
    imported_objects,
    nuclei_and_cells,
)
from gpu_workers.pipelines.text import parse_pipeline
from gpu_workers.registry import Arguments
from gpu_workers.steps.align import use


class JteratorArguments(Arguments):
    """Arguments of the step; those from `nuclei_channel` to `cytoplasm` set nuclei and cells."""

    pipeline: dict[str, Any] | None = Field(
        None,
        title="Pipeline",
        description="A pipeline as JSON; empty: a built-in one.",
    )
    template: Literal["auto", "nuclei_and_cells", "imported_objects"] = Field(
        "auto",
        title="Built-in pipeline",
        description="imported_objects: measure the objects whose labels came with the images (OME-Zarr);"
        " auto: those if there are any, else nuclei and cells.",
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


def pipeline_of(
    arguments: JteratorArguments, channels: tuple[str, ...], imported: tuple[str, ...] = ()
) -> Pipeline:
    """Return the pipeline to run.

    Parameters
    ----------
    imported
        Names of the label images that came with the images.

    Raises
    ------
    UserError
        It is malformed, names a channel that isn't there, or needs labels and none were imported.
    """
    if arguments.pipeline is not None:
        return parse_pipeline(arguments.pipeline)
    if arguments.template == "imported_objects" and not imported:
        raise UserError("no labels were imported with the images", code="unknown_labels")
    if imported and arguments.template != "nuclei_and_cells":
        return imported_objects(imported)
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
