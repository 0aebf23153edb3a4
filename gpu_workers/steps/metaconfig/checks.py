"""What is odd about an experiment's planes, named with the files that cause it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gpu_workers.formats.listing import aggregate
from gpu_workers.formats.survey import ChannelFacts, natural, well_position
from gpu_workers.messages import Problem
from gpu_workers.steps.metaconfig.merge import Source
from gpu_workers.storage.layout import AcquisitionLayout

MAX_NAMED = 20


def named(values: Sequence[str], n: int = MAX_NAMED) -> str:
    """Return the first values as a list for a message."""
    return ", ".join(values[:n]) + (f" and {len(values) - n} more" if len(values) > n else "")


def sources(
    found: Sequence[Source], acquisitions: Sequence[AcquisitionLayout], multiplexing: bool
) -> Iterator[Problem]:
    """Name what acquisitions say against each other, or against their own metadata."""
    for source in found:
        yield from _headers(source)
        yield from _plates(source)
    yield from _shared_files(found)
    if multiplexing:
        yield from _cycles(found, acquisitions)
    else:
        yield from _order(found)


def _headers(source: Source) -> Iterator[Problem]:
    """Name files whose size or type isn't what the metadata says."""
    facts, name = source.facts, source.acquisition.name
    images = source.images.loc[source.planes["image"].unique()]
    if facts.shape:
        height, width = facts.shape
        other = images[(images["height"] != height) | (images["width"] != width)]
        yield from aggregate(
            "size_differs",
            f"{{n}} {{file|files}} of {name!r} {{isn't|aren't}} {height} x {width} px as the metadata says; "
            "the files count", sorted(set(other["file"])),
        )  # fmt: skip
    if facts.dtype:
        other = images[images["dtype"] != facts.dtype]
        types = named(sorted(set(other["dtype"])))
        yield from aggregate(
            "type_differs",
            f"{{n}} {{file|files}} of {name!r} {{has|have}} pixels of type {types}, not {facts.dtype} as the "
            "metadata says; the files count", sorted(set(other["file"])),
        )  # fmt: skip


def _plates(source: Source) -> Iterator[Problem]:
    images = source.images.loc[source.planes["image"].unique()]
    counts = images["plate"].dropna().value_counts()
    if len(counts) > 1:
        other = images[images["plate"].notna() & (images["plate"] != counts.index[0])]
        yield from aggregate(
            "several_plates",
            f"{{n}} {{file|files}} of {source.acquisition.name!r} {{says|say}} {{it is|they are}} of another "
            f"plate than {counts.index[0]!r}: {named([repr(p) for p in counts.index[1:]], 5)}; all were taken "
            "for one plate", sorted(set(other["file"])),
        )  # fmt: skip


def _shared_files(found: Sequence[Source]) -> Iterator[Problem]:
    """Name files that belong to several acquisitions: one folder was registered twice, or in another."""
    owners: dict[str, str] = {}
    for source in found:
        folder = source.acquisition.folder.rstrip("/")
        if not folder.startswith("/"):
            continue
        paths = [f"{folder}/{file}" for file in source.planes["file"].unique()]
        twice = sorted(p for p in paths if p in owners)
        if twice:
            other = owners[twice[0]]
            yield from aggregate(
                "shared_files",
                f"{{n}} {{file|files}} of {source.acquisition.name!r} {{belongs|belong}} to {other!r} too",
                [p.removeprefix(f"{folder}/") for p in twice],
            )
        owners |= dict.fromkeys(paths, source.acquisition.name)


def _order(found: Sequence[Source]) -> Iterator[Problem]:
    """Name acquisitions of a plate that were taken before the one they follow."""
    last: dict[str, Source] = {}
    for source in found:
        plate, date = str(source.acquisition.plate), source.facts.acquired_at
        before = last.get(plate)
        if before and date and before.facts.acquired_at and date < before.facts.acquired_at:
            message = (
                f"{source.acquisition.name!r} follows {before.acquisition.name!r} but was taken before it "
                f"({date}, {before.facts.acquired_at})"
            )
            yield Problem(code="order_of_acquisitions", message=message)
        if date:
            last[plate] = source


def _cycles(
    found: Sequence[Source], acquisitions: Sequence[AcquisitionLayout]
) -> Iterator[Problem]:
    """Name the cycles of a plate that lack wells, sites or a channel that other cycles have."""
    plates: dict[str, list[tuple[Source, AcquisitionLayout]]] = {}
    for source, acquisition in zip(found, acquisitions, strict=True):
        plates.setdefault(acquisition.plate, []).append((source, acquisition))
    for own in plates.values():
        sites = [
            set(map(tuple, s.planes[["well", "site"]].drop_duplicates().to_numpy())) for s, _ in own
        ]
        every = set.union(*sites)
        for (source, acquisition), there in zip(own, sites, strict=True):
            lacking = sorted(f"{well} site {site}" for well, site in every - there)
            if lacking:
                message = (
                    f"cycle {acquisition.cycle} ({source.acquisition.name!r}) lacks {len(lacking)} of "
                    f"{len(every)} sites: {named(lacking)}"
                )
                yield Problem(code="cycles_differ", message=message)
        names = [{c.name for c in s.facts.channels} for s, _ in own]
        if len(own) > 1 and not set.intersection(*names):
            each = "; ".join(
                f"cycle {a.cycle}: {named(sorted(n))}" for (_, a), n in zip(own, names, strict=True)
            )
            message = f"no channel has the same name in all cycles, as aligning them needs ({each})"
            yield Problem(code="cycles_differ", message=message[:1000])


def of_one_size(
    planes: Any, names: dict[str, str], problems: list[Problem], *, crop: bool = False
) -> Any:
    """Return the planes without those of another size than the others, or all of them cropped.

    One size holds in each site, and in the whole plate but where files place its sites in pixels, or are
    pictures of their own (`VendorFacts.own_sizes`). The column `cropped` says which planes are larger
    than the `height` and `width` that they keep.
    """
    import pandas as pd

    kept = []
    for plate, rows in planes.groupby("plate", sort=False):
        free = bool(rows["own_sizes"].all() or rows[["y_px", "x_px"]].notna().all(axis=None))
        groups = [rows["well"], rows["site"]] if free else [pd.Series(0, index=rows.index)]
        one = _cropped if crop else _without_others
        kept.append(one(rows, groups, free, names[plate], problems))
    return pd.concat(kept)


def _without_others(
    rows: Any, groups: list[Any], free: bool, name: str, problems: list[Problem]
) -> Any:
    sizes = rows["height"] * (1 << 32) + rows["width"]
    usual = sizes.groupby(groups).transform(lambda s: s.value_counts().idxmax())
    other = sizes != usual
    height, width = divmod(int(usual.iloc[0]), 1 << 32)
    expected = (
        "as large as the other planes of their sites"
        if free
        else f"{height} x {width} px as the others"
    )
    problems += aggregate(
        "other_size",
        f"{{n}} {{file|files}} of plate {name!r} {{isn't|aren't}} {expected}; {{it is|they are}} left out "
        "(metaconfig can crop to a common size)",
        sorted(rows.loc[other, "file"].unique()), "error",
    )  # fmt: skip
    return rows[~other].assign(cropped=False)


def _cropped(rows: Any, groups: list[Any], free: bool, name: str, problems: list[Problem]) -> Any:
    least = rows.groupby(groups)[["height", "width"]].transform("min")
    larger = (rows[["height", "width"]] > least).any(axis=1)
    height, width = least.iloc[0].astype(int)
    kept = "what all planes of their sites have" if free else f"{height} x {width} px"
    problems += aggregate(
        "cropped",
        f"{{n}} {{file|files}} of plate {name!r} {{is|are}} cropped to {kept}, the upper left part",
        sorted(rows.loc[larger, "file"].unique()),
    )
    return rows.assign(height=least["height"], width=least["width"], cropped=larger)


def of_one_type(planes: Any, problems: list[Problem]) -> Any:
    """Return the planes without those of another pixel type than others of their acquisition and channel."""
    kind = planes.groupby(["acquisition", "c"])["dtype"]
    usual = kind.transform(lambda d: d.value_counts().idxmax())
    other = planes["dtype"] != usual
    found = ", ".join(sorted(set(planes.loc[other, "dtype"])))
    problems += aggregate(
        "other_type",
        f"{{n}} {{file has|files have}} another pixel type ({found}) than the others of {{its|their}} "
        "acquisition and channel; {it is|they are} left out",
        sorted(planes.loc[other, "file"].unique()), "error",
    )  # fmt: skip
    return planes[~other]


def of_imaged_sites(planes: Any, problems: list[Problem]) -> Any:
    """Return the planes without the vendor's projections of sites that have no plane left."""
    place = ["plate", "well", "site"]
    imaged = planes.loc[planes["role"] == "plane", place].drop_duplicates()
    kept = planes[planes.set_index(place).index.isin(imaged.set_index(place).index)]
    alone = sorted(set(planes["file"]) - set(kept["file"]))
    problems += aggregate(
        "left_out",
        "{n} {projection is of a site|projections are of sites} without any plane; "
        "{this site is|these sites are} left out", alone,
    )  # fmt: skip
    return kept


def types(
    planes: Any, found: Sequence[Source], channels: Sequence[ChannelFacts]
) -> Iterator[Problem]:
    """Name the channels whose pixel type differs between acquisitions: none of them is altered."""
    names = {
        str(s.acquisition.id): f"plate {s.acquisition.plate_name!r}, {s.acquisition.name!r}"
        for s in found
    }
    for c, rows in planes.groupby("c"):
        kinds = rows.groupby("acquisition", sort=False)["dtype"].first()
        if kinds.nunique() < 2:
            continue
        each = "; ".join(f"{names[a]}: {dtype}" for a, dtype in list(kinds.items())[:MAX_NAMED])
        message = (
            f"channel {channels[c].name} has pixels of different types ({each}); all are kept as "
            f"{np.result_type(*kinds)}, their values unchanged: compare intensities with care"
        )
        yield Problem(code="types_differ", message=message)


def gaps(
    planes: Any, channels: Sequence[ChannelFacts], found: Sequence[Source], names: dict[str, str]
) -> Iterator[Problem]:
    """Name wells, sites and planes that aren't there although metadata or the rest of the plate has them."""
    stack = planes[planes["role"] == "plane"]
    yield from _missing_wells(stack, found, names)
    yield from _missing_sites(stack, names)
    yield from _missing_planes(stack, channels)
    yield from _differing_plates(stack, channels, names)


def _missing_wells(stack: Any, found: Sequence[Source], names: dict[str, str]) -> Iterator[Problem]:
    """Name wells that metadata describes and of which no image is there, with the files expected."""
    for source in found:
        plate = str(source.acquisition.plate)
        there = set(stack.loc[stack["plate"] == plate, "well"])
        absent = source.absent[~source.absent["well"].isin(there)]
        wells = sorted(set(absent["well"]) - {""}, key=well_position)
        if wells:
            message = (
                f"plate {names[plate]!r} has no image of {len(wells)} "
                f"{'well' if len(wells) == 1 else 'wells'} that its metadata describes: {named(wells)}"
            )
            yield from aggregate("missing_wells", message, sorted(absent["file"].unique()))


def _missing_sites(stack: Any, names: dict[str, str]) -> Iterator[Problem]:
    """Name the sites that other wells of the plate have, where all wells number their sites alike."""
    for plate, rows in stack.groupby("plate", sort=False):
        sites = rows[["well", "site"]].drop_duplicates()
        counts = sites.groupby("well").size()
        usual = set(sites["site"])
        # Where sites have names of their own in each well, none can be missed.
        if len(usual) > counts.max() or counts.min() == counts.max():
            continue
        short = counts.index[counts < counts.max()]
        own = sites[sites["well"].isin(short)].groupby("well")["site"].agg(set)
        lacking = [
            f"{well} site {site}"
            for well in sorted(own.index, key=well_position)
            for site in sorted(usual - own[well], key=natural)
        ]
        message = (
            f"plate {names[plate]!r} lacks {len(lacking)} {'site' if len(lacking) == 1 else 'sites'} that "
            f"other wells have: {named(lacking)}"
        )
        yield Problem(code="missing_sites", message=message)


def _missing_planes(stack: Any, channels: Sequence[ChannelFacts]) -> Iterator[Problem]:
    """Name the planes that the other sites of the same acquisition have but some site lacks."""
    import pandas as pd

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
        whole = pd.MultiIndex.from_frame(few.merge(kinds.head(10_000), how="cross"))
        lacking = whole.difference(present)[:MAX_NAMED]
        examples = "; ".join(
            f"{well} site {site} {channels[c].name} t {t} z {z}" for well, site, c, t, z in lacking
        )
        what = "plane is" if n_missing == 1 else "planes are"
        message = f"{n_missing} {what} missing: {examples}" + (
            "; …" if n_missing > MAX_NAMED else ""
        )
        yield Problem(code="missing_planes", message=message)


def _differing_plates(
    stack: Any, channels: Sequence[ChannelFacts], names: dict[str, str]
) -> Iterator[Problem]:
    """Say in what a plate differs from the first: wells, sites of a well, channels."""
    plates = list(stack.groupby("plate", sort=False))
    for plate, rows in plates[1:]:
        first = plates[0][1]
        parts = []
        for what, column in (("wells", "well"), ("channels", "c"), ("sites", "site")):
            here, there = set(rows[column]), set(first[column])
            label = (lambda c: channels[c].name) if column == "c" else str
            for verb, values in (("lacks", there - here), ("has more", here - there)):
                if values:
                    shown = named(sorted((label(v) for v in values), key=natural), 8)
                    parts.append(f"{verb} {what} {shown}")
        if parts:
            message = f"plate {names[plate]!r} differs from {names[plates[0][0]]!r}: it {'; it '.join(parts)}"
            yield Problem(code="plates_differ", message=message)
