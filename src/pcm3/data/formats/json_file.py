"""JSON as pose estimators write it: what is asked of it, with one line for what is not there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.names import printable
from pcm3.errors import DataError


def load(name: str, data: bytes) -> Any:
    """What the file holds.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: expected JSON: {printable(str(error), 100)}") from error


def numbers(name: str, value: Any, width: int, what: str) -> NDArray[np.float64]:
    """A flat list, or a list of lists, of numbers as rows (N, width); null is NaN.

    Raises:
        DataError: it is none.
    """
    try:
        rows = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        rows = np.full(1, np.inf)
    if rows.size % width or rows.ndim > 2 or np.isinf(rows).any() or (rows.ndim == 2 and rows.shape[1] != width):
        raise DataError(f"{name}: expected {what} as numbers, {width} each, got {printable(repr(value)[:200], 60)}")
    return rows.reshape(-1, width)
