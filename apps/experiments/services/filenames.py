"""Which names a file of an acquisition may have."""

from __future__ import annotations

import unicodedata

from apps.core.errors import Invalid

MAX_PART_BYTES = 255
MAX_NAME_CHARACTERS = 1024


def name_fault(name: str) -> str:
    """Return what is wrong with a relative POSIX path as a file's name; empty if nothing is."""
    if not name:
        return "is empty"
    # Also what is invisible or turns the reading direction: a name must be what it looks like.
    if "\\" in name or any(unicodedata.category(c).startswith("C") for c in name):
        return "has a control character or a backslash"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"is longer than {MAX_NAME_CHARACTERS} characters"
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "is not a plain relative path"
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return f"has a part of more than {MAX_PART_BYTES} bytes"
    return ""


def shown(name: str) -> str:
    """Return a name for an error message: quoted, escaped and not endless."""
    return ascii(name[:300])


def name_check(name: str) -> None:
    """Raise Invalid, naming the name, if a file may not have it."""
    fault = name_fault(name)
    if fault:
        raise Invalid(
            f"the file name {shown(name)} {fault}",
            code="bad_file_name",
            extra={"name": ascii(name[:300])[1:-1]},
        )
