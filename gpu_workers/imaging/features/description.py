"""What a measured feature is, in words; the documentation is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FeatureDescription:
    """One feature, or a series of them that differ in a number.

    Attributes
    ----------
    name
        As in tables, without the channel; numbers that vary in braces
        (``Texture_Haralick-contrast-{scale}``).
    formula
        What is computed, in one line.
    unit
        Of the values; "" for pure numbers, "intensity" for those of the image.
    source
        Where the definition comes from.
    peers
        Library -> its column with equal values.
    differs
        Library -> its column with other values, and why.
    dimensions
        For which images it is defined: (2,), (3,) or both.
    """

    name: str
    formula: str
    unit: str
    source: str
    peers: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)
    dimensions: tuple[int, ...] = (2,)
