"""Tables in Parquet files, by pyarrow."""

from __future__ import annotations

from collections.abc import Container

from pcm3.data.archives import SIZE_LIMIT, Entry
from pcm3.data.formats.arrow_columns import columns_of
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
        arrow, parquet = library("pyarrow", "Parquet"), library("pyarrow.parquet", "Parquet")
        return list(parquet.ParquetFile(arrow.BufferReader(entry.read(MOST_TABLE_BYTES))).schema_arrow.names)
    except (DataError, ValueError, OSError):  # Arrow's own errors are ValueErrors
        return []


def columns(entry: Entry, texts: frozenset[str]) -> dict[str, Column]:
    """The columns of the table by their names; some of them as texts, whole numbers of any length.

    Raises:
        DataError: it is no Parquet file; pyarrow is not installed.
    """
    return table(entry.name, entry.read(MOST_TABLE_BYTES), texts)


def table(name: str, data: bytes, texts: Container[str] = ()) -> dict[str, Column]:
    """The columns of a table by their names, see `columns`."""
    arrow, parquet = library("pyarrow", "Parquet"), library("pyarrow.parquet", "Parquet")
    try:
        file = parquet.ParquetFile(arrow.BufferReader(data))
        cells = file.metadata.num_rows * file.metadata.num_columns
        unpacked = sum(file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
        if not 0 <= cells <= MOST_CELLS or not 0 <= unpacked <= 16 * SIZE_LIMIT:
            raise DataError(f"{name}: expected a table of a recording, got {cells:,} cells")
        table = file.read(use_threads=False)
        columns = columns_of(table, texts)
    except (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError, TypeError) as error:
        raise DataError(f"{name}: expected a Parquet file: {printable(str(error), 120)}") from error
    if len(columns) < len(table.column_names):
        raise DataError(f"{name}: expected names of columns that differ")
    return columns
