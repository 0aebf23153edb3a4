"""Thermo Cellomics ArrayScan: ``<plate>_<well>f<field>d<channel>.TIF`` (or ``.C01``).

Plate, positions and channels stand in a database that isn't exported; pixel size and stage position
of a ``.C01`` file stand in the file.
"""

from __future__ import annotations

import re
from typing import ClassVar

from gpu_workers.formats.listing import FileEntry, Listing
from gpu_workers.formats.names import share, survey_names
from gpu_workers.formats.survey import Survey

# Other programs write names of this kind as well; the channel is left out where there is only one.
_NAME = re.compile(
    r"_(?P<well>[A-P]\d{2})(?:t(?P<t>\d{1,5}))?f(?P<site>\d{1,4})(?:z(?P<z>\d{1,4}))?(?:d(?P<channel>\d{1,2}))?"
    r"\.(?i:tiff?|c01|png)",
)
# Overlays that the software draws on the images: no measurement.
_OVERLAY = re.compile(r"_[A-P]\d{2}f\d+(?:d\d+)?(?:_overlay|o\d?)\.\w+", re.IGNORECASE)


class _Names:
    """The pattern of names, to the end of each."""

    pattern = _NAME.pattern

    @staticmethod
    def search(text: str, **_limits: object) -> re.Match[str] | None:
        match = _NAME.search(text)
        return match if match and match.end() == len(text) else None


class CellomicsReader:
    name: ClassVar = "cellomics"
    title: ClassVar = "Thermo Cellomics ArrayScan"
    help: ClassVar = "Files called <plate>_<well>f<field>d<channel>, as TIFF or .C01."
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return up to 0.6, by how many names are of this kind."""
        part = share(_measured(listing), _Names)
        return 0.6 * part if part > 0.5 else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the names describe."""
        return survey_names(self.name, _measured(listing), _Names)


def _measured(listing: Listing) -> list[FileEntry]:
    return [f for f in listing.images() if not _OVERLAY.search(f.name)]
