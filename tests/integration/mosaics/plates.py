"""Plates of known pixels, written as imextract writes them, so that later steps can be run alone."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np

from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.storage import ome, paths, plates
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    ChannelLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
    layout_path,
)
from gpu_workers.storage.plates import PlateFolder, PlatesManifest, array_dtype, image_name
from gpu_workers.storage.shards import encode_shard

PLATE = "11111111-1111-4111-8111-111111111111"
Plane = tuple[int, int, int, int]  # site, t, c, z


def experiment() -> ExperimentDescription:
    return ExperimentDescription(
        id=UUID(int=1),
        name="test",
        acquisitions=(
            AcquisitionDescription(
                id=UUID(int=2),
                name="a",
                plate=UUID(PLATE),
                plate_name="p",
                index=0,
                folder="uploads/a",
            ),
        ),
    )


def layout(
    boxes: list[list[tuple[int, int, int, int]]],
    dtypes: tuple[str, ...],
    *,
    height: int,
    width: int,
    shard: int = 1024,
    n_tpoints: int = 1,
    n_zplanes: int = 1,
) -> Layout:
    """Return a layout of one row of wells, each given by the (y, x, height, width) of its sites."""
    wells, sites = [], []
    for column, well in enumerate(boxes):
        name = f"A{column + 1:02d}"
        y0, x0 = min(b[0] for b in well), min(b[1] for b in well)
        wells.append(
            WellLayout(
                name=name, row=0, column=column, y=y0, x=x0,
                height=max(b[0] + b[2] for b in well) - y0, width=max(b[1] + b[3] for b in well) - x0,
            )
        )  # fmt: skip
        for y, x, h, w in well:
            index = len(sites)
            sites.append(
                SiteLayout(index=index, name=str(index + 1), well=name, y=y, x=x, height=h, width=w)
            )
    n_levels = 1
    while max(height, width) > 512 << (n_levels - 1):
        n_levels += 1
    plate = PlateLayout(
        id=PLATE, name="p", slug=paths.slug("p", PLATE), n_rows=1, n_columns=len(wells), height=height,
        width=width, pitch=(shard, shard), shard=shard, n_levels=n_levels, wells=tuple(wells),
        sites=tuple(sites),
    )  # fmt: skip
    channels = tuple(
        ChannelLayout(index=i, name=f"C{i:02d}", color=c, dtype=d)  # type: ignore[arg-type]
        for i, (d, c) in enumerate(zip(dtypes, ["#0000ff", "#00ff00", "#ff0000"], strict=False))
    )
    acquisition = AcquisitionLayout(
        id=str(UUID(int=2)), name="a", plate=PLATE, index=0, n_tpoints=n_tpoints
    )
    return Layout(
        key="1a", n_tpoints=n_tpoints, n_zplanes=n_zplanes, pixel_size_um=0.65, z_step_um=1.0,
        channels=channels, acquisitions=(acquisition,), plates=(plate,),
    )  # fmt: skip


def write(
    root: Path,
    made: Layout,
    pixels: dict[Plane, np.ndarray],
    projection: str | None = None,
    projected: dict[Plane, np.ndarray] | None = None,
) -> dict[str, str]:
    """Write layout and planes; return the inputs of a later step."""
    paths.write_json(root / layout_path(made.key), made.model_dump(mode="json"))
    plate = made.plates[0]
    folder = plates.plate_path("2b", plate)
    wells = {w.name: w for w in plate.wells}
    for suffix, planes in ((None, pixels), (projection, projected or {})):
        for (site, t, c, z), image in planes.items():
            well = ome.well_path(wells[plate.sites[site].well])
            array = root / folder / well / image_name(site, 0, suffix) / "0"
            data = encode_shard(image.astype(array_dtype(made.channels)))
            assert data is not None
            paths.write_atomically(ome.shard_path(array, t, c, z), data)
    manifest = PlatesManifest(
        key="2b", layout=layout_path(made.key), projection=projection, images=len(plate.sites),  # type: ignore[arg-type]
        planes=len(pixels), bytes=0, sources="",
        plates=(PlateFolder(id=plate.id, slug=plate.slug, path=folder),),
    )  # fmt: skip
    path = plates.manifest_path("2b")
    paths.write_json(root / path, manifest.model_dump(mode="json"))
    return {"layout": layout_path(made.key), "plates": path}
