"""Shifts of many fields made to agree: whoever contradicts his neighbours follows them; entry point: `agree`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

NEIGHBOURS = 8
LEAST_TO_JUDGE = 3
"""Believed shifts it takes to say that one of them is wrong."""
LEAST_TO_TURN = 4
"""Believed shifts it takes to tell a rotation from errors."""

_ROUNDS = 20
_STRICT = 6.0  # times the usual disagreement
_TO_SIGMA = 1.4826  # from the median absolute deviation of a normal distribution


@dataclass(frozen=True, slots=True)
class Rigid:
    """How a plate was put back: moved by (y, x) at its `centre` and turned.

    Attributes
    ----------
    rotation : float
        Radians, counter-clockwise as seen (y down).
    residual_px : float
        Root mean square distance of the believed shifts from it.
    n : int
        Believed shifts it was fitted to.
    """

    y: float
    x: float
    rotation: float
    centre: tuple[float, float]
    residual_px: float
    n: int

    def at(self, positions: Numbers) -> Numbers:
        """Return the shifts (n, 2) at positions (n, 2)."""
        away = positions - np.array(self.centre)
        turn = np.stack([-away[:, 1], away[:, 0]], axis=1) * self.rotation
        return np.asarray(np.array([self.y, self.x]) + turn)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shifts to use; see `agree`.

    Attributes
    ----------
    shifts : ndarray of float64, shape (n, 2)
    outlier : ndarray of bool, shape (n,)
        Fields whose own measurement is not used.
    away : ndarray of float64, shape (n,)
        How far (px) each measurement is from what the neighbours say; NaN where it is not believed.
    model : Rigid or None
        None where nothing was believed.
    """

    shifts: Numbers
    outlier: NDArray[np.bool_]
    away: Numbers
    model: Rigid | None


def _design(away: Numbers, *, turning: bool) -> Numbers:
    """Return the equations of (y, x, rotation): first all y, then all x."""
    n = len(away)
    columns = [np.repeat([1.0, 0.0], n), np.repeat([0.0, 1.0], n)]
    if turning:
        columns.append(np.concatenate([-away[:, 1], away[:, 0]]))
    return np.stack(columns, axis=1)


def fit_rigid(positions: Numbers, shifts: Numbers, weight: Numbers) -> Rigid:
    """Return the movement that explains most shifts of a plate, whatever a few of them say.

    Least squares reweighted by Cauchy's function with the scale of the usual residual, starting
    from the median. With fewer than `LEAST_TO_TURN` shifts, or all at one place, there is no
    rotation.
    """
    centre = np.average(positions, axis=0, weights=weight)
    away = positions - centre
    reach = float(np.abs(away).max(initial=0.0))
    turning = len(shifts) >= LEAST_TO_TURN and reach > 0
    design = _design(away / (reach or 1.0), turning=turning)
    found = np.zeros(3)
    found[:2] = np.median(shifts, axis=0)
    n, size = len(shifts), design.shape[1]
    off = np.linalg.norm(shifts - found[:2], axis=1)
    for _ in range(_ROUNDS):
        scale = max(_TO_SIGMA * float(np.median(off)), 0.05)
        w = np.sqrt(np.tile(weight / (1 + (off / scale) ** 2), 2))
        target = shifts.T.ravel()
        found[:size] = np.linalg.lstsq(design * w[:, None], target * w, rcond=None)[0]
        off = np.linalg.norm((target - design @ found[:size]).reshape(2, n), axis=0)
    limit = max(_STRICT * _TO_SIGMA * float(np.median(off)), 0.5)
    kept = off[off <= limit]
    return Rigid(
        y=float(found[0]),
        x=float(found[1]),
        rotation=float(found[2] / (reach or 1.0)),
        centre=(float(centre[0]), float(centre[1])),
        residual_px=math.sqrt(float(np.mean(kept**2))) if kept.size else 0.0,
        n=len(kept),
    )


def _expected(positions: Numbers, told: NDArray[np.bool_], deviation: Numbers) -> Numbers:
    """Return the median deviation from the model of each field's nearest believed others."""
    from scipy.spatial import cKDTree

    believed = np.flatnonzero(told)
    tree = cKDTree(positions[believed])
    count = min(NEIGHBOURS + 1, len(believed))
    _, near = tree.query(positions, k=count)
    near = np.asarray(near).reshape(len(positions), count)
    own = believed[near] == np.arange(len(positions))[:, None]
    around = np.where(own[..., None], np.nan, deviation[believed[near]])
    # Nobody counts as his own neighbour; who has no other follows the model.
    alone = own.all(axis=1)
    around[alone] = 0
    return np.asarray(np.nanmedian(around, axis=1))


def agree(
    positions: Numbers,
    shifts: Numbers,
    confidence: Numbers,
    *,
    least_confidence: float,
    tolerance: float,
) -> Agreement:
    """Return the shifts of a plate's fields, with those that cannot be right replaced.

    Parameters
    ----------
    positions : ndarray, shape (n, 2)
        Places of the fields (y, x) on the plate, px; any origin.
    shifts : ndarray, shape (n, 2)
        Measured, px; NaN where nothing could be measured.
    confidence : ndarray, shape (n,)
        0 to 1; below `least_confidence` a measurement is not believed.
    tolerance
        Disagreement with the neighbours that is always allowed, px: how far a stage misses.

    Returns
    -------
    Agreement
        A field that is not believed, or is farther from what its neighbours say than the tolerance
        and six times the usual disagreement, takes theirs. Where nobody is believed all shifts are 0
        and all fields outliers.

    Notes
    -----
    What neighbours say is the plate's rigid movement (`fit_rigid`) plus the median of their
    deviations from it, so that a turned plate, and slow changes over it, disturb nothing.

    Examples
    --------
    >>> places = np.array([[0.0, 0], [0, 100], [100, 0], [100, 100]])
    >>> measured = np.array([[3.0, 1], [3, 1], [40, -7], [3, 1]])
    >>> found = agree(places, measured, np.ones(4), least_confidence=0.1, tolerance=5)
    >>> found.outlier.tolist(), found.shifts[2].round(3).tolist()
    ([False, False, True, False], [3.0, 1.0])
    """
    told = (confidence >= least_confidence) & np.isfinite(shifts).all(axis=1)
    if not told.any():
        nobody = np.full(len(shifts), np.nan)
        return Agreement(np.zeros((len(shifts), 2)), ~told, nobody, None)
    model = fit_rigid(positions[told], shifts[told], np.maximum(confidence[told], 1e-3))
    predicted = model.at(positions)
    deviation = shifts - predicted
    expected = predicted + _expected(positions, told, deviation)
    outlier = ~told
    away = np.where(told, np.linalg.norm(shifts - expected, axis=1), np.nan)
    if told.sum() >= LEAST_TO_JUDGE:
        limit = max(tolerance, _STRICT * _TO_SIGMA * float(np.median(away[told])))
        outlier |= told & ~(away <= limit)
    return Agreement(np.where(outlier[:, None], expected, shifts), outlier, away, model)
