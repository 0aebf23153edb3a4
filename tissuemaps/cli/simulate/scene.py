"""What is simulated: wells, sites, stains, optics; a frozen description that is checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Vendor = Literal["cellvoyager", "imagexpress"]
WELL_PITCH_UM = {6: 39120.0, 24: 19300.0, 96: 9000.0, 384: 4500.0, 1536: 2250.0}
PLATE_SHAPES = {6: (2, 3), 24: (4, 6), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}


@dataclass(frozen=True, slots=True)
class Stain:
    """One channel: what it colours, in photons, without and with the full dose."""

    name: str
    wavelength_nm: int
    excitation_nm: int
    filter: str
    color: str
    nucleus: tuple[float, float]
    cytoplasm: tuple[float, float]
    spots: tuple[float, float]


STAINS = (
    Stain("DAPI", 452, 405, "BP445/45", "002fff", (720, 1500), (18, 18), (0, 0)),
    Stain("GFP", 525, 488, "BP525/50", "00ffa1", (140, 1900), (300, 260), (0, 0)),
    Stain("CellMask", 600, 561, "BP600/37", "ffaa00", (70, 70), (330, 330), (500, 1600)),
    Stain("Cy5", 676, 640, "BP676/29", "ff0000", (260, 120), (500, 700), (0, 0)),
)


@dataclass(frozen=True, slots=True)
class PlateScene:
    """A plate to simulate. Lengths in pixels unless named otherwise; rows, columns count from 0."""

    wells: tuple[tuple[int, int], ...]
    name: str = "simulated"
    plate_format: int = 96
    sites: tuple[int, int] = (2, 2)
    size: int = 1024
    channels: int = 3
    overlap: float = 0.1
    z: int = 1
    t: int = 1
    cycles: int = 1
    seed: int = 0
    pixel_size_um: float = 0.65
    nucleus_radius: float = 9.5
    density: float = 230.0
    illumination: float = 0.3
    noise: bool = True
    projection: bool = False
    missing: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        """Refuse what no microscope does."""
        rows, columns = PLATE_SHAPES.get(self.plate_format, (0, 0))
        checks = {
            f"plate_format must be one of {sorted(PLATE_SHAPES)}": rows > 0,
            "wells must lie on the plate": all(
                r in range(rows) and c in range(columns) for r, c in self.wells
            ),
            "at least one well must be left": bool(set(self.wells) - self.missing),
            f"channels must be 1 to {len(STAINS)}": 1 <= self.channels <= len(STAINS),
            "size must be 64 or more": self.size >= 64,
            "overlap must be in [0, 0.5)": 0 <= self.overlap < 0.5,
            "sites, z, t and cycles must be 1 or more": min(
                *self.sites, self.z, self.t, self.cycles
            )
            >= 1,
            "illumination must be in [0, 0.9]": 0 <= self.illumination <= 0.9,
        }
        for message, holds in checks.items():
            if not holds:
                raise ValueError(message)

    @property
    def stains(self) -> tuple[Stain, ...]:
        """The channels, in order."""
        return STAINS[: self.channels]

    @property
    def present(self) -> tuple[tuple[int, int], ...]:
        """Wells that are written, in order."""
        return tuple(w for w in self.wells if w not in self.missing)

    @property
    def step(self) -> int:
        """Distance of neighbouring sites."""
        return self.size - round(self.size * self.overlap)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of a well: the union of its sites."""
        ny, nx = self.sites
        return self.size + (ny - 1) * self.step, self.size + (nx - 1) * self.step

    @property
    def offsets(self) -> tuple[tuple[int, int], ...]:
        """Top left corner (y, x) of each site within its well, row by row."""
        ny, nx = self.sites
        return tuple((i * self.step, j * self.step) for i in range(ny) for j in range(nx))

    def dose(self, column: int) -> float:
        """Return the dose of a column, 0 to 1: a sigmoid over the plate's used columns."""
        import math

        used = sorted({c for _, c in self.wells})
        if len(used) == 1:
            return 0.0
        place = used.index(column) / (len(used) - 1)
        return 1 / (1 + math.exp(-(place - 0.5) * 9))


def well_name(row: int, column: int) -> str:
    """Return the name of a well, such as ``B02``; rows past Z are ``AA`` and on."""
    letter = chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
    return f"{letter}{column + 1:02d}"
