"""Small Parquet tables that jobs hand to later jobs; entry points: `write_table` and `read_table`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_workers.storage import paths


def write_table(path: Path, columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> None:
    """Write columns as one Parquet file, atomically.

    Parameters
    ----------
    types
        Arrow type of each column by its alias, such as ``"string"`` or ``"int32"``; their order is
        the file's. None and NaN become null.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [
        pa.array(columns[n], pa.type_for_alias(t), from_pandas=True) for n, t in types.items()
    ]
    table = pa.Table.from_arrays(arrays, names=list(types))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=1)
    paths.write_atomically(path, buffer.getvalue())


def write_rows(path: Path, rows: Sequence[Any], types: Mapping[str, str]) -> None:
    """Write a sequence of named tuples whose fields are the columns named by `types`."""
    write_table(path, {n: [getattr(r, n) for r in rows] for n in types}, types)


def read_table(path: Path, columns: Sequence[str] | None = None, filters: Any = None) -> Any:
    """Return a Parquet file as a pyarrow table; `filters` as in `pyarrow.parquet.read_table`."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=list(columns) if columns else None, filters=filters)
