"""Metadata files of groups and arrays of Zarr version 2 and 3; entry points: `attributes`, `node`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import open_below, safe_name, shown
from gpu_workers.messages import Json

MAX_JSON_BYTES: Final = 2**24


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a group.

    Attributes
    ----------
    plain
        All of them.
    ome
        Those of OME-Zarr: from version 0.5 on in a place of their own.
    file
        Where they stand.
    """

    plain: Json
    ome: Json
    file: str


def joined(path: str, *names: object) -> str:
    """Return a path below another.

    Raises
    ------
    FileError
        A name is no plain relative path (`unsafe_name`), as an address or one with ``..``.
    """
    for name in names:
        if not isinstance(name, str) or not safe_name(name) or "://" in name:
            raise FileError(
                f"{shown(path)} names {shown(str(name))!r}, which is no path below it",
                code="unsafe_name", files=(shown(path),),
            )  # fmt: skip
    parts = [p for p in (path, *map(str, names)) if p not in ("", ".")]
    return "/".join(p.strip("/") for p in parts) or "."


def attributes(folder: Path, path: str) -> Attributes:
    """Return a group's attributes, empty where it has none.

    Raises
    ------
    FileError
        A metadata file is damaged (`bad_metadata`) or not a file of the folder.
    """
    file = joined(path, "zarr.json")
    whole = _json(folder, file)
    if whole is None:
        file = joined(path, ".zattrs")
        plain = _json(folder, file) or {}
        return Attributes(plain, plain, file)
    plain = _mapping(whole.get("attributes") or {}, file)
    return Attributes(plain, _mapping(plain.get("ome") or plain, file), file)


def node(folder: Path, path: str) -> tuple[Json, int]:
    """Return the metadata of an array and its Zarr version; FileError (`file_missing`) if there is none."""
    whole = _json(folder, joined(path, "zarr.json"))
    if whole is not None:
        return whole, 3
    whole = _json(folder, joined(path, ".zarray"))
    if whole is None:
        name = shown(path)
        raise FileError(f"there is no array {name}", code="file_missing", files=(name,))
    return whole, 2


def _json(folder: Path, file: str) -> Json | None:
    """Return the object in a JSON file; None if there is no such file."""
    try:
        stream = open_below(folder, file)
    except FileError as error:
        if error.code == "file_missing":
            return None
        raise
    with stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise FileError(
            f"{shown(file)} has more than {MAX_JSON_BYTES} bytes",
            code="file_too_large", files=(shown(file),),
        )  # fmt: skip
    try:
        return _mapping(json.loads(data), file)
    except (ValueError, RecursionError) as error:
        raise bad(file, error) from error


def _mapping(value: Any, file: str) -> Json:
    if not isinstance(value, dict):
        raise bad(file, "it is no JSON object")
    return value


def bad(file: str, error: object) -> FileError:
    """Return the error for metadata that can't be understood."""
    name = shown(file)
    return FileError(
        f"the metadata in {name} is damaged: {error}", code="bad_metadata", files=(name,)
    )
