"""Site images pasted into the shards of level 0; entry point: `Painter.shard`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging import mosaic
from gpu_workers.imaging.ownership import overlap, owner_mask
from gpu_workers.steps.illuminati.planning import SiteTable
from gpu_workers.storage.layout import PlateLayout, SiteLayout
from gpu_workers.storage.pyramid import Array, Place

# A site that straddles shards is read once as long as this many bytes of prepared images suffice.
CACHE_BYTES = 192 * 1024**2

Read = Callable[[int, Place], NDArray[np.unsignedinteger] | None]


@dataclass
class Painter:
    """Makes shards of level 0 of one plate and counts the values of the pixels it pastes.

    Parameters
    ----------
    read
        Returns a site's plane, mapped to uint8 or uint16, or None if it is missing.
    padding
        Returns the value of pixels that no site shows.
    """

    plate: PlateLayout
    shard_side: int
    read: Read
    padding: Callable[[Place], int] = lambda _place: 0
    counts: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    _table: SiteTable = field(init=False)
    _images: OrderedDict[tuple[int, Place], NDArray[np.unsignedinteger]] = field(
        default_factory=OrderedDict
    )
    _masks: OrderedDict[tuple[int, ...], NDArray[np.bool_]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._table = SiteTable.of(self.plate)

    def shard(self, place: Place, sy: int, sx: int) -> Array | None:
        """Return a shard of level 0, None if no site has pixels there.

        Where sites overlap, each pixel comes from its owner among the sites whose plane exists, so
        that a missing plane leaves no hole that a neighbour could fill.
        """
        side = self.shard_side
        y, x = sy * side, sx * side
        sites = [self.plate.sites[i] for i in self._table.inside(y, x, side, side)]
        images = {s.index: self._image(s, place) for s in sites}
        present = [s for s in sites if images[s.index] is not None]
        if not present:
            return None
        target = np.full((side, side), self.padding(place), np.uint16)
        counts = self.counts.setdefault(place[1], mosaic.new_counts())
        for site in present:
            image = images[site.index]
            assert image is not None
            owned = self._mask(site, present)
            y0, x0 = max(site.y, y), max(site.x, x)
            y1, x1 = min(site.y + site.height, y + side), min(site.x + site.width, x + side)
            part = np.s_[y0 - site.y : y1 - site.y, x0 - site.x : x1 - site.x]
            mosaic.paste(
                target[y0 - y : y1 - y, x0 - x : x1 - x],
                image[part],
                None if owned is None else owned[part],
                counts,
            )
        return target

    def halve(self, place: Place, image: Array, level: int, y: int, x: int) -> Array:
        """Return the mean of 2x2 pixels, counting only those that show a part of a site."""
        side, scale = image.shape[0], 1 << level
        inside = self._table.inside(y * scale, x * scale, side * scale, side * scale)
        sites = [self.plate.sites[i] for i in inside]
        covered = mosaic.coverage(sites, level, y, x, side, side)
        return mosaic.downsample_mean(image, covered, self.padding(place))

    def _image(self, site: SiteLayout, place: Place) -> NDArray[np.unsignedinteger] | None:
        key = (site.index, place)
        image = self._images.get(key)
        if image is None:
            image = self.read(site.index, place)
            if image is None:
                return None
            if image.shape != (site.height, site.width):
                raise UserError(
                    f"site {site.name} of well {site.well} of plate {self.plate.name} is"
                    f" {image.shape} px, the layout says {(site.height, site.width)}",
                    code="image_size",
                )
            self._images[key] = image
            while (
                len(self._images) > 1 and sum(i.nbytes for i in self._images.values()) > CACHE_BYTES
            ):
                self._images.popitem(last=False)
        return image

    def _mask(self, site: SiteLayout, present: list[SiteLayout]) -> NDArray[np.bool_] | None:
        others = [s for s in present if s.index != site.index and overlap(site, s) is not None]
        if not others:
            return None
        key = (site.index, *(s.index for s in others))
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = owner_mask(site, others)
            if len(self._masks) > 16:
                self._masks.popitem(last=False)
        return mask
