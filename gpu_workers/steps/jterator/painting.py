"""Index mosaics: site labels, renumbered, pasted on the plate; entry point: `IndexPainter`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.labels import lookup
from gpu_workers.imaging.ownership import owner_mask
from gpu_workers.steps.jterator.sites import rivals
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.pyramid import Place

KEPT_SITES = 8

Indices = NDArray[np.uint32]
Reader = Callable[[SiteLayout, int, int], Indices]  # (site, t, z) -> its plane of dense indices


def paste(target: Indices, indices: Indices, owned: NDArray[np.bool_]) -> Indices:
    """Paste a site's plane: into its own pixels always, into others' where nothing lies yet.

    Parameters
    ----------
    target : ndarray of uint32
        Region of the mosaic; not changed.
    indices : ndarray of uint32, same shape
        The site's objects there; 0 elsewhere.
    owned : ndarray of bool, same shape
        Pixels that the site owns.

    Returns
    -------
    ndarray of uint32
        An object that its site shows beyond its own pixels stays whole; only where the owner of a
        pixel shows another object that counts, that one wins.

    Examples
    --------
    >>> paste(np.array([0, 5, 5], np.uint32), np.array([1, 1, 0], np.uint32), np.array([1, 0, 0], bool))
    array([1, 5, 5], dtype=uint32)
    """
    wins = (indices > 0) & (owned | (target == 0))
    return np.where(wins, indices, target)


@dataclass(slots=True)
class IndexPainter:
    """Makes shards of level 0 of an index mosaic.

    Parameters
    ----------
    shard
        Side of a shard, px.
    read
        Gives a site's plane of dense indices.
    """

    plate: PlateLayout
    shard: int
    read: Reader
    _planes: OrderedDict[tuple[int, int, int], Indices] = field(default_factory=OrderedDict)
    _masks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def paint(self, place: Place, row: int, column: int) -> Indices | None:
        """Return the pixels of a shard; None where no site lies."""
        y0, x0 = row * self.shard, column * self.shard
        y1, x1 = y0 + self.shard, x0 + self.shard
        here = [
            s
            for s in self.plate.sites
            if s.y < y1 and s.x < x1 and s.y + s.height > y0 and s.x + s.width > x0
        ]
        if not here:
            return None
        target = np.zeros((self.shard, self.shard), np.uint32)
        # owners first: what they show is never covered by what a neighbour sees beyond its own region
        for own_pixels in (True, False):
            for site in here:
                top, left = max(site.y, y0), max(site.x, x0)
                bottom, right = min(site.y + site.height, y1), min(site.x + site.width, x1)
                on_site = np.s_[top - site.y : bottom - site.y, left - site.x : right - site.x]
                on_shard = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
                owned = self._owned(site)[on_site]
                if not own_pixels and owned.all():
                    continue
                indices = self._plane(site, place)[on_site]
                if own_pixels:
                    indices = np.where(owned, indices, np.uint32(0))
                target[on_shard] = paste(target[on_shard], indices, owned)
        return target

    def _owned(self, site: SiteLayout) -> NDArray[np.bool_]:
        if site.index not in self._masks:
            self._masks[site.index] = owner_mask(site, rivals(self.plate, site))
        return self._masks[site.index]

    def _plane(self, site: SiteLayout, place: Place) -> Indices:
        key = (site.index, place[0], place[2])
        if key not in self._planes:
            self._planes[key] = self.read(site, place[0], place[2])
            if len(self._planes) > KEPT_SITES:
                self._planes.popitem(last=False)
        return self._planes[key]


def reader(
    labels: Callable[[SiteLayout, int, int], NDArray[np.uint32]],
    tables: Callable[[SiteLayout], Callable[[int, int], NDArray[np.uint32]]],
) -> Reader:
    """Return a reader of dense indices from one of site labels and the tables of each site."""

    def read(site: SiteLayout, t: int, z: int) -> Indices:
        return np.asarray(lookup(labels(site, t, z), tables(site)(t, z)), np.uint32)

    return read
