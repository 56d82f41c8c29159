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


def coordinates(name: str, fields: Sequence[bytes], line_of: Callable[[int], int]) -> NDArray[np.float64]:
    """The fields, three a row, as numbers (rows, 3), metres; zeros where one of the three is NaN, which means absent.

    Args:
        name: the file, for the error.
        fields: x, y, z of the first row, x, y, z of the second, and so on.
        line_of: the 1-based line of the file for a 0-based row.

    Raises:
        DataError: a field is not a number, infinite, or farther off than `FARTHEST`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how NumPy before 2.3 tells of text it cannot read
            values = np.fromstring(b" ".join(fields).decode("latin-1"), sep=" ")
    except (ValueError, DeprecationWarning):
        values = np.empty(0)
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


def _number(field: bytes) -> float:
    """The number, or infinity where it is none."""
    try:
        return float(field) if b"_" not in field else np.inf
    except ValueError:
        return np.inf
