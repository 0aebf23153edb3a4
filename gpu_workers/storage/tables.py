"""Parquet tables that jobs hand to later jobs; entry points: `write_table`, `read_table`, `read_slice`.

Tables are written in row groups, so that a job that needs a few rows of a million reads only those.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gpu_workers.storage import paths

ROW_GROUP: Final = 65_536


def write_table(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    types: Mapping[str, str],
    row_group: int = ROW_GROUP,
) -> None:
    """Write columns as one Parquet file, atomically.

    Parameters
    ----------
    types
        Arrow type of each column by its alias, such as ``"string"`` or ``"int32"``; their order is
        the file's. None and NaN become null.
    row_group
        Rows that are read together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [
        pa.array(columns[n], pa.type_for_alias(t), from_pandas=True) for n, t in types.items()
    ]
    table = pa.Table.from_arrays(arrays, names=list(types))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=1, row_group_size=row_group)
    paths.write_atomically(path, buffer.getvalue())


def write_rows(path: Path, rows: Sequence[Any], types: Mapping[str, str]) -> None:
    """Write a sequence of named tuples whose fields are the columns named by `types`."""
    write_table(path, {n: [getattr(r, n) for r in rows] for n in types}, types)


def read_table(path: Path, columns: Sequence[str] | None = None, filters: Any = None) -> Any:
    """Return a Parquet file as a pyarrow table; `filters` as in `pyarrow.parquet.read_table`."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=list(columns) if columns else None, filters=filters)


def n_rows(path: Path) -> int:
    """Return how many rows a Parquet file has, without reading them."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def read_slice(path: Path, first: int, count: int, columns: Sequence[str] | None = None) -> Any:
    """Return rows `first` to `first + count` of a Parquet file; other row groups aren't read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        start, groups, skipped = 0, [], 0
        for number in range(file.num_row_groups):
            n = file.metadata.row_group(number).num_rows
            if start + n <= first:
                skipped += n
            elif start < first + count:
                groups.append(number)
            start += n
        table = file.read_row_groups(groups, columns=list(columns) if columns else None)
    return table.slice(first - skipped, count)


def join_tables(path: Path, parts: Iterable[Path], types: Mapping[str, str]) -> int:
    """Write the rows of several tables as one, atomically; returns how many there are.

    Never more than a row group and a part are held in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(n, pa.type_for_alias(t)) for n, t in types.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    os.close(handle)
    n_rows = 0
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1) as writer:
            waiting: list[Any] = []
            for part in parts:
                waiting.append(read_table(part, list(types)).cast(schema))
                n_rows += waiting[-1].num_rows
                if sum(t.num_rows for t in waiting) >= ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting).combine_chunks())
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting).combine_chunks())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return n_rows
