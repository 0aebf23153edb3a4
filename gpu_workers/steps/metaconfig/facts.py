"""What holds for an experiment as a whole: pixel size, z step, times, objective; conflicts are named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gpu_workers.formats.listing import aggregate
from gpu_workers.messages import Problem
from gpu_workers.steps.metaconfig.merge import Source
from gpu_workers.storage.layout import AcquisitionLayout


def pixel_size(sources: Sequence[Source], problems: list[Problem]) -> float | None:
    """Return the side of a pixel in µm: the metadata's, else the files'; None if nothing says it."""
    sizes = [s.facts.pixel_size_um for s in sources if s.facts.pixel_size_um]
    for source in sources:
        said = source.images.loc[source.planes["image"].unique()]
        said = said[said["pixel_size_um"] > 0]
        stated = source.facts.pixel_size_um
        if not stated:
            sizes += [float(v) for v in said["pixel_size_um"].value_counts().index]
        else:
            other = (said["pixel_size_um"] / stated - 1).abs() > 0.01
            found = said.loc[other, "pixel_size_um"].median()
            problems += aggregate(
                "pixel_size_differs",
                f"{{n}} {{file|files}} of {source.acquisition.name!r} {{says|say}} a pixel is {found:g} µm, the "
                f"metadata {stated:g} µm; the metadata counts", sorted(said.loc[other, "file"].unique()),
            )  # fmt: skip
    if not sizes:
        message = "no file states the pixel size: scale bars and stage positions can't be used"
        problems.append(Problem(code="no_pixel_size", message=message))
        return None
    if max(sizes) > 1.01 * min(sizes):
        message = f"files state different pixel sizes ({min(sizes):g} to {max(sizes):g} µm); {sizes[0]:g} is used"
        problems.append(Problem(code="pixel_sizes_differ", message=message))
    return float(sizes[0])


def z_step(sources: Sequence[Source], planes: Any) -> float | None:
    """Return the distance of z planes in µm: stated, or the median of the planes' positions."""
    stated = [s.facts.z_step_um for s in sources]
    stated += [float(v) for s in sources for v in s.images["z_step_um"].dropna().unique()[:1]]
    known = next((v for v in stated if v), None)
    if known:
        return float(known)
    stack = planes[(planes["role"] == "plane") & planes["z_um"].notna()].sort_values("z")
    place = ["acquisition", "well", "site", "c", "t"]
    steps = stack.groupby(place)["z_um"].diff().abs() / stack.groupby(place)["z"].diff()
    steps = steps[steps > 0]
    return round(float(steps.median()), 4) if len(steps) else None


def times(
    sources: Sequence[Source], acquisitions: Sequence[AcquisitionLayout], planes: Any
) -> tuple[float, ...] | None:
    """Return the seconds of each time point since the first, of the plate that has most of them.

    Acquisitions that follow each other need their dates: without them no time is better than a wrong one.
    """
    series: dict[str, dict[int, float]] = {}
    first: dict[str, datetime] = {}
    for source, acquisition in zip(sources, acquisitions, strict=True):
        own = _own_times(source, acquisition, planes)
        start = _date(source)
        known = series.setdefault(acquisition.plate, {})
        if own is None or acquisition.tpoint_offset in known:
            continue
        offset = 0.0
        if acquisition.tpoint_offset:
            if start is None or acquisition.plate not in first:
                return None
            offset = (start - first[acquisition.plate]).total_seconds()
        elif start is not None:
            first[acquisition.plate] = start
        known.update({acquisition.tpoint_offset + t: offset + s for t, s in enumerate(own)})
    n_tpoints = max(a.tpoint_offset + a.n_tpoints for a in acquisitions)
    whole = next((s for s in series.values() if len(s) == n_tpoints), None)
    if whole is None or n_tpoints < 2:
        return None
    return tuple(round(whole[t] - whole[0], 3) for t in range(n_tpoints))


def _own_times(source: Source, acquisition: AcquisitionLayout, planes: Any) -> list[float] | None:
    rows = planes[(planes["acquisition"] == acquisition.id) & (planes["role"] == "plane")]
    middle = rows.groupby("t")["time_s"].median()
    if len(middle) == acquisition.n_tpoints and middle.notna().all() and _grows(middle):
        return [float(v) for v in middle.sort_index()]
    steps = source.images["t_step_s"].dropna()
    step = source.facts.t_step_s or (float(steps.median()) if len(steps) else None)
    if step:
        return [step * t for t in range(acquisition.n_tpoints)]
    return [0.0] if acquisition.n_tpoints == 1 else None


def _grows(values: Any) -> bool:
    return bool(values.sort_index().is_monotonic_increasing and values.nunique() == len(values))


def _date(source: Source) -> datetime | None:
    said = [source.facts.acquired_at, *source.images["acquired_at"].dropna().unique()]
    for text in said:
        try:
            found = datetime.fromisoformat(str(text))
        except ValueError:
            continue
        return found.replace(tzinfo=None) if found.tzinfo is None else found
    return None


def objective(
    sources: Sequence[Source], problems: list[Problem]
) -> tuple[str | None, float | None]:
    """Return the objective and its magnification: the metadata's, else the files' most common."""
    names = [s.facts.objective for s in sources if s.facts.objective]
    numbers = [s.facts.magnification for s in sources if s.facts.magnification]
    for source in sources:
        names += [str(v) for v in source.images["objective"].value_counts().index]
        said = source.images["magnification"]
        numbers += [float(v) for v in said[said > 0].value_counts().index]
    if len(set(numbers)) > 1:
        every = ", ".join(f"{n:g}" for n in dict.fromkeys(numbers[:20]))
        message = (
            f"images were taken with different magnifications ({every}); {numbers[0]:g} is named"
        )
        problems.append(Problem(code="magnifications_differ", message=message))
    return (names[0] if names else None), (numbers[0] if numbers else None)
