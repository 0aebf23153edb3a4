"""What the vendors' writers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tissuemaps.cli.simulate.scene import PlateScene

Z_STEP_UM = 3.0
STARTED = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class PlaneAddress:
    """Which plane: all from 0."""

    row: int
    column: int
    site: int
    t: int
    c: int
    z: int


class PlateWriter(ABC):
    """Writes planes as they come, from several threads, and the plate's metadata at the end."""

    def __init__(self, folder: Path, scene: PlateScene, cycle: int):
        self.folder = folder
        self.scene = scene
        self.cycle = cycle
        folder.mkdir(parents=True)

    @abstractmethod
    def write_plane(self, address: PlaneAddress, image: NDArray[np.uint16]) -> None:
        """Write one plane."""

    @abstractmethod
    def finish(self) -> None:
        """Write what describes the plate."""

    def stage_offset_um(self, site: int) -> tuple[float, float]:
        """Return y (down) and x of a site's centre against its well's centre, in micrometres."""
        y, x = self.scene.offsets[site]
        height, width = self.scene.canvas
        pixel, half = self.scene.pixel_size_um, self.scene.size / 2
        return (y + half - height / 2) * pixel, (x + half - width / 2) * pixel

    def taken_at(self, address: PlaneAddress) -> datetime:
        """Return a plausible moment: wells in order, time points ten minutes apart."""
        wells = self.scene.wells.index((address.row, address.column))
        seconds = wells * 4.0 + address.site * 0.9 + address.c * 0.3 + address.z * 0.1
        return STARTED + timedelta(days=self.cycle, minutes=10 * address.t, seconds=seconds)
