"""The channels of an acquisition, from metadata and files; entry point: `described`."""

from __future__ import annotations

import re
from typing import Any, Final

from gpu_workers.formats.expansion import RGB, Expanded
from gpu_workers.formats.survey import ChannelFacts, VendorFacts, natural

RGB_COLORS: Final = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff"}
_FACTS: Final = ("wavelength_nm", "color", "excitation_nm", "exposure_ms", "flatfield")


def described(planes: Any, found: Expanded, facts: VendorFacts) -> tuple[ChannelFacts, ...]:
    """Return the channels that occur: named by metadata, else by the files, in their order."""
    known = {c.key: c for c in facts.channels}
    order = {c.key: n for n, c in enumerate(facts.channels)}
    place = planes.groupby("channel")["c"].min()
    keys = [str(k) for k in planes["channel"].unique()]
    parts = {key: _parts(key, known) for key in keys}
    keys.sort(key=lambda k: (order.get(parts[k][0], 10**6), int(place[k]), *_rank(k)))
    white = _brightfield(planes, found.images)
    channels: list[ChannelFacts] = []
    for key in keys:
        base, own, color = parts[key]
        said = found.channels.get(key, [])
        first = known.get(base) or ChannelFacts(key=base, name="")
        name = _name(first, own, said)
        update = {
            field: next((v for c in (first, *said[:5]) if (v := getattr(c, field)) is not None), None)
            for field in _FACTS
        }  # fmt: skip
        if color:
            name = color if len(keys) == len(RGB) else f"{name} {color}"
            update["color"] = RGB_COLORS[color]
        bright = key in white or any(c.brightfield for c in (first, *said))
        channels.append(
            first.model_copy(update={"key": key, "name": name, **update, "brightfield": bright})
        )
    return _distinct(channels)


def _parts(key: str, known: dict[str, ChannelFacts]) -> tuple[str, str, str]:
    """Return what the reader, the file, and the colour component add to a channel's key."""
    base, _, last = key.rpartition(" ")
    base, color = (base, last) if last in RGB and base else (key, "")
    if base in known:
        return base, "", color
    reader = next((k for k in known if k and base.startswith(f"{k} ")), None)
    return (base, "", color) if reader is None else (reader, base[len(reader) + 1 :], color)


def _name(first: ChannelFacts, own: str, said: list[ChannelFacts]) -> str:
    """Return a channel's name: the metadata's unless that is a bare number, else the files'."""
    bare = re.fullmatch(r"w?\d+", first.key) and first.name in (first.key, f"Channel{first.key}")
    names = [c.name for c in said if c.name]
    if own:
        return f"{first.name} {own}"
    if names and (bare or not first.name):
        return names[0]
    if first.name:
        return first.name
    return f"Channel{first.key}" if first.key.isdecimal() else first.key


def _brightfield(planes: Any, images: Any) -> set[str]:
    """Return the channels in which light means nothing there: of slides, and colours of 8 bit."""
    unique = planes[["image", "channel"]].drop_duplicates()
    of = images.loc[unique["image"]]
    white = of["brightfield"].astype(bool) | ((of["samples"] == 3) & (of["dtype"] == "uint8"))
    return set(unique.loc[white.to_numpy(), "channel"])


def _rank(key: str) -> tuple[Any, ...]:
    base, _, last = key.rpartition(" ")
    return (natural(base), RGB.index(last)) if last in RGB else (natural(key), -1)


def _distinct(channels: list[ChannelFacts]) -> tuple[ChannelFacts, ...]:
    names = [c.name for c in channels]
    return tuple(
        c.model_copy(update={"name": f"{c.name} ({c.key})"}) if names.count(c.name) > 1 else c
        for c in channels
    )
