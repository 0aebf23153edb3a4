"""Files of an earlier version taken over by a later one; entry points: `earlier_version`, `take_over`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gpu_workers.storage import paths

# Where a hard link can't be made: another file system, none of them at all, or too many of this file.
_UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP})


def earlier_version(folder: Path, table: str) -> str | None:
    """Return the key of the earlier version to take from, decided once for each version.

    It is the one that was finished last; a note beside the version's files keeps the choice, so that
    all jobs of a version, and those that run again, take from the same one.

    Parameters
    ----------
    folder
        Of the version that is being made; the others lie beside it.
    table
        Name of the file that says what a version has: those without it are not looked at.
    """
    note = folder / "base.json"
    try:
        return paths.read_json(note)["key"]  # type: ignore[no-any-return]
    except (FileNotFoundError, ValueError):
        pass
    found = [
        (path.stat().st_mtime_ns, path.parent.name)
        for path in folder.parent.glob(f"*/{table}")
        if path.parent != folder
    ]
    chosen = max(found)[1] if found else None
    paths.write_json(note, {"key": chosen})
    return chosen


def take_over(source: Path, target: Path) -> int | None:
    """Make a file of an earlier version one of this version, too; return its size.

    It is linked where the file system can, else copied: files of versions are never changed in
    place. A target that is there already stays.

    Returns
    -------
    int or None
        None if the source isn't there.
    """
    try:
        size = source.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except FileNotFoundError:
        return None  # collected as garbage since
    except OSError as error:
        if error.errno not in _UNLINKABLE:
            raise
        paths.write_atomically(target, source.read_bytes())
    return size
