"""The files of an acquisition, found in one pass; entry point: `scan`."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from gpu_workers.errors import FileError
from gpu_workers.formats.removed import require_files
from gpu_workers.messages import Problem

# A label's chunk in a plate of OME-Zarr lies 12 folders deep, and people keep plates in folders.
MAX_DEPTH = 20
MAX_METADATA_BYTES = 256 * 2**20
IMAGE_SUFFIXES = frozenset(
    {
        ".tif", ".tiff", ".stk", ".btf", ".svs", ".ndpi", ".scn", ".png", ".jpg", ".jpeg",
        ".nd2", ".czi", ".lif", ".c01",
    }
)  # fmt: skip
# Hidden names that Zarr version 2 gives to its metadata.
ZARR_METADATA = frozenset({".zattrs", ".zgroup", ".zarray", ".zmetadata"})
MAX_MESSAGE = 1000
_SHOWN = 100
_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")
_PLURAL = re.compile(r"\b(1 (?:[a-z']+ ){0,2}?)([a-z]+)s\b(?=[ ;:,.]|$)")
_VERBS = {
    "are": "is", "aren't": "isn't", "were": "was", "weren't": "wasn't", "have": "has",
    "haven't": "hasn't", "don't": "doesn't", "hold": "holds", "claim": "claims", "lie": "lies",
    "match": "matches", "differ": "differs", "name": "names", "lack": "lacks", "say": "says",
}  # fmt: skip
# The verb behind the number, no further than the end of its part of the sentence.
_VERB = re.compile(rf"^([^;:]*?\s)({'|'.join(sorted(_VERBS, reverse=True))})(?![\w'])")
_REFUSED = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.ENAMETOOLONG,
    }
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: path below the acquisition's folder (with /), size in bytes, time of last change."""

    path: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        stem, dot, suffix = self.name.rpartition(".")
        return f".{suffix.lower()}" if dot and stem else ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All usable files below a folder, sorted by path.

    Attributes
    ----------
    files
        Regular files whose names a person could have meant.
    problems
        What was left out and why (links, control characters in names).
    """

    folder: Path
    files: tuple[FileEntry, ...]
    problems: tuple[Problem, ...] = ()
    _by_path: dict[str, FileEntry] = field(default_factory=dict, compare=False, repr=False)
    _by_suffix: dict[str, list[tuple[int, FileEntry]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def images(self) -> list[FileEntry]:
        """Return the files that can be image files by their names."""
        return self.with_suffix(*IMAGE_SUFFIXES)

    def with_suffix(self, *suffixes: str) -> list[FileEntry]:
        """Return the files whose names end so (lower case, with dot)."""
        # A dozen readers ask, of folders with 100,000 files.
        if not self._by_suffix:
            for number, file in enumerate(self.files):
                self._by_suffix.setdefault(file.suffix, []).append((number, file))
        found = [f for s in dict.fromkeys(suffixes) for f in self._by_suffix.get(s, [])]
        return [file for _, file in sorted(found, key=itemgetter(0))]

    def get(self, path: str) -> FileEntry | None:
        """Return the file at a path below the folder, if it is one of the listed."""
        if not self._by_path:
            self._by_path.update({f.path: f for f in self.files})
        return self._by_path.get(path)

    def fingerprint(self) -> str:
        """Return a digest of all names, sizes and times of change."""
        digest = hashlib.blake2b(digest_size=10)
        for f in self.files:
            digest.update(f"{f.path}\0{f.size}\0{f.mtime_ns}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read_metadata(self, entry: FileEntry) -> bytes:
        """Return the content of a metadata file.

        Raises
        ------
        FileError
            It has gone, may not be read, or is too large to be metadata.
        """
        if entry.size > MAX_METADATA_BYTES:
            raise FileError(
                f"{entry.path} has {entry.size} bytes, too many for a metadata file",
                code="file_too_large", files=(entry.path,),
            )  # fmt: skip
        with open_below(self.folder, entry.path) as stream:
            return stream.read(MAX_METADATA_BYTES)


def safe_name(path: str) -> bool:
    """Return whether a path is printable, relative and stays below its folder."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return path.isprintable() and bool(parts) and not path.startswith("/") and ".." not in parts


def shown(name: str) -> str:
    """Return a name as it may stand in a message: control characters escaped, length bounded."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= 200 else f"{text[:200]}…"


def open_below(folder: Path, file: str) -> BinaryIO:
    """Return an open file that really lies below a folder.

    Whoever may write a registered folder could put a link to somebody else's files where an image
    was when the folder was listed: what was opened is checked, not what was listed.

    Raises
    ------
    FileError
        It isn't there (`file_missing`), may not be read, isn't a regular file, or lies elsewhere.
    """
    name = shown(file)
    try:
        handle = os.open(folder / file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FileError(f"{name} is not there", code="file_missing", files=(name,)) from error
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise FileError(f"{name} cannot be read: {error.strerror}", files=(name,)) from error
    stream = os.fdopen(handle, "rb")
    regular = stat.S_ISREG(os.fstat(handle).st_mode)
    if not regular or not _real_path(handle, folder / file).startswith(
        f"{os.path.realpath(folder)}{os.sep}"
    ):
        stream.close()
        raise FileError(f"{name} is not a file of the folder", code="link", files=(name,))
    return stream


def _real_path(handle: int, path: Path) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115
    except OSError:
        return os.path.realpath(path)


def worded(message: str, n: int) -> str:
    """Return a message with `{n}` filled in, and ``{one|several}`` chosen by it.

    Without such choices a plural behind the number is made singular where that is 1.

    Examples
    --------
    >>> worded("{n} files are left out", 1), worded("{n} files are left out", 3)
    ('1 file is left out', '3 files are left out')
    >>> worded("{n} {says|say} so", 1)
    '1 says so'
    """
    text, chosen = _CHOICE.subn(lambda m: m[1] if n == 1 else m[2], message)
    text = text.replace("{n}", str(n))
    found = _PLURAL.search(text) if n == 1 and "{n}" in message and not chosen else None
    if found:
        rest = _VERB.sub(lambda m: m[1] + _VERBS[m[2]], text[found.end() :], count=1)
        text = f"{text[: found.start()]}{found[1]}{found[2]}{rest}"
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def aggregate(
    code: str, message: str, files: list[str], severity: str = "warning"
) -> tuple[Problem, ...]:
    """Return one problem for many files: at most 100 are named; the message is `worded`."""
    if not files:
        return ()
    names = tuple(shown(f) for f in files[:_SHOWN])
    text = worded(message, len(files))
    if len(files) > _SHOWN:
        text += f" (the first {_SHOWN} of {len(files)} are named)"
    kind = "error" if severity == "error" else "warning"
    return (Problem(severity=kind, code=code, message=text, files=names),)


def scan(folder: Path) -> Listing:
    """Return what lies below a folder, from one pass over its directories; links aren't followed.

    Raises
    ------
    FileError
        The folder is missing, may not be read, or holds no file; or its originals were removed after
        they had been converted (`originals_removed`).
    """
    require_files(folder)
    files: list[FileEntry] = []
    odd: list[str] = []
    links: list[str] = []
    deep: list[str] = []
    pending = [("", 0)]
    while pending:
        below, depth = pending.pop()
        for entry in _entries(folder, below):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith(".") and entry.name not in ZARR_METADATA:
                continue
            if entry.is_symlink():
                links.append(path)
            elif not safe_name(path):
                odd.append(path)
            elif entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    pending.append((path, depth + 1))
                else:
                    deep.append(path)
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                files.append(FileEntry(path, status.st_size, status.st_mtime_ns))
    if not files and not odd and not links:
        raise FileError("the folder holds no files", code="empty_folder")
    problems = (
        *aggregate("odd_name", "{n} names hold control characters and were left out", sorted(odd)),
        *aggregate("link", "{n} links were not followed", sorted(links)),
        *aggregate("too_deep", "{n} folders lie too deep", sorted(deep)),
    )
    return Listing(folder, tuple(sorted(files, key=lambda f: f.path)), problems)


def _entries(folder: Path, below: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder / below) as entries:
            return list(entries)
    except FileNotFoundError as error:
        raise FileError("the folder is not there", code="no_folder") from error
    except NotADirectoryError as error:
        message = "a folder is needed, and this is a file: name the one it lies in"
        raise FileError(message, code="no_folder") from error
    except PermissionError as error:
        name = shown(below) or "the folder"
        raise FileError(f"{name} cannot be read: {error.strerror}", code="no_folder") from error
