"""Images that a pipeline makes, kept as channels; entry points: `SiteRanges`, `derived_rounds`, `finish`.

Their mosaics are made as illuminati makes those of channels of floats: the range of all values decides
how they are stored in 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging import mosaic
from gpu_workers.imaging.mosaic import finite_range
from gpu_workers.messages import Json, Message, Problem
from gpu_workers.registry import StepOutput
from gpu_workers.steps.illuminati.painting import Painter
from gpu_workers.steps.illuminati.planning import BuildBatch, build_batches
from gpu_workers.steps.illuminati.recipe import ValueMap, value_map
from gpu_workers.steps.illuminati.summary import Clip, stored_window, summarise
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.storage import ome, paths
from gpu_workers.storage.derived import (
    DerivedManifest,
    DerivedPlate,
    SiteImages,
    images_path,
    manifest_path,
    mosaic_path,
    part_path,
    site_images,
)
from gpu_workers.storage.layout import ChannelLayout, PlateLayout, SiteLayout
from gpu_workers.storage.mosaics import MosaicChannel, PlateMosaic
from gpu_workers.storage.objects import save_arrays
from gpu_workers.storage.pyramid import TILE, Place, Pyramid, Round, plan_rounds

COLOR: Final = "#ffffff"


class DerivedBatch(Message):
    """Make shards of the mosaic of the derived channels."""

    kind: Literal["derived"] = "derived"
    build: BuildBatch

    @property
    def part(self) -> str:
        """Name of the file with the counts of values that the job leaves."""
        return f"counts-{paths.content_key(self.model_dump(mode='json'))}.npz"


class Spread(Message):
    """The values of a derived channel; `is_whole`: whole numbers that fit into 16 bits."""

    low: float | None = None
    high: float | None = None
    n_not_finite: int = 0
    is_whole: bool = True

    def joined(self, other: Spread) -> Spread:
        """Return the spread of the values of both."""
        lows = [v for v in (self.low, other.low) if v is not None]
        highs = [v for v in (self.high, other.high) if v is not None]
        return Spread(
            low=min(lows, default=None),
            high=max(highs, default=None),
            n_not_finite=self.n_not_finite + other.n_not_finite,
            is_whole=self.is_whole and other.is_whole,
        )

    def value_map(self) -> ValueMap:
        """Return how values are stored: as they are where that is possible."""
        if self.low is None or self.high is None:
            return ValueMap(n_not_finite=self.n_not_finite)
        whole = self.is_whole and not self.n_not_finite
        if whole and self.low >= 0 and self.high < mosaic.N_VALUES:
            return ValueMap()
        return value_map(self.low, self.high, self.n_not_finite)


def spread_of(image: NDArray[np.float32]) -> Spread:
    """Return the spread of an image's values.

    Examples
    --------
    >>> spread_of(np.array([[0.5, np.nan]], np.float32))
    Spread(low=0.5, high=0.5, n_not_finite=1, is_whole=False)
    """
    low, high, bad = finite_range(image)
    if low > high:
        return Spread(n_not_finite=bad)
    whole = not bad and bool((image == np.floor(image)).all())
    return Spread(low=low, high=high, n_not_finite=bad, is_whole=whole)


def names_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the derived channels, in the order of their axis."""
    return tuple(o.name for o in recipe.prepared.pipeline.images)


@dataclass(slots=True)
class SiteRanges:
    """Writes the derived images of a site and notes their range."""

    recipe: Recipe
    key: str
    plate: PlateLayout
    site: SiteLayout
    _spreads: dict[str, Spread] = field(default_factory=dict)

    def _images(self) -> SiteImages:
        return site_images(self.recipe.context.root, self.key, self.plate)

    def keep(self, t: int, z: int, images: Mapping[str, NDArray[Any] | None]) -> None:
        """Write what the pipeline made of one plane or stack."""
        for number, name in enumerate(names_of(self.recipe)):
            image = images[name]
            if image is None:
                continue
            single = image.astype(np.float32)
            for plane, own in enumerate(single if single.ndim == 3 else single[None]):
                self._images().write(self.site, (t, number, z + plane), own)
            flat = single.reshape(-1, single.shape[-1])
            before = self._spreads.get(name, Spread())
            self._spreads[name] = before.joined(spread_of(flat))

    def finish(self) -> None:
        """Write the metadata of the site's image, and what later rounds need."""
        names, recipe = names_of(self.recipe), self.recipe
        if not names:
            return
        size = (recipe.layout.n_tpoints, len(names), recipe.n_zplanes)
        step = recipe.z_step_um
        self._images().write_metadata(self.site, size, recipe.layout.pixel_size_um, step)
        found = {name: spread.model_dump(mode="json") for name, spread in self._spreads.items()}
        path = part_path(self.key, self.plate, f"{self.site.index}.json")
        paths.write_json(recipe.context.root / path, found)


def join_ranges(recipe: Recipe, key: str, plate: PlateLayout) -> None:
    """Write the ranges of a plate's derived channels, joined from those of its sites."""
    root = recipe.context.root
    joined: dict[str, Spread] = {}
    for site in plate.sites if names_of(recipe) else ():
        found = paths.read_json(root / part_path(key, plate, f"{site.index}.json"))
        for name, spread in found.items():
            joined[name] = joined.get(name, Spread()).joined(Spread.model_validate(spread))
    if names_of(recipe):
        every = {name: spread.model_dump(mode="json") for name, spread in joined.items()}
        paths.write_json(root / part_path(key, plate, "ranges.json"), every)


def value_maps(recipe: Recipe, key: str) -> dict[int, ValueMap]:
    """Return how the values of each derived channel are stored, by its place on the axis."""
    spreads: dict[str, Spread] = {}
    for plate in recipe.layout.plates:
        path = recipe.context.root / part_path(key, plate, "ranges.json")
        for name, spread in paths.read_json(path).items():
            spreads[name] = spreads.get(name, Spread()).joined(Spread.model_validate(spread))
    names = names_of(recipe)
    return {i: spreads.get(name, Spread()).value_map() for i, name in enumerate(names)}


def _pyramid(recipe: Recipe, key: str, plate: PlateLayout) -> Pyramid:
    n_t, n_z = recipe.layout.n_tpoints, recipe.n_zplanes
    return Pyramid(
        folder=recipe.context.root / mosaic_path(key, plate),
        shape=(n_t, len(names_of(recipe)), n_z, plate.height, plate.width),
        dtype="uint16",
        shard=plate.shard,
        n_levels=plate.n_levels,
    )


def derived_rounds(recipe: Recipe, key: str, plate: PlateLayout) -> list[list[DerivedBatch]]:
    """Return the batches of each round of a plate's mosaic of derived channels."""
    if not names_of(recipe):
        return []
    pyramid = _pyramid(recipe, key, plate)
    places = [(t, c, z) for t, c, z in np.ndindex(*pyramid.shape[:3])]
    return [
        [DerivedBatch(build=build) for build in build_batches(plate, pyramid, round_, places)]
        for round_ in plan_rounds(plate.shard, plate.n_levels, 2)
    ]


def build(recipe: Recipe, key: str, work: DerivedBatch) -> StepOutput:
    """Make the shards of a batch, and leave the counts of their values."""
    plate = recipe.layout.plate(work.build.plate)
    pyramid, maps = _pyramid(recipe, key, plate), value_maps(recipe, key)
    images = site_images(recipe.context.root, key, plate)

    def read(site: int, place: Place) -> NDArray[np.unsignedinteger] | None:
        image = images.read(plate.sites[site], place)
        mapped = maps[place[1]]
        if image is None:
            return None
        return mosaic.quantise(image, mapped.offset, mapped.scale)

    painter = Painter(plate, pyramid.shard, read)
    source = painter.shard if work.build.bottom == 0 else None
    round_ = Round(work.build.bottom, work.build.top)
    written = 0
    for place in work.build.places:
        halve = partial(painter.halve, place)
        for row, column in work.build.shards:
            written += pyramid.build(round_, place, row, column, halve, source)
    if source is not None:
        counts = {str(c): banks.sum(axis=0) for c, banks in painter.counts.items()}
        save_arrays(recipe.context.root / part_path(key, plate, work.part), counts)
    return StepOutput({"bytes": written})


def _channels(recipe: Recipe, key: str) -> Iterator[tuple[MosaicChannel, tuple[int, int]]]:
    """Yield what the manifest says of each channel, and its window in stored values."""
    names, maps = names_of(recipe), value_maps(recipe, key)
    totals = np.zeros((len(names), mosaic.N_VALUES), np.uint64)
    for plate in recipe.layout.plates:
        for batch in derived_rounds(recipe, key, plate)[0]:
            path = recipe.context.root / part_path(key, plate, batch.part)
            with np.load(path) as counts:
                for name in counts.files:
                    totals[int(name)] += counts[name]
    for number, name in enumerate(names):
        layout = ChannelLayout(index=number, name=name, color=COLOR, dtype="float32")
        clip = Clip()
        described = summarise(layout, totals[number], maps[number], None, clip)
        yield described, stored_window(layout, totals[number], maps[number], clip)


def _plate(
    recipe: Recipe, key: str, plate: PlateLayout, windows: list[tuple[int, int]]
) -> PlateMosaic:
    pyramid = _pyramid(recipe, key, plate)
    stored = [
        ChannelLayout(index=i, name=name, color=COLOR, dtype="uint16")
        for i, name in enumerate(names_of(recipe))
    ]
    pyramid.write_metadata(
        name=plate.name,
        pixel_size_um=recipe.layout.pixel_size_um,
        z_step_um=recipe.z_step_um,
        attributes={"omero": ome.omero(stored, [(float(a), float(b)) for a, b in windows])},
    )
    ome.write_group(recipe.context.root / images_path(key, plate))
    return PlateMosaic(
        id=plate.id,
        name=plate.name,
        path=mosaic_path(key, plate),
        shape=pyramid.shape,
        levels=tuple(pyramid.levels),
        tile=TILE,
        shard=pyramid.shard,
        bytes=pyramid.bytes_written(),
    )


def finish(recipe: Recipe, key: str, provenance: Json) -> str | None:
    """Write metadata and the manifest of the derived channels; return its path, None without any."""
    if not names_of(recipe):
        return None
    described = list(_channels(recipe, key))
    windows = [window for _, window in described]
    manifest = DerivedManifest(
        key=key,
        layout=recipe.layout.key,
        projection=recipe.projection,
        corrected=bool(recipe.corrected),
        illumination=recipe.corrections.path if recipe.corrections else None,
        alignment=recipe.alignment.manifest.key if recipe.alignment else None,
        pixel_size_um=recipe.layout.pixel_size_um,
        n_tpoints=recipe.layout.n_tpoints,
        n_zplanes=recipe.n_zplanes,
        channels=tuple(channel for channel, _ in described),
        plates=tuple(_plate(recipe, key, p, windows) for p in recipe.layout.plates),
        images=tuple(DerivedPlate(id=p.id, path=images_path(key, p)) for p in recipe.layout.plates),
        **provenance,
    )
    recipe.context.problems.extend(_not_finite(manifest))
    path = manifest_path(key)
    paths.write_json(recipe.context.root / path, manifest.model_dump(mode="json"))
    return path


def _not_finite(manifest: DerivedManifest) -> Iterator[Problem]:
    for channel in manifest.channels:
        if channel.n_not_finite:
            yield Problem(
                code="not_finite",
                message=f"the derived image {channel.name} has {channel.n_not_finite} pixels that are"
                " not finite numbers; the map shows them as its minimum",
            )
