"""From merged planes to a `Layout` and its table of planes; entry point: `build`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_workers.errors import FileError
from gpu_workers.formats import colors
from gpu_workers.formats.listing import aggregate
from gpu_workers.formats.survey import PLATE_FORMATS, ChannelFacts, natural, well_position
from gpu_workers.messages import ExperimentDescription, Problem
from gpu_workers.steps.metaconfig import geometry
from gpu_workers.steps.metaconfig.merge import Source
from gpu_workers.storage import paths
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    ChannelLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
    raw_path,
)


@dataclass(frozen=True, slots=True)
class Grid:
    """The user's wishes for where sites and wells lie; see `MetaConfigArguments`."""

    stitch_layout: geometry.StitchLayout
    n_vertical: int | None
    n_horizontal: int | None
    well_gap: float
    collapse_empty: bool


def build(
    key: str,
    experiment: ExperimentDescription,
    sources: Sequence[Source],
    grid: Grid,
    problems: list[Problem],
) -> tuple[Layout, Any]:
    """Return the layout and the planes (a frame with the columns of ``planes.parquet``).

    Raises
    ------
    FileError
        No plane is left.
    UserError
        The grid doesn't hold the sites.
    """
    ordered = sorted(sources, key=lambda s: s.acquisition.index)
    acquisitions = _acquisitions(experiment, ordered)
    channels, keys = _channel_list(experiment, ordered, acquisitions)
    planes = _concatenate(ordered, keys)
    planes = _of_one_kind(
        planes, {str(s.acquisition.plate): s.acquisition.plate_name for s in ordered}, problems
    )
    planes = _of_imaged_sites(planes, problems)
    if planes.empty:
        raise FileError("no image is left after checking", code="no_images")
    _report_missing(planes, channels, problems)
    problems.extend(_report_types(planes, ordered, channels))
    pixel_size = _pixel_size(ordered, planes, problems)
    plates = []
    for identifier in dict.fromkeys(str(s.acquisition.plate) for s in sources):
        own = [s for s in ordered if str(s.acquisition.plate) == identifier]
        rows = planes[planes["plate"] == identifier]
        if len(rows):
            plates.append(_plate(identifier, own, rows, pixel_size, grid, experiment, problems))
    layout = Layout(
        key=key,
        n_tpoints=max(a.tpoint_offset + a.n_tpoints for a in acquisitions),
        n_zplanes=int(planes["z"].max()) + 1,
        n_cycles=max(a.cycle for a in acquisitions) + 1,
        pixel_size_um=pixel_size,
        z_step_um=_z_step(ordered, planes),
        channels=_channel_layouts(channels, planes),
        acquisitions=acquisitions,
        plates=_in_one_world(plates),
    )
    return layout, _numbered(planes, layout)


def _acquisitions(
    experiment: ExperimentDescription, sources: Sequence[Source]
) -> tuple[AcquisitionLayout, ...]:
    """Return how time points and cycles follow from the order of a plate's acquisitions."""
    multiplexing = experiment.acquisition_mode == "multiplexing"
    used: dict[str, int] = {}
    cycles: dict[str, int] = {}
    result: list[AcquisitionLayout] = []
    for source in sources:
        acquisition, plate = source.acquisition, str(source.acquisition.plate)
        n_tpoints = int(source.planes["t"].nunique())
        result.append(
            AcquisitionLayout(
                id=str(acquisition.id),
                name=acquisition.name,
                plate=plate,
                index=cycles.get(plate, 0),
                tpoint_offset=0 if multiplexing else used.get(plate, 0),
                cycle=cycles.get(plate, 0) if multiplexing else 0,
                n_tpoints=n_tpoints,
            )
        )
        used[plate] = used.get(plate, 0) + n_tpoints
        cycles[plate] = cycles.get(plate, 0) + 1
    return tuple(result)


def _channel_list(
    experiment: ExperimentDescription,
    sources: Sequence[Source],
    acquisitions: Sequence[AcquisitionLayout],
) -> tuple[list[ChannelFacts], dict[tuple[str, str], int]]:
    """Return the experiment's channels, and the index of each (acquisition, key)."""
    channels: dict[str, ChannelFacts] = {}
    keys: dict[tuple[str, str], int] = {}
    for source, acquisition in zip(sources, acquisitions, strict=True):
        for channel in source.facts.channels:
            name = channel.name
            if experiment.acquisition_mode == "multiplexing":
                name = f"{acquisition.cycle}_{name}"
            channels.setdefault(name, channel.model_copy(update={"name": name}))
            keys[str(source.acquisition.id), channel.key] = list(channels).index(name)
    return list(channels.values()), keys


def _concatenate(sources: Sequence[Source], keys: dict[tuple[str, str], int]) -> Any:
    import pandas as pd

    frames = []
    for source in sources:
        identifier = str(source.acquisition.id)
        frame = source.planes.copy()
        frame["plate"] = str(source.acquisition.plate)
        frame["acquisition"] = identifier
        index = {key: n for (a, key), n in keys.items() if a == identifier}
        frame["c"] = frame["channel"].map(index).astype(int)
        frame["t"] = frame["t"].rank(method="dense").astype(int) - 1
        projection = frame["role"] == "projection"
        frame["z"] = frame["z"].where(~projection).rank(method="dense").fillna(1).astype(int) - 1
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _of_one_kind(planes: Any, names: dict[str, str], problems: list[Problem]) -> Any:
    """Return planes of their plate's usual size and their acquisition's and channel's usual type."""
    kept = []
    for plate, rows in planes.groupby("plate", sort=False):
        height, width = rows.groupby(["height", "width"]).size().idxmax()
        other = (rows["height"] != height) | (rows["width"] != width)
        problems += aggregate(
            "other_size",
            f"{{n}} files of plate {names[plate]!r} aren't {int(height)} x {int(width)} px as the "
            "others; they are left out",
            sorted(rows.loc[other, "file"].unique()), "error",
        )  # fmt: skip
        kept.append(rows[~other].index)
    planes = planes.loc[[i for index in kept for i in index]]
    kind = planes.groupby(["acquisition", "c"])["dtype"]
    usual = kind.transform(lambda d: d.value_counts().idxmax())
    other = planes["dtype"] != usual
    types = ", ".join(sorted(set(planes.loc[other, "dtype"])))
    problems += aggregate(
        "other_type",
        f"{{n}} files have another pixel type ({types}) than the others of their acquisition and "
        "channel; they are left out",
        sorted(planes.loc[other, "file"].unique()), "error",
    )  # fmt: skip
    return planes[~other]


def _report_types(
    planes: Any, sources: Sequence[Source], channels: Sequence[ChannelFacts]
) -> Iterator[Problem]:
    """Name the channels whose pixel type differs between acquisitions: none of them is altered."""
    names = {
        str(s.acquisition.id): f"plate {s.acquisition.plate_name!r}, {s.acquisition.name!r}"
        for s in sources
    }
    for c, rows in planes.groupby("c"):
        types = rows.groupby("acquisition", sort=False)["dtype"].first()
        if types.nunique() < 2:
            continue
        each = "; ".join(f"{names[a]}: {dtype}" for a, dtype in list(types.items())[:20])
        message = (
            f"channel {channels[c].name} has pixels of different types ({each}); all are kept as "
            f"{np.result_type(*types)}, their values unchanged: compare intensities with care"
        )
        yield Problem(code="types_differ", message=message)


def _of_imaged_sites(planes: Any, problems: list[Problem]) -> Any:
    """Return the planes without the vendor's projections of sites that have no plane left."""
    place = ["plate", "well", "site"]
    imaged = planes.loc[planes["role"] == "plane", place].drop_duplicates()
    kept = planes[planes.set_index(place).index.isin(imaged.set_index(place).index)]
    alone = sorted(set(planes["file"]) - set(kept["file"]))
    problems += aggregate(
        "left_out",
        "{n} projections are of sites without any plane; these sites are left out",
        alone,
    )
    return kept


def _report_missing(planes: Any, channels: Sequence[ChannelFacts], problems: list[Problem]) -> None:
    """Name the planes that the other sites of the same acquisition have but some site lacks."""
    import pandas as pd

    stack = planes[planes["role"] == "plane"]
    for _, rows in stack.groupby("acquisition", sort=False):
        n_sites = len(rows[["well", "site"]].drop_duplicates())
        kinds = rows[["c", "t", "z"]].drop_duplicates()
        n_missing = n_sites * len(kinds) - len(rows)
        if n_missing <= 0:
            continue
        # Only a few incomplete sites are multiplied out: all would be millions for a time series.
        counts = rows.groupby(["well", "site"], sort=False).size()
        few = counts[counts < len(kinds)].head(20).index.to_frame(index=False)
        present = pd.MultiIndex.from_frame(rows[["well", "site", "c", "t", "z"]])
        whole = pd.MultiIndex.from_frame(few.merge(kinds, how="cross"))
        lacking = whole.difference(present)[:20]
        examples = "; ".join(
            f"{well} site {site} {channels[c].name} t {t} z {z}" for well, site, c, t, z in lacking
        )
        message = f"{n_missing} planes are missing: {examples}" + ("; …" if n_missing > 20 else "")
        problems.append(Problem(code="missing_planes", message=message))


def _pixel_size(sources: Sequence[Source], planes: Any, problems: list[Problem]) -> float | None:
    sizes = [s.facts.pixel_size_um for s in sources if s.facts.pixel_size_um]
    sizes += [float(v) for v in planes["pixel_size_um"].dropna().unique() if v > 0]
    if not sizes:
        message = "no file states the pixel size: scale bars and stage positions can't be used"
        problems.append(Problem(code="no_pixel_size", message=message))
        return None
    if max(sizes) > 1.01 * min(sizes):
        message = f"files state different pixel sizes ({min(sizes):g} to {max(sizes):g} µm); the first is used"
        problems.append(Problem(code="pixel_sizes_differ", message=message))
    return float(sizes[0])


def _z_step(sources: Sequence[Source], planes: Any) -> float | None:
    stated = next((s.facts.z_step_um for s in sources if s.facts.z_step_um), None)
    if stated:
        return float(stated)
    stack = planes[(planes["role"] == "plane") & planes["z_um"].notna()].sort_values("z")
    place = ["acquisition", "well", "site", "c", "t"]
    steps = stack.groupby(place)["z_um"].diff().abs() / stack.groupby(place)["z"].diff()
    steps = steps[steps > 0]
    return round(float(steps.median()), 4) if len(steps) else None


def _channel_layouts(channels: list[ChannelFacts], planes: Any) -> tuple[ChannelLayout, ...]:
    kinds = planes.groupby("c")["dtype"].unique().to_dict()
    types = {c: str(np.result_type(*found)) for c, found in kinds.items()}
    default = next(iter(types.values()))
    return tuple(
        ChannelLayout(
            index=n,
            name=channel.name,
            wavelength_nm=channel.wavelength_nm,
            color=color,
            dtype=types.get(n, default),
        )
        for n, (channel, color) in enumerate(zip(channels, colors.assign(channels), strict=True))
    )


def _fields(planes: Any) -> list[geometry.Field]:
    """Return the sites of a plate; positions are the medians over the first acquisition's planes."""
    first = planes.groupby(["well", "site", "acquisition"], sort=False)[
        ["stage_y_um", "stage_x_um"]
    ]
    middle = first.median().groupby(level=["well", "site"], sort=False).first()
    return [
        geometry.Field(well, site, _known(y), _known(x))
        for (well, site), y, x in zip(
            middle.index, middle["stage_y_um"], middle["stage_x_um"], strict=True
        )
    ]


def _known(value: float) -> float | None:
    return float(value) if value == value else None


def _plate_size(
    sources: Sequence[Source], experiment: ExperimentDescription, last: tuple[int, int]
) -> tuple[int, int]:
    facts = sources[0].facts
    rows, columns = PLATE_FORMATS.get(experiment.plate_format, (8, 12))
    size = facts.n_rows or rows, facts.n_columns or columns
    if last[0] < size[0] and last[1] < size[1]:
        return size
    return next(s for s in PLATE_FORMATS.values() if last[0] < s[0] and last[1] < s[1])


def _plate(
    identifier: str,
    sources: Sequence[Source],
    planes: Any,
    pixel_size: float | None,
    grid: Grid,
    experiment: ExperimentDescription,
    problems: list[Problem],
) -> PlateLayout:
    size = int(planes["height"].iloc[0]), int(planes["width"].iloc[0])
    fields = _fields(planes)
    name = sources[0].acquisition.plate_name
    offsets = _offsets(fields, sources, size, pixel_size, grid, name, problems)
    extent = (
        max(y for y, _ in offsets.values()) + size[0],
        max(x for _, x in offsets.values()) + size[1],
    )
    pitch, shard = geometry.tiling(extent, grid.well_gap)
    positions = {w: well_position(w) for w in {f.well for f in fields}}
    rows = sorted({p[0] for p in positions.values()})
    columns = sorted({p[1] for p in positions.values()})
    wells: list[WellLayout] = []
    sites: list[SiteLayout] = []
    stage = {(f.well, f.name): f for f in fields}
    for well in sorted(positions, key=lambda w: positions[w]):
        row, column = positions[well]
        place = (rows.index(row), columns.index(column)) if grid.collapse_empty else (row, column)
        y, x = place[0] * pitch[0], place[1] * pitch[1]
        names = sorted((n for w, n in offsets if w == well), key=natural)
        bottom = max(offsets[well, n][0] for n in names) + size[0]
        right = max(offsets[well, n][1] for n in names) + size[1]
        wells.append(
            WellLayout(name=well, row=row, column=column, y=y, x=x, height=bottom, width=right)
        )
        for number, site in enumerate(names):
            dy, dx = offsets[well, site]
            sites.append(
                SiteLayout(
                    index=len(sites), name=site, well=well, y=y + dy, x=x + dx, height=size[0], width=size[1],
                    stage_y_um=stage[well, site].stage_y_um, stage_x_um=stage[well, site].stage_x_um,
                    raw=raw_path(row, column, number),
                )
            )  # fmt: skip
    n_rows, n_columns = _plate_size(sources, experiment, (rows[-1], columns[-1]))
    used = (len(rows), len(columns)) if grid.collapse_empty else (n_rows, n_columns)
    height, width = (used[0] - 1) * pitch[0] + extent[0], (used[1] - 1) * pitch[1] + extent[1]
    return PlateLayout(
        id=identifier, name=name, slug=paths.slug(name, identifier), n_rows=n_rows, n_columns=n_columns,
        height=height, width=width, pitch=pitch, shard=shard, n_levels=geometry.n_levels(height, width),
        wells=tuple(wells), sites=tuple(sites),
    )  # fmt: skip


def _offsets(
    fields: list[geometry.Field],
    sources: Sequence[Source],
    size: tuple[int, int],
    pixel_size: float | None,
    grid: Grid,
    name: str,
    problems: list[Problem],
) -> geometry.Offsets:
    """Return the places of the sites in their wells: by stage position unless a grid was asked for."""
    facts = sources[0].facts
    most = max(len(sites) for sites in geometry.by_well(fields).values())
    asked = bool(grid.n_vertical or grid.n_horizontal)
    if not asked and pixel_size:
        offsets = geometry.stage_offsets(fields, pixel_size, facts.y_sign)
        if offsets is not None:
            return offsets
    n_sites = max(most, len({f.name for f in fields}))
    shape = geometry.grid_shape(n_sites, grid.n_vertical, grid.n_horizontal, facts.grid)
    if most > 1 and not asked:
        message = (
            f"plate {name!r} has no usable stage positions; its sites are put edge to edge in a grid of "
            f"{shape[0]} x {shape[1]}, {grid.stitch_layout.replace('_', ' ')}"
        )
        problems.append(Problem(code="no_stage_positions", message=message))
    return geometry.grid_offsets(fields, size, shape, grid.stitch_layout)


def _in_one_world(plates: list[PlateLayout]) -> tuple[PlateLayout, ...]:
    sizes = [(p.height, p.width) for p in plates]
    origins = geometry.plate_origins(sizes, max(max(p.pitch) for p in plates))
    return tuple(
        plate.model_copy(update={"origin": origin})
        for plate, origin in zip(plates, origins, strict=True)
    )


def _numbered(planes: Any, layout: Layout) -> Any:
    """Return the planes with sites as indices, in the columns and order of ``planes.parquet``."""
    import pandas as pd

    sites = pd.Series({(p.id, s.well, s.name): s.index for p in layout.plates for s in p.sites})
    place = pd.MultiIndex.from_frame(planes[["plate", "well", "site"]])
    table = planes.assign(site=sites.reindex(place).to_numpy().astype(int), channel=planes["c"])
    order = {a.id: n for n, a in enumerate(layout.acquisitions)}
    table = table.assign(_order=table["acquisition"].map(order))
    table = table.sort_values(
        ["plate", "site", "_order", "t", "channel", "z", "role"], kind="stable"
    )
    return table.reset_index(drop=True)
