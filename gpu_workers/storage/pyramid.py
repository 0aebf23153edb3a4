"""Multiscale images written shard by shard; entry points: `Pyramid` and `plan_rounds`.

Mosaics (means) and index mosaics (labels) are written through it. A job owns whole shards, so jobs
never write the same file; a shard without a value is not written at all. `write_metadata` makes the
folder a valid OME-Zarr 0.5 image; until then only this module reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.storage import ome, paths
from gpu_workers.storage.shards import decode_shard, encode_shard

TILE = 512
CLEVEL = 3
# A job's top shard with all shards below it, of one plane, holds at most this many bytes of pixels.
SUBTREE_BYTES = 160 * 1024**2
# Later rounds only read back what is stored, so they may take more, and fewer barriers are needed.
LATER = 16

Array = NDArray[np.unsignedinteger]
Place = tuple[int, int, int]  # t, c, z
Halve = Callable[[Array, int, int, int], Array]  # (a shard, its level, its y and x there in px)
Source = Callable[[Place, int, int], Array | None]  # (place, shard row, shard column)
# (level, place, sy, sx) -> whether the shard and all below it need not be made
Taken = Callable[[int, Place, int, int], bool]


@dataclass(frozen=True, slots=True)
class Round:
    """Levels `bottom` to `top`, made by jobs that own one shard of level `top` and all below it."""

    bottom: int
    top: int


def plan_rounds(
    shard: int, n_levels: int, itemsize: int, limit: int = SUBTREE_BYTES
) -> tuple[Round, ...]:
    """Group the levels of a pyramid into rounds, level 0 first.

    A job of the first round makes a shard of its top level and everything below it from the
    sources, one of a later round from the stored shards of the round before; so a level is read
    back (and decoded) only at the barrier between two rounds.

    Examples
    --------
    >>> plan_rounds(2048, 6, 2)
    (Round(bottom=0, top=2), Round(bottom=3, top=5))
    """
    rounds: list[Round] = []
    bottom = 0
    while bottom < n_levels:
        depth = 0 if bottom == 0 else 1
        while 4 ** (depth + 1) * shard * shard * itemsize <= limit:
            depth += 1
        # A later round counts from the level below its bottom, which it reads.
        top = min(depth if bottom == 0 else bottom + depth - 1, n_levels - 1)
        rounds.append(Round(bottom, top))
        bottom = top + 1
        limit = LATER * SUBTREE_BYTES
    return tuple(rounds)


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The geometry of a multiscale image and where its shards lie.

    Attributes
    ----------
    folder
        The image's folder, for example ``mosaics/<key>/<plate>.zarr``.
    shape
        (t, c, z, y, x) of level 0; level L has ``ceil(y / 2**L)`` rows.
    dtype
        uint16 for pixels, uint32 for labels.
    shard
        Side of a shard in pixels, a multiple of 512; the same at all levels.
    padding
        Value of the pixels that no image shows, for each channel; () for 0 everywhere.
    """

    folder: Path
    shape: tuple[int, int, int, int, int]
    dtype: Literal["uint16", "uint32"]
    shard: int
    n_levels: int
    padding: tuple[int, ...] = ()

    @property
    def fill_value(self) -> int:
        """What an absent chunk stands for: the padding of all channels, 0 where they differ."""
        return self.padding[0] if len(set(self.padding)) == 1 else 0

    def padding_of(self, place: Place) -> int:
        """Return the value of pixels that no site shows, for the channel of a place."""
        return self.padding[place[1]] if self.padding else 0

    def size(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level in pixels."""
        return -(-self.shape[3] >> level), -(-self.shape[4] >> level)

    def grid(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level in shards."""
        height, width = self.size(level)
        return -(-height // self.shard), -(-width // self.shard)

    @property
    def levels(self) -> list[dict[str, Any]]:
        """The levels as manifests name them: path, height, width."""
        sizes = [self.size(level) for level in range(self.n_levels)]
        return [{"path": str(i), "height": h, "width": w} for i, (h, w) in enumerate(sizes)]

    def shard_path(self, level: int, place: Place, sy: int, sx: int) -> Path:
        """Return the file of a shard, written or not."""
        return ome.shard_path(self.folder / str(level), *place, sy, sx)

    def write_shard(self, level: int, place: Place, sy: int, sx: int, image: Array | None) -> int:
        """Write one shard and return its size in bytes, 0 if it is empty and so not written.

        `image` may be smaller than a shard (the rest is empty); None is an empty one.
        """
        if image is None:
            return 0
        if image.dtype != self.dtype:
            raise TypeError(f"{image.dtype} pixels for a pyramid of {self.dtype}")
        image = _padded(image, self.shard, self.padding_of(place))
        present = _filled(image, self.shard, self.fill_value)
        data = encode_shard(image, chunk=TILE, clevel=CLEVEL, present=present)
        if data is None:
            return 0
        paths.write_atomically(self.shard_path(level, place, sy, sx), data)
        return len(data)

    def read_shard(self, level: int, place: Place, sy: int, sx: int) -> Array | None:
        """Return a shard's pixels, (shard, shard), None if it was not written; raises FileError."""
        try:
            data = self.shard_path(level, place, sy, sx).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        side = (self.shard, self.shard)
        return decode_shard(data, side, self.dtype, chunk=TILE, fill=self.fill_value)

    def build(
        self,
        round_: Round,
        place: Place,
        sy: int,
        sx: int,
        halve: Halve,
        source: Source | None = None,
        taken: Taken | None = None,
    ) -> int:
        """Make a shard of the round's top level and all below it; return the bytes written.

        Parameters
        ----------
        round_
            From `plan_rounds`.
        place
            (t, c, z).
        sy, sx
            The shard of level `round_.top`.
        halve
            Halves a shard for the next level: called with its pixels, its level, and its y and x
            there in pixels.
        source
            Gives the shards of level 0; needed by the round that makes level 0 only.
        taken
            Asked of each shard before it is made: whether it is there already, with all below it.
        """
        if taken is not None and taken(round_.top, place, sy, sx):
            return 0
        return self._build(round_.top, round_.bottom, place, sy, sx, halve, source, taken)[1]

    def _build(
        self,
        level: int,
        bottom: int,
        place: Place,
        sy: int,
        sx: int,
        halve: Halve,
        source: Source | None,
        taken: Taken | None,
    ) -> tuple[Array | None, int]:
        rows, columns = self.grid(level)
        if sy >= rows or sx >= columns:
            return None, 0
        if level < bottom:
            return self.read_shard(level, place, sy, sx), 0
        if level == 0:
            assert source is not None
            image = source(place, sy, sx)
            return image, self.write_shard(0, place, sy, sx, image)
        written = 0
        half = self.shard // 2
        image = None
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y, x = 2 * sy + i, 2 * sx + j
            if taken is not None and level > bottom and taken(level - 1, place, y, x):
                part, size = self.read_shard(level - 1, place, y, x), 0
            else:
                part, size = self._build(level - 1, bottom, place, y, x, halve, source, taken)
            written += size
            if part is None:
                continue
            if image is None:
                image = np.full((self.shard, self.shard), self.padding_of(place), self.dtype)
            image[i * half : (i + 1) * half, j * half : (j + 1) * half] = halve(
                _padded(part, self.shard, self.padding_of(place)),
                level - 1,
                y * self.shard,
                x * self.shard,
            )
        return image, written + self.write_shard(level, place, sy, sx, image)

    def files(self) -> Iterator[Path]:
        """Yield the shards that were written."""
        for level in range(self.n_levels):
            for folder, _, names in os.walk(self.folder / str(level) / "c"):
                yield from (Path(folder) / name for name in names if not name.startswith("."))

    def bytes_written(self) -> int:
        """Return the size of all shards on disk."""
        return sum(path.stat().st_size for path in self.files())

    def write_metadata(
        self,
        *,
        name: str,
        pixel_size_um: float | None,
        z_step_um: float | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Write the group's and the arrays' ``zarr.json``: OME-Zarr 0.5, `attributes` below "ome".

        Pixels of level L are centred ``(2**L - 1) / 2`` px further for means, and stay where they
        are for labels, which are sampled.
        """
        for level in range(self.n_levels):
            shape = (*self.shape[:3], *self.size(level))
            side = (self.shard, self.shard)
            metadata = ome.array_metadata(
                shape, self.dtype, shard=side, clevel=CLEVEL, chunk=TILE, fill=self.fill_value
            )
            ome.write_array(self.folder / str(level), metadata)
        is_labels = self.dtype == "uint32"
        multiscales = ome.multiscales(
            name,
            pixel_size_um=pixel_size_um,
            z_step_um=z_step_um,
            n_levels=self.n_levels,
            sampled=is_labels,
        )
        multiscales[0]["type"] = "nearest" if is_labels else "mean"
        ome.write_group(self.folder, {"multiscales": multiscales, **(attributes or {})})


def _filled(image: Array, side: int, fill: int) -> NDArray[np.bool_]:
    """Return which chunks of a shard hold anything but the fill value: the others are not stored."""
    n = side // TILE
    if fill:
        rows = (image != fill).reshape(n, TILE, -1).any(axis=1)
        return np.asarray(rows.reshape(n, n, -1).any(axis=2))
    words = np.ascontiguousarray(image).view(np.uint64).reshape(n, TILE, -1)
    return np.asarray(np.bitwise_or.reduce(words, axis=1).reshape(n, n, -1).any(axis=2))


def _padded(image: Array, side: int, fill: int) -> Array:
    if image.shape == (side, side):
        return image
    whole = np.full((side, side), fill, image.dtype)
    whole[: image.shape[0], : image.shape[1]] = image
    return whole
