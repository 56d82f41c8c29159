"""Tables in Parquet files, by pyarrow."""

from __future__ import annotations

import numpy as np

from pcm3.data.archives import SIZE_LIMIT, Entry
from pcm3.data.formats.columns import MOST_CELLS, MOST_TABLE_BYTES, from_columns
from pcm3.data.formats.mediapipe import as_mediapipe
from pcm3.data.formats.motion_file import Column, FileGroup, MotionFile
from pcm3.data.formats.optional import library
from pcm3.data.names import printable
from pcm3.data.source_index import Options
from pcm3.errors import DataError


def read(group: FileGroup, options: Options) -> MotionFile:
    """The recording in the table.

    Raises:
        DataError: it is no Parquet file, or its columns are no joints; pyarrow is not installed.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    return as_mediapipe(from_columns(name, table(name, data)))


def names(entry: Entry) -> list[str]:
    """The names of the table's columns; none of what cannot be read."""
    try:
        return list(columns(entry, frozenset()))
    except DataError:
        return []


def columns(entry: Entry, texts: frozenset[str]) -> dict[str, Column]:
    """The columns of the table by their names; the file knows which are texts.

    Raises:
        DataError: it is no Parquet file; pyarrow is not installed.
    """
    return table(entry.name, entry.read(MOST_TABLE_BYTES))


def table(name: str, data: bytes) -> dict[str, Column]:
    """The columns of a table by their names, see `columns`."""
    arrow, parquet = library("pyarrow", "Parquet"), library("pyarrow.parquet", "Parquet")
    try:
        file = parquet.ParquetFile(arrow.BufferReader(data))
        cells = file.metadata.num_rows * file.metadata.num_columns
        unpacked = sum(file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
        if not 0 <= cells <= MOST_CELLS or not 0 <= unpacked <= 16 * SIZE_LIMIT:
            raise DataError(f"{name}: expected a table of a recording, got {cells:,} cells")
        table = file.read(use_threads=False)
        columns = {column: _column(table.column(column)) for column in table.column_names}
    except (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError, TypeError) as error:
        raise DataError(f"{name}: expected a Parquet file: {printable(str(error), 120)}") from error
    if len(columns) < len(table.column_names):
        raise DataError(f"{name}: expected names of columns that differ")
    return columns


def _column(column: object) -> Column:
    """A column of Arrow's as numbers, or as texts where it holds none."""
    values = column.to_numpy(zero_copy_only=False) if hasattr(column, "combine_chunks") else np.empty(0)  # type: ignore[attr-defined]
    kind = np.asarray(values).dtype.kind
    if kind in "fiub":
        return np.asarray(values, np.float64)
    if kind in "mM":
        return (
            np.asarray(values).astype("timedelta64[us]" if kind == "m" else "datetime64[us]").astype(np.float64) / 1e6
        )
    try:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except (TypeError, ValueError):
        return ["" if value is None else str(value) for value in values]
