"""DeepLabCut's columns (scorer, perhaps individual, body part, coordinate), in CSV files and in pandas' HDF5 tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.columns import MOST_BODIES
from pcm3.data.formats.motion_file import PIXELS, MotionFile
from pcm3.errors import DataError

FIRST_WORD = "scorer"
COORDINATES = ("x", "y", "z", "likelihood")


def from_csv(name: str, rows: Sequence[Sequence[str]]) -> MotionFile:
    """The bodies in a CSV file, whose first three or four rows are the names of the columns.

    Raises:
        DataError: rows of several lengths, or fields that are no numbers.
    """
    levels = next((number for number, row in enumerate(rows) if row[0] == "coords"), 0) + 1
    if not 3 <= levels <= 4 or any(len(row) != len(rows[0]) for row in rows):
        raise DataError(f"{name}: expected the rows scorer, bodyparts, coords, and rows of numbers as long as these")
    try:
        values = np.array([[float(cell) if cell.strip() else np.nan for cell in row[1:]] for row in rows[levels:]])
    except ValueError as error:
        raise DataError(f"{name}: expected numbers below the names of the columns: {error}") from error
    return from_columns(name, list(zip(*(row[1:] for row in rows[:levels]), strict=True)), values)


def from_columns(name: str, columns: Sequence[Sequence[str]], values: NDArray[np.float64]) -> MotionFile:
    """The bodies in a table.

    Args:
        name: the file, for the error.
        columns: (scorer, [individual,] body part, coordinate) of each.
        values: (T, K).

    Raises:
        DataError: columns that do not make coordinates.
    """
    if not columns or values.ndim != 2 or values.shape[1] != len(columns) or not len(values):
        raise DataError(f"{name}: expected rows of {len(columns)} numbers, got {values.shape}")
    if any(len(column) not in (3, 4) or column[-1] not in COORDINATES for column in columns):
        raise DataError(f"{name}: expected columns of scorer, body part and {', '.join(COORDINATES)}")
    if np.isinf(values).any():
        raise DataError(f"{name}: expected numbers, got infinity")
    people = list(dict.fromkeys(column[-3] for column in columns))[:MOST_BODIES]
    joints = list(dict.fromkeys(column[-2] for column in columns))
    cells = np.full((len(values), len(people), len(joints), len(COORDINATES)), np.nan)
    for place, column in enumerate(columns):
        if column[-3] in people:
            cells[:, people.index(column[-3]), joints.index(column[-2]), COORDINATES.index(column[-1])] = values[
                :, place
            ]
    fields = {column[-1] for column in columns}
    return upwards(cells[..., :3], tuple(joints), cells[..., 3] if "likelihood" in fields else None)


def upwards(
    frames: NDArray[np.float64], joints: tuple[str, ...], scores: NDArray[np.float64] | None, fps: float | None = None
) -> MotionFile:
    """Places (T, M, V, 3), as a motion file; those without a third coordinate as a picture's, y upwards."""
    frames = frames.copy()
    flat = bool(np.isnan(frames[..., 2]).all())
    if flat:
        frames[..., 1] *= -1
        frames[..., 2] = np.where(np.isnan(frames[..., 0]), np.nan, 0)
    frames[np.isnan(frames).any(axis=-1)] = np.nan
    return MotionFile(frames, joints, fps=fps, unit=PIXELS if flat else None, scores=scores)
