"""What ``store.json`` and the tables of clips hold: looked at whenever a store is opened, and before one is written.

What is not named here may be there too, and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pcm3.data.names import is_name
from pcm3.data.recording import TEST, UNKNOWN
from pcm3.errors import DataError, brief

PROTOCOL_COLUMNS = ("subject", "camera", "setup", "side")
"""What a protocol may go by. ``side`` is what the data itself says under this protocol's name: 0 train, 1 test."""
SPLIT = "side_"
"""How the columns begin that say to which side of the protocol in the rest of their name a clip belongs."""
SLOWEST, FASTEST = 1e-3, 1e6
"""Frames a second that a recording may have."""
INT32 = 2**31 - 1


class Value(NamedTuple):
    """A value without parts: what it is, in words, and whether a value is that."""

    expected: str
    fits: Callable[[Any], bool]


Schema = Value | list[Any] | Mapping[Any, Any]
"""A value; ``[schema]``: a list of it; ``{"name": schema, "name?": schema}``: fields, some of which may be missing;
``{value: schema}``: any names that are such values."""


def _is_integer(value: Any, low: int = 0, high: int = 2**62) -> bool:
    return type(value) is int and low <= value <= high


def _is_number(value: Any, low: float = -1e6, high: float = 1e6) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high  # not NaN


def _is_direction(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value)) and any(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)


NAME = Value("a name that can be printed", is_name)
TEXT = Value("a text", lambda value: isinstance(value, str))
BOOLEAN = Value("true or false", lambda value: isinstance(value, bool))
COUNT = Value("how many", _is_integer)
INTEGER = Value("a whole number", lambda value: _is_integer(value, -INT32, INT32))
DIGEST = Value(
    "64 hexadecimal digits", lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))
)
LIMIT = Value("a whole number from 0 on", lambda value: value is None or _is_integer(value, 0, INT32))

BEFORE_CLIPS: dict[str, Schema] = {
    "kind": NAME,
    "fps": Value(f"frames a second, {SLOWEST:g} to {FASTEST:g}", lambda value: _is_number(value, SLOWEST, FASTEST)),
    "normalised": BOOLEAN,
    "classes": [NAME],
    "protocols": {
        NAME: {
            "by": Value(f"one of {', '.join(PROTOCOL_COLUMNS)}", lambda value: value in PROTOCOL_COLUMNS),
            "train": [INTEGER],
        }
    },
    "dimensions?": Value("2 or 3", lambda value: _is_integer(value, 2, 3)),
    # What `pcm3.data.prepare.Recipe.to_dict` gives; a later version may give more.
    "preparation?": {
        "max_frames?": LIMIT,
        "origin?": LIMIT,
        "fill?": LIMIT,
        "rule?": NAME,
        "trim?": BOOLEAN,
        "rate?": Value("a number", _is_number),
        "up?": Value("a direction of three numbers", lambda value: value is None or _is_direction(value)),
        "merged?": {TEXT: DIGEST},
        "joined?": {
            "from": DIGEST,
            "pieces": COUNT,
            "seed": Value("a seed", lambda value: _is_integer(value, 0, 2**63)),
        },
        "retargeted?": {"from": NAME, "to": NAME, "joints": {TEXT: TEXT}, "unused?": [TEXT]},
    },
}
"""Fields of ``store.json`` that are known before the first clip is; the layout looks at itself (`pcm3.skeleton`)."""
FIELDS: dict[str, Schema] = BEFORE_CLIPS | {
    "report": {"clips?": COUNT, "left_out?": [Value("a file and a reason", _is_pair)], "notes?": [TEXT]},
    "checksums": {"frames.npy": DIGEST, "clips.npz": DIGEST, TEXT: DIGEST},
    "counts?": {TEXT: COUNT},
}


def check_fields(value: Any, where: str, schema: Schema = FIELDS) -> None:
    """Raises DataError unless the value is what the schema says; ``where`` is how the error begins."""
    if isinstance(schema, Value):
        if not schema.fits(value):
            raise DataError(f"{where}: expected {schema.expected}, got {brief(value)}")
    elif isinstance(schema, list):
        if not isinstance(value, list | tuple):
            raise DataError(f"{where}: expected a list, got {brief(value)}")
        for place, item in enumerate(value):
            check_fields(item, f"{where}[{place}]", schema[0])
    elif not isinstance(value, dict):
        raise DataError(f"{where}: expected names and values, got {brief(value)}")
    else:
        for key, inner in schema.items():
            if isinstance(key, Value):
                for name, item in value.items():
                    check_fields(name, where, key)
                    check_fields(item, f"{where}, {brief(name)[1:-1]}", inner)
            elif (name := key.removesuffix("?")) in value:
                check_fields(value[name], f"{where}, {name}", inner)
            elif name == key:
                raise DataError(f"{where}, {name}: expected this field, there is none")


class NumberColumn(NamedTuple):
    """A column of whole numbers."""

    dtype: DTypeLike
    """In memory."""
    low: int
    high: int


COLUMNS = {
    "start": NumberColumn(np.int64, 0, 2**62),
    "length": NumberColumn(np.int32, 1, INT32),
    **dict.fromkeys(("label", "subject", "camera", "setup"), NumberColumn(np.int32, -INT32, INT32)),
}
OPTIONAL_COLUMNS = {
    "confidence": NumberColumn(np.int32, -INT32, INT32),
    "recording": NumberColumn(np.int32, UNKNOWN, INT32),
    **dict.fromkeys(("cut", "dropped", "absent", "filled"), NumberColumn(np.int32, 0, INT32)),
}
SPLIT_COLUMN = NumberColumn(np.int32, UNKNOWN, TEST)


def is_column(name: str) -> bool:
    """Whether a table of clips may have such a column."""
    return name in ("id", "bodies", "side", *COLUMNS, *OPTIONAL_COLUMNS) or name.startswith(SPLIT)


def checked_table(columns: Mapping[str, NDArray[Any]], where: str) -> dict[str, NDArray[Any]]:
    """The columns of a table of N clips, numbers in the types that they have in memory.

    Args:
        columns: as they were in the file.
        where: how an error begins.

    Raises:
        DataError: a column is missing, of another type or length, or holds a number that cannot be.
    """
    missing = [name for name in (*COLUMNS, "id", "bodies") if name not in columns]
    if missing:
        raise DataError(f"{where}, {missing[0]}: expected this column, there is none")
    clips = columns["start"].shape[0] if columns["start"].ndim else 0
    checked = {"start": _checked_numbers("start", columns["start"], COLUMNS["start"], clips, where)}
    for name, column in columns.items():
        numbers = COLUMNS.get(name) or OPTIONAL_COLUMNS.get(name)
        if name == "id":
            _check_ids(column, clips, where)
            checked[name] = column
        elif name == "bodies":
            if column.dtype != np.bool_ or column.ndim != 2 or len(column) != clips:
                raise _odd(where, name, f"({clips}, bodies) truth values", column)
            checked[name] = column
        else:
            checked[name] = _checked_numbers(name, column, numbers or SPLIT_COLUMN, clips, where)
    return checked


def _checked_numbers(name: str, column: NDArray[Any], numbers: NumberColumn, clips: int, where: str) -> NDArray[Any]:
    if column.dtype.kind not in "iu" or column.shape != (clips,):
        raise _odd(where, name, f"{clips} whole numbers", column)
    wrong = np.flatnonzero((column < numbers.low) | (column > numbers.high))
    if len(wrong):
        expected = f"{numbers.low} or more" if numbers.high >= INT32 else f"{numbers.low} to {numbers.high}"
        raise DataError(
            f"{where}, {name}: expected numbers of {expected}, got {column[wrong[0]]} for number {wrong[0]}"
        )
    return column.astype(numbers.dtype, copy=False)


def _check_ids(column: NDArray[Any], clips: int, where: str) -> None:
    if column.dtype.kind != "S" or column.shape != (clips,):
        raise _odd(where, "id", f"{clips} names as UTF-8 bytes", column)
    if not column.tobytes().isascii():
        try:
            np.char.decode(column, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}, id: expected names in UTF-8, got {brief(error.object)}") from None


def _odd(where: str, name: str, expected: str, got: NDArray[Any]) -> DataError:
    return DataError(f"{where}, {name}: expected {expected}, got {got.dtype} of shape {got.shape}")
