"""Columns of Arrow's tables, those of Parquet files and of large CSV files."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from pcm3.data.formats.motion_file import Column
from pcm3.data.formats.optional import library
from pcm3.data.names import NOTHING
from pcm3.errors import DataError

LARGE = 2**20
"""Bytes of a CSV file from which on it is worth the time that importing Arrow takes."""


def columns_of(table: Any, texts: Container[str]) -> dict[str, Column]:
    """The columns by their names; some of them as texts, whole numbers of any length."""
    return {
        name: _words(table.column(name)) if name in texts else _numbers(table.column(name))
        for name in table.column_names
    }


def columns_of_csv(
    text: str, divider: str, names: Sequence[str], first: Sequence[str], texts: Container[str]
) -> dict[str, Column] | None:
    """The columns of a large CSV file; None: it is to be read by Python's csv, which says what is wrong with it.

    Args:
        text: the file's.
        divider: of the fields.
        names: of the columns, which stand in the first line.
        first: the fields of the row below: columns that hold a number or nothing there must hold numbers.
        texts: columns that are texts in any case.
    """
    head, _, rows = text.lstrip().partition("\n")
    if len(rows) < LARGE or not len(first) == len(names) == len(head.split(divider)):
        return None
    try:
        arrow, csv = library("pyarrow", "CSV"), library("pyarrow.csv", "CSV")
    except DataError:
        return None
    types = {
        name: arrow.string() if name in texts or not _may_be_number(cell.strip()) else arrow.float64()
        for name, cell in zip(names, first, strict=True)
    }
    try:
        table = csv.read_csv(
            arrow.BufferReader(rows.encode()),
            csv.ReadOptions(use_threads=False, column_names=names),
            csv.ParseOptions(delimiter=divider, newlines_in_values=True),
            csv.ConvertOptions(column_types=types, null_values=sorted(NOTHING), strings_can_be_null=True),
        )
    except arrow.ArrowException:
        return None
    return columns_of(table, {name for name, kind in types.items() if kind == arrow.string()})


def _may_be_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in NOTHING
    return True


def _words(column: Any) -> Column:
    """A column as texts where it is not of fractions."""
    arrow = library("pyarrow", "Parquet")
    kind = getattr(column.type, "value_type", column.type)  # of a dictionary's words
    if arrow.types.is_floating(kind) or arrow.types.is_nested(column.type):
        return _numbers(column)
    return ["" if word is None else word for word in column.cast(kind).cast(arrow.string()).to_pylist()]


def _numbers(column: Any) -> Column:
    """A column as numbers, or as texts where it holds none."""
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind in "mM":
        microseconds = "timedelta64[us]" if values.dtype.kind == "m" else "datetime64[us]"
        return values.astype(microseconds).astype(np.float64) / 1e6
    try:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except (TypeError, ValueError):
        return ["" if value is None else str(value) for value in values]
