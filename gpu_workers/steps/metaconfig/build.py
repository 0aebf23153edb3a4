"""From merged planes to two `Layout`s, found and corrected, and a table of planes; entry point: `build`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_workers.formats import colors
from gpu_workers.formats.survey import ChannelFacts
from gpu_workers.messages import ExperimentDescription, Problem
from gpu_workers.steps.metaconfig import checks, corrections, facts, placing
from gpu_workers.steps.metaconfig.merge import Source, nothing_left
from gpu_workers.steps.metaconfig.placing import Grid, Plate
from gpu_workers.storage.layout import AcquisitionLayout, ChannelLayout, Layout

Keys = dict[tuple[str, int, str], int]


@dataclass(frozen=True, slots=True)
class Built:
    """The layout as found, the same with a person's corrections, and the planes of the first."""

    raw: Layout
    layout: Layout
    planes: Any


def build(
    key: str,
    experiment: ExperimentDescription,
    sources: Sequence[Source],
    grid: Grid,
    problems: list[Problem],
    *,
    mip: bool = False,
    crop: bool = False,
) -> Built:
    """Return the layouts and the planes (a frame with the columns of ``planes.parquet``).

    With `crop` images that differ in size are cut to what all have, else the rarer sizes are left out.

    Raises
    ------
    FileError
        No plane is left.
    UserError
        The grid doesn't hold the sites.
    """
    ordered = sorted(sources, key=lambda s: s.acquisition.index)
    multiplexing = experiment.acquisition_mode == "multiplexing"
    acquisitions = _acquisitions(ordered, multiplexing)
    channels, cycles, keys = _channel_list(ordered, acquisitions, multiplexing)
    problems += checks.sources(ordered, acquisitions, multiplexing)
    planes = _concatenate(ordered, keys)
    names = {str(s.acquisition.plate): s.acquisition.plate_name for s in ordered}
    planes = checks.of_one_size(planes, names, problems, crop=crop)
    planes = checks.of_one_type(planes, problems)
    planes = checks.of_imaged_sites(planes, problems)
    if planes.empty:
        raise nothing_left(problems)
    problems += checks.gaps(planes, channels, ordered, names)
    problems += checks.types(planes, ordered, channels)
    pixel_size = facts.pixel_size(ordered, problems)
    objective, magnification = facts.objective(ordered, problems)
    plates = [
        placing.plate_of(identifier, ordered, planes[planes["plate"] == identifier], experiment)
        for identifier in dict.fromkeys(str(s.acquisition.plate) for s in sources)
        if (planes["plate"] == identifier).any()
    ]
    change = corrections.Corrections(experiment.corrections, plates, [c.name for c in channels])
    raw = Layout(
        key=key,
        n_tpoints=max(a.tpoint_offset + a.n_tpoints for a in acquisitions),
        n_zplanes=int(planes["z"].max()) + 1,
        n_cycles=max(cycles) + 1,
        pixel_size_um=pixel_size,
        z_step_um=facts.z_step(ordered, planes),
        times_s=facts.times(ordered, acquisitions, planes),
        objective=objective,
        magnification=magnification,
        mip=mip,
        cropped=bool(planes["cropped"].any()),
        channels=_channel_layouts(channels, cycles, planes),
        acquisitions=acquisitions,
        plates=placing.in_one_world(
            [placing.placed(p, pixel_size, grid, [] if change else problems) for p in plates]
        ),
    )
    layout = change.applied(raw, pixel_size, grid, problems) if change else raw
    problems += change.problems
    return Built(raw, layout, _numbered(planes, raw))


def _acquisitions(sources: Sequence[Source], multiplexing: bool) -> tuple[AcquisitionLayout, ...]:
    """Return how time points and cycles follow from the order of a plate's acquisitions."""
    tpoints: dict[str, int] = {}
    cycles: dict[str, int] = {}
    indices: dict[str, int] = {}
    result: list[AcquisitionLayout] = []
    for source in sources:
        acquisition, plate = source.acquisition, str(source.acquisition.plate)
        n_tpoints = int(source.planes["t"].nunique())
        result.append(
            AcquisitionLayout(
                id=str(acquisition.id),
                name=acquisition.name,
                plate=plate,
                index=indices.get(plate, 0),
                tpoint_offset=0 if multiplexing else tpoints.get(plate, 0),
                cycle=cycles.get(plate, 0) if multiplexing else 0,
                n_tpoints=n_tpoints,
            )
        )
        tpoints[plate] = tpoints.get(plate, 0) + n_tpoints
        cycles[plate] = cycles.get(plate, 0) + int(source.planes["cycle"].max()) + 1
        indices[plate] = indices.get(plate, 0) + 1
    return tuple(result)


def _channel_list(
    sources: Sequence[Source], acquisitions: Sequence[AcquisitionLayout], multiplexing: bool
) -> tuple[list[ChannelFacts], list[int], Keys]:
    """Return the experiment's channels, their cycles, and the index of each (acquisition, cycle, key)."""
    prefixed = multiplexing or any(int(s.planes["cycle"].max()) for s in sources)
    channels: dict[str, ChannelFacts] = {}
    cycles: list[int] = []
    keys: Keys = {}
    for source, acquisition in zip(sources, acquisitions, strict=True):
        present = source.planes.groupby("cycle")["channel"].unique()
        for cycle in sorted(present.index):
            here = set(present[cycle])
            for channel in (c for c in source.facts.channels if c.key in here):
                number = acquisition.cycle + int(cycle)
                name = f"{number}_{channel.name}" if prefixed else channel.name
                if name not in channels:
                    channels[name] = channel.model_copy(update={"name": name})
                    cycles.append(number)
                keys[acquisition.id, int(cycle), channel.key] = list(channels).index(name)
    return list(channels.values()), cycles, keys


def _concatenate(sources: Sequence[Source], keys: Keys) -> Any:
    """Return the planes of all acquisitions, with `c` the experiment's channel and z, t from 0."""
    import pandas as pd

    frames = []
    for source in sources:
        identifier = str(source.acquisition.id)
        frame = source.planes.drop(columns="image")
        frame["plate"] = str(source.acquisition.plate)
        frame["acquisition"] = identifier
        frame["own_sizes"] = source.facts.own_sizes
        place = pd.MultiIndex.from_frame(frame[["cycle", "channel"]])
        index = {(cycle, key): n for (a, cycle, key), n in keys.items() if a == identifier}
        frame["c"] = pd.Series(index).reindex(place).to_numpy().astype(np.int64)
        frame["t"] = frame["t"].rank(method="dense").astype(np.int64) - 1
        projection = frame["role"] == "projection"
        z = frame["z"].where(~projection).rank(method="dense").fillna(1)
        frame["z"] = z.astype(np.int64) - 1
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _channel_layouts(
    channels: list[ChannelFacts], cycles: list[int], planes: Any
) -> tuple[ChannelLayout, ...]:
    kinds = planes.groupby("c")["dtype"].unique().to_dict()
    types = {c: str(np.result_type(*found)) for c, found in kinds.items()}
    default = next(iter(types.values()))
    shown = [*zip(channels, colors.assign(channels), cycles, strict=True)]
    return tuple(
        ChannelLayout(
            index=n,
            name=channel.name,
            wavelength_nm=channel.wavelength_nm,
            color=color,
            dtype=types.get(n, default),
            cycle=cycle,
            excitation_nm=channel.excitation_nm,
            exposure_ms=channel.exposure_ms,
            brightfield=channel.brightfield,
            flatfield=channel.flatfield,
        )
        for n, (channel, color, cycle) in enumerate(shown)
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


__all__ = ["Built", "Grid", "Plate", "build"]
