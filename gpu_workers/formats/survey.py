"""What a reader finds: the planes of an acquisition and the facts around them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import Field

from gpu_workers.formats.listing import FileEntry
from gpu_workers.messages import FlatField, Message, Problem

Role = Literal["plane", "projection"]
MAX_ROWS, MAX_COLUMNS = 32, 48
_WELL = re.compile(r"([A-Za-z]{1,2})[-_]?([0-9]{1,2})")
PLATE_FORMATS: dict[int, tuple[int, int]] = {
    1: (1, 1), 6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48),
}  # fmt: skip


class SourcePlane(NamedTuple):
    """One plane of the source as its name or the vendor's metadata describes it.

    Attributes
    ----------
    file
        Path below the acquisition's folder.
    z, t
        The vendor's own numbers.
    stage_y_um, stage_x_um
        Position of the stage for this field, µm, in the vendor's axes.
    well, site, channel
        Empty where the file itself says it (its contents), or nothing does.
    page
        Number of the one plane of the file that is meant; None: all that the file holds.
    cycle
        Round of staining, from 0, where names tell it; None: the acquisition is one.
    y_px, x_px
        Upper left corner in px within the well, where a list of positions gives it in pixels.
    time_s
        Seconds since the start of the acquisition.
    """

    file: str
    well: str
    site: str
    channel: str
    z: int = 0
    t: int = 0
    role: Role = "plane"
    stage_y_um: float | None = None
    stage_x_um: float | None = None
    z_um: float | None = None
    method: str | None = None
    page: int | None = None
    cycle: int | None = None
    y_px: float | None = None
    x_px: float | None = None
    time_s: float | None = None


class ChannelFacts(Message):
    """A channel as the vendor names it; `key` is what `SourcePlane.channel` says."""

    key: str
    name: str
    wavelength_nm: float | None = None
    color: str | None = None
    excitation_nm: float | None = None
    exposure_ms: float | None = None
    brightfield: bool = False
    flatfield: FlatField | None = None


class VendorFacts(Message):
    """What metadata says about an acquisition as a whole.

    `y_sign` is +1 where the vendor's stage y grows downwards in the image, -1 where it grows upwards.
    """

    reader: str
    plate_name: str | None = None
    n_rows: int | None = None
    n_columns: int | None = None
    grid: tuple[int, int] | None = Field(None, description="sites of a well: rows, columns")
    channels: tuple[ChannelFacts, ...] = ()
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    shape: tuple[int, int] | None = None
    dtype: str | None = None
    y_sign: Literal[1, -1] = 1
    plate_format: int | None = Field(None, description="number of wells, if it is a usual plate")
    objective: str | None = None
    magnification: float | None = None
    acquired_at: str | None = Field(None, description="ISO 8601")
    t_step_s: float | None = None
    own_sizes: bool = Field(
        False, description="every file is a picture of its own: sites may differ in size"
    )


@dataclass(frozen=True, slots=True)
class Survey:
    """All a reader knows of an acquisition without opening an image file.

    Attributes
    ----------
    planes
        Planes whose files are there.
    absent
        Planes that the metadata describes but whose files are not there.
    files
        The image files to open, where they aren't all files with an image's suffix (thumbnails and
        calibration images left out, or folders of a Zarr hierarchy).
    unplaced
        Image files that belong to the acquisition but that its list of positions leaves out.
    """

    facts: VendorFacts
    planes: list[SourcePlane]
    absent: list[SourcePlane] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: list[FileEntry] | None = None
    unplaced: list[str] = field(default_factory=list)


def well_name(row: int, column: int) -> str:
    """Return the name of the well at a row and column counted from 0, such as B02.

    Raises
    ------
    ValueError
        No plate has such a well.
    """
    if not (0 <= row < MAX_ROWS and 0 <= column < MAX_COLUMNS):
        raise ValueError(f"no plate has row {row + 1} and column {column + 1}")
    letters = chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
    return f"{letters}{column + 1:02d}"


def well_position(name: str) -> tuple[int, int]:
    """Return row and column, from 0, of a well called like B2, b02 or AA13.

    Raises
    ------
    ValueError
        It isn't the name of a well of any plate.
    """
    match = _WELL.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not the name of a well")
    row = 0
    for letter in match[1].upper():
        row = 26 * row + ord(letter) - ord("A") + 1
    return well_position_checked(row - 1, int(match[2]) - 1)


def well_position_checked(row: int, column: int) -> tuple[int, int]:
    """Return row and column, or raise ValueError where no plate has them."""
    well_name(row, column)
    return row, column


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers: s2 before s10."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in parts)
