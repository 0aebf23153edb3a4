"""CZI files of ZEISS microscopes: scenes, mosaic tiles, z stacks and time series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent, PlaneContent
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.files.zeiss_metadata import CziFacts, Scene, facts_of, number, parse
from gpu_workers.formats.files.zisraw import PIXEL_TYPES, Segments, SubBlock, size_of
from gpu_workers.formats.listing import open_below, shown

# Tags of so many subblocks are read for times and stage positions: each is a read of its own.
MAX_TAGGED = 5_000
_Key = tuple[int, int, tuple[tuple[str, int], ...], int]


class CziFile:
    """A CZI file: each scene, and each tile of a mosaic, is an image; a page is a subblock.

    Tiles are read as they were taken, with their place on the canvas; nothing is stitched.
    """

    suffixes: ClassVar = (".czi",)
    guarded: ClassVar = True

    def __init__(self, folder: Path, file: str):
        self._file = file
        self._stream = open_below(folder, file)
        try:
            self._segments = Segments(self._stream, file)
            self._blocks = self._segments.subblocks()
        except BaseException:
            self._stream.close()
            raise

    def contents(self) -> tuple[ImageContent, ...]:
        """Return an image for each scene and mosaic tile."""
        facts = facts_of(self._segments.metadata())
        groups = self._groups()
        ranks = [_ranks(getattr(b, d) for b in self._blocks) for d in "tcz"]
        places = _Places(groups, facts)
        images = []
        budget = MAX_TAGGED
        for key, pages in groups.items():
            image = self._image(key, pages, ranks, facts)
            if budget > 0:
                image, used = self._tagged(image, budget)
                budget -= used
            images.append(places.place(image, key))
        return _relative_times(tuple(images))

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return a subblock, or one colour component of it."""
        if not 0 <= page < len(self._blocks):
            raise FileError(
                f"{shown(self._file)} has {len(self._blocks)} planes, not {page + 1}",
                code="missing_page", files=(shown(self._file),),
            )  # fmt: skip
        image = self._segments.pixels(self._blocks[page])
        return np.ascontiguousarray(image[..., sample]) if image.ndim == 3 else image

    def plane_bytes(self, page: int) -> int:
        """Return the size a page claims to have once it is unpacked."""
        block = self._blocks[page] if 0 <= page < len(self._blocks) else None
        return 0 if block is None else size_of(block)

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()

    def _groups(self) -> dict[_Key, list[int]]:
        """Return the pages of each image, in the order of scenes and tiles."""
        tiles = _tiles(self._blocks)
        groups: dict[_Key, list[int]] = defaultdict(list)
        for page, block in enumerate(self._blocks):
            scene = -1 if block.scene is None else block.scene
            groups[(scene, tiles[page], block.others, block.pixel_type)].append(page)
        return dict(sorted(groups.items()))

    def _image(
        self, key: _Key, pages: list[int], ranks: list[dict[int, int]], facts: CziFacts
    ) -> ImageContent:
        blocks = [self._blocks[p] for p in pages]
        first = blocks[0]
        if any((b.height, b.width) != (first.height, first.width) for b in blocks):
            raise damaged(self._file, "planes of one image have different sizes", "mixed_sizes")
        planes = tuple(
            sorted(
                (PlaneContent(ranks[0][b.t], ranks[1][b.c], ranks[2][b.z], page)
                for page, b in zip(pages, blocks, strict=True)),
                key=lambda p: (p.t, p.c, p.z),
            )
        )  # fmt: skip
        dtype, samples = PIXEL_TYPES.get(key[3], (f"pixel type {key[3]}", 1))
        return ImageContent(
            height=first.height, width=first.width, dtype=dtype, samples=min(samples, 3),
            n_t=len(ranks[0]), n_c=len(ranks[1]), n_z=len(ranks[2]), planes=planes,
            y_px=min(b.y for b in blocks), x_px=min(b.x for b in blocks),
            pixel_size_um=facts.pixel_size_um, z_step_um=facts.z_step_um, t_step_s=facts.t_step_s,
            channels=_channels(facts, sorted(ranks[1])), objective=facts.objective,
            magnification=facts.magnification, acquired_at=facts.acquired_at, brightfield=samples > 1,
        )  # fmt: skip

    def _tagged(self, image: ImageContent, budget: int) -> tuple[ImageContent, int]:
        """Return the image with stage positions and times of its first plane at each time point."""
        times: dict[int, float] = {}
        stage: tuple[float | None, float | None] | None = None
        used = 0
        seen: set[int] = set()
        for plane in image.planes:
            if plane.t in seen or used >= budget:
                continue
            seen.add(plane.t)
            used += 1
            tags = self._tags(plane.page)
            if tags is None:
                continue
            taken = _seconds(tags.findtext("./Tags/AcquisitionTime"))
            if taken is not None:
                times[plane.t] = taken
            if stage is None:
                stage = (
                    number(tags.findtext("./Tags/StageYPosition")),
                    number(tags.findtext("./Tags/StageXPosition")),
                )
        planes = image.planes
        if times:
            planes = tuple(replace(p, time_s=times.get(p.t)) for p in planes)
        y, x = stage or (None, None)
        return replace(image, planes=planes, stage_y_um=y, stage_x_um=x), used

    def _tags(self, page: int) -> Element | None:
        """Return the tags of a subblock; None where it has none, or is damaged (reading it says so)."""
        try:
            return parse(self._segments.tags(self._blocks[page]))
        except FileError:
            return None


def _tiles(blocks: list[SubBlock]) -> list[int]:
    """Return the tile each subblock belongs to, -1 where its scene has only one.

    Some files don't number their tiles: then the place on the canvas tells them apart.
    """
    numbered = all(b.tile is not None for b in blocks)
    found: dict[tuple[object, ...], dict[tuple[int, int], int]] = defaultdict(dict)
    tiles: list[int] = []
    for b in blocks:
        if numbered:
            found[(b.scene,)].setdefault((b.tile or 0, 0), b.tile or 0)
            tiles.append(b.tile or 0)
            continue
        places = found[(b.scene,)]
        tiles.append(places.setdefault((b.y, b.x), len(places)))
    return [
        -1 if len(found[(b.scene,)]) == 1 else tile for b, tile in zip(blocks, tiles, strict=True)
    ]


def _ranks(values: Iterable[int]) -> dict[int, int]:
    return {value: rank for rank, value in enumerate(sorted(set(values)))}


def _channels(facts: CziFacts, numbers: list[int]) -> tuple[Any, ...]:
    """Return the facts of the channels that are there (a file may hold a part of those described)."""
    known = facts.channels
    if not known or any(n >= len(known) or n < 0 for n in numbers):
        return ()
    return tuple(known[n] for n in numbers)


class _Places:
    """Wells, sites and positions of images, by scene, tile and the dimensions without a meaning here."""

    def __init__(self, keys: Collection[_Key], facts: CziFacts):
        self._scenes = facts.scenes
        self._several_scenes = len({k[0] for k in keys}) > 1
        self._several_others = len({k[2] for k in keys}) > 1
        self._alone = len({k[:3] for k in keys}) == 1
        self._per_well = Counter(s.well for s in facts.scenes.values())
        self._per_name = Counter((s.well, s.name) for s in facts.scenes.values())

    def place(self, image: ImageContent, key: _Key) -> ImageContent:
        """Return the image with its well, site and position."""
        number, tile, others, _ = key
        scene = self._scenes.get(number)
        parts = []
        if number >= 0 and self._several_scenes:
            parts.append(self._scene_name(number, scene))
        if tile >= 0:
            parts.append(str(tile + 1))
        if self._several_others:
            parts.append("".join(f"{name}{value}" for name, value in others))
        y, x = image.stage_y_um, image.stage_x_um
        if scene is not None and tile < 0 and y is None and x is None:
            y, x = scene.stage_y_um, scene.stage_x_um
        return replace(
            image,
            well=scene.well if scene is not None else None,
            site="-".join(p for p in parts if p) or None,
            name=scene.name if scene is not None else None,
            # One image says nothing of where others lie: files of one well would all stand at 0, 0.
            y_px=None if self._alone else image.y_px,
            x_px=None if self._alone else image.x_px,
            stage_y_um=y,
            stage_x_um=x,
        )

    def _scene_name(self, index: int, scene: Scene | None) -> str:
        """Return what tells a scene from the others of its well; nothing if it is the only one."""
        if scene is None:
            return str(index + 1)
        if scene.well is not None and self._per_well[scene.well] == 1:
            return ""
        return scene.name if self._per_name[scene.well, scene.name] == 1 else str(index + 1)


def _seconds(text: str | None) -> float | None:
    try:
        # .NET writes seven decimals.
        whole, dot, rest = (text or "").partition(".")
        fraction = "".join(c for c in rest[:7] if c.isdecimal())
        zone = rest[len(fraction) :]
        at = datetime.fromisoformat(f"{whole}{dot}{fraction[:6]}{zone}".replace("Z", "+00:00"))
        return at.timestamp()
    except (ValueError, OverflowError):
        return None


def _relative_times(images: tuple[ImageContent, ...]) -> tuple[ImageContent, ...]:
    """Return the images with seconds since the first plane."""
    start = min((p.time_s for i in images for p in i.planes if p.time_s is not None), default=None)
    if start is None:
        return images
    return tuple(
        replace(
            i,
            planes=tuple(
                p if p.time_s is None else replace(p, time_s=round(p.time_s - start, 6))
                for p in i.planes
            ),
        )
        for i in images
    )
