"""Tables as text: CSV with commas, semicolons, tabs or blanks; with names of columns, or for a given layout without."""

from __future__ import annotations

import csv
from collections.abc import Container
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.formats import deeplabcut
from pcm3.data.formats.columns import MOST_CELLS, MOST_TABLE_BYTES, from_columns
from pcm3.data.formats.mediapipe import as_mediapipe
from pcm3.data.formats.motion_file import Column, FileGroup, MotionFile
from pcm3.data.names import printable
from pcm3.data.readers.text_table import number_rows
from pcm3.data.source_index import Options
from pcm3.errors import DataError

DIVIDERS = ",;\t"
LONGEST_HEAD = 2**18
"""Bytes of a table among which its first line is looked for."""
BEFORE = 3
"""Numbers that may stand before the coordinates of a row without names: frame, time, person."""


def looks_so(name: str, head: bytes) -> bool:
    """Whether the first lines are rows of equally many fields."""
    text = _text(head)
    lines = [line for line in (text or "").splitlines()[:-1] if line.strip()][:10]
    divider = _divider(lines[0]) if lines else None
    counts = {len(_fields(line, divider)) for line in lines}
    return len(lines) > 1 and len(counts) == 1 and counts.pop() >= 6


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
        first = (_text(entry.head(LONGEST_HEAD)) or "").lstrip("\n\r").split("\n", 1)[0].strip()
    except DataError:
        return []
    fields = _fields(first, _divider(first))
    return [] if fields[0] == deeplabcut.FIRST_WORD or all(map(_is_number, fields)) else fields


def columns(entry: Entry, texts: frozenset[str]) -> dict[str, Column]:
    """The columns of the table by their names; some of them as texts.

    Raises:
        DataError: it is no table.
    """
    text = _text(entry.read(MOST_TABLE_BYTES))
    if text is None:
        raise DataError(f"{entry.name}: expected a table as text in UTF-8, got other bytes")
    first = text.lstrip("\n\r").split("\n", 1)[0].strip()
    return table(entry.name, text, _divider(first), texts)


def parse(name: str, data: bytes, options: Options) -> MotionFile:
    """As `read`, of bytes."""
    text = _text(data)
    if text is None or not text.strip():
        raise DataError(f"{name}: expected a table as text in UTF-8, got {'nothing' if text == '' else 'other bytes'}")
    first = text.lstrip("\n\r").split("\n", 1)[0].strip()
    divider = _divider(first)
    if all(_is_number(field) for field in first.split(divider)):
        return _without_names(name, text.encode(), divider, options)
    if first.split(divider)[0] == deeplabcut.FIRST_WORD and divider is not None:
        return deeplabcut.from_csv(name, [line.split(divider) for line in text.splitlines() if line.strip()])
    return as_mediapipe(from_columns(name, table(name, text, divider)))


def table(name: str, text: str, divider: str | None, texts: Container[str] = ()) -> dict[str, Column]:
    """The columns of a table by their names; some of them as texts.

    Raises:
        DataError: rows of several lengths, names that are there twice, or far too much.
    """
    if divider is None:
        rows = [line.split() for line in text.splitlines() if line.strip()]
    else:
        try:
            rows = [row for row in csv.reader(StringIO(text, newline=""), delimiter=divider, strict=True) if row]
        except csv.Error as error:
            raise DataError(f"{name}: expected a table as CSV: {printable(str(error))}") from error
    names = [column.strip() for column in rows[0]]
    while names and not names[-1]:  # a divider at the end of the line
        names.pop()
    if len(set(names)) < len(names):
        double = next(column for column in names if names.count(column) > 1)
        raise DataError(f"{name}: expected names of columns that differ, got '{printable(double, 40)}' twice")
    if len(rows) * len(names) > MOST_CELLS:
        raise DataError(f"{name}: expected a table of a recording, got {len(rows):,} rows of {len(names):,} columns")
    for number, row in enumerate(rows, 1):
        if len(row) < len(names) or any(cell.strip() for cell in row[len(names) :]):
            raise DataError(f"{name}: row {number}: expected {len(names)} fields, got {len(row)}")
    cells = zip(*(row[: len(names)] for row in rows[1:]), strict=True)
    columns = dict.fromkeys(names, np.empty(0)) | {
        column: list(values) if column in texts else _column(list(values))
        for column, values in zip(names, cells, strict=False)
    }
    return {column: columns[column] for column in names}


def _column(values: list[str]) -> Column:
    """Numbers where all cells are numbers or empty, else texts."""
    try:
        return np.array(values, np.float64)
    except ValueError:
        pass
    try:
        return np.array([float(value) if value.strip() else np.nan for value in values])
    except ValueError:
        return values


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


def _text(data: bytes) -> str | None:
    """The bytes as text; None where they are none."""
    for encoding, mark in (("utf-16", b"\xff\xfe"), ("utf-16", b"\xfe\xff"), ("utf-8-sig", b"")):
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            return None if "\0" in text or text.count("\ufffd") > 2 + len(text) / 100 else text
    return None


def _divider(line: str) -> str | None:
    """What divides the fields of a line; None: blanks."""
    most = max(DIVIDERS, key=line.count)
    return most if most in line else None


def _fields(line: str, divider: str | None) -> list[str]:
    """The fields of a line, of which none is empty; those in quotes may hold what divides."""
    if divider is None:
        return line.split()
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=divider))]
    except (csv.Error, StopIteration):
        return line.split(divider)


def _is_number(field: str) -> bool:
    try:
        float(field or "0")
    except ValueError:
        return False
    return True
