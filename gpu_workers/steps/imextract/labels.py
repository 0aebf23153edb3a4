"""Labels and tables of OME-Zarr images, taken over with their pixels; entry point: `LabelImport`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.files.ngff import Place, ZarrFile
from gpu_workers.formats.listing import shown
from gpu_workers.formats.ngff.labels import Labels, open_labels
from gpu_workers.formats.ngff.tables import FEATURES, Table, read_tables
from gpu_workers.messages import Json, Problem
from gpu_workers.storage import labels as stored
from gpu_workers.storage.plates import LabelImage, LabelTable

_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]+")
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Target:
    """An image of a plate to which labels belong.

    Attributes
    ----------
    folder
        Of the image.
    image
        Its path in the plate's hierarchy.
    tables
        Folder of the tables of its label images.
    shape
        (t, z, y, x).
    cycles
        Round of staining of each channel.
    """

    plate: str
    folder: Path
    image: str
    tables: Path
    shape: tuple[int, int, int, int]
    cycles: tuple[int, ...]


@dataclass(slots=True)
class LabelImport:
    """Takes over the labels and tables of the files of images.

    Attributes
    ----------
    labels, tables
        What was taken over.
    problems
        What wasn't, and why.
    bytes
        Written so far.
    """

    labels: list[LabelImage] = field(default_factory=list)
    tables: list[LabelTable] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bytes: int = 0

    def add(self, source: Path, rows: list[Json], target: Target) -> None:
        """Take over what lies beside the files of one image.

        Parameters
        ----------
        source
            The acquisition's folder.
        rows
            The image's planes, as in ``planes.parquet``.
        """
        files = sorted({r["file"] for r in rows if r["role"] == "plane"})
        for file in files:
            # Only hierarchies have labels; looking at what isn't a folder costs one call a file.
            if not (source / file).is_dir():
                continue
            try:
                image = ZarrFile(source, file)
            except FileError as error:
                self._failed(error)
                continue
            own = [r for r in rows if r["file"] == file]
            cycle = min(target.cycles[r["channel"]] for r in own)
            self._labels(source, image, _places(image, own), target, cycle)

    def part(self) -> Json:
        """Return what was taken over, for the part file of a job."""
        return {
            "labels": [i.model_dump(mode="json") for i in self.labels],
            "tables": [t.model_dump(mode="json") for t in self.tables],
        }

    def _failed(self, error: FileError) -> None:
        self.problems.append(
            Problem(code=error.code, message=f"left out: {error.message}", files=error.files)
        )

    def _labels(
        self,
        source: Path,
        image: ZarrFile,
        places: dict[tuple[int, int], Place],
        target: Target,
        cycle: int,
    ) -> None:
        tables = read_tables(source, image.file)
        for error in tables.failed:
            self._failed(error)
        names: dict[str, str] = {}
        for found in open_labels(source, image):
            if isinstance(found, FileError):
                self._failed(found)
                continue
            name = safe(found.name)
            own = target.plate, target.image, name
            if any((i.plate, i.image, i.name) == own for i in self.labels):
                message = f"the label image {shown(found.path)} has the name of another"
                self._failed(FileError(message, code="same_labels", files=(found.path,)))
                continue
            try:
                present = self._write(found, name, places, target)
            except FileError as error:
                self._failed(error)
                continue
            names[found.path] = name
            about = [t for t in tables.found if t.labels == found.path and t.type == FEATURES]
            features = self._features(about, name, present, target)
            self.labels.append(
                LabelImage(
                    plate=target.plate, image=target.image, name=name, n_objects=present.size,
                    features=features, flat=found.is_flat, cycle=cycle,
                )
            )  # fmt: skip
            if len(image.grid) > 1:
                self._warn_of_cuts(found, present)
        self.tables += [
            LabelTable(
                plate=target.plate, image=target.image, name=shown(t.name), type=t.type, rows=t.n_rows,
                columns=tuple(t.columns), labels=names.get(t.labels or ""),
            )
            for t in tables.found
        ]  # fmt: skip

    def _write(
        self, found: Labels, name: str, places: dict[tuple[int, int], Place], target: Target
    ) -> npt.NDArray[np.uint32]:
        """Write a label image and return the labels in it."""
        present: list[npt.NDArray[np.uint32]] = []
        for (t, z), place in sorted(places.items()):
            # Of an image that was cropped, its labels are.
            plane = found.read(place)[: target.shape[2], : target.shape[3]]
            present.append(np.unique(plane))
            self.bytes += stored.write_plane(target.folder, name, t, z, plane)
        stored.write_array(target.folder, name, target.shape)
        every = np.unique(np.concatenate(present)) if present else np.zeros(0, np.uint32)
        return every[every > 0]

    def _features(
        self, tables: list[Table], name: str, present: npt.NDArray[np.uint32], target: Target
    ) -> tuple[str, ...]:
        """Join the tables about a label image, write them, and return their columns' names."""
        columns: dict[str, npt.NDArray[np.float64]] = {}
        for table in tables:
            if table.instances is None:
                continue
            wanted, rows, at = np.intersect1d(present, table.instances, return_indices=True)[0:3]
            n_lost = table.n_rows - wanted.size
            if n_lost:
                message = (
                    f"{n_lost} rows of the table {shown(table.path)} are of no object in its image"
                )
                self.problems.append(
                    Problem(code="rows_without_object", message=message, files=(table.path,))
                )
            for column, values in table.columns.items():
                own = np.full(present.size, np.nan)
                own[rows] = values[at]
                columns[safe(f"{table.name}_{column}")] = own
            if table.left_out:
                message = f"columns without numbers were left out: {', '.join(table.left_out[:10])}"
                self.problems.append(
                    Problem(code="columns_left_out", message=message, files=(table.path,))
                )
        if columns:
            stored.write_table(target.tables / f"{name}.parquet", present, columns)
        return tuple(columns)

    def _warn_of_cuts(self, found: Labels, present: npt.NDArray[np.uint32]) -> None:
        message = (
            f"the image of {shown(found.path)} is so large that it is kept in regions: objects on their"
            f" borders are cut ({present.size} objects in this one)"
        )
        self.problems.append(Problem(code="labels_cut", message=message, files=(found.path,)))


def safe(name: str) -> str:
    """Return a name as it may stand in a path and an address."""
    return _UNSAFE.sub("_", name).strip(" .")[:MAX_NAME] or "unnamed"


def _places(image: ZarrFile, rows: list[Json]) -> dict[tuple[int, int], Place]:
    """Return what each plane (t, z) of the layout is in the file, from any of its channels."""
    found: dict[tuple[int, int], Place] = {}
    for row in rows:
        found.setdefault((row["t"], row["z"]), image.place(row["page"]))
    return found
