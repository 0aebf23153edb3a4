"""Notes of originals that were removed once they had been converted; entry point: `require_files`.

A hidden file in the acquisition's folder lists them, so that a folder without them isn't taken for one
whose images were lost, or for a smaller plate. Whoever may write a registered folder can put anything
in its place: what is read is bounded, and nothing outside the folder is looked for.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NoReturn

from gpu_workers.errors import FileError

NOTE: Final = ".removed-originals.json"
MAX_BYTES: Final = 256 * 2**20
_SHOWN: Final = 20


def removed_files(folder: Path) -> list[str]:
    """Return the files, as paths below the folder, that were ever removed from it; they may be back.

    Raises
    ------
    FileError
        What lies there isn't such a note (`bad_metadata`).
    """
    content = _content(folder)
    if content is None:
        return []
    try:
        files = json.loads(content)["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        _damaged("it cannot be understood")
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        _damaged("it lists no files")
    return files


def _content(folder: Path) -> bytes | None:
    try:
        handle = os.open(folder / NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _damaged(str(error.strerror))
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            _damaged("it is no file, or far too large")
        return stream.read(MAX_BYTES)


def _damaged(reason: str) -> NoReturn:
    raise FileError(
        f"{NOTE}, which lists images that were removed, is damaged: {reason}",
        code="bad_metadata", files=(NOTE,),
    )  # fmt: skip


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
        if (needed is None or file in needed) and not _is_there(folder, file)
    ]
    if gone:
        names = tuple(
            ascii(f[:200])[1:-1] if not f.isprintable() else f[:200] for f in gone[:_SHOWN]
        )
        raise FileError(
            f"{len(gone)} image file{'s' if len(gone) > 1 else ''} (such as {names[0]}) were removed after they had "
            "been converted, as asked: to read them once more, upload them again. The converted plates "
            "are there; a workflow can start from the stage after the conversion",
            code="originals_removed", files=names,
        )  # fmt: skip


def _is_there(folder: Path, file: str) -> bool:
    """Return whether a file lies below the folder, not where a name or a link leads out of it."""
    try:
        found = os.path.realpath(folder / file)
    except ValueError:
        return False
    return found.startswith(f"{os.path.realpath(folder)}{os.sep}") and Path(found).exists()
