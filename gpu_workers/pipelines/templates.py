"""Pipelines that come with TissueMAPS; entry points: `nuclei_and_cells`, `imported_objects`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_workers.pipelines.binding import CELLS, NUCLEI
from gpu_workers.pipelines.description import (
    ALL_CHANNELS,
    RESERVED,
    ModuleUse,
    ObjectOutput,
    Pipeline,
)


@dataclass(frozen=True, slots=True)
class NucleiAndCells:
    """What can be set in the built-in pipeline; areas and lengths in px.

    Attributes
    ----------
    nuclei, cells
        Channels; without a cell channel cells are nuclei grown by `expansion`.
    """

    nuclei: str
    cells: str | None = None
    sigma: float = 1.0
    correction: float = 0.65
    min_area: float = 30
    max_area: float | None = None
    min_distance: int = 7
    expansion: float = 5
    cytoplasm: bool = False


def choose_nuclei_channel(names: Sequence[str]) -> str:
    """Return the first channel whose name is that of a nuclear stain, else the first."""
    return next((name for name in names if NUCLEI.search(name)), names[0])


def choose_cells_channel(names: Sequence[str], nuclei: str) -> str | None:
    """Return the first other channel whose name is that of a stain of whole cells, if any."""
    return next((name for name in names if name != nuclei and CELLS.search(name)), None)


def _use(
    module: str, inputs: dict[str, str], outputs: dict[str, str] | None = None, **arguments: object
) -> ModuleUse:
    return ModuleUse(module=module, inputs=inputs, outputs=outputs or {}, arguments=arguments)


def _nuclei(options: NucleiAndCells) -> list[ModuleUse]:
    return [
        _use("smooth", {"image": "dna"}, {"smoothed_image": "dna_smooth"}, sigma=options.sigma),
        _use(
            "threshold_otsu",
            {"image": "dna_smooth"},
            {"mask": "bright"},
            correction_factor=options.correction,
        ),
        _use("fill", {"mask": "bright"}, {"filled_mask": "filled"}),
        _use(
            "separate",
            {"mask": "filled"},
            {"labels": "separated"},
            method="shape",
            min_distance=options.min_distance,
        ),
        _use(
            "filter_area",
            {"labels": "separated"},
            {"labels": "nuclei"},
            min_area=options.min_area,
            max_area=options.max_area,
        ),
    ]


def _cells(options: NucleiAndCells) -> list[ModuleUse]:
    if options.cells is None:
        grown = {"labels": "cells"}
        return [_use("expand", {"labels": "nuclei"}, grown, distance=options.expansion)]
    return [
        _use("smooth", {"image": "body"}, {"smoothed_image": "body_smooth"}, sigma=options.sigma),
        _use("grow", {"labels": "nuclei", "image": "body_smooth"}, {"labels": "cells"}),
    ]


def nuclei_and_cells(options: NucleiAndCells) -> Pipeline:
    """Return the built-in pipeline: nuclei, cells around them, their rings if asked, all measured."""
    modules = [*_nuclei(options), *_cells(options)]
    objects = [
        ObjectOutput(name="Nuclei", labels="nuclei"),
        ObjectOutput(name="Cells", labels="cells", parent="Nuclei"),
    ]
    if options.cytoplasm:
        modules.append(_use("subtract", {"outer": "cells", "inner": "nuclei"}, {"labels": "ring"}))
        objects.append(ObjectOutput(name="Cytoplasm", labels="ring", parent="Nuclei"))
    for found in objects:
        modules.append(
            _use(
                "measure_intensity",
                {"extract_objects": found.labels, "intensity_image": ALL_CHANNELS},
            )
        )
        modules.append(_use("measure_morphology", {"extract_objects": found.labels}))
    channels = {"dna": options.nuclei}
    if options.cells is not None:
        channels["body"] = options.cells
    return Pipeline(
        name="nuclei-and-cells", channels=channels, modules=tuple(modules), objects=tuple(objects)
    )


def imported_objects(names: Sequence[str]) -> Pipeline:
    """Return the pipeline that makes an object type of each imported label image, and measures it."""
    labels: dict[str, str] = {}
    modules: list[ModuleUse] = []
    objects: list[ObjectOutput] = []
    for number, name in enumerate(names):
        variable = f"labels_{number}"
        labels[variable] = name
        modules.append(
            _use(
                "measure_intensity", {"extract_objects": variable, "intensity_image": ALL_CHANNELS}
            )
        )
        modules.append(_use("measure_morphology", {"extract_objects": variable}))
        taken = {o.name for o in objects} | RESERVED
        objects.append(ObjectOutput(name=_type_name(name, taken), labels=variable))
    return Pipeline(
        name="imported-objects", channels={}, labels=labels, modules=tuple(modules),
        objects=tuple(objects),
    )  # fmt: skip


def _type_name(labels: str, taken: set[str]) -> str:
    """Return the name of the object type of a label image: its own, as far as a type may have it."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", labels).strip("_-")[:40]
    if not stem or not stem[0].isalpha():
        stem = f"Objects_{stem}".rstrip("_")
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name
