"""What stands when all jobs are done: metadata of plates, wells and images, tables, the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gpu_workers.errors import FileError
from gpu_workers.messages import Json
from gpu_workers.registry import StepContext
from gpu_workers.steps.imextract.arguments import ImExtractArguments
from gpu_workers.steps.imextract.batches import batches, part_path, planes_path, read_planes
from gpu_workers.steps.imextract.removal import removed_originals
from gpu_workers.steps.imextract.reuse import join_units
from gpu_workers.steps.imextract.windows import windows
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import ome, paths, tables
from gpu_workers.storage.labels import write_groups
from gpu_workers.storage.layout import AcquisitionLayout, Layout, PlateLayout, SiteLayout
from gpu_workers.storage.ome import Window
from gpu_workers.storage.plates import (
    FOCUS_TYPES,
    IncompleteProjection,
    LabelImage,
    LabelTable,
    MissingPlane,
    PlateFolder,
    PlatesManifest,
    image_path,
    manifest_path,
    plate_path,
)
from gpu_workers.storage.verification import CHECKSUM_TYPES

MAX_LISTED = 1000
Image = tuple[str, int, int, str | None]


def finish(context: StepContext, arguments: ImExtractArguments) -> PlatesManifest:
    """Write all metadata and, last, the manifest; may be done again at any time.

    Raises
    ------
    FileError
        Not one plane could be read.
    """
    layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
    jobs = batches(read_planes(context), layout, arguments.batch_size)
    parts = [paths.read_json(part_path(context, job)) for job in jobs]
    missing = [m for p in parts for m in p["missing"]]
    n_planes = sum(p["planes"] for p in parts)
    if not n_planes:
        raise FileError(
            "not one plane could be read", code="no_images",
            files=tuple(m["file"] for m in missing[:20]),
        )  # fmt: skip
    images = [*dict.fromkeys(_image(i) for p in parts for i in p["images"])]
    shown = windows(layout.channels, [p["sample"] for p in parts])
    for plate in layout.plates:
        own = [i for i in images if i[0] == plate.id]
        _write_groups(context.root, context.key, layout, plate, own, shown)
    labels = [LabelImage.model_validate(i) for p in parts for i in p["labels"]["labels"]]
    _write_labels(context, layout, labels)
    incomplete = [i for p in parts for i in p["incomplete"]][:MAX_LISTED]
    manifest = PlatesManifest(
        key=context.key,
        layout=context.inputs["layout"],
        projection=arguments.asked(layout),
        images=len(images),
        planes=n_planes,
        bytes=sum(p["bytes"] for p in parts),
        n_missing=sum(p["n_missing"] for p in parts),
        plates=tuple(
            PlateFolder(id=p.id, slug=p.slug, path=plate_path(context.key, p))
            for p in layout.plates
        ),
        missing=tuple(MissingPlane.model_validate(m) for m in missing[:MAX_LISTED]),
        n_incomplete=sum(p["n_incomplete"] for p in parts),
        incomplete=tuple(IncompleteProjection.model_validate(i) for i in incomplete),
        sources=str(planes_path(context).relative_to(context.root)),
        checksums=_joined(context, jobs, "checksums.parquet", ".parquet", CHECKSUM_TYPES),
        focus=_joined(context, jobs, "focus.parquet", "-focus.parquet", FOCUS_TYPES),
        removed=removed_originals(context),
        labels=tuple(labels),
        tables=tuple(LabelTable.model_validate(t) for p in parts for t in p["labels"]["tables"]),
    )
    join_units(context, jobs)
    write_manifest(context, manifest)
    return manifest


def write_manifest(context: StepContext, manifest: PlatesManifest) -> None:
    """Write ``plates.json``."""
    path = context.root / manifest_path(context.key)
    paths.write_json(path, manifest.model_dump(mode="json"))


def _write_labels(context: StepContext, layout: Layout, labels: Sequence[LabelImage]) -> None:
    """Write the metadata of label images that came with the pixels."""
    names: dict[tuple[str, str], list[str]] = {}
    for label in labels:
        names.setdefault((label.plate, label.image), []).append(label.name)
    for (plate, image), own in names.items():
        folder = context.root / plate_path(context.key, layout.plate(plate)) / image
        write_groups(folder, own)


def _image(entry: list[Any]) -> Image:
    plate, site, acquisition, projection = entry
    return plate, site, acquisition, projection


def _joined(
    context: StepContext, jobs: Sequence[Json], name: str, suffix: str, types: dict[str, str]
) -> str | None:
    """Join a table that all jobs left; return its path below the experiment's folder."""
    parts = [part_path(context, job, suffix) for job in jobs]
    if not parts[0].is_file():
        return None
    path = f"{paths.plates_folder(context.key)}/{name}"
    tables.join_tables(context.root / path, parts, types)
    return path


def _write_groups(
    root: Path,
    key: str,
    layout: Layout,
    plate: PlateLayout,
    images: Sequence[Image],
    shown: Sequence[Window | None],
) -> None:
    """Write the metadata of a plate, its rows, wells and images."""
    folder = root / plate_path(key, plate)
    wells = {w.name: w for w in plate.wells}
    acquisitions = {a.index: a for a in layout.acquisitions if a.plate == plate.id}
    by_well: dict[str, list[tuple[str, int]]] = {}
    for _, index, acquisition, projection in images:
        site = plate.sites[index]
        well = wells[site.well]
        path = image_path(site, well, acquisition, projection)
        name = path.rpartition("/")[2]
        by_well.setdefault(well.name, []).append((name, acquisition))
        _write_image(folder / path, layout, site, acquisitions[acquisition], projection, shown)
    # A plate names only wells that hold an image: others would be links to nothing.
    present = tuple(w for w in plate.wells if w.name in by_well)
    for well in present:
        ome.write_group(folder / ome.well_path(well), ome.well_metadata(by_well[well.name]))
        ome.write_group(folder / ome.row_name(well.row))
    counts = {
        a: max((sum(i == a for _, i in own) for own in by_well.values()), default=0)
        for a in acquisitions
    }
    named = [(a.index, a.name, counts[a.index]) for a in acquisitions.values()]
    most = max((len(i) for i in by_well.values()), default=1)
    ome.write_group(
        folder, ome.plate_metadata(plate.model_copy(update={"wells": present}), named, most)
    )


def _write_image(
    folder: Path,
    layout: Layout,
    site: SiteLayout,
    acquisition: AcquisitionLayout,
    projection: str | None,
    shown: Sequence[Window | None],
) -> None:
    """Write the metadata of one image; its place is that of the stage."""
    times = _times(layout, acquisition)
    scales = ome.multiscales(
        folder.name,
        pixel_size_um=layout.pixel_size_um,
        z_step_um=None if projection else layout.z_step_um,
        t_step_s=float(np.median([b - a for a, b in pairwise(times)])) if len(times) > 1 else None,
        corner_um=_corner(layout, site),
    )
    own: Json = {
        "well": site.well,
        "site": site.name,
        "acquisition": acquisition.id,
        "projection": projection,
        "stage_um": [site.stage_y_um, site.stage_x_um],
        "times_s": list(times),
    }
    ome.write_group(
        folder,
        {"multiscales": scales, "omero": ome.omero(layout.channels, shown)},
        {"tissuemaps": own},
    )


def _times(layout: Layout, acquisition: AcquisitionLayout) -> tuple[float, ...]:
    first = acquisition.tpoint_offset
    return (layout.times_s or ())[first : first + acquisition.n_tpoints]


def _corner(layout: Layout, site: SiteLayout) -> tuple[float, float] | None:
    """Return y and x of the centre of the upper left pixel, µm, y down; the stage says the field's centre."""
    if layout.pixel_size_um is None or site.stage_y_um is None or site.stage_x_um is None:
        return None
    half = layout.pixel_size_um / 2
    return (
        site.stage_y_sign * site.stage_y_um - half * (site.height - 1),
        site.stage_x_um - half * (site.width - 1),
    )
