"""From what readers say of files and what the files say of themselves to one row per plane.

Entry points: `image_rows` (contents as rows of two tables) and `expand` (both tables joined with a
reader's planes). The tables are pandas frames whose columns are `NAMED_TYPES`, `IMAGE_TYPES` and
`PAGE_TYPES`; nothing here opens a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.listing import aggregate
from gpu_workers.formats.survey import ChannelFacts, natural, well_name, well_position
from gpu_workers.messages import Json, Problem

RGB: Final = ("red", "green", "blue")
NAMED_TYPES: Final = {
    "file": "string", "well": "string", "site": "string", "channel": "string", "z": "int64",
    "t": "int64", "role": "string", "stage_y_um": "double", "stage_x_um": "double",
    "z_um": "double", "method": "string", "page": "int64", "cycle": "int64", "y_px": "double",
    "x_px": "double", "time_s": "double",
}  # fmt: skip
# One row for each image in a file, or one with `code` and `message` for a file that can't be read.
IMAGE_TYPES: Final = {
    "file": "string", "image": "int64", "height": "int64", "width": "int64", "dtype": "string",
    "samples": "int64", "n_t": "int64", "n_c": "int64", "n_z": "int64", "first_page": "int64",
    "t_stride": "int64", "c_stride": "int64", "z_stride": "int64", "listed": "bool",
    "well": "string", "site": "string", "name": "string", "plate": "string",
    "stage_y_um": "double", "stage_x_um": "double", "z_um": "double", "y_sign": "int64",
    "y_px": "double", "x_px": "double", "pixel_size_um": "double", "z_step_um": "double",
    "t_step_s": "double", "channels": "string", "objective": "string", "magnification": "double",
    "role": "string", "method": "string", "acquired_at": "string", "brightfield": "bool",
    "code": "string", "message": "string",
}  # fmt: skip
# The planes of images that list them (`listed`); `target` is the file that holds the pixels.
PAGE_TYPES: Final = {
    "file": "string", "image": "int64", "t": "int64", "c": "int64", "z": "int64", "page": "int64",
    "target": "string", "stage_y_um": "double", "stage_x_um": "double", "z_um": "double",
    "time_s": "double",
}  # fmt: skip
_OWN: Final = ("stage_y_um", "stage_x_um", "z_um", "time_s")


def image_rows(file: str, contents: Sequence[ImageContent]) -> tuple[list[Json], list[Json]]:
    """Return what a file says of itself as rows of the table of images and of the table of pages."""
    images: list[Json] = []
    pages: list[Json] = []
    for number, image in enumerate(contents):
        facts = [c.model_dump(mode="json", exclude_defaults=True) for c in image.channels]
        row = {name: getattr(image, name) for name in IMAGE_TYPES if hasattr(image, name)}
        row |= {"file": file, "image": number, "listed": bool(image.planes)}
        row["channels"] = json.dumps(facts, sort_keys=True) if facts else None
        images.append(row)
        for plane in image.planes:
            own = {name: getattr(plane, name) for name in (*_OWN, "t", "c", "z", "page")}
            pages.append({"file": file, "image": number, "target": plane.file or file, **own})
    return images, pages


def frame(rows: Sequence[Any], types: Mapping[str, str]) -> Any:
    """Return named tuples or dictionaries as a frame with the columns and types of a stored table."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, kind in types.items():
        values = [r.get(name) if isinstance(r, dict) else getattr(r, name) for r in rows]
        whole = not any(v is None for v in values)
        dtype: Any = object
        if kind == "double" or (kind == "int64" and not whole):
            dtype = np.float64
        elif kind == "int64":
            dtype = np.int64
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class Expanded:
    """All planes of an acquisition that files hold.

    Attributes
    ----------
    planes
        One row per plane and colour component: file, page, sample, well, site, channel, z, t, cycle
        (NaN: the acquisition's), role, method, stage_y_um, stage_x_um, y_sign (NaN: the reader's
        facts have it), z_um, time_s, y_px, x_px, height, width, dtype, and `image`, the row's number
        in `images`, and `c`, its channel there.
    images
        The images of the files, as they were given.
    channels
        For each value of `channel` what files say of it, the most common first.
    missing
        Files that were named but never opened, or not readable, with the reason's code.
    problems
        Conflicts of names and contents.
    """

    planes: Any
    images: Any
    channels: dict[str, list[ChannelFacts]]
    missing: list[tuple[str, str]]
    problems: list[Problem] = field(default_factory=list)


def expand(named: Any, images: Any, pages: Any) -> Expanded:
    """Return one row for each plane of the named files, from their contents.

    A row of a reader stands for all planes of its file, or for one `page` of it. What both say is
    taken from the reader; `gpu_workers.formats.survey.SourcePlane` says what may be left empty.

    Parameters
    ----------
    named
        Planes as names or the vendor's metadata describe them (`NAMED_TYPES`).
    images, pages
        What the files say of themselves (`IMAGE_TYPES`, `PAGE_TYPES`).
    """
    readable = images[images["code"].isna()].reset_index(drop=True)
    joined, missing = _joined(named, _content_planes(readable, pages, named), images)
    problems: list[Problem] = []
    keys, described = _channel_keys(readable)
    planes = _placed(joined, readable, problems)
    planes["channel"] = _channels(joined, readable, keys, problems)
    planes = _stacked(planes, joined, problems)
    planes = _coloured(_counted(planes, readable), readable)
    channels = _described(planes, readable, described)
    planes = planes.drop(columns="counted").reset_index(drop=True)
    return Expanded(planes, readable, channels, missing, problems)


def _content_planes(images: Any, pages: Any, named: Any) -> Any:
    """Return a row for each plane in the files: `image`, t, c, z, page, `file` (pixels), `owner`."""
    import pandas as pd

    regular = images[~images["listed"].astype(bool)]
    shape = regular[["n_t", "n_c", "n_z"]].to_numpy(dtype=np.int64)
    counts = shape.prod(axis=1)
    rows = np.repeat(np.arange(len(regular)), counts)
    number = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    _, n_c, n_z = shape[rows].T
    place = {"t": number // (n_z * n_c), "c": number // n_z % n_c, "z": number % n_z}
    page = regular["first_page"].to_numpy(dtype=np.int64)[rows]
    for axis, index in place.items():
        page = page + index * regular[f"{axis}_stride"].to_numpy(dtype=np.int64)[rows]
    owners = regular["file"].to_numpy(dtype=object)[rows]
    strided = pd.DataFrame(
        {"image": regular.index.to_numpy()[rows], **place, "page": page, "file": owners, "owner": owners}
    )  # fmt: skip
    if not len(pages):
        return strided.assign(**dict.fromkeys(_OWN, np.nan))
    number_of = images.reset_index().set_index(["file", "image"])["index"]
    listed = pages.drop(columns=["file", "image"]).rename(columns={"target": "file"})
    listed["owner"] = pages["file"]
    found = number_of.reindex(pd.MultiIndex.from_frame(pages[["file", "image"]]))
    listed["image"] = found.to_numpy()
    listed = listed[listed["image"].notna()]
    listed["image"] = listed["image"].astype(np.int64)
    # A master file that lists another file's planes knows more than that file: its list holds. Where
    # every file of a set lists all, each plane is taken once.
    foreign = set(listed.loc[listed["owner"] != listed["file"], "file"])
    strided = strided[~strided["file"].isin(foreign)]
    shared = listed["file"].isin(foreign)
    twice = listed[shared].sort_values("owner", kind="stable").duplicated(["file", "page", "c"])
    listed = listed.drop(index=twice[twice].index)
    whole = pd.concat([strided, listed], ignore_index=True)
    at_home = whole["file"].isin(set(named["file"]))
    whole["owner"] = whole["file"].where(at_home, whole["owner"])
    return whole


def _joined(named: Any, content: Any, images: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Return the named rows joined with the planes of their files, and the files that have none."""
    import pandas as pd

    content = content.rename(columns={n: f"own_{n}" for n in ("t", "z", "page", "file", *_OWN)})
    whole = named["page"].isna()
    parts = [
        named[whole].drop(columns="page").merge(content, left_on="file", right_on="owner", how="left"),
        named[~whole].astype({"page": "float64"}).merge(
            content.astype({"own_page": "float64"}),
            left_on=["file", "page"], right_on=["owner", "own_page"], how="left",
        ),
    ]  # fmt: skip
    parts[0]["single"], parts[1]["single"] = False, True
    joined = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    lost = joined["image"].isna()
    codes = images.dropna(subset=["code"]).drop_duplicates("file").set_index("file")["code"]
    opened = set(images["file"])
    missing = [
        (file, str(codes.get(file, "missing_page" if file in opened else "file_missing")))
        for file in dict.fromkeys(joined.loc[lost, "file"])
    ]
    joined = joined[~lost].reset_index(drop=True)
    for name in ("image", "c", "own_t", "own_z", "own_page"):
        joined[name] = joined[name].astype(np.int64)
    return joined, missing


def _normal_wells(values: Any, files: Any, problems: list[Problem]) -> Any:
    """Return the names of wells as we spell them, with None for what is the name of no well."""
    spelled: dict[str, str | None] = {}
    for value in values.dropna().unique():
        try:
            spelled[value] = well_name(*well_position(str(value).strip()))
        except ValueError:
            spelled[value] = None
    normal = values.map(spelled, na_action="ignore")
    odd = values.notna() & normal.isna()
    problems += aggregate(
        "bad_well", "{n} {file|files} {name|name} wells that no plate has; A01 is used",
        sorted(files[odd].unique()),
    )  # fmt: skip
    return normal


def _first(*columns: Any) -> Any:
    """Return the first known value of several columns."""
    result = columns[0]
    for column in columns[1:]:
        result = result.where(result.notna(), column)
    return result


def _placed(joined: Any, images: Any, problems: list[Problem]) -> Any:
    """Return the planes with file, page, well, site and positions."""
    import pandas as pd

    row = joined["image"].to_numpy()
    wells = _normal_wells(images["well"], images["file"], problems)
    own_well = wells.to_numpy(dtype=object)[row]
    said = joined["well"].replace("", None)
    differ = said.notna() & pd.notna(own_well) & (said != own_well)
    problems += aggregate(
        "well_differs",
        "{n} {file says|files say} another well than {its name or metadata|their names or metadata}, "
        "which {count|count}", sorted(joined.loc[differ, "file"].unique()),
    )  # fmt: skip
    planes = pd.DataFrame({"file": joined["own_file"], "page": joined["own_page"]})
    planes["well"] = _first(said, pd.Series(own_well, index=said.index)).fillna("A01")
    planes["site"] = _sites(joined, images, wells, problems)
    planes["counted"] = (joined["site"] == "") & images["site"].isna().to_numpy()[row]
    planes["cycle"] = joined["cycle"]
    image = {
        name: pd.Series(images[name].to_numpy()[row])
        for name in ("stage_y_um", "stage_x_um", "z_um", "y_px", "x_px", "y_sign", "z_step_um",
                     "t_step_s", "role", "method")
    }  # fmt: skip
    for name in ("stage_y_um", "stage_x_um"):
        planes[name] = _first(
            joined[name].astype(float), joined[f"own_{name}"].astype(float), image[name]
        )
    planes["y_sign"] = image["y_sign"].where(joined["stage_y_um"].isna()).astype(float)
    steps = (image["z_step_um"] * joined["own_z"]).fillna(0)
    planes["z_um"] = _first(
        joined["z_um"].astype(float), joined["own_z_um"].astype(float), image["z_um"] + steps
    )
    planes["time_s"] = _first(
        joined["time_s"].astype(float),
        joined["own_time_s"].astype(float),
        image["t_step_s"] * joined["own_t"],
    )
    for name in ("y_px", "x_px"):
        planes[name] = _first(joined[name].astype(float), image[name].astype(float))
    own = (image["role"] == "projection") & (joined["role"] == "plane")
    planes["role"] = joined["role"].where(~own, "projection")
    planes["method"] = _first(joined["method"].astype(object), image["method"].astype(object))
    for name in ("height", "width", "dtype"):
        planes[name] = images[name].to_numpy()[row]
    planes["image"], planes["c"] = row, joined["c"]
    return planes


def _sites(joined: Any, images: Any, wells: Any, problems: list[Problem]) -> Any:
    """Return the reader's site, the file's, both where a file holds several, or the image's number."""
    import pandas as pd

    row = joined["image"].to_numpy()
    group = images.assign(well=wells.fillna("")).groupby(["file", "well"], sort=False)["image"]
    number = (group.cumcount() + 1).astype(str)
    several = (group.transform("size") > 1).to_numpy()[row] & ~joined["single"].to_numpy(dtype=bool)
    own = _first(images["site"].replace("", None), number).to_numpy(dtype=object)[row]
    said = joined["site"]
    both = said + "-" + pd.Series(own, index=said.index)
    site = said.where(said != "", own).where((said == "") | ~several, both)
    stated = images["site"].replace("", None).to_numpy(dtype=object)[row]
    pairs = pd.DataFrame(
        {"file": joined["file"], "well": joined["well"], "said": said, "own": stated}
    )
    pairs = pairs[(said != "") & ~several & pairs["own"].notna()]
    # Names may count from 1 and contents from 0: only a site that has several names is a conflict.
    odd = _minority(pairs, ["well", "said"], "own")
    problems += aggregate(
        "site_differs",
        "{n} {file says|files say} another site than the other files of {its|their} name's site; the "
        "{name counts|names count}", odd,
    )  # fmt: skip
    return site


def _minority(pairs: Any, by: list[str], value: str) -> list[str]:
    """Return the files whose value differs from the most common one of their group."""
    unique = pairs.drop_duplicates(["file", *by, value])
    counts = unique.groupby([*by, value], sort=False)["file"].transform("size")
    ordered = unique.assign(_n=counts).sort_values("_n", ascending=False, kind="stable")
    usual = ordered.groupby(by, sort=False)[value].transform("first")
    return sorted(set(ordered.loc[ordered[value] != usual, "file"]))


def _channel_keys(images: Any) -> tuple[Any, dict[tuple[int, int], ChannelFacts]]:
    """Return a number for each list of channels, and its channels by (number, c)."""
    import pandas as pd

    numbers, texts = pd.factorize(images["channels"])
    described: dict[tuple[int, int], ChannelFacts] = {}
    for number, text in enumerate(texts):
        for c, facts in enumerate(json.loads(text)):
            described[number, c] = ChannelFacts.model_validate(facts)
    return numbers, described


def _channels(joined: Any, images: Any, numbers: Any, problems: list[Problem]) -> Any:
    """Return the reader's channel, the file's, or both where a file holds several."""
    import pandas as pd

    described = _channel_keys(images)[1]
    pair = pd.MultiIndex.from_arrays([numbers[joined["image"].to_numpy()], joined["c"]])
    codes, pairs = pd.factorize(pair)
    names = []
    for number, c in pairs:
        facts = described.get((number, c))
        names.append((facts and (facts.key or facts.name)) or str(int(c) + 1))
    own = pd.Series(np.asarray(names, dtype=object)[codes], index=joined.index)
    said = joined["channel"]
    per_file = pd.DataFrame({"file": joined["file"], "own": own}).drop_duplicates()
    several = joined["file"].map(per_file.groupby("file").size()) > 1
    several &= ~joined["single"].astype(bool)
    use_own = (said == "") | (several & (said.nunique() == 1))
    named = pd.DataFrame({"file": joined["file"], "said": said, "own": own})
    stated = np.asarray([bool((f := described.get((n, c))) and f.name) for n, c in pairs])[codes]
    odd = _minority(named[~use_own & ~several & stated], ["said"], "own")
    problems += aggregate(
        "channel_differs",
        "{n} {file says|files say} another channel than the other files of {its|their} name's channel; "
        "the {name counts|names count}", odd,
    )  # fmt: skip
    both = said + " " + own
    return said.where(~several, both).where(~use_own, own)


def _stacked(planes: Any, joined: Any, problems: list[Problem]) -> Any:
    """Return the planes with z and t: the names' and the files' add up where only one of them varies."""
    counted = joined[~joined["single"].astype(bool)]
    own = {a: counted[f"own_{a}"] > 0 for a in ("z", "t")}
    stack = counted["role"] == "plane"
    named = {a: counted.loc[stack, a].nunique() > 1 for a in ("z", "t")}
    pages = {a: joined[f"own_{a}"].where(~joined["single"].astype(bool), 0) for a in ("z", "t")}
    # Files that are numbered by z and hold several pages without saying of what: time points.
    if own["z"].any() and named["z"] and not (own["t"].any() or named["t"]):
        pages = {"z": pages["t"], "t": pages["z"]}
        own = {"z": own["t"], "t": own["z"]}
    keep = np.ones(len(planes), dtype=bool)
    for axis, what in (("z", "z planes"), ("t", "time points")):
        if named[axis] and own[axis].any():
            more = pages[axis].to_numpy() > 0
            problems += aggregate(
                "extra_pages",
                f"{{n}} {{file holds|files hold}} several {what} while names count {what} too; the first "
                "of each file {is|is} used", sorted(joined.loc[more, "file"].unique()),
            )  # fmt: skip
            keep &= ~more
    for axis in ("z", "t"):
        planes[axis] = joined[axis].astype(np.int64) + pages[axis]
    return planes[keep]


def _counted(planes: Any, images: Any) -> Any:
    """Return the planes after counting sites over all files of a well, where nothing tells their sites.

    Numbers of the images within their files are sites unless several files would then be one site.
    """
    place = ["well", "site", "cycle", "channel", "z", "t", "role"]
    double = planes["counted"] & planes.duplicated(place, keep=False)
    if not double.any():
        return planes
    rows = planes[planes["counted"] & planes["well"].isin(set(planes.loc[double, "well"]))]
    files = sorted(set(images["file"]), key=natural)
    order = images["file"].map({f: n for n, f in enumerate(files)}) * (len(images) + 1)
    rank = (order + images["image"]).to_numpy()[rows["image"].to_numpy()]
    number = rows.assign(rank=rank).groupby("well")["rank"].rank(method="dense")
    planes.loc[rows.index, "site"] = number.astype(np.int64).astype(str)
    return planes


def _samples(planes: Any, images: Any) -> Any:
    """Return of how many components each plane is.

    Where some JPEG files of a channel have colours, those that happen to be grey count as coloured, too:
    a tile of a slide that shows nothing but glass.
    """
    import pandas as pd

    image = planes["image"].to_numpy()
    samples = images["samples"].to_numpy(dtype=np.int64)[image]
    jpeg = images["file"].str.lower().str.endswith((".jpg", ".jpeg")).to_numpy(dtype=bool)[image]
    if jpeg.any():
        samples[jpeg] = (
            pd.Series(samples[jpeg]).groupby(planes["channel"].to_numpy()[jpeg]).transform("max")
        )
    return samples


def _coloured(planes: Any, images: Any) -> Any:
    """Return one row per colour component, with "red", "green", "blue" behind the channel's name."""
    samples = _samples(planes, images)
    rows = planes.loc[planes.index.repeat(samples)].copy()
    rows["sample"] = rows.groupby(level=0).cumcount().to_numpy()
    coloured = np.repeat(samples, samples) > 1
    names = rows["sample"].map(dict(enumerate(RGB)))
    rows["channel"] = rows["channel"].where(~coloured, rows["channel"] + " " + names)
    return rows


def _described(
    planes: Any, images: Any, described: dict[tuple[int, int], ChannelFacts]
) -> dict[str, list[ChannelFacts]]:
    """Return what files say of each channel, the most common first."""
    import pandas as pd

    numbers = _channel_keys(images)[0][planes["image"].to_numpy()]
    table = pd.DataFrame(
        {"key": planes["channel"].to_numpy(), "n": numbers, "c": planes["c"].to_numpy()}
    )
    counts = table.groupby(["key", "n", "c"], sort=False).size().sort_values(ascending=False)
    found: dict[str, list[ChannelFacts]] = {}
    for key, number, c in counts.index:
        facts = described.get((int(number), int(c)))
        found.setdefault(str(key), []).extend([facts] if facts else [])
    return found
