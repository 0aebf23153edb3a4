"""Image files of every kind behind one door; entry points: `read_contents`, `read_plane`, `FileCache`.

A file type is registered in the family ``files``: a class with `suffixes` (lower case, with dot) that
is made with the acquisition's folder and a path below it, and is an `OpenFile`. Nothing that a file
claims is believed before it is compared with the file's size: a header of a few bytes must not make
us reserve gigabytes. A class with `guarded` = True is read in a second process that may crash
(`guarded`).
"""

from gpu_workers.formats.files.opening import (
    FileCache,
    ask,
    blaming,
    damaged,
    known_type,
    open_file,
    read_contents,
    read_plane,
)

__all__ = [
    "FileCache",
    "ask",
    "blaming",
    "damaged",
    "known_type",
    "open_file",
    "read_contents",
    "read_plane",
]
