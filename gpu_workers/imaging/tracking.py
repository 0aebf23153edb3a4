"""Objects followed over time; entry points: `Tracks` and `advance`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.labels import Labels, lookup
from gpu_workers.imaging.relations import areas, centroids, overlaps

Whole = NDArray[np.int64]
Places = NDArray[np.float64]

# Above the greatest cost of a link, so that what may be linked is.
UNLINKED = 1.1

_COLUMNS = ("number", "parent", "age", "missed", "place", "area", "move")


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as the same object, or as its division.

    Attributes
    ----------
    max_distance
        Between centroids at successive time points, px; objects that overlap may be farther.
    max_gap
        For how many time points an object may be lost.
    divisions
        Whether an object may become two.
    max_division_distance
        Of a daughter from its mother, px.
    """

    max_distance: float = 30
    max_gap: int = 2
    divisions: bool = True
    max_division_distance: float = 40


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracks at one time point, living and lost, in the order of their numbers.

    Attributes
    ----------
    number, parent
        int64; parent is 0 for none.
    age
        Time points since the first.
    missed
        For how many time points it has not been seen.
    place
        float64, (n, dimensions): centroid where it was last seen, px.
    area
        There, px.
    move
        From where it was seen before (a daughter: its mother); NaN for the first time.
    highest
        Number that was last given.
    """

    number: Whole
    parent: Whole
    age: Whole
    missed: Whole
    place: Places
    area: Whole
    move: Places
    highest: int = 0

    @classmethod
    def none(cls, ndim: int) -> Tracks:
        """Return no tracks."""
        zero, places = np.zeros(0, np.int64), np.zeros((0, ndim))
        return cls(zero, zero, zero, zero, places, zero, places)

    def to_table(self) -> NDArray[np.float64]:
        """Return everything as numbers: the highest number, then one row per track."""
        columns = [self.number, self.parent, self.age, self.missed, self.area]
        rows = np.column_stack([*columns, self.place, self.move]).astype(np.float64)
        first = np.zeros((1, rows.shape[1]))
        first[0, 0] = self.highest
        return np.concatenate([first, rows])

    @classmethod
    def from_table(cls, table: NDArray[np.float64]) -> Tracks:
        """Return what `to_table` wrote down."""
        ndim = (table.shape[1] - 5) // 2
        whole = table[1:, :5].astype(np.int64).T
        number, parent, age, missed, area = whole
        place, move = table[1:, 5 : 5 + ndim], table[1:, 5 + ndim :]
        return cls(number, parent, age, missed, place, area, move, int(table[0, 0]))

    def __getitem__(self, which: NDArray[Any]) -> Tracks:
        """Return some of the tracks."""
        columns = {name: getattr(self, name)[which] for name in _COLUMNS}
        return Tracks(**columns, highest=self.highest)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which row may go with which column, and what that costs."""

    row: Whole
    column: Whole
    cost: NDArray[np.float64]


def match(
    row: Whole, column: Whole, cost: NDArray[np.float64], n_rows: int, n_columns: int
) -> Whole:
    """Return the cheapest one-to-one assignment; rows and columns may stay alone.

    Parameters
    ----------
    row, column : ndarray of int64, shape (n,)
        Pairs that are allowed, each at most once.
    cost : ndarray of float64, shape (n,)
        Of each pair; a row or column that stays alone costs `UNLINKED` / 2.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        Column of each row; -1 for none.

    Notes
    -----
    Linear assignment on the sparse matrix (R. Jonker, A. Volgenant, 1987) with a column of its own
    for every row that stays alone; as ``scipy.optimize.linear_sum_assignment`` on the full matrix.

    Examples
    --------
    >>> match(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.1, 0.2, 0.1]), 2, 2)
    array([1, 0])
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not n_rows or not row.size:
        return np.full(n_rows, -1, np.int64)
    alone = np.arange(n_rows)
    rows = np.concatenate([row, alone])
    columns = np.concatenate([column, n_columns + alone])
    # a pair saves both from being alone; the 1 keeps every weight from being zero, which is no entry
    weights = np.concatenate([cost + 1, np.full(n_rows, UNLINKED + 1)])
    matrix = csr_array((weights, (rows, columns)), shape=(n_rows, n_columns + n_rows))
    _, chosen = min_weight_full_bipartite_matching(matrix)
    return np.where(chosen < n_columns, chosen, -1).astype(np.int64)


def _near(a: Places, b: Places, distance: float) -> tuple[Whole, Whole, NDArray[np.float64]]:
    """Return pairs of points within a distance, and how far they are."""
    from scipy.spatial import cKDTree

    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    found = cKDTree(a).sparse_distance_matrix(cKDTree(b), distance, output_type="ndarray")
    return found["i"].astype(np.int64), found["j"].astype(np.int64), found["v"]


def _links(
    tracks: Tracks, before: Labels, labels: Labels, objects: Tracks, limits: Limits
) -> _Pairs:
    """Return which track may go on as which object: near ones and those that overlap."""
    shared = overlaps(before, labels)
    known = np.isin(shared.first, tracks.number)
    i = np.searchsorted(tracks.number, shared.first[known])
    j = np.searchsorted(objects.number, shared.second[known])
    union = tracks.area[i] + objects.area[j] - shared.n_pixels[known]
    near_i, near_j, _ = _near(tracks.place, objects.place, limits.max_distance)
    n = max(objects.number.size, 1)
    keys = np.unique(np.concatenate([i * n + j, near_i * n + near_j]))
    alike = np.zeros(keys.size)
    alike[np.searchsorted(keys, i * n + j)] = shared.n_pixels[known] / union
    row, column = keys // n, keys % n
    far = np.linalg.norm(tracks.place[row] - objects.place[column], axis=1)
    cost = (1 - alike + np.minimum(far / limits.max_distance, 1)) / 2
    return _Pairs(row, column, cost)


def _divisions(
    tracks: Tracks, objects: Tracks, goes_on: Whole, free: Whole, limits: Limits
) -> tuple[Whole, Whole]:
    """Return which tracks divided, and the object that is the other daughter of each.

    Both daughters are smaller than the mother, of similar size, have together about hers, and lie on
    either side of where she was.
    """
    mothers = np.flatnonzero(goes_on >= 0)
    row, column, _ = _near(tracks.place[mothers], objects.place[free], limits.max_division_distance)
    mother, one, other = mothers[row], goes_on[mothers[row]], free[column]
    size = np.sort(np.stack([objects.area[one], objects.area[other]]), axis=0)
    whole = tracks.area[mother]
    fits = (size[1] < whole) & (size[1] <= 2 * size[0])
    fits &= (size.sum(axis=0) >= 0.4 * whole) & (size.sum(axis=0) <= 1.9 * whole)
    between = (objects.place[one] + objects.place[other]) / 2
    apart = np.linalg.norm(objects.place[one] - objects.place[other], axis=1)
    off = np.linalg.norm(between - tracks.place[mother], axis=1)
    fits &= off <= 0.5 * apart
    cost = off / np.maximum(apart, 1e-9)
    which = match(row[fits], column[fits], cost[fits], mothers.size, free.size)
    divided = which >= 0
    return mothers[divided], free[which[divided]]


def _seen(labels: Labels, scale: NDArray[np.float64]) -> Tracks:
    """Return the objects of an image as tracks that are numbered by their labels."""
    size = areas(labels)
    present = np.flatnonzero(size)
    none = np.zeros(present.size, np.int64)
    place = centroids(labels)[present] * scale
    move = np.full(place.shape, np.nan)
    return Tracks(present + 1, none, none, none, place, size[present], move)


def advance(
    tracks: Tracks,
    before: Labels | None,
    labels: Labels,
    limits: Limits,
    scale: tuple[float, ...] | None = None,
) -> tuple[Tracks, Labels]:
    """Continue tracks by one time point.

    Parameters
    ----------
    tracks
        At the time point before.
    before : ndarray of int32, or None
        Label image of that time point with the tracks' numbers; None at the first one.
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects of this time point.
    scale
        px for a step along each axis; 1 by default.

    Returns
    -------
    Tracks
        At this time point; lost ones too, while they may still be found again.
    ndarray of int32, shape of `labels`
        The objects with their tracks' numbers.

    Notes
    -----
    Linear assignment (K. Jaqaman et al., Nature Methods 5, 2008) of objects to living tracks with the
    cost (1 - intersection over union) / 2 + distance / (2 max_distance), then divisions among those
    that are left, then lost tracks that are near. A track that divides ends; its daughters have new
    numbers. No number is given twice.
    """
    step = np.ones(labels.ndim) if scale is None else np.asarray(scale, np.float64)
    objects = _seen(labels, step)
    living, lost = tracks[tracks.missed == 0], tracks[tracks.missed > 0]
    n = objects.number.size
    if before is None or before.shape != labels.shape:
        before = np.zeros(labels.shape, np.int32)
    pairs = _links(living, before, labels, objects, limits)
    goes_on = match(pairs.row, pairs.column, pairs.cost, living.number.size, n)
    free = np.setdiff1d(np.arange(n), goes_on)
    divided = other = np.zeros(0, np.int64)
    if limits.divisions and free.size:
        divided, other = _divisions(living, objects, goes_on, free, limits)
        free = np.setdiff1d(free, other)
    row, column, far = _near(lost.place, objects.place[free], limits.max_distance)
    again = match(row, column, far / limits.max_distance, lost.number.size, free.size)
    again = np.where(again >= 0, free[again] if free.size else -1, -1)
    kept = goes_on.copy()
    kept[divided] = -1
    daughters = np.concatenate([goes_on[divided], other]).astype(np.int64)
    mothers = np.concatenate([divided, divided]).astype(np.int64)
    gone = np.isin(np.arange(living.number.size), divided)
    made = _joined(objects, (living, kept), (lost, again), (living, mothers, daughters))
    missing = _missing(living[(kept < 0) & ~gone], lost[again < 0], limits)
    every = _sorted(made, missing)
    table = np.zeros(int(objects.number.max(initial=0)) + 1, np.int32)
    table[objects.number] = made.number
    return every, np.asarray(lookup(labels, table))


def _joined(
    objects: Tracks,
    living: tuple[Tracks, Whole],
    lost: tuple[Tracks, Whole],
    born: tuple[Tracks, Whole, Whole],
) -> Tracks:
    """Return the tracks of this time point, in the order of the objects."""
    n = objects.number.size
    number, parent, age = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    move = np.full(objects.place.shape, np.nan)
    for tracks, goes_on in (living, lost):
        from_, to = np.flatnonzero(goes_on >= 0), goes_on[goes_on >= 0]
        number[to], parent[to] = tracks.number[from_], tracks.parent[from_]
        age[to] = tracks.age[from_] + tracks.missed[from_] + 1
        move[to] = objects.place[to] - tracks.place[from_]
    tracks, mothers, daughters = born
    parent[daughters] = tracks.number[mothers]
    move[daughters] = objects.place[daughters] - tracks.place[mothers]
    new = np.flatnonzero(number == 0)
    number[new] = tracks.highest + 1 + np.arange(new.size)
    missed = np.zeros(n, np.int64)
    last = tracks.highest + new.size
    return Tracks(number, parent, age, missed, objects.place, objects.area, move, last)


def _missing(living: Tracks, lost: Tracks, limits: Limits) -> Tracks:
    """Return the tracks that were not seen now but may come back."""
    both = _sorted(living, lost)
    later = replace(both, missed=both.missed + 1)
    return later[later.missed <= limits.max_gap]


def _sorted(a: Tracks, b: Tracks) -> Tracks:
    """Return the tracks of both, by number."""
    columns = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in _COLUMNS}
    every = Tracks(**columns, highest=max(a.highest, b.highest))
    return every[np.argsort(every.number)]
