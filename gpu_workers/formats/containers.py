"""Files that hold a whole acquisition or a large part of it: ND2, CZI, LIF.

What is in them they say themselves (`gpu_workers.formats.files`); names count only where an
acquisition was split into several files, one for each well or position.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Final

from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.survey import (
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
    well_position,
)

# "WellB03_Point…" or "plate_B03_2": a letter and two digits that stand by themselves.
_WELL: Final = re.compile(
    r"(?i:well)[ _-]?([A-Za-z]{1,2}[0-9]{1,2})|(?<![A-Za-z0-9])([A-P][0-9]{2})(?![0-9A-Za-z])"
)
_SITE: Final = re.compile(
    r"(?i)(?<![a-z])(?:point|position|pos|site|field|fov|xy|scene)[ _-]?([A-Z]?[0-9]+(?:_[0-9]+)?)"
)
_CHANNEL: Final = re.compile(r"(?i)_channel[^_]*")


def _names(files: Sequence[FileEntry]) -> list[tuple[str, str]]:
    """Return well and site of each file by its name; where names don't tell files apart, by number.

    Wells are only believed where every file has one.
    """
    if len(files) == 1:
        return [("", "")]
    found = [(_well(f.name), _site(f.name)) for f in files]
    if not all(well for well, _ in found):
        return [("", str(n)) for n in range(1, len(files) + 1)]
    # Files of one place that differ in nothing but their channels belong together.
    rests = [_CHANNEL.sub("", f.path) for f in files]
    per_well = Counter(well for well, _ in found)
    if len(set(zip(found, rests, strict=True))) == len(set(found)):
        return [(w, s if per_well[w] > 1 else "") for w, s in found]
    ranks: Counter[str] = Counter()
    numbered: dict[tuple[str, str], str] = {}
    for (well, _), rest in zip(found, rests, strict=True):
        if (well, rest) not in numbered:
            ranks[well] += 1
            numbered[well, rest] = str(ranks[well])
    return [(w, numbered[w, rest]) for (w, _), rest in zip(found, rests, strict=True)]


def _well(name: str) -> str:
    for match in _WELL.finditer(name):
        try:
            return well_name(*well_position(match[1] or match[2]))
        except ValueError:
            continue
    return ""


def _site(name: str) -> str:
    match = _SITE.search(name)
    return match[1] if match else ""


class _ContainerReader:
    """A folder of files of one type."""

    name: ClassVar[str]
    suffix: ClassVar[str]

    def score(self, listing: Listing) -> float:
        """Return 0.85 for a folder whose images are all of this type, less where others are there."""
        images = listing.images()
        own = len(listing.with_suffix(self.suffix))
        return 0.85 * own / len(images) if own else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return a plane for each file, standing for all that it holds."""
        files = sorted(listing.with_suffix(self.suffix), key=lambda f: natural(f.path))
        planes = [
            SourcePlane(f.path, well, site, "")
            for f, (well, site) in zip(files, _names(files), strict=True)
        ]
        own = {f.path for f in files}
        problems = aggregate(
            "other_format",
            "{n} {file is|files are} no " + self.suffix + " {file|files} and {is|are} left out",
            [f.path for f in listing.images() if f.path not in own],
        )
        return Survey(
            VendorFacts(reader=self.name, own_sizes=True), planes, [], list(problems), files
        )


class Nd2Reader(_ContainerReader):
    name: ClassVar = "nd2"
    title: ClassVar = "Nikon ND2"
    help: ClassVar = (
        "ND2 files of NIS-Elements: positions are sites, their names (B02_0001) or the files' names "
        "(WellB02_…) say the wells; channels, z planes, times, stage positions and the pixel size are the "
        "file's own."
    )
    VERSION: ClassVar = 1
    suffix: ClassVar = ".nd2"


class CziReader(_ContainerReader):
    name: ClassVar = "czi"
    title: ClassVar = "ZEISS CZI"
    help: ClassVar = (
        "CZI files of ZEN: scenes are wells where they lie in wells, else sites; the tiles of a mosaic are "
        "sites with their own places, as they were taken; channels, z planes, times and the pixel size are "
        "the file's own."
    )
    VERSION: ClassVar = 1
    suffix: ClassVar = ".czi"


class LifReader(_ContainerReader):
    name: ClassVar = "lif"
    title: ClassVar = "Leica LIF"
    help: ClassVar = (
        "LIF projects of LAS X: series and the tiles of mosaics are sites; wells are those of the series' "
        "names (TileScan 1/B/3/R1); channels, z planes, times and the pixel size are the file's own."
    )
    VERSION: ClassVar = 1
    suffix: ClassVar = ".lif"
