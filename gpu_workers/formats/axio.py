"""Zeiss AxioImager with AxioVision: ``<name>_p<position><channel>.tif``, with ``t``, ``z`` and ``c`` numbers.

The names say no well: all positions are sites of one, unless a well stands before the position.
"""

from __future__ import annotations

import re
from typing import ClassVar

from gpu_workers.formats.listing import Listing
from gpu_workers.formats.names import share, survey_names
from gpu_workers.formats.survey import Survey

_NAME = re.compile(
    r"(?:.*?_)??(?:(?P<well>[A-P]\d{2})_)?p(?P<site>\d{1,6})"
    r"(?:t(?P<t>\d{1,8}))?(?:z(?P<z>\d{1,6}))?(?P<channel>[A-Za-z][A-Za-z0-9]{0,39})?\.(?:tiff?|TIFF?|zvi|png)"
)


class _Names:
    pattern = _NAME.pattern

    @staticmethod
    def search(text: str, **_limits: object) -> re.Match[str] | None:
        return _NAME.fullmatch(text) if "_p" in text or text[:1] == "p" else None


class AxioReader:
    name: ClassVar = "axio"
    title: ClassVar = "Zeiss AxioImager"
    help: ClassVar = "Files that AxioVision exports, called <name>_p<position><channel>.tif."
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 0.5 where nearly all names are of this kind."""
        return 0.5 if share(listing.images(), _Names) > 0.9 else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the planes that the names describe."""
        return survey_names(self.name, listing.images(), _Names)
