"""Removing uploaded originals after the plates were read back; entry points: `read_back`, `remove`.

A file goes only if every plane that it holds, by its own metadata, is stored and was read back from the
disk with the checksum that was recorded when it was read. Which files go is written down first
(``removed.parquet``, and for metaextract a note in the acquisition's folder), so a run that is killed
half way goes on where it was, and one that comes later removes nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats import removed as notes
from gpu_workers.formats.files import read_contents
from gpu_workers.formats.listing import aggregate
from gpu_workers.messages import AcquisitionDescription, Json
from gpu_workers.registry import StepContext
from gpu_workers.steps.imextract.arguments import ImExtractArguments
from gpu_workers.steps.imextract.batches import batches, part_path, read_planes
from gpu_workers.steps.metaextract import acquisition_folder
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths, tables
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.plates import PlatesManifest, RemovedOriginals, manifest_path, plate_path
from gpu_workers.storage.verification import verify_rows

READ_BACK: Final = "read back"
REMOVE: Final = "remove originals"
REMOVED_TYPES: Final = {
    "acquisition": "string", "file": "string", "size": "int64", "mtime_ns": "int64",
}  # fmt: skip
_SHOWN: Final = 1000


def refuse_registered(context: StepContext) -> None:
    """Raise UserError (`registered_folder`) if files would be removed from anywhere but our own uploads."""
    for acquisition in context.experiment.acquisitions:
        if not _uploaded(context, acquisition):
            raise UserError(
                f"the images of acquisition {acquisition.name!r} of plate {acquisition.plate_name!r} lie in a "
                "registered folder, which is never written to: turn off the removal of originals (delete)",
                code="registered_folder",
            )


def refuse_cropped(layout: Layout) -> None:
    """Raise UserError (`cropped_originals`) if the plates keep a part of some images only."""
    if layout.cropped:
        raise UserError(
            "some images are larger than what is kept of them (crop in metaconfig): turn off the removal of "
            "originals (delete)",
            code="cropped_originals",
        )


def _uploaded(context: StepContext, acquisition: AcquisitionDescription) -> bool:
    """Return whether the files of an acquisition were uploaded and lie where uploads do."""
    if Path(acquisition.folder).is_absolute():
        return False
    uploads = os.path.realpath(context.root / "uploads")
    folder = os.path.realpath(acquisition_folder(context.root, acquisition))
    return folder.startswith(f"{uploads}{os.sep}")


def require_originals(context: StepContext, key: str, jobs: list[Json], planes: Any) -> None:
    """Raise FileError (`originals_removed`) if planes are still to be read and their files were removed."""
    own = StepContext(context.root, context.experiment, key)
    if all(part_path(own, job).is_file() for job in jobs):
        return
    needed: dict[str, set[str]] = {}
    for acquisition in context.experiment.acquisitions:
        folder = acquisition_folder(context.root, acquisition)
        if notes.removed_files(folder):
            needed[str(acquisition.id)] = set()
    if not needed:
        return
    for owner, file in zip(
        planes["acquisition"].to_pylist(), planes["file"].to_pylist(), strict=True
    ):
        if owner in needed:
            needed[owner].add(file)
    for acquisition in context.experiment.acquisitions:
        if str(acquisition.id) in needed:
            folder = acquisition_folder(context.root, acquisition)
            notes.require_files(folder, needed[str(acquisition.id)])


def read_back(context: StepContext, batch: Json) -> Json:
    """Read the planes of a batch from the disk and note which pages of each file are as they were."""
    if _list_path(context).is_file():
        return {"planes": 0}
    layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
    rows = tables.read_table(part_path(context, batch, ".parquet")).to_pylist()
    folders = {p.id: context.root / plate_path(context.key, p) for p in layout.plates}
    # A page may have been taken for two planes: it stands for itself only.
    good: dict[tuple[str, str], set[tuple[int, int]]] = {}
    damaged: list[str] = []
    bad: set[tuple[str, int, int, int, int]] = set()
    for plane in verify_rows(context.root, folders, rows, durable=True):
        damaged.append(plane.path)
        bad.add((plane.acquisition, plane.site, plane.t, plane.channel, plane.z))
    for row in rows:
        place = row["acquisition"], row["site"], row["t"], row["channel"], row["z"]
        if row["projection"] is None and place not in bad:
            own = good.setdefault((row["acquisition"], row["file"]), set())
            own.add((row["page"], row["sample"]))
    context.problems.extend(
        aggregate("damaged_planes", "{n} stored planes are not what was written", damaged, "error")
    )
    acquisitions = {str(a.id): a for a in context.experiment.acquisitions}
    files = [
        [acquisition, file, sorted(own), _n_planes(context, acquisitions[acquisition], file)]
        for (acquisition, file), own in sorted(good.items())
    ]
    paths.write_json(part_path(context, batch, "-read.json"), {"files": files})
    return {"planes": len(rows), "damaged": len(damaged)}


def _n_planes(context: StepContext, acquisition: AcquisitionDescription, file: str) -> int:
    """Return how many planes a file holds by its own metadata; -1 if it is none that may be removed."""
    folder = acquisition_folder(context.root, acquisition)
    if not (folder / file).is_file() or (folder / file).is_symlink():
        return -1
    try:
        contents = read_contents(folder, file)
    except FileError:
        return -1
    return sum(
        image.samples * sum(p.file in (None, file) for p in image.each_plane())
        for image in contents
    )


def remove(context: StepContext, arguments: ImExtractArguments, manifest: PlatesManifest) -> Json:
    """Remove the originals whose planes were all read back; may be killed and done again.

    The manifest stands already; it is written again, with what was removed.
    """
    path = _list_path(context)
    if not path.is_file():
        rows = _removable(context, arguments)
        columns = {name: [r[name] for r in rows] for name in REMOVED_TYPES}
        tables.write_table(path, columns, REMOVED_TYPES)
    rows = tables.read_table(path).to_pylist()
    by_acquisition: dict[str, list[Json]] = {}
    for row in rows:
        by_acquisition.setdefault(row["acquisition"], []).append(row)
    # What is to stay must have left the memory of this machine before what it was made of goes.
    os.sync()
    for acquisition in context.experiment.acquisitions:
        own = by_acquisition.get(str(acquisition.id), [])
        if own and _uploaded(context, acquisition):
            folder = acquisition_folder(context.root, acquisition)
            notes.note_removed(folder, [r["file"] for r in own])
            for row in own:
                _unlink(folder, row)
    done = manifest.model_copy(update={"removed": removed_originals(context)})
    paths.write_json(context.root / manifest_path(context.key), done.model_dump(mode="json"))
    return {"removed": len(rows), "bytes": sum(r["size"] for r in rows)}


def _removable(context: StepContext, arguments: ImExtractArguments) -> list[Json]:
    """Return the files of which every plane was read back, with size and time of change as recorded."""
    layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
    planes = read_planes(context)
    good: dict[tuple[str, str], set[tuple[int, int]]] = {}
    claimed: dict[tuple[str, str], int] = {}
    for job in batches(planes, layout, arguments.batch_size):
        for acquisition, file, own, n_all in paths.read_json(part_path(context, job, "-read.json"))[
            "files"
        ]:
            good.setdefault((acquisition, file), set()).update(map(tuple, own))
            claimed[acquisition, file] = n_all
    known = (
        planes.select(["acquisition", "file", "size", "mtime_ns"])
        .group_by(["acquisition", "file"])
        .aggregate([("size", "min"), ("mtime_ns", "min")])
        .to_pylist()
    )
    return [
        {
            "acquisition": r["acquisition"],
            "file": r["file"],
            "size": r["size_min"],
            "mtime_ns": r["mtime_ns_min"],
        }
        for r in sorted(known, key=lambda r: (r["acquisition"], r["file"]))
        if len(good.get((r["acquisition"], r["file"]), ()))
        == claimed.get((r["acquisition"], r["file"]), -1)
    ]


def _unlink(folder: Path, row: Json) -> None:
    """Remove a file if it still is the one that was read, and lies where it seems to."""
    path = folder / row["file"]
    inside = f"{os.path.realpath(folder)}{os.sep}"
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    same = (found.st_size, found.st_mtime_ns) == (row["size"], row["mtime_ns"])
    if S_ISREG(found.st_mode) and same and os.path.realpath(path).startswith(inside):
        path.unlink(missing_ok=True)


def _list_path(context: StepContext) -> Path:
    return context.root / paths.plates_folder(context.key) / "removed.parquet"


def removed_originals(context: StepContext) -> RemovedOriginals | None:
    """Return which originals were removed, None if that was never asked for."""
    path = _list_path(context)
    if not path.is_file():
        return None
    table = tables.read_table(path)
    first = table.slice(0, _SHOWN).to_pylist()
    return RemovedOriginals(
        path=str(path.relative_to(context.root)),
        n=table.num_rows,
        bytes=sum(table["size"].to_pylist()),
        files=tuple(f"{r['acquisition']}/{r['file']}" for r in first),
    )
