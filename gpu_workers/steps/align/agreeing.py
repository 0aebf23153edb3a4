"""The jobs that bring to terms what was measured on a plate; they read parts and no pixels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.alignment.agreement import agree
from gpu_workers.imaging.alignment.stitching import solve_positions
from gpu_workers.steps.align.arguments import AlignArguments
from gpu_workers.storage.alignment import load_part, save_part
from gpu_workers.storage.layout import Layout, PlateLayout

Arrays = dict[str, NDArray[Any]]

# Distance of wells by the plate's rows and columns, micrometres (ANSI/SLAS 4-2004; 6 and 24 wells as
# usual).
_WELL_PITCH_UM = {
    (2, 3): 39120.0, (4, 6): 19300.0, (8, 12): 9000.0, (16, 24): 4500.0, (32, 48): 2250.0,
}  # fmt: skip


def site_positions(layout: Layout, plate: PlateLayout) -> NDArray[np.float64]:
    """Return where the middles of a plate's sites lie (y, x), px, in the order of `plate.sites`.

    On the map empty rows and the gaps between wells are cut out; a plate that is turned shows it
    over its true size. Where format and pixel size are known, wells stand at their true distance.
    """
    wells = {w.name: w for w in plate.wells}
    pitch = _WELL_PITCH_UM.get((plate.n_rows, plate.n_columns))
    found = np.empty((len(plate.sites), 2))
    for n, site in enumerate(plate.sites):
        well = wells[site.well]
        middle = site.y + site.height / 2, site.x + site.width / 2
        if pitch is None or not layout.pixel_size_um:
            found[n] = middle
            continue
        step = pitch / layout.pixel_size_um
        found[n] = well.row * step + middle[0] - well.y, well.column * step + middle[1] - well.x
    return found


def joined(parts: Iterable[Path]) -> Arrays:
    """Return the arrays of several parts, one after the other."""
    loaded = [load_part(path) for path in parts]
    return {name: np.concatenate([part[name] for part in loaded]) for name in loaded[0]}


def agree_on_shifts(
    path: Path, layout: Layout, plate: PlateLayout, arguments: AlignArguments, measured: Arrays
) -> int:
    """Write the shifts to use on a plate; returns how many sites follow their neighbours."""
    order = {s.index: n for n, s in enumerate(plate.sites)}
    positions = site_positions(layout, plate)
    place, shift = measured["place"], measured["shift"]
    used, outlier = np.zeros_like(shift), np.zeros(len(place), np.bool_)
    away = np.full(len(place), np.nan)
    models: list[tuple[float, ...]] = []
    for cycle in np.unique(place[:, 1]):
        rows = np.flatnonzero(place[:, 1] == cycle)
        where = positions[[order[int(s)] for s in place[rows, 0]]]
        found = agree(
            where,
            shift[rows],
            measured["confidence"][rows],
            least_confidence=arguments.min_confidence,
            tolerance=arguments.tolerance,
        )
        used[rows], outlier[rows], away[rows] = found.shifts, found.outlier, found.away
        if (model := found.model) is not None:
            turn = float(np.degrees(model.rotation))
            models.append((int(cycle), model.y, model.x, turn, model.residual_px, model.n))
    save_part(
        path,
        place=place,
        shift=used,
        measured=shift,
        confidence=measured["confidence"],
        outlier=outlier,
        away=away,
        models=np.array(models, np.float64).reshape(-1, 6),
    )
    return int(outlier.sum())


def agree_on_places(path: Path, plate: PlateLayout, least_confidence: float, edges: Arrays) -> int:
    """Write where a plate's sites lie by what they share; returns how many distances were used."""
    order = {s.index: n for n, s in enumerate(plate.sites)}
    nominal = np.array([(s.y, s.x) for s in plate.sites], np.float64)
    rows = np.array([[order[a], order[b]] for a, b in edges["pairs"].tolist()], np.int64)
    found = solve_positions(
        nominal, rows.reshape(-1, 2), edges["distance"], edges["confidence"], least_confidence
    )
    save_part(
        path,
        positions=found.positions,
        nominal=nominal,
        used=found.used,
        residual=found.residual,
        tilt=found.tilt,
        **edges,
    )
    return int(found.used.sum())
