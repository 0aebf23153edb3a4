"""Display colours of channels, from stain names, wavelengths or the vendor; entry point: `assign`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gpu_workers.formats.survey import ChannelFacts

BLUE, GREEN, RED, MAGENTA, YELLOW, CYAN, ORANGE, GREY = (
    "#3d7bff", "#00d26a", "#ff4b4b", "#f452e6", "#f5d000", "#22d3ee", "#ff9a3d", "#ffffff",
)  # fmt: skip
PALETTE: Final = (BLUE, GREEN, RED, MAGENTA, YELLOW, CYAN, ORANGE, GREY)
_STAINS: Final[tuple[tuple[str, str], ...]] = (
    (r"dapi|hoechst|h33342|nuclei|nuclear|\bdna\b|h2b", BLUE),
    (r"fitc|gfp|alexa.?488|\baf?488|fluo.?4|calcein", GREEN),
    (r"\bcfp|cerulean", CYAN),
    (r"yfp|venus", YELLOW),
    (r"tritc|cy3(?!\.)|rhodamine|alexa.?(546|555|568)|\baf?5(46|55|68)|mito", ORANGE),
    (r"mcherry|texas.?red|\brfp|td.?tomato|alexa.?594|\baf?594|phalloidin|actin", RED),
    (r"cy5|far.?red|alexa.?(633|647|660)|\baf?6(33|47|60)|draq", MAGENTA),
    (r"bright.?field|transmitted|\bbf\b|phase|\bdic\b|\btl\b", GREY),
)
# The red, green and blue of a colour image, whatever is stained in it.
_COMPONENT: Final = re.compile(r"(?:^| )(?:red|green|blue)$")
_BANDS: Final[tuple[tuple[float, str], ...]] = (
    (480, BLUE), (500, CYAN), (545, GREEN), (575, YELLOW), (610, ORANGE), (640, RED), (900, MAGENTA),
)  # fmt: skip


def _known(channel: ChannelFacts) -> str | None:
    if channel.color and _COMPONENT.search(channel.name):
        return channel.color
    for stain, color in _STAINS:
        if re.search(stain, channel.name, re.IGNORECASE):
            return color
    wavelength = channel.wavelength_nm
    if wavelength is not None and wavelength > 0:
        return next((color for limit, color in _BANDS if wavelength < limit), MAGENTA)
    return channel.color


def assign(channels: Sequence[ChannelFacts]) -> list[str]:
    """Return one ``#rrggbb`` per channel: known stains first, then the free colours of a palette.

    A single channel of which nothing is known is grey; two channels share a colour only where the
    palette is used up.
    """
    if len(channels) == 1 and _known(channels[0]) is None:
        return [GREY]
    colors: list[str | None] = []
    for channel in channels:
        color = _known(channel)
        colors.append(None if color in colors else color)
    free = [c for c in PALETTE if c not in colors] or list(PALETTE)
    result: list[str] = []
    taken = 0
    for color in colors:
        result.append(color or free[taken % len(free)])
        taken += color is None
    return result
