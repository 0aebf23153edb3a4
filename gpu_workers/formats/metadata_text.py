"""Small text files that microscopes write beside their images; entry point: `read_text`."""

from __future__ import annotations

from typing import Final

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, shown

# The list of tiles of a plate with 100,000 images has 6 MB.
MAX_TEXT_BYTES: Final = 2**25


def read_text(listing: Listing, entry: FileEntry) -> str:
    """Return the text of a metadata file; bytes that are no UTF-8 become replacement characters.

    Raises
    ------
    FileError
        It has gone, may not be read, or is too large to be what its name says (`file_too_large`).
    """
    if entry.size > MAX_TEXT_BYTES:
        name = shown(entry.path)
        raise FileError(
            f"{name} has {entry.size} bytes, too many for a text file of a microscope",
            code="file_too_large", files=(name,),
        )  # fmt: skip
    return listing.read_metadata(entry)[:MAX_TEXT_BYTES].decode("utf-8-sig", errors="replace")
