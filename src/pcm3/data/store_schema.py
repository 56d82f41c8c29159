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
from pcm3.data.recording import CLASSES_LIMIT, TEST, UNKNOWN
from pcm3.errors import DataError, brief

PROTOCOL_COLUMNS = ("subject", "camera", "setup", "side")
"""What a protocol may go by. ``side`` is what the data itself says under this protocol's name: 0 train, 1 test."""
SPLIT = "side_"
"""How the columns begin that say to which side of the protocol in the rest of their name a clip belongs."""
SLOWEST, FASTEST = 1e-3, 1e6
"""Frames a second that a recording may have."""
INT32 = 2**31 - 1


class _Unfit(Exception):  # noqa: N818 (not an error yet: it does not know of which file)
    """What was expected, what came, and where below the field."""

    def __init__(self, expected: str, got: object, below: str) -> None:
        self.expected, self.got, self.below = expected, got, below


def _expect(fine: bool, expected: str, got: object, below: str = "") -> None:
    if not fine:
        raise _Unfit(expected, got, below)


def _is_whole(value: Any, low: int = 0, high: int = 2**62) -> bool:
    return type(value) is int and low <= value <= high


def _name(value: Any) -> None:
    _expect(is_name(value), "a name that can be printed", value)


def _rate(value: Any) -> None:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and SLOWEST <= value <= FASTEST  # not NaN
    _expect(fine, f"frames a second, {SLOWEST:g} to {FASTEST:g}", value)


def _truth(value: Any) -> None:
    _expect(isinstance(value, bool), "true or false", value)


def _table(value: Any) -> None:
    _expect(isinstance(value, dict), "names and values", value)


def _list(value: Any, of: str, below: str = "") -> None:
    _expect(isinstance(value, list | tuple), f"a list of {of}", value, below)


def _classes(value: Any) -> None:
    _list(value, "names")
    _expect(len(value) <= CLASSES_LIMIT, f"at most {CLASSES_LIMIT:,} names", len(value))
    for place, name in enumerate(value):
        _expect(is_name(name), "a name that can be printed", name, f"[{place}]")


def _protocols(value: Any) -> None:
    _table(value)
    for name, protocol in value.items():
        _expect(is_name(name), "names that can be printed", name)
        fine = isinstance(protocol, dict) and {"by", "train"} <= protocol.keys()
        _expect(fine, "'by' and 'train' (a list of numbers)", protocol, f", {name}")
        by, train = protocol["by"], protocol["train"]
        _expect(by in PROTOCOL_COLUMNS, f"one of {', '.join(PROTOCOL_COLUMNS)}", by, f", {name}, by")
        _list(train, "numbers", f", {name}, train")
        for number in train:
            _expect(_is_whole(number, -INT32, INT32), "a whole number", number, f", {name}, train")


def _report(value: Any) -> None:
    _table(value)
    skipped, notes = value.get("left_out", []), value.get("notes", [])
    _expect(_is_whole(value.get("clips", 0)), "how many", value.get("clips"), ", clips")
    _list(skipped, "files and reasons", ", left_out")
    for place, pair in enumerate(skipped):
        fine = isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        _expect(fine, "a file and a reason", pair, f", left_out[{place}]")
    _list(notes, "texts", ", notes")
    for note in notes:
        _expect(isinstance(note, str), "a text", note, ", notes")


def _checksums(value: Any) -> None:
    _table(value)
    for file in {"frames.npy": 0, "clips.npz": 0} | value:
        digest = value.get(file)
        fine = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) is not None
        _expect(fine, "64 hexadecimal digits", digest, f", {brief(file)[1:-1]}")


def _counts(value: Any) -> None:
    _table(value)
    for name, count in value.items():
        _expect(_is_whole(count), "how many", count, f", {brief(name)[1:-1]}")


def _preparation(value: Any) -> None:
    """What `pcm3.data.prepare.Recipe.to_dict` gives; a later version may give more, of finite numbers too."""
    _table(value)
    for name in ("max_frames", "origin", "fill"):
        number = value.get(name)
        _expect(number is None or _is_whole(number, 0, INT32), "a whole number from 0 on", number, f", {name}")
    _expect(is_name(value.get("rule", "released")), "the name of a rule", value.get("rule"), ", rule")
    _expect(isinstance(value.get("trim", False), bool), "true or false", value.get("trim"), ", trim")
    _expect(_is_finite(value.get("rate", 1.0)), "a number", value.get("rate"), ", rate")
    up = value.get("up")
    fine = up is None or (isinstance(up, list) and len(up) == 3 and all(map(_is_finite, up)) and any(up))
    _expect(fine, "a direction of three numbers", up, ", up")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e6


Fields = Mapping[str, Callable[[Any], None]]
"""Field of ``store.json`` → what looks at its value."""
BEFORE_CLIPS: Fields = {
    "kind": _name,
    "fps": _rate,
    "normalised": _truth,
    "classes": _classes,
    "protocols": _protocols,
}
"""Fields that are known before the first clip is; the layout looks at itself (`pcm3.skeleton`)."""
NEEDED: Fields = {**BEFORE_CLIPS, "report": _report, "checksums": _checksums}
OPTIONAL: Fields = {"counts": _counts, "preparation": _preparation}


def check_fields(data: Mapping[str, Any], where: str, needed: Fields = NEEDED) -> None:
    """Raises DataError unless each field is there, and what it must be.

    Args:
        data: what ``store.json`` says, or will say.
        where: how the error begins.
        needed: the fields that must be there.
    """
    missing = [field for field in needed if field not in data]
    if missing:
        raise DataError(f"{where}, {missing[0]}: expected this field, there is none")
    for field, check in (needed | OPTIONAL).items():  # type: ignore[operator]  # both are dictionaries
        if field not in data:
            continue
        try:
            check(data[field])
        except _Unfit as unfit:
            message = f"expected {unfit.expected}, got {brief(unfit.got)}"
            raise DataError(f"{where}, {field}{unfit.below}: {message}") from None


class NumberColumn(NamedTuple):
    """A column of whole numbers."""

    dtype: DTypeLike
    """In memory."""
    low: int
    high: int


COLUMNS = {
    "start": NumberColumn(np.int64, 0, 2**62),
    "length": NumberColumn(np.int32, 1, INT32),
    "label": NumberColumn(np.int32, -INT32, INT32),
    "subject": NumberColumn(np.int32, -INT32, INT32),
    "camera": NumberColumn(np.int32, -INT32, INT32),
    "setup": NumberColumn(np.int32, -INT32, INT32),
}
OPTIONAL_COLUMNS = {
    "confidence": NumberColumn(np.int32, -INT32, INT32),
    "recording": NumberColumn(np.int32, UNKNOWN, INT32),
    **{name: NumberColumn(np.int32, 0, INT32) for name in ("cut", "dropped", "absent", "filled")},
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
