"""What a simulated plate really holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Truth:
    """Every nucleus of a plate, by well and time point; coordinates are px within the well.

    Attributes
    ----------
    wells
        Names of the wells that were written.
    site_offsets
        ``(site, 2)``: y, x of each site's corner within its well.
    size
        Side of a site, px.
    doses
        Dose of each well, 0 to 1.
    well, t
        For each nucleus, the index of its well and its time point.
    y, x, radius
        For each nucleus, centre and mean radius, px.
    cycle_shifts
        ``(cycle, 2)``: y, x by which a cycle's images are shifted against the first's, px.
    """

    wells: tuple[str, ...]
    site_offsets: NDArray[np.int64]
    size: int
    doses: NDArray[np.float64]
    well: NDArray[np.int32]
    t: NDArray[np.int32]
    y: NDArray[np.float32]
    x: NDArray[np.float32]
    radius: NDArray[np.float32]
    cycle_shifts: NDArray[np.float64]

    def of_well(self, name: str, t: int = 0) -> NDArray[np.float32]:
        """Return the centres ``(nucleus, 2)`` of a well; KeyError if it was not written."""
        if name not in self.wells:
            raise KeyError(name)
        chosen = (self.well == self.wells.index(name)) & (self.t == t)
        return np.stack([self.y[chosen], self.x[chosen]], axis=1)

    def of_site(self, name: str, site: int, t: int = 0) -> NDArray[np.float32]:
        """Return the centres ``(nucleus, 2)`` that lie in a site, px within the site."""
        centres = self.of_well(name, t) - self.site_offsets[site]
        return np.asarray(centres[((centres >= 0) & (centres < self.size)).all(axis=1)], np.float32)

    def count(self, name: str, t: int = 0) -> int:
        """Return how many nuclei a well holds, each counted once."""
        return len(self.of_well(name, t))

    @property
    def total(self) -> int:
        """Nuclei of the whole plate at the first time point."""
        return int((self.t == 0).sum())

    def save(self, path: Path) -> None:
        """Write everything to an ``.npz`` file and the counts, readable, to a ``.json`` beside it."""
        arrays = {n: getattr(self, n) for n in self.__dataclass_fields__}
        arrays["wells"] = np.array(self.wells)
        np.savez_compressed(path, **arrays)
        counts = {
            name: {"nuclei": self.count(name), "dose": round(float(dose), 4)}
            for name, dose in zip(self.wells, self.doses, strict=True)
        }
        path.with_suffix(".json").write_text(
            json.dumps({"total": self.total, "wells": counts}, indent=1)
        )

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        arrays["wells"] = tuple(str(w) for w in arrays["wells"])
        arrays["size"] = int(arrays["size"])
        return cls(**arrays)


def truth_path(folder: Path) -> Path:
    """Return where the truth of a plate lies: beside its folder, where no reader looks."""
    return folder.with_name(f"{folder.name}.truth.npz")
