"""What a person changed of the layout that was found; entry point: `Corrections`.

Every entry is checked against the uncorrected layout. One that names what isn't there, or contradicts
another, is left out and reported: the rest holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from gpu_workers.errors import UserError
from gpu_workers.formats.listing import worded
from gpu_workers.formats.survey import well_name, well_position
from gpu_workers.messages import (
    ChannelCorrection,
    GridCorrection,
    LayoutCorrections,
    Problem,
    SiteCorrection,
)
from gpu_workers.steps.metaconfig import placing
from gpu_workers.steps.metaconfig.geometry import Field
from gpu_workers.steps.metaconfig.placing import Grid, Plate
from gpu_workers.storage.layout import ChannelLayout, Layout, PlateLayout

Place = tuple[str, str]
MAX_NAMED = 100
"""Refused entries that are named; there may be thousands."""


class Corrections:
    """The entries that make sense, applied by `applied`; `problems` names the others.

    Parameters
    ----------
    plates
        The uncorrected plates.
    channels
        The uncorrected names of the channels, by index.
    """

    def __init__(self, wanted: LayoutCorrections, plates: Sequence[Plate], channels: Sequence[str]):
        self.problems: list[Problem] = []
        self._n_refused = 0
        self._any = wanted != LayoutCorrections()
        self._plates = list(plates)
        self._channels = list(channels)
        self._wanted = wanted

    def __bool__(self) -> bool:
        return self._any

    def applied(
        self, raw: Layout, pixel_size: float | None, grid: Grid, problems: list[Problem]
    ) -> Layout:
        """Return the layout with the corrections; pixels stay where the uncorrected one says."""
        grids = self._grids()
        plates = [p for plate in self._plates if (p := self._plate(plate)).fields]
        if not plates:
            self._refuse(
                "the layout", "no site would be left; wells and sites stay as they were found"
            )
            plates = self._plates
        placed = [
            self._placed(plate, pixel_size, grids.get(plate.id), grid, problems) for plate in plates
        ]
        return raw.model_copy(
            update={
                "channels": self._named_channels(raw.channels),
                "plates": placing.in_one_world(placed),
            }
        )

    def _refuse(self, entry: str, reason: str) -> None:
        self._n_refused += 1
        message = f"the correction of {entry} is left out: {reason}"
        if self._n_refused > MAX_NAMED:
            more = self._n_refused - MAX_NAMED
            message = worded("{n} more {correction is|corrections are} left out", more)
            del self.problems[MAX_NAMED:]
        self.problems.append(Problem(severity="error", code="bad_correction", message=message))

    def _once(self, entries: Iterable[Any], key: Any, what: str) -> dict[Any, Any]:
        """Return entries by what they correct; where there are several for one, none."""
        listed = list(entries)
        counts: Counter[Hashable] = Counter(key(e) for e in listed)
        for place, n in counts.items():
            if n > 1:
                shown = " ".join(place) if isinstance(place, tuple) else place
                self._refuse(f"{what} {shown}", f"there are {n} of them")
        return {key(e): e for e in listed if counts[key(e)] == 1}

    def _named_channels(self, channels: tuple[ChannelLayout, ...]) -> tuple[ChannelLayout, ...]:
        def key(entry: ChannelCorrection) -> str:
            return entry.channel

        wanted = self._once(self._wanted.channels, key, "channel")
        for name in [n for n in wanted if n not in self._channels]:
            known = ", ".join(self._channels[:20])
            self._refuse(f"channel {name!r}", f"there is no such channel, but {known}")
            del wanted[name]
        names = {c: (wanted[c].name if c in wanted else None) or c for c in self._channels}
        # Taking names back may make others double: until none is.
        while twice := [n for n, k in Counter(names.values()).items() if k > 1]:
            for old in [c for c in self._channels if names[c] in twice and names[c] != c]:
                self._refuse(f"channel {old!r}", f"several channels would be called {names[old]!r}")
                names[old] = old
        return tuple(
            c.model_copy(
                update={
                    "name": names[c.name],
                    "color": (wanted[c.name].color if c.name in wanted else None) or c.color,
                }
            )
            for c in channels
        )

    def _grids(self) -> dict[str, GridCorrection]:
        grids = self._once(self._wanted.grids, lambda g: str(g.plate), "the grid of plate")
        for plate in [p for p in grids if p not in {q.id for q in self._plates}]:
            self._refuse(f"the grid of plate {plate}", "there is no such plate")
            del grids[plate]
        return grids

    def _placed(
        self,
        plate: Plate,
        pixel_size: float | None,
        wanted: GridCorrection | None,
        grid: Grid,
        problems: list[Problem],
    ) -> PlateLayout:
        own = grid
        if wanted is not None:
            fields = ("stitch_layout", "n_vertical", "n_horizontal")
            own = replace(grid, asked=True, **{n: getattr(wanted, n) for n in fields})
        bare = replace(plate, cells={})
        attempts = [(plate, own)]
        attempts += [pair for pair in ((plate, grid), (bare, grid)) if pair not in attempts]
        for changed, chosen in attempts:
            try:
                return placing.placed(changed, pixel_size, chosen, problems)
            except UserError as error:
                if (changed, chosen) == attempts[-1]:
                    raise
                self._refuse(f"the places in plate {plate.name!r}", error.message)
        raise AssertionError("the last attempt returns or raises")

    def _plate(self, plate: Plate) -> Plate:
        """Return a plate with its sites in the wells, and cells, where a person wants them."""
        targets = self._wells(plate)
        sites = self._sites(plate)
        fields: list[Field] = []
        cells: dict[Place, tuple[int, int]] = {}
        for field in plate.fields:
            entry = sites.get((field.well, field.name))
            to = targets.get(field.well, field.well)
            if entry is not None and entry.to_well is not None:
                to = well_name(*well_position(entry.to_well))
            if to is None or (entry is not None and entry.omit):
                continue
            fields.append(replace(field, well=to))
            if entry is not None and entry.cell is not None:
                cells[to, field.name] = entry.cell
        twice = [p for p, n in Counter((f.well, f.name) for f in fields).items() if n > 1]
        if twice:
            well, site = twice[0]
            reason = (
                f"well {well} would have site {site} twice; wells and sites stay as they were found"
            )
            self._refuse(f"wells and sites of plate {plate.name!r}", reason)
            return plate
        return replace(plate, fields=tuple(fields), cells=cells)

    def _wells(self, plate: Plate) -> dict[str, str | None]:
        own = [w for w in self._wanted.wells if self._is_of(plate, str(w.plate), f"well {w.well}")]
        entries = self._once(own, lambda w: _spelled(w.well), f"plate {plate.name!r}, well")
        there = {f.well for f in plate.fields}
        targets: dict[str, str | None] = {}
        for well, entry in entries.items():
            label = f"well {entry.well} of plate {plate.name!r}"
            to = None if entry.to is None else _spelled(entry.to)
            if well not in there:
                self._refuse(label, "it has no image")
            elif entry.to is not None and to is None:
                self._refuse(label, f"no plate has a well {entry.to!r}")
            else:
                targets[well] = to
        return targets

    def _sites(self, plate: Plate) -> dict[Place, SiteCorrection]:
        def key(entry: SiteCorrection) -> Place:
            return _spelled(entry.well) or entry.well, entry.site

        own = [
            s
            for s in self._wanted.sites
            if self._is_of(plate, str(s.plate), f"site {s.well} {s.site}")
        ]
        entries = self._once(own, key, f"plate {plate.name!r}, site")
        there = {(f.well, f.name) for f in plate.fields}
        for place, entry in list(entries.items()):
            reason = ""
            if place not in there:
                reason = "there is no such site"
            elif entry.to_well is not None and _spelled(entry.to_well) is None:
                reason = f"no plate has a well {entry.to_well!r}"
            elif entry.omit and (entry.to_well is not None or entry.cell is not None):
                reason = "it can't be left out and moved"
            if reason:
                self._refuse(
                    f"site {entry.site} of well {entry.well}, plate {plate.name!r}", reason
                )
                del entries[place]
        return entries

    def _is_of(self, plate: Plate, identifier: str, what: str) -> bool:
        if plate is self._plates[0] and identifier not in {p.id for p in self._plates}:
            self._refuse(f"{what} of plate {identifier}", "there is no such plate")
        return identifier == plate.id


def _spelled(well: str) -> str | None:
    try:
        return well_name(*well_position(well))
    except ValueError:
        return None
