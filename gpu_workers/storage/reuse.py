"""Files of an earlier version taken over by a later one; entry point: `take_over`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gpu_workers.storage import paths

# Where a hard link can't be made: another file system, none of them at all, or too many of this file.
_UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP})


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
