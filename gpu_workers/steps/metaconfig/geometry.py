"""Where sites, wells and plates lie, in pixels; pure functions, y down.

Entry points: `site_offsets` (inside a well), `tiling` (distance of wells, shards), `plate_origins`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from gpu_workers.errors import UserError
from gpu_workers.formats.survey import natural
from gpu_workers.storage.shards import CHUNK, padded

StitchLayout = Literal["horizontal", "zigzag_horizontal", "vertical", "zigzag_vertical"]
Offsets = dict[tuple[str, str], tuple[int, int]]
MAX_SHARD = 4096
MAX_WELL_SIDE = 200_000
_TOLERANCE = 1.25


@dataclass(frozen=True, slots=True)
class Field:
    """A site before it has a place.

    Attributes
    ----------
    y_sign
        1 where stage y grows downwards in the image, -1 where it grows upwards.
    y_px, x_px
        Upper left corner, relative to other sites of the well, where files say it in pixels.
    raw
        Where its images lie in the plate's Zarr hierarchy.
    """

    well: str
    name: str
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    y_sign: Literal[1, -1] = 1
    y_px: float | None = None
    x_px: float | None = None
    height: int = 0
    width: int = 0
    raw: str | None = None


def by_well(fields: Sequence[Field]) -> dict[str, list[Field]]:
    """Return the sites of each well, in natural order of their names."""
    wells: dict[str, list[Field]] = {}
    for site in sorted(fields, key=lambda s: natural(s.name)):
        wells.setdefault(site.well, []).append(site)
    return wells


def pixel_offsets(fields: Sequence[Field]) -> Offsets | None:
    """Return the upper left corner of each site in its well, from positions in pixels.

    Every well has an origin of its own: such positions count from the corner of a canvas.

    Returns
    -------
    dict or None
        (well, site) -> (y, x) in px; None where positions are missing, equal, or absurd.
    """
    offsets: Offsets = {}
    for well, sites in by_well(fields).items():
        known = {
            s.name: (s.y_px, s.x_px) for s in sites if s.y_px is not None and s.x_px is not None
        }
        if len(known) < len(sites) or len(set(known.values())) < len(sites):
            return None
        top = min(y for y, _ in known.values())
        left = min(x for _, x in known.values())
        offsets |= {(well, n): (round(y - top), round(x - left)) for n, (y, x) in known.items()}
    return None if max(max(o) for o in offsets.values()) > MAX_WELL_SIDE else offsets


def moved(
    fields: Sequence[Field], offsets: Offsets, cells: dict[tuple[str, str], tuple[int, int]]
) -> Offsets:
    """Return the offsets after some sites went to another row and column of the grid of sites.

    Rows and columns are those in which the sites of all wells of the plate lie: y and x that differ by
    less than half a site are one.

    Raises
    ------
    UserError
        There is no such row or column, or two sites would lie in one place.
    """
    if not cells:
        return offsets
    sizes = {(f.well, f.name): (f.height, f.width) for f in fields}
    lines = [
        _lines([o[axis] for o in offsets.values()], max(s[axis] for s in sizes.values()) / 2)
        for axis in (0, 1)
    ]
    result = dict(offsets)
    for place, cell in cells.items():
        for axis, what in ((0, "rows"), (1, "columns")):
            if not 0 <= cell[axis] < len(lines[axis]):
                raise UserError(
                    f"the sites of a well have {len(lines[axis])} {what}: site {place[1]} of {place[0]} "
                    f"can't go to row {cell[0]}, column {cell[1]} (from 0)",
                    code="bad_cell",
                )
        result[place] = lines[0][cell[0]], lines[1][cell[1]]
    taken: dict[tuple[str, tuple[int, int]], str] = {}
    for (well, site), offset in result.items():
        other = taken.setdefault((well, offset), site)
        if other != site:
            raise UserError(
                f"sites {other} and {site} of {well} would lie in one place", code="bad_cell"
            )
    return result


def _lines(values: Sequence[int], near: float) -> list[int]:
    """Return the middles of groups of values of which each is near the one before."""
    groups: list[list[int]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] < near:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [round(median(group)) for group in groups]


def stage_offsets(fields: Sequence[Field], pixel_size_um: float) -> Offsets | None:
    """Return the upper left corner of each site in its well, from stage positions.

    All wells share one origin: a well that lacks its first sites still has the others where they
    are in complete wells. Overlaps stay as they are.

    Returns
    -------
    dict or None
        (well, site) -> (y, x) in px; None where positions are missing, equal, or absurd.
    """
    wells = by_well(fields)
    places: dict[str, dict[str, tuple[float, float]]] = {}
    for well, sites in wells.items():
        known = {
            s.name: (s.y_sign * s.stage_y_um / pixel_size_um, s.stage_x_um / pixel_size_um)
            for s in sites
            if s.stage_y_um is not None and s.stage_x_um is not None
        }
        if len(known) < len(sites) or len(set(known.values())) < len(sites):
            return None
        places[well] = known
    template = _template(places)
    offsets: Offsets = {}
    for well, known in places.items():
        shared = [name for name in known if name in template]
        origin = tuple(
            median(known[n][axis] - template[n][axis] for n in shared)
            if shared
            else min(p[axis] for p in known.values())
            for axis in (0, 1)
        )
        for name, place in known.items():
            offsets[well, name] = round(place[0] - origin[0]), round(place[1] - origin[1])
    # Jitter of the stage can put a site a pixel before the shared origin.
    top, left = (min(o[axis] for o in offsets.values()) for axis in (0, 1))
    offsets = {key: (y - top, x - left) for key, (y, x) in offsets.items()}
    if max(max(o) for o in offsets.values()) > MAX_WELL_SIDE:
        return None
    return offsets


def _template(
    places: dict[str, dict[str, tuple[float, float]]],
) -> dict[str, tuple[float, float]]:
    """Return median positions of the sites relative to the first corner, from the fullest wells."""
    most = max(len(p) for p in places.values())
    full = [p for p in places.values() if len(p) == most]
    names = set(full[0])
    relative: dict[str, list[tuple[float, float]]] = {}
    for known in full:
        if set(known) != names:
            continue
        top, left = (min(p[axis] for p in known.values()) for axis in (0, 1))
        for name, (y, x) in known.items():
            relative.setdefault(name, []).append((y - top, x - left))
    return {n: (median(y for y, _ in ps), median(x for _, x in ps)) for n, ps in relative.items()}


def grid_shape(
    n_sites: int, n_vertical: int | None, n_horizontal: int | None, grid: tuple[int, int] | None
) -> tuple[int, int]:
    """Return rows and columns of the sites of a well: as given, as the vendor says, else near-square.

    Raises
    ------
    UserError
        The given numbers don't hold all sites.
    """
    if n_vertical and n_horizontal:
        rows, columns = n_vertical, n_horizontal
    elif n_vertical or n_horizontal:
        known = n_vertical or n_horizontal or 1
        other = math.ceil(n_sites / known)
        rows, columns = (known, other) if n_vertical else (other, known)
    elif grid and grid[0] * grid[1] >= n_sites:
        rows, columns = grid
    else:
        columns = math.ceil(math.sqrt(n_sites))
        rows = math.ceil(n_sites / columns)
    if rows * columns < n_sites:
        raise UserError(
            f"{rows} x {columns} places (n_vertical x n_horizontal) don't hold the {n_sites} sites of a well",
            code="bad_grid",
        )
    return rows, columns


def grid_cell(number: int, shape: tuple[int, int], order: StitchLayout) -> tuple[int, int]:
    """Return row and column of the site that was acquired as number 0, 1, … in a grid."""
    rows, columns = shape
    if order.endswith("horizontal"):
        row, column = divmod(number, columns)
        back = order.startswith("zigzag") and row % 2
        return row, columns - 1 - column if back else column
    column, row = divmod(number, rows)
    back = order.startswith("zigzag") and column % 2
    return rows - 1 - row if back else row, column


def grid_offsets(
    fields: Sequence[Field],
    size: tuple[int, int],
    shape: tuple[int, int],
    order: StitchLayout,
    overlap: float = 0,
) -> Offsets:
    """Return the upper left corner of each site in a grid, by order of acquisition.

    Sites that are numbered keep the place of their number, so that a missing one leaves a hole.

    Parameters
    ----------
    size
        Height and width of a site, px.
    overlap
        Part of them that the next site shows too; 0 lays sites edge to edge.
    """
    names = sorted({s.name for s in fields}, key=natural)
    numbers = {n: int(n) for n in names if n.isdecimal() and len(n) < 7}
    n_places = shape[0] * shape[1]
    base = 0 if 0 in numbers.values() else 1
    if len(numbers) < len(names) or max(numbers.values()) - base >= n_places:
        numbers, base = {n: i for i, n in enumerate(names)}, 0
    offsets: Offsets = {}
    for site in fields:
        row, column = grid_cell(numbers[site.name] - base, shape, order)
        y, x = (n * (1 - overlap) * side for n, side in zip((row, column), size, strict=True))
        offsets[site.well, site.name] = round(y), round(x)
    return offsets


def tiling(extent: tuple[int, int], gap: float) -> tuple[tuple[int, int], int]:
    """Return the distance of neighbouring wells (y, x) and the side of a mosaic's shards, px.

    The distance is the largest well plus at least `gap` of it, a multiple of the shard's side on
    both axes, so that no two wells share a shard. Of the sides up to 4096 px the one is chosen that
    cuts a well into the fewest shards without enlarging it by more than a quarter.

    Parameters
    ----------
    extent
        Height and width of the largest well, px.
    gap
        Part of the extent that stays empty between wells, 0.02 for 2 %.
    """
    needed = [max(1, math.ceil(side * (1 + gap))) for side in extent]
    least = padded(needed[0]) * padded(needed[1])
    best: tuple[int, int, int] | None = None
    pitch, shard = (padded(needed[0]), padded(needed[1])), CHUNK
    for side in range(CHUNK, MAX_SHARD + 1, CHUNK):
        y, x = padded(needed[0], side), padded(needed[1], side)
        if y * x > _TOLERANCE * least:
            continue
        rank = ((y // side) * (x // side), y * x, -side)
        if best is None or rank < best:
            best, pitch, shard = rank, (y, x), side
    return pitch, shard


def n_levels(height: int, width: int) -> int:
    """Return how many levels, each half the last, a mosaic has until it is one tile of 512 px."""
    levels = 1
    while max(height, width) > CHUNK:
        height, width = -(-height // 2), -(-width // 2)
        levels += 1
    return levels


def plate_origins(sizes: Sequence[tuple[int, int]], pitch: int) -> list[tuple[int, int]]:
    """Return where each plate lies in the world: a near-square grid with a gap of two wells."""
    columns = math.ceil(math.sqrt(len(sizes))) or 1
    height = padded(max((s[0] for s in sizes), default=0) + 2 * pitch)
    width = padded(max((s[1] for s in sizes), default=0) + 2 * pitch)
    return [(height * (n // columns), width * (n % columns)) for n in range(len(sizes))]
