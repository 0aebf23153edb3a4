"""Tables beside an image: AnnData in Zarr, as ngio and Fractal write them; entry point: `read_tables`.

Encodings: https://anndata.readthedocs.io/en/stable/fileformat-prose.html, read without anndata: values
``X``, rows ``obs``, columns ``var``; text as arrays of strings, categories as codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import shown
from gpu_workers.formats.ngff import groups
from gpu_workers.formats.ngff.arrays import ZarrArray, open_array
from gpu_workers.messages import Json

MAX_TABLES: Final = 200
MAX_ROWS: Final = 20_000_000
MAX_VALUES: Final = 2**26
FEATURES: Final = "feature_table"
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of numbers.

    Attributes
    ----------
    type
        What Fractal's tools call it: roi_table, masking_roi_table, feature_table, …; may be empty.
    n_rows
        Objects or regions.
    columns
        Name -> one number per row; NaN is a missing value.
    left_out
        Names of columns that hold no numbers.
    labels
        Path of the label image, below the acquisition's folder, that the rows are about.
    instances
        The label of each row; None where the rows aren't about labels.
    """

    path: str
    name: str
    type: str
    n_rows: int
    columns: dict[str, Numbers]
    left_out: tuple[str, ...] = ()
    labels: str | None = None
    instances: npt.NDArray[np.int64] | None = None


@dataclass(slots=True)
class Tables:
    """The tables of an image, and what is wrong with others."""

    found: list[Table] = field(default_factory=list)
    failed: list[FileError] = field(default_factory=list)


def read_tables(folder: Path, image: str) -> Tables:
    """Return the tables that an image group lists; one that can't be read stands in `failed`."""
    tables = Tables()
    try:
        listed = groups.attributes(folder, groups.joined(image, "tables")).plain.get("tables")
        names = [n for n in listed if isinstance(n, str)] if isinstance(listed, list) else []
    except FileError as error:
        tables.failed.append(error)
        return tables
    for name in names[:MAX_TABLES]:
        try:
            tables.found.append(read_table(folder, groups.joined(image, "tables", name), name))
        except FileError as error:
            tables.failed.append(error)
    return tables


def read_table(folder: Path, path: str, name: str) -> Table:
    """Return the table at a path.

    Raises
    ------
    FileError
        It is no table of AnnData (`unsupported_table`), damaged (`bad_metadata`, `truncated_file`) or
        too large.
    """
    found = groups.attributes(folder, path)
    if found.plain.get("encoding-type") != "anndata":
        encoding = found.plain.get("encoding-type") or found.plain.get("backend")
        raise FileError(
            f"the table {shown(path)} is stored as {str(encoding)[:40]!r}, not as AnnData",
            code="unsupported_table", files=(shown(path),),
        )  # fmt: skip
    try:
        return _read(folder, path, name, found.plain)
    except FileError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise groups.bad(path, repr(error)) from error


def _read(folder: Path, path: str, name: str, described: Json) -> Table:
    rows = _Frame(folder, groups.joined(path, "obs"))
    columns = dict(_values(folder, path, rows.length()))
    left_out = []
    for column in rows.columns():
        numbers = _numbers(rows.column(column))
        if numbers is None:
            left_out.append(column)
        else:
            columns[column] = numbers
    region, key = described.get("region"), described.get("instance_key")
    about = region.get("path") if isinstance(region, dict) else None
    instances = None
    if isinstance(about, str) and isinstance(key, str):
        instances = _instances(rows, columns, key, path)
        columns.pop(key, None)
    return Table(
        path=path,
        name=name,
        type=str(described.get("type", ""))[:60],
        n_rows=rows.length(),
        columns=columns,
        left_out=tuple(left_out),
        labels=_beside(path.rpartition("/")[0], about) if isinstance(about, str) else None,
        instances=instances,
    )


def _values(folder: Path, path: str, n_rows: int) -> Iterator[tuple[str, Numbers]]:
    """Yield the columns of ``X``."""
    names = _Frame(folder, groups.joined(path, "var")).index()
    if not len(names):
        return
    array = open_array(folder, groups.joined(path, "X"))
    if array.shape != (n_rows, len(names)) or n_rows * len(names) > MAX_VALUES:
        raise FileError(
            f"the table {shown(path)} has values of {array.shape}, {n_rows} rows and {len(names)} columns",
            code="bad_metadata", files=(shown(path),),
        )  # fmt: skip
    values = array.all()
    for number, name in enumerate(names):
        yield str(name), np.asarray(values[:, number], np.float64)


def _instances(
    rows: _Frame, columns: dict[str, Numbers], key: str, path: str
) -> npt.NDArray[np.int64]:
    """Return the label of each row, from the column or the index called `key`."""
    values: Any = columns.get(key)
    if values is None and key == rows.index_name:
        values = rows.index()
    try:
        numbers = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    if numbers.shape != (rows.length(),) or not (numbers == np.floor(numbers)).all():
        raise FileError(
            f"the table {shown(path)} has no column {key[:60]!r} of labels",
            code="bad_metadata", files=(shown(path),),
        )  # fmt: skip
    return numbers.astype(np.int64)


def _beside(path: str, relative: str) -> str | None:
    """Return the path that a relative one such as ``../labels/nuclei`` means; None if it leads away."""
    parts = path.split("/")
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _numbers(values: npt.NDArray[Any] | None) -> Numbers | None:
    """Return values as numbers; None if they aren't."""
    if values is None or values.ndim != 1 or values.dtype.kind not in "biuf":
        return None
    return values.astype(np.float64)


class _Frame:
    """A data frame of AnnData: an index and columns, each an array or a group."""

    def __init__(self, folder: Path, path: str):
        self._folder, self._path = folder, path
        described = groups.attributes(folder, path).plain
        self.index_name = str(described["_index"])
        order = described.get("column-order") or []
        self._order = [str(name) for name in order]
        self._index = self._array(groups.joined(path, self.index_name))

    def _array(self, path: str) -> ZarrArray:
        array = open_array(self._folder, path)
        if len(array.shape) != 1 or array.shape[0] > MAX_ROWS:
            raise FileError(
                f"the column {shown(path)} has the shape {array.shape}",
                code="too_large", files=(shown(path),),
            )  # fmt: skip
        return array

    def length(self) -> int:
        return self._index.shape[0]

    def index(self) -> npt.NDArray[Any]:
        return self._index.all()

    def columns(self) -> list[str]:
        return [name for name in self._order if name != self.index_name]

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return a column; None if it is stored in a way that isn't known."""
        path = groups.joined(self._path, name)
        encoding = groups.attributes(self._folder, path).plain.get("encoding-type", "array")
        if encoding in ("array", "string-array"):
            values = self._array(path).all()
        elif encoding == "categorical":
            values = self._chosen(path)
        elif encoding in ("nullable-integer", "nullable-boolean"):
            values = self._array(f"{path}/values").all().astype(np.float64)
            values[self._array(f"{path}/mask").all().astype(bool)] = np.nan
        else:
            return None
        if len(values) != self.length():
            raise FileError(
                f"the column {shown(path)} has {len(values)} rows, not {self.length()}",
                code="bad_metadata", files=(shown(path),),
            )  # fmt: skip
        return values

    def _chosen(self, path: str) -> npt.NDArray[Any]:
        """Return the category of each row; a code of -1 is a missing value."""
        codes = self._array(f"{path}/codes").all().astype(np.int64)
        categories = self._array(f"{path}/categories").all()
        missing = codes < 0
        if categories.dtype.kind in "biuf":
            categories = categories.astype(np.float64)
        if not len(categories):
            return np.full(len(codes), np.nan)
        values = categories[np.where(missing, 0, codes)]
        if values.dtype.kind == "f":
            values[missing] = np.nan
        return np.asarray(values)
