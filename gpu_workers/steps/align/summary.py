"""What is known in the end: tables of shifts and distances, and the manifest's summaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.alignment.registration import LocalShifts
from gpu_workers.imaging.alignment.translation import intersection
from gpu_workers.storage.alignment import (
    EDGE_TYPES,
    SHIFT_TYPES,
    CycleModel,
    PlateStitching,
    WellAlignment,
)
from gpu_workers.storage.layout import PlateLayout

Arrays = dict[str, NDArray[Any]]
Columns = dict[str, list[Any]]
TOLD = 0.05  # coherence above which a part of an image shows something


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _residuals(shift: NDArray[np.float64], local: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [
        LocalShifts(*part).residual(float(y), float(x), TOLD)
        for (y, x), part in zip(shift, local, strict=True)
    ]


def shift_columns(plate: PlateLayout, agreed: Arrays, local: NDArray[np.float64]) -> Columns:
    """Return the rows of ``shifts.parquet`` of a plate.

    Parameters
    ----------
    agreed
        What the plate's job left: place, shift, measured, confidence, outlier.
    local
        Shifts of the parts of each image, shape (n, 3, rows, columns), at the shift that is used.
    """
    sites = {s.index: s for s in plate.sites}
    covered: dict[int, list[tuple[float, float]]] = {}
    for (site, _), (y, x) in zip(agreed["place"].tolist(), agreed["shift"].tolist(), strict=True):
        covered.setdefault(site, [(0.0, 0.0)]).append((y, x))
    boxes = {i: intersection(s, sites[i].height, sites[i].width) for i, s in covered.items()}
    remains = _residuals(agreed["shift"], local)
    owner = agreed["place"][:, 0].tolist()
    columns: Columns = {
        "plate": [plate.id] * len(owner),
        "site": owner,
        "cycle": agreed["place"][:, 1].tolist(),
        "y": agreed["shift"][:, 0].tolist(),
        "x": agreed["shift"][:, 1].tolist(),
        "measured_y": agreed["measured"][:, 0].tolist(),
        "measured_x": agreed["measured"][:, 1].tolist(),
        "confidence": agreed["confidence"].tolist(),
        "outlier": agreed["outlier"].tolist(),
        "residual_px": [float(r.max()) if r.size else None for r in remains],
        "residual_median_px": [float(np.median(r)) if r.size else None for r in remains],
        "n_parts": [r.size for r in remains],
    }
    for n, name in enumerate(("y0", "x0", "y1", "x1")):
        columns[name] = [boxes[site][n] for site in owner]
    assert list(columns) == list(SHIFT_TYPES)
    return columns


def edge_columns(plate: PlateLayout, places: Arrays) -> Columns:
    """Return the rows of ``edges.parquet`` of a plate."""
    columns: Columns = {
        "plate": [plate.id] * len(places["pairs"]),
        "a": places["pairs"][:, 0].tolist(),
        "b": places["pairs"][:, 1].tolist(),
        "y": places["distance"][:, 0].tolist(),
        "x": places["distance"][:, 1].tolist(),
        "confidence": places["confidence"].tolist(),
        "used": places["used"].tolist(),
        "residual_px": places["residual"].tolist(),
    }
    assert list(columns) == list(EDGE_TYPES)
    return columns


def cycle_models(plate: PlateLayout, agreed: Arrays) -> Iterator[CycleModel]:
    """Yield how a plate lies in each cycle."""
    for cycle, y, x, turn, residual, n in agreed["models"].tolist():
        yield CycleModel(
            plate=plate.id,
            cycle=int(cycle),
            y=y,
            x=x,
            rotation_deg=turn,
            residual_px=residual,
            n_sites=int(n),
        )


def well_summaries(
    plate: PlateLayout, agreed: Arrays, columns: Columns, n_cycles: int
) -> Iterator[WellAlignment]:
    """Yield each well of a plate over all its cycles."""
    wells = {s.index: s.well for s in plate.sites}
    own: dict[str, list[int]] = {}
    for row, site in enumerate(columns["site"]):
        own.setdefault(wells[site], []).append(row)
    cycle = agreed["place"][:, 1]
    for well in plate.wells:
        if well.name not in own:
            continue
        rows = np.array(own[well.name])
        medians = [
            _median(agreed["shift"][rows[cycle[rows] == number]]) for number in range(n_cycles)
        ]
        residuals = [v for v in (columns["residual_px"][r] for r in rows) if v is not None]
        away = agreed["away"][rows]
        flagged = rows[agreed["outlier"][rows]]
        yield WellAlignment(
            plate=plate.id,
            well=well.name,
            n=len(rows),
            n_outliers=len(flagged),
            shifts=tuple(medians),
            worst_px=_known(np.nanmax(away)) if np.isfinite(away).any() else None,
            confidence=_known(float(np.median(agreed["confidence"][rows]))),
            residual_px=max(residuals, default=None),
            outlier_sites=tuple(sorted({columns["site"][r] for r in flagged})),
        )


def _median(shifts: NDArray[np.float64]) -> tuple[float, float] | None:
    if not len(shifts):
        return None
    y, x = np.median(shifts, axis=0).tolist()
    return float(y), float(x)


def plate_stitching(plate: PlateLayout, places: Arrays) -> PlateStitching:
    """Return how the sites of a plate were put together."""
    used, residual = places["used"], places["residual"]
    tilt = places["tilt"]
    moved = np.linalg.norm(places["positions"] - places["nominal"], axis=1)
    told = np.isfinite(residual)
    held = np.unique(places["pairs"][used])
    return PlateStitching(
        plate=plate.id,
        n_sites=len(plate.sites),
        n_pairs=len(used),
        n_measured=int(told.sum()),
        n_used=int(used.sum()),
        n_unconnected=len(plate.sites) - len(held),
        median_residual_px=_known(float(np.median(residual[used]))) if used.any() else None,
        median_confidence=_known(float(np.median(places["confidence"][used])))
        if used.any()
        else None,
        # A turn by a counter-clockwise angle, as seen, takes what is to the right up and what is below
        # to the right.
        turn_deg=float(np.degrees((tilt[1, 0] - tilt[0, 1]) / 2)),
        scale=float(1 + (tilt[0, 0] + tilt[1, 1]) / 2),
        largest_move_px=float(moved.max(initial=0.0)),
    )
