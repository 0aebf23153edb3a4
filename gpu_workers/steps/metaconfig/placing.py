"""Where the sites and wells of a plate lie; entry points: `plate_of` (facts), `placed` (positions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_workers.formats.survey import PLATE_FORMATS, natural, well_position
from gpu_workers.messages import ExperimentDescription, Problem
from gpu_workers.steps.metaconfig import geometry
from gpu_workers.steps.metaconfig.geometry import Field
from gpu_workers.steps.metaconfig.merge import Source
from gpu_workers.storage import paths
from gpu_workers.storage.layout import PlateLayout, SiteLayout, WellLayout, raw_path


@dataclass(frozen=True, slots=True)
class Grid:
    """The user's wishes for where sites and wells lie; see `MetaConfigArguments`.

    `overlap` is the part of a site that its neighbour in a grid shows too. `asked` is set where a grid is
    to be used although no number of rows or columns is given.
    """

    stitch_layout: geometry.StitchLayout
    n_vertical: int | None
    n_horizontal: int | None
    well_gap: float
    collapse_empty: bool
    overlap: float = 0
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate before its sites have places.

    Attributes
    ----------
    size
        Rows and columns: the metadata's, else the experiment's.
    grid
        Rows and columns of a well's sites, if metadata says it.
    cells
        Row and column of sites that a person has put there.
    """

    id: str
    name: str
    size: tuple[int, int]
    grid: tuple[int, int] | None
    fields: tuple[Field, ...]
    cells: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


def plate_of(
    identifier: str, sources: Sequence[Source], planes: Any, experiment: ExperimentDescription
) -> Plate:
    """Return a plate and its sites, with positions that are medians over the first acquisition's planes."""
    own = [s for s in sources if str(s.acquisition.plate) == identifier]
    known = next((s.facts for s in own if s.facts.n_rows and s.facts.n_columns), None)
    said = next((s.facts.plate_format for s in own if s.facts.plate_format), None)
    usual = PLATE_FORMATS.get(said or experiment.plate_format, (8, 12))
    size = (known.n_rows or 0, known.n_columns or 0) if known else usual
    signs = {str(s.acquisition.id): s.facts.y_sign for s in own}
    grid = next((s.facts.grid for s in own if s.facts.grid), None)
    name = own[0].acquisition.plate_name
    return Plate(identifier, name, size, grid, _fields(planes, signs))


def _fields(planes: Any, signs: dict[str, Any]) -> tuple[Field, ...]:
    sign = planes["y_sign"].fillna(planes["acquisition"].map(signs)).astype(float)
    table = planes.assign(y_sign=sign)
    places = ["stage_y_um", "stage_x_um", "y_sign", "y_px", "x_px"]
    first = table.groupby(["well", "site", "acquisition"], sort=False)[places].median()
    middle = first.groupby(level=["well", "site"], sort=False).first()
    middle[["height", "width"]] = table.groupby(["well", "site"])[["height", "width"]].first()
    raw = _raw_paths(list(middle.index))
    return tuple(
        Field(
            well, site, height=int(row.height), width=int(row.width),
            stage_y_um=_known(row.stage_y_um), stage_x_um=_known(row.stage_x_um),
            y_sign=-1 if row.y_sign < 0 else 1, y_px=_known(row.y_px), x_px=_known(row.x_px),
            raw=raw[well, site],
        )
        for (well, site), row in zip(middle.index, middle.itertuples(index=False), strict=True)
    )  # fmt: skip


def _known(value: float) -> float | None:
    return float(value) if value == value else None


def _raw_paths(places: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    wells: dict[str, list[str]] = {}
    for well, site in places:
        wells.setdefault(well, []).append(site)
    return {
        (well, site): raw_path(*well_position(well), number)
        for well, sites in wells.items()
        for number, site in enumerate(sorted(sites, key=natural))
    }


def placed(
    plate: Plate, pixel_size: float | None, grid: Grid, problems: list[Problem]
) -> PlateLayout:
    """Return a plate with all its sites and wells in their places.

    Raises
    ------
    UserError
        The grid doesn't hold the sites.
    """
    fields = plate.fields
    offsets = geometry.moved(fields, _offsets(plate, pixel_size, grid, problems), plate.cells)
    ends = {
        (f.well, f.name): (
            offsets[f.well, f.name][0] + f.height,
            offsets[f.well, f.name][1] + f.width,
        )
        for f in fields
    }
    extent = max(y for y, _ in ends.values()), max(x for _, x in ends.values())
    pitch, shard = geometry.tiling(extent, grid.well_gap)
    positions = {w: well_position(w) for w in {f.well for f in fields}}
    rows = sorted({p[0] for p in positions.values()})
    columns = sorted({p[1] for p in positions.values()})
    wells: list[WellLayout] = []
    sites: list[SiteLayout] = []
    sorted_fields = geometry.by_well(fields)
    for well in sorted(positions, key=lambda w: positions[w]):
        row, column = positions[well]
        place = (rows.index(row), columns.index(column)) if grid.collapse_empty else (row, column)
        y, x = place[0] * pitch[0], place[1] * pitch[1]
        own = sorted_fields[well]
        height, width = (max(ends[well, f.name][axis] for f in own) for axis in (0, 1))
        wells.append(
            WellLayout(name=well, row=row, column=column, y=y, x=x, height=height, width=width)
        )
        for each in own:
            dy, dx = offsets[well, each.name]
            sites.append(
                SiteLayout(
                    index=len(sites), name=each.name, well=well, y=y + dy, x=x + dx, height=each.height,
                    width=each.width, stage_y_um=each.stage_y_um, stage_x_um=each.stage_x_um,
                    stage_y_sign=each.y_sign, raw=each.raw,
                )
            )  # fmt: skip
    n_rows, n_columns = _plate_size(plate.size, (rows[-1], columns[-1]))
    used = (len(rows), len(columns)) if grid.collapse_empty else (n_rows, n_columns)
    height, width = (used[0] - 1) * pitch[0] + extent[0], (used[1] - 1) * pitch[1] + extent[1]
    return PlateLayout(
        id=plate.id, name=plate.name, slug=paths.slug(plate.name, plate.id), n_rows=n_rows,
        n_columns=n_columns, height=height, width=width, pitch=pitch, shard=shard,
        n_levels=geometry.n_levels(height, width), wells=tuple(wells), sites=tuple(sites),
    )  # fmt: skip


def _plate_size(size: tuple[int, int], last: tuple[int, int]) -> tuple[int, int]:
    if last[0] < size[0] and last[1] < size[1]:
        return size
    return next(s for s in PLATE_FORMATS.values() if last[0] < s[0] and last[1] < s[1])


def _offsets(
    plate: Plate, pixel_size: float | None, grid: Grid, problems: list[Problem]
) -> geometry.Offsets:
    """Return the places of the sites in their wells: by position unless a grid was asked for."""
    fields = plate.fields
    most = max(len(sites) for sites in geometry.by_well(fields).values())
    asked = grid.asked or bool(grid.n_vertical or grid.n_horizontal)
    if not asked:
        offsets = geometry.pixel_offsets(fields)
        if offsets is None and pixel_size:
            offsets = geometry.stage_offsets(fields, pixel_size)
        if offsets is not None:
            return offsets
    n_sites = max(most, len({f.name for f in fields}))
    shape = geometry.grid_shape(n_sites, grid.n_vertical, grid.n_horizontal, plate.grid)
    if most > 1 and not asked:
        how = f"with {100 * grid.overlap:.3g} % of overlap" if grid.overlap else "edge to edge"
        message = (
            f"plate {plate.name!r} has no usable stage positions; its sites are put in a grid of "
            f"{shape[0]} x {shape[1]}, {grid.stitch_layout.replace('_', ' ')}, {how}"
        )
        problems.append(Problem(code="no_stage_positions", message=message))
    cell = max(f.height for f in fields), max(f.width for f in fields)
    return geometry.grid_offsets(fields, cell, shape, grid.stitch_layout, grid.overlap)


def in_one_world(plates: list[PlateLayout]) -> tuple[PlateLayout, ...]:
    """Return the plates with origins side by side."""
    sizes = [(p.height, p.width) for p in plates]
    origins = geometry.plate_origins(sizes, max(max(p.pitch) for p in plates))
    return tuple(
        plate.model_copy(update={"origin": origin})
        for plate, origin in zip(plates, origins, strict=True)
    )
