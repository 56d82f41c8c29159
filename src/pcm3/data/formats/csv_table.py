"""Tables as text: CSV with commas, semicolons, tabs or blanks; with names of columns, or for a given layout without."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.formats import deeplabcut
from pcm3.data.formats.arrow_columns import columns_of_csv
from pcm3.data.formats.columns import MOST_CELLS, MOST_TABLE_BYTES, from_columns
from pcm3.data.formats.mediapipe import as_mediapipe
from pcm3.data.formats.motion_file import HEAD, Column, FileGroup, MotionFile
from pcm3.data.formats.table_text import divider_of, table_text
from pcm3.data.names import NOTHING, printable
from pcm3.data.readers.text_table import number_rows
from pcm3.data.source_index import Options
from pcm3.errors import DataError

FEWEST = 6
"""Fields of a table of motion."""
ROWS_EXAMINED = 10
"""Rows by which it is told."""
LONGEST_HEAD = 2**18
"""Bytes of a table among which its first line is looked for."""
BEFORE = 3
"""Numbers that may stand before the coordinates of a row without names: frame, time, person."""


def matches(name: str, head: bytes) -> bool:
    """Whether the first lines are rows of equally many fields."""
    text = table_text(head, whole=False)
    rows = [] if text is None else [row for row in _rows(text, divider_of(text)) if row][: ROWS_EXAMINED + 1]
    counts = {len(row) for row in (rows[:-1] if len(head) >= HEAD else rows)[:ROWS_EXAMINED]}
    return len(rows) > 1 and len(counts) == 1 and counts.pop() >= FEWEST


def read(group: FileGroup, options: Options) -> MotionFile:
    """The recording in the table.

    Raises:
        DataError: it is no table, or its columns are no joints; the error names line or columns.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read(), options)


def names(entry: Entry) -> list[str]:
    """The names of the table's columns; none where it has no names, or DeepLabCut's rows of them."""
    try:
        text = table_text(entry.head(LONGEST_HEAD), whole=False) or ""
    except DataError:
        return []
    fields = [field.strip() for field in next(_rows(text.lstrip(), divider_of(text)), [])]
    return [] if not fields or fields[0] == deeplabcut.FIRST_WORD or all(map(_is_number, fields)) else fields


def columns(entry: Entry, texts: frozenset[str]) -> dict[str, Column]:
    """The columns of the table by their names; some of them as texts.

    Raises:
        DataError: it is no table.
    """
    return table(entry.name, _text(entry.name, entry.read(MOST_TABLE_BYTES)), texts)


def parse(name: str, data: bytes, options: Options) -> MotionFile:
    """As `read`, of bytes."""
    text = _text(name, data)
    first, divider = text.strip().split("\n", 1)[0].split(divider_of(text)), divider_of(text)
    if all(map(_is_number, first)):
        return _without_names(name, text.encode(), divider, options)
    if first[0] == deeplabcut.FIRST_WORD and divider is not None:
        return deeplabcut.from_csv(name, [line.split(divider) for line in text.splitlines() if line.strip()])
    return as_mediapipe(from_columns(name, table(name, text)))


def table(name: str, text: str, texts: Container[str] = ()) -> dict[str, Column]:
    """The columns of a table by their names; some of them as texts.

    Raises:
        DataError: rows of several lengths, names that are there twice, or far too much.
    """
    divider = divider_of(text)
    try:
        names, first = _names(name, text[:LONGEST_HEAD], divider)
        lines = text.count("\n")
        if lines * len(names) > MOST_CELLS:
            raise DataError(f"{name}: expected a table of a recording, got {lines:,} rows of {len(names):,} columns")
        quick = None if divider is None else columns_of_csv(text, divider, names, first, texts)
        if quick is not None:
            return quick
        rows = [row for row in _rows(text, divider, strict=True) if row][1:]
    except csv.Error as error:
        raise DataError(f"{name}: expected a table as CSV: {printable(str(error))}") from error
    for number, row in enumerate(rows, 2):
        if len(row) < len(names) or (len(row) > len(names) and any(cell.strip() for cell in row[len(names) :])):
            raise DataError(f"{name}: row {number}: expected {len(names)} fields, got {len(row)}")
    cells = zip(*(row[: len(names)] for row in rows), strict=True)
    columns: dict[str, Column] = dict.fromkeys(names, np.empty(0))
    for column, values in zip(names, cells, strict=False):
        columns[column] = list(values) if column in texts else _column(list(values))
    return columns


def _names(name: str, head: str, divider: str | None) -> tuple[list[str], list[str]]:
    """The names of the columns, and the fields of the row below them.

    Raises:
        DataError: names that are there twice.
    """
    rows = (row for row in _rows(head, divider) if row)
    names, first = next(rows), next(rows, [])
    while names and not names[-1].strip():  # a divider at the end of the line
        names.pop()
    names = [column.strip() for column in names]
    if len(set(names)) < len(names):
        double = next(column for column in names if names.count(column) > 1)
        raise DataError(f"{name}: expected names of columns that differ, got '{printable(double, 40)}' twice")
    return names, first


def _column(values: list[str]) -> Column:
    """Numbers where all cells are numbers or say nothing, else texts; a comma is a point where no cell has a point."""
    numbers = _numbers(values)
    if numbers is None and any("," in value for value in values) and not any("." in value for value in values):
        numbers = _numbers([value.replace(",", ".") for value in values])
    return values if numbers is None else numbers


def _numbers(values: list[str]) -> NDArray[np.float64] | None:
    try:
        return np.array(list(map(float, values)))
    except ValueError:
        pass
    try:
        return np.array([np.nan if value.strip() in NOTHING else float(value) for value in values])
    except ValueError:
        return None


def _without_names(name: str, data: bytes, divider: str | None, options: Options) -> MotionFile:
    """Rows of x, y, z of each joint of the layout that the user gives, perhaps after a frame or a time."""
    first = data.lstrip().split(b"\n", 1)[0].split(None if divider is None else divider.encode())
    if options.layout is None:
        raise DataError(
            f"{name}: which skeleton is it? The table has {len(first)} columns without names: give one with --layout"
        )
    count = 3 * len(options.layout.joints)
    before = len(first) - count
    if not 0 <= before <= BEFORE:
        raise DataError(
            f"{name}: expected {count} columns for layout '{options.layout.name}', or up to {BEFORE} more before them, "
            f"got {len(first)}"
        )
    rows = number_rows(name, data.strip(), len(first), None if divider is None else divider.encode())
    points: NDArray[np.float64] = rows[:, before:].reshape(len(rows), 1, -1, 3).copy()
    points[~points.any(axis=-1)] = np.nan
    return MotionFile(points, options.layout.joints)


def _text(name: str, data: bytes) -> str:
    text = table_text(data)
    if text is None or not text.strip():
        got = "other bytes" if data else "nothing"
        raise DataError(f"{name}: expected a table as text in UTF-8, UTF-16 or Windows-1252, got {got}")
    return text


def _rows(text: str, divider: str | None, *, strict: bool = False) -> Iterator[list[str]]:
    """The fields of each row; those in quotes may hold what divides, and go over several lines."""
    if divider is None:
        return (line.split() for line in text.splitlines())
    return csv.reader(StringIO(text, newline=""), delimiter=divider, strict=strict)


def _is_number(field: str) -> bool:
    try:
        float(field.strip() or "0")
    except ValueError:
        return False
    return True
