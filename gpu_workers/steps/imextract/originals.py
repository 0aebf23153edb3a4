"""The source's files as the table of planes describes them: opened once, refused once they changed."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import DataMissing, FileError
from gpu_workers.formats.files import FileCache
from gpu_workers.formats.listing import shown
from gpu_workers.messages import AcquisitionDescription, Json
from gpu_workers.registry import StepContext
from gpu_workers.steps.metaextract import acquisition_folder


class Originals:
    """The files of the acquisitions that a job reads; each is looked at once, containers stay open."""

    def __init__(self, context: StepContext):
        self._context = context
        self._caches: dict[str, FileCache] = {}
        self._folders: dict[str, Path] = {}
        self._errors: dict[tuple[str, str], FileError | None] = {}

    def folder(self, acquisition: str) -> Path:
        """Return an acquisition's folder.

        Raises
        ------
        DataMissing
            The experiment no longer has the acquisition.
        FileError
            The folder is not there: an unmounted share would look like thousands of missing files.
        """
        if acquisition not in self._folders:
            found = _acquisition(self._context, acquisition)
            folder = acquisition_folder(self._context.root, found)
            if not folder.is_dir():
                raise FileError(f"the folder of {found.name!r} is not there", code="no_folder")
            self._folders[acquisition] = folder
            self._caches[acquisition] = FileCache(folder)
        return self._folders[acquisition]

    def read(self, row: Json) -> npt.NDArray[np.generic]:
        """Return the pixels that a row of the table of planes names.

        Raises
        ------
        FileError
            As for `read_plane`; also where the file isn't the one that metadata was read from
            (`file_changed`).
        """
        folder, acquisition, file = self.folder(row["acquisition"]), row["acquisition"], row["file"]
        place = acquisition, file
        if place not in self._errors:
            self._errors[place] = changed(folder, file, row["size"], row["mtime_ns"])
        error = self._errors[place]
        if error is not None:
            raise error
        return self._caches[acquisition].read(file, row["page"], row["sample"])

    def close(self) -> None:
        """Close all files."""
        for cache in self._caches.values():
            cache.close()

    def __enter__(self) -> Originals:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _acquisition(context: StepContext, identifier: str) -> AcquisitionDescription:
    for acquisition in context.experiment.acquisitions:
        if str(acquisition.id) == identifier:
            return acquisition
    raise DataMissing("the layout names an acquisition that the experiment no longer has")


def changed(folder: Path, file: str, size: int | None, mtime_ns: int | None) -> FileError | None:
    """Return the error for a file that isn't the one whose size and time of change were recorded."""
    name = shown(file)
    try:
        found = (folder / file).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return FileError(f"{name} is not there", code="file_missing", files=(name,))
    # A folder of chunks has no size of its own.
    known = size is not None and mtime_ns is not None and size >= 0
    if (
        not S_ISREG(found.st_mode)
        or not known
        or (found.st_size, found.st_mtime_ns) == (size, mtime_ns)
    ):
        return None
    return FileError(
        f"{name} has changed since its metadata was read: extract metadata again",
        code="file_changed", files=(name,),
    )  # fmt: skip
