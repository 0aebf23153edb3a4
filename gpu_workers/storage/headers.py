"""What earlier metadata says of files that have not changed; entry points: `EarlierHeaders`, `write_index`.

Below ``metadata/<key>`` each acquisition's ``headers.parquet`` lists the files that were opened and spoke
of nothing but themselves, with size and time of change; ``headers.json`` says with which versions they were
read. A file whose metadata tells of others is never listed: it may say something else beside other files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from gpu_workers.messages import Json
from gpu_workers.storage import paths, tables
from gpu_workers.storage.reuse import earlier_version

HEADERS: Final = "headers.parquet"
HEADER_TYPES: Final = {"path": "string", "size": "int64", "mtime_ns": "int64"}
_INDEX: Final = "headers.json"


class Rows(NamedTuple):
    """The rows of a file in ``images.parquet`` and ``pages.parquet``."""

    images: list[Json]
    pages: list[Json]


def write_index(folder: Path, versions: Any, acquisitions: Mapping[str, int]) -> None:
    """Say with which versions the files of a version's acquisitions were read; later ones take from it.

    Parameters
    ----------
    folder
        Of the version.
    versions
        Whatever decides what is said of a file besides the file.
    acquisitions
        Number of each, by its id.
    """
    paths.write_json(folder / _INDEX, {"versions": versions, "acquisitions": acquisitions})


@dataclass(frozen=True, slots=True)
class EarlierHeaders:
    """What the metadata before says of an acquisition; `folder` is None where there is none."""

    folder: Path | None

    @classmethod
    def open(cls, folder: Path, versions: Any, acquisition: str) -> EarlierHeaders:
        """Return what the version before the one in `folder` says, if the same versions read it."""
        base = earlier_version(folder, _INDEX)
        if base is None:
            return cls(None)
        try:
            index = paths.read_json(folder.parent / base / _INDEX)
        except (OSError, ValueError):
            return cls(None)
        number = index["acquisitions"].get(acquisition)
        # As they read back: tuples have become lists.
        same = paths.content_key(index["versions"]) == paths.content_key(versions)
        return cls(folder.parent / base / str(number) if same and number is not None else None)

    def rows(self, files: Iterable[Json]) -> dict[str, Rows]:
        """Return, by path, what is known of those files that have not changed.

        Parameters
        ----------
        files
            Their paths, sizes and times of change (`HEADER_TYPES`).
        """
        if self.folder is None:
            return {}
        wanted = {f["path"]: (f["size"], f["mtime_ns"]) for f in files}
        try:
            known = _rows_of(self.folder / HEADERS, "path", list(wanted))
            same = [
                f["path"] for f in known if wanted[f["path"]] == (f["size"], f["mtime_ns"])
            ]  # fmt: skip
            images = _by_file(_rows_of(self.folder / "images.parquet", "file", same))
            pages = _by_file(_rows_of(self.folder / "pages.parquet", "file", same))
        except (OSError, ValueError):
            return {}  # deleted since it was chosen, or damaged
        return {file: Rows(images[file], pages.get(file, [])) for file in same if file in images}


def _rows_of(path: Path, column: str, values: list[str]) -> list[Json]:
    if not values:
        return []
    found: list[Json] = tables.read_table(path, filters=[(column, "in", values)]).to_pylist()
    return found


def _by_file(rows: list[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        found[row["file"]].append(row)
    return found
