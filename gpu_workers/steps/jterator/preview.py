"""A pipeline tried on a few sites, every intermediate image kept; entry point: `preview_sites`.

What is made lies below ``previews/<id>``: ``preview.json`` (written anew after every module, so that the
first image can be shown while the next is computed), and for each output of each module an array
(``.npy``) and a picture (``.png``); for measurements a table (``.parquet``) and histograms.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.figures import histograms
from gpu_workers.imaging.rendering import grey_picture, label_picture
from gpu_workers.messages import Json, Message
from gpu_workers.modules.module import Features, Kind
from gpu_workers.pipelines.check import Use
from gpu_workers.pipelines.memory import peak_bytes
from gpu_workers.registry import StepContext, StepOutput
from gpu_workers.steps.jterator.arguments import JteratorArguments
from gpu_workers.steps.jterator.recipe import Recipe
from gpu_workers.storage import paths
from gpu_workers.storage.layout import SiteLayout
from gpu_workers.storage.tables import write_table

MAX_SITES: Final = 10


class PreviewSite(Message):
    """A site of a plate, by its index in the layout."""

    plate: str
    site: int = Field(ge=0)


class PreviewBatch(Message):
    """Which images to try the pipeline on."""

    preview: UUID
    sites: tuple[PreviewSite, ...] = Field(min_length=1, max_length=MAX_SITES)
    t: int = Field(0, ge=0)
    z: int = Field(0, ge=0)


def folder(preview: UUID | str) -> str:
    """Return the folder of a preview below the experiment's."""
    return f"previews/{preview}"


def _file(root: Any, path: str, data: bytes) -> None:
    paths.write_atomically(root / path, data)


def _array(image: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image, allow_pickle=False)
    return buffer.getvalue()


def _picture(image: NDArray[Any], kind: Kind, under: NDArray[Any] | None) -> bytes:
    import imagecodecs

    grey = kind is Kind.INTENSITY
    pixels = grey_picture(image) if grey else label_picture(image.astype(np.int32), under)
    return bytes(imagecodecs.png_encode(pixels, level=1))


def _figure(features: Features) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(histograms(features.columns), level=1))


def _summary(features: Features) -> list[Json]:
    """Return the spread of each feature: quartiles and how many values are missing."""
    told = []
    for name, column in features.columns.items():
        finite = column[np.isfinite(column)]
        spread = np.percentile(finite, (0, 25, 50, 75, 100)).tolist() if finite.size else None
        told.append(
            {
                "name": name,
                "unit": features.units.get(name),
                "n": int(column.size),
                "n_missing": int(column.size - finite.size),
                "quartiles": spread,
            }
        )
    return told


class _Album:
    """Keeps what modules make of one site, and the list of it; writes while the next module works."""

    def __init__(
        self, recipe: Recipe, batch: PreviewBatch, shown: Json, number: int, writer: Executor
    ):
        self._writer = writer
        self._written: list[Future[None]] = []
        self._root = recipe.context.root
        self._folder = folder(batch.preview)
        self._shown = shown
        self._number = number
        self._modules: list[Json] = shown["sites"][number]["modules"]
        self._progress = recipe.context.progress
        self._n = len(recipe.prepared.uses)
        self.under: NDArray[Any] | None = None
        self.size: tuple[int, ...] = ()

    def begin(self, channels: Mapping[str, NDArray[Any] | None]) -> None:
        """Have the images that the pipeline starts from drawn and told of, before any module works."""
        self._written.append(self._writer.submit(self._begin, dict(channels)))

    def _begin(self, channels: Mapping[str, NDArray[Any] | None]) -> None:
        told = self._shown["sites"][self._number]["channels"] = []
        for variable, image in channels.items():
            if image is not None:
                name = f"{self._number}/0000-{variable}.png"
                _file(self._root, f"{self._folder}/{name}", _picture(image, Kind.INTENSITY, None))
                told.append({"variable": variable, "picture": name})
                self.publish()
                self._progress(0.0, f"image {variable}")

    def keep(self, number: int, use: Use, outputs: Mapping[str, Any], seconds: float) -> None:
        """Have the outputs of a module written and told of; modules change no image they got."""
        work = self._writer.submit(self._keep, number, use, dict(outputs), seconds)
        self._written.append(work)

    def finish(self) -> None:
        """Wait until everything is written; raises what went wrong in writing."""
        for work in self._written:
            work.result()

    def _keep(self, number: int, use: Use, outputs: Mapping[str, Any], seconds: float) -> None:
        """Write the outputs of a module and tell of them."""
        entry: Json = {
            "module": use.module.name,
            "where": use.where,
            "seconds": round(seconds, 6),
            "outputs": [],
        }
        for handle, value in outputs.items():
            kind = use.kinds.get(handle, use.module.outputs[handle])
            name = f"{self._number}/{number}-{handle}"
            told: Json = {
                "handle": handle,
                "variable": use.use.outputs.get(handle, use.measured),
                "kind": kind.value,
            }
            told |= self._write(name, kind, value)
            entry["outputs"].append(told)
        self._modules.append(entry)
        self.publish()
        done = (self._number + (number + 1) / self._n) / len(self._shown["sites"])
        self._progress(done, use.module.name)

    def _write(self, name: str, kind: Kind, value: Any) -> Json:
        if value is None:
            return {"missing": True}
        if isinstance(value, Features):
            columns: dict[str, Any] = dict(value.columns)
            path = self._root / self._folder / f"{name}.parquet"
            write_table(path, columns, dict.fromkeys(columns, "double"))
            _file(self._root, f"{self._folder}/{name}.png", _figure(value))
            told: Json = {"features": _summary(value), "table": f"{name}.parquet"}
            return told | {"picture": f"{name}.png"}
        told = {"shape": list(value.shape), "dtype": str(value.dtype)}
        if kind is Kind.LABELS:
            told["n_objects"] = int(np.count_nonzero(np.bincount(value.ravel())[1:]))
        elif value.size:
            told |= {"min": float(np.nanmin(value)), "max": float(np.nanmax(value))}
        _file(self._root, f"{self._folder}/{name}.npy", _array(value))
        told["array"] = f"{name}.npy"
        if value.shape[-2:] == self.size:  # what a module remembers need not be an image
            picture = _picture(value, kind, self._below(value))
            _file(self._root, f"{self._folder}/{name}.png", picture)
            told["picture"] = f"{name}.png"
        return told

    def _below(self, value: NDArray[Any]) -> NDArray[Any] | None:
        return self.under if self.under is not None and self.under.shape == value.shape else None

    def publish(self) -> None:
        """Write the list of what there is so far."""
        paths.write_json(self._root / self._folder / "preview.json", self._shown)


def _site(recipe: Recipe, wanted: PreviewSite) -> SiteLayout:
    plate = recipe.layout.plate(wanted.plate)
    return next(s for s in plate.sites if s.index == wanted.site)


def _under(recipe: Recipe, channels: Mapping[str, NDArray[Any] | None]) -> NDArray[Any] | None:
    """Return the image that objects are drawn on: the pipeline's first channel that is there."""
    named = (*recipe.prepared.pipeline.channels.values(), *channels)
    found = (channels.get(name) for name in named)
    return next((image for image in found if image is not None), None)


def _show(
    recipe: Recipe, work: PreviewBatch, site: SiteLayout, plate: str, album: _Album, told: Json
) -> int:
    """Run the pipeline on a site and keep what it makes; returns about the bytes that it takes."""
    images = recipe.images(plate, site, work.t, work.z)
    given = recipe.given_labels(plate, site, work.t, work.z)
    images = replace(images, labels={name: g.objects for name, g in given.items()})
    album.under = _under(recipe, images.channels)
    album.size = images.shape[-2:]
    named = recipe.prepared.pipeline.channels.items()
    album.begin({variable: images.channels.get(name) for variable, name in named})
    outcome = recipe.prepared.process(images, watch=album.keep)
    album.finish()
    told["seconds"] = round(sum(outcome.seconds), 6)
    album.publish()
    return peak_bytes(recipe.prepared, images.shape)


def preview_sites(context: StepContext, arguments: JteratorArguments, batch: Json) -> StepOutput:
    """Run the pipeline on the sites of a batch and keep what every module makes.

    Raises
    ------
    UserError
        The pipeline cannot run on this experiment, or a module not on an image.
    """
    work = PreviewBatch.model_validate(batch)
    recipe = Recipe.resolve(context, arguments)
    features = {
        name: [{"name": f.name, "unit": f.unit} for f in found]
        for name, found in recipe.prepared.features.items()
    }
    shown: Json = {"version": 1, "features": features, "sites": []}
    # One writer: pictures are told of in the order of the modules.
    with ThreadPoolExecutor(1) as writer:
        for number, wanted in enumerate(work.sites):
            site = _site(recipe, wanted)
            place = wanted.model_dump(mode="json")
            shown["sites"].append({**place, "well": site.well, "modules": []})
            album = _Album(recipe, work, shown, number, writer)
            shown["memory_bytes"] = _show(
                recipe, work, site, wanted.plate, album, shown["sites"][-1]
            )
    per_site = [site["seconds"] for site in shown["sites"]]
    n_sites = sum(len(plate.sites) for plate in recipe.layout.plates)
    planes = n_sites * recipe.layout.n_tpoints * recipe.n_zplanes
    shown["seconds_per_image"] = float(np.mean(per_site))
    shown["images"] = planes
    shown["core_seconds"] = float(np.mean(per_site)) * planes
    paths.write_json(context.root / folder(work.preview) / "preview.json", shown)
    return StepOutput({"sites": len(work.sites), "seconds": sum(per_site)})
