"""Shards of level 0 with the counts of their values, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpu_workers.steps.illuminati.painting import Painter
from gpu_workers.steps.illuminati.reuse import Node, Spot
from gpu_workers.storage.pyramid import Array, Place


@dataclass
class CountingPainter:
    """A painter that keeps what it counted of each shard apart."""

    painter: Painter
    _counts: dict[Spot, tuple[int, NDArray[np.int64]]] = field(default_factory=dict)

    def shard(self, place: Place, sy: int, sx: int) -> Array | None:
        """Return a shard of level 0, None if no site has pixels there."""
        self.painter.counts.clear()
        image = self.painter.shard(place, sy, sx)
        banks = self.painter.counts.get(place[1])
        if banks is not None:
            self._counts[0, place, sy, sx] = _trimmed(banks.sum(axis=0))
        return image

    def node(self, digest: str, path: str, spot: Spot, earlier: Node | None) -> Node:
        """Return what the table says of a node that was painted or taken over."""
        if spot in self._counts:
            return Node(digest, path, spot, *self._counts[spot])
        if earlier is not None:
            return Node(digest, path, spot, earlier.first, earlier.counts)
        return Node(digest, path, spot)


def _trimmed(counts: NDArray[np.integer]) -> tuple[int, NDArray[np.int64]]:
    """Return the first value that occurs and the counts from it to the last."""
    used = np.flatnonzero(counts)
    if not used.size:
        return 0, np.zeros(0, np.int64)
    return int(used[0]), counts[used[0] : used[-1] + 1].astype(np.int64)
