"""An experiment with a mosaic and an object set on the disk, made as the steps make them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.experiments.models import Experiment, Mosaic, ObjectSet, ObjectType, Plate
from apps.experiments.selectors import experiment_root
from gpu_workers.imaging.mosaic import downsample_labels
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import features, outlines, paths
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.mosaics import load_mosaic
from gpu_workers.storage.objects import (
    FeatureDescription,
    ObjectsManifest,
    PlateObjects,
    SiteObjects,
    TypeObjects,
    WellObjects,
    manifest_path,
)
from gpu_workers.storage.pyramid import Pyramid, Round
from tests.integration.mosaics import plates

SIZE, HEIGHT, WIDTH = 10, 900, 1000
FEATURE = "Intensity_mean_C00"


@dataclass(frozen=True)
class Served:
    experiment: Experiment
    plate: Plate
    mosaic: Mosaic
    objects: ObjectSet
    root: Path
    image: np.ndarray
    values: np.ndarray

    @property
    def chunk(self) -> str:
        return f"/tiles/{self.experiment.id}/{self.mosaic.id}/{self.mosaic.key}/0/0/0/0/0/1"

    @property
    def zarr(self) -> str:
        return f"/zarr/{self.experiment.id}/{self.mosaic.id}.zarr"

    def label(self, rest: str) -> str:
        return f"/tiles/{self.experiment.id}/{self.objects.id}/{self.objects.key}/{rest}"


def _layout() -> Layout:
    return plates.layout(
        [[(0, 0, HEIGHT, WIDTH)]], ("uint16", "uint8"), height=1024, width=2048, shard=1024
    )


def pixels() -> dict[plates.Plane, np.ndarray]:
    rng = np.random.default_rng(11)
    return {
        (0, 0, 0, 0): rng.integers(100, 4000, (HEIGHT, WIDTH)).astype(np.uint16),
        (0, 0, 1, 0): rng.integers(1, 256, (HEIGHT, WIDTH)).astype(np.uint8),
    }


def squares(per_row: int = 30) -> SiteObjects:
    """Return squares of SIZE px, 20 px apart, numbered row by row."""
    index = np.arange(per_row * 25)
    y, x = 20 * (index // per_row), 20 * (index % per_row)
    n = len(index)
    corners = np.array([[0, 0], [0, SIZE], [SIZE, SIZE], [SIZE, 0]], np.int16)
    return SiteObjects(
        label=(index + 1).astype(np.uint32),
        t=np.zeros(n, np.uint16),
        z=np.zeros(n, np.uint16),
        y=(y + SIZE / 2 - 0.5).astype(np.float32),
        x=(x + SIZE / 2 - 0.5).astype(np.float32),
        box=np.stack([y, x, y + SIZE, x + SIZE], 1).astype(np.int32),
        z_range=np.tile(np.array([0, 1], np.uint16), (n, 1)),
        is_border=(y == 0) | (x == 0),
        owned=np.ones(n, bool),
        features=(index * 0.5).astype(np.float32)[:, None],
        rings=np.arange(n + 1),
        points=4 * np.arange(n + 1),
        dy=np.tile(corners[:, 0], n),
        dx=np.tile(corners[:, 1], n),
    )


def _objects(root: Path, made: Layout, key: str, per_row: int) -> ObjectsManifest:
    plate = made.plates[0]
    folder = f"{paths.objects_folder(key, 'Nuclei')}/{plate.slug}"
    table = squares(per_row)
    table.features[1] = np.nan
    pyramid = Pyramid(
        root / folder / "mosaic.zarr", (1, 1, 1, 1024, 2048), "uint32", 1024, plate.n_levels
    )
    labels = np.zeros((1024, 1024), np.uint32)
    for i, (y0, x0, y1, x1) in enumerate(table.box[table.box[:, 3] <= 1024]):
        labels[y0:y1, x0:x1] = i + 1

    def source(place: object, sy: int, sx: int) -> np.ndarray | None:
        return labels if (sy, sx) == (0, 0) else None

    pyramid.build(
        Round(0, plate.n_levels - 1), (0, 0, 0), 0, 0, lambda a, *_: downsample_labels(a), source
    )
    pyramid.write_metadata(name="Nuclei", pixel_size_um=0.65)
    features.write_features(root / folder / "features/A01.parquet", 1, [FEATURE], table.features)
    features.write_index(
        root / folder / "index/A01.parquet", 1, np.zeros(table.n, np.uint16), table
    )
    outlines.write_outlines(root / folder / "outlines/A01.parquet", 1, table)
    bottom, right = table.box[:, 2].max(), table.box[:, 3].max()
    well = WellObjects(name="A01", first=1, count=table.n, box=(0, 0, int(bottom), int(right)))
    entry = PlateObjects(
        id=plate.id, path=folder, n_objects=table.n, shape=pyramid.shape, levels=tuple(pyramid.levels),
        shard=1024, wells=(well,),
    )  # fmt: skip
    feature = FeatureDescription(name=FEATURE, low=0.0, high=300.0, min=0.0, max=400.0)
    kind = TypeObjects(name="Nuclei", features=(feature,), plates=(entry,))
    manifest = ObjectsManifest(key=key, layout=made.key, pipeline={}, types=(kind,))
    paths.write_json(root / manifest_path(key), manifest.model_dump(mode="json"))
    return manifest


def serve(
    experiment: Experiment, plate: Plate, *, per_row: int = 30, mosaic: Mosaic | None = None
) -> Served:
    """Write pixels and objects below the experiment's folder and return them with their rows."""
    root = experiment_root(experiment.id)
    made = _layout()
    renamed = made.plates[0].model_copy(update={"id": str(plate.id)})
    made = made.model_copy(
        update={
            "plates": (renamed,),
            "acquisitions": (made.acquisitions[0].model_copy(update={"plate": str(plate.id)}),),
        }
    )
    planes = pixels()
    inputs = plates.write(root, made, planes)
    output, _ = run_step(root, "illuminati", plates.experiment(), {}, inputs)
    manifest = load_mosaic(root, output.products["mosaic"]).model_dump(mode="json")
    facts = {k: v for k, v in manifest.items() if k != "plates"}
    info = {**facts, **manifest["plates"][0]}
    if mosaic is None:
        mosaic = Mosaic(experiment=experiment, plate=plate)
    mosaic.key, mosaic.path, mosaic.layout_key = manifest["key"], info["path"], made.key
    mosaic.is_current, mosaic.info = True, info
    mosaic.save()
    found = _objects(root, made, "5e", per_row).model_dump(mode="json")
    kind, _ = ObjectType.objects.get_or_create(experiment=experiment, name="Nuclei")
    entry = found["types"][0]["plates"][0]
    objects = ObjectSet.objects.create(
        experiment=experiment, plate=plate, object_type=kind, key="5e", path=manifest_path("5e"),
        is_current=True, layout_key=made.key, n_objects=entry["n_objects"],
        info={**entry, "features": found["types"][0]["features"]},
    )  # fmt: skip
    image = np.zeros((1024, 2048), np.uint16)
    image[:HEIGHT, :WIDTH] = planes[0, 0, 0, 0]
    values = squares(per_row).features[:, 0].copy()
    values[1] = np.nan
    return Served(experiment, plate, mosaic, objects, root, image, values)
