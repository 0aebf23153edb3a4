"""Notes of originals that were removed once they had been converted; entry point: `require_files`.

A hidden file in the acquisition's folder lists them, so that a folder without them isn't taken for one
whose images were lost, or for a smaller plate.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from gpu_workers.errors import FileError

NOTE: Final = ".removed-originals.json"
_SHOWN: Final = 20


def removed_files(folder: Path) -> list[str]:
    """Return the files, as paths below the folder, that were ever removed from it; they may be back."""
    try:
        found = json.loads((folder / NOTE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [str(file) for file in found["files"]]


def note_removed(folder: Path, files: Sequence[str]) -> None:
    """Add files to those that were removed, before they are."""
    noted = sorted({*removed_files(folder), *files})
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tmp-")
    with os.fdopen(handle, "w") as stream:
        json.dump({"version": 1, "files": noted}, stream)
    Path(temporary).replace(folder / NOTE)


def require_files(folder: Path, needed: Collection[str] | None = None) -> None:
    """Raise FileError (`originals_removed`) where files that were removed are not there again.

    Parameters
    ----------
    needed
        Only these matter; None: all that were removed.
    """
    gone = [
        file
        for file in removed_files(folder)
        if (needed is None or file in needed) and not (folder / file).exists()
    ]
    if gone:
        names = tuple(gone[:_SHOWN])
        raise FileError(
            f"{len(gone)} image file{'s' if len(gone) > 1 else ''} (such as {names[0]}) were removed after they had "
            "been converted, as asked: to read them once more, upload them again. The converted plates "
            "are there; a workflow can start from the stage after the conversion",
            code="originals_removed", files=names,
        )  # fmt: skip
