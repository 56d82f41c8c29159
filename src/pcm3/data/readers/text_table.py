"""Numbers in a text file, a fixed number a line, read in one go; a mistake is told with its line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pcm3.data.recording import FARTHEST
from pcm3.errors import DataError


def printable(line: bytes) -> str:
    """The line as an error quotes it: in quotes, short, every byte visible."""
    return repr(line[:40].decode("latin-1")) + ("…" if len(line) > 40 else "")


def read_rows(
    name: str,
    data: bytes,
    columns: int,
    expected: str,
    divider: bytes | None = None,
    fits: Callable[[list[bytes]], bool] = lambda row: True,
) -> list[list[bytes]]:
    """The fields of each line.

    Raises:
        DataError: a line has not so many, or does not fit; the error says what was expected.
    """
    rows = []
    for number, line in enumerate(data.rstrip().splitlines(), 1):
        row = line.split(divider)
        if len(row) != columns or not fits(row):
            raise DataError(f"{name}: line {number}: expected {expected}, got {printable(line)}")
        rows.append(row)
    return rows


def is_frame_number(row: list[bytes]) -> bool:
    """Whether the row begins with one."""
    return row[0].strip().isdigit() and len(row[0].strip()) <= 9


def coordinates(name: str, fields: Sequence[bytes], line_of: Callable[[int], int]) -> NDArray[np.float64]:
    """The fields, three a row, as numbers (rows, 3), metres; zeros where one of the three is NaN, which means absent.

    Args:
        name: the file, for the error.
        fields: x, y, z of the first row, x, y, z of the second, and so on.
        line_of: the 1-based line of the file for a 0-based row.

    Raises:
        DataError: a field is not a number, infinite, or farther off than `FARTHEST`.
    """
    values = _in_one_go(b" ".join(fields), " ")
    if values.size != len(fields):
        values = np.array([_number(field) for field in fields])
    points = values.reshape(-1, 3)
    absent = np.isnan(points)
    wrong = ~((np.abs(points) <= FARTHEST) | absent).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        got = printable(b" ".join(fields[3 * row : 3 * row + 3]))
        raise DataError(f"{name}: line {line_of(row)}: expected x, y, z in metres, got {got}")
    return np.where(absent.any(axis=1, keepdims=True), 0, points)


def _in_one_go(text: bytes, divider: str) -> NDArray[np.float64]:
    """The numbers of a text; fewer than there are, or none, where a field is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how NumPy before 2.3 tells of text it cannot read
            return np.fromstring(text.decode("latin-1"), sep=divider)
    except (ValueError, DeprecationWarning):
        return np.empty(0)


def _number(field: bytes) -> float:
    """The number, or infinity where it is none."""
    try:
        return float(field) if b"_" not in field else np.inf
    except ValueError:
        return np.inf


def number_rows(
    name: str, data: bytes, columns: int, divider: bytes | None, first_line: int = 1
) -> NDArray[np.float64]:
    """The lines as rows (T, columns) of finite numbers.

    Args:
        name: the file, for the error.
        data: lines of numbers; empty ones at the end do not count.
        columns: numbers in each of them.
        divider: between them; None: blanks.
        first_line: the number of the first line, for the error.

    Raises:
        DataError: no line, one of another number of fields, or a field that is no number; the error names the line.
    """
    lines = data.rstrip().splitlines()
    if not lines:
        raise DataError(f"{name}: line {first_line}: expected {columns} numbers, got the end of the file")
    for number, line in enumerate(lines, first_line):
        count = len(line.split()) if divider is None else line.count(divider) + 1
        if count != columns:
            raise DataError(f"{name}: line {number}: expected {columns} numbers, got {count}: {printable(line)}")
    values = _in_one_go((divider or b" ").join(lines), (divider or b" ").decode())
    if values.size != columns * len(lines):
        values = np.array([_number(field) for line in lines for field in line.split(divider)])
    values = values.reshape(-1, columns)
    wrong = ~np.isfinite(values)
    if wrong.any():
        place, column = (int(index) for index in np.argwhere(wrong)[0])
        got = printable(lines[place].split(divider)[column])
        raise DataError(f"{name}: line {place + first_line}: expected a number, got {got}")
    return values
