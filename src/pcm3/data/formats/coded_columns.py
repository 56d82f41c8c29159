"""What the columns of a table say, row by row, and what they tell of a recording that is some of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.columns import frames_of_rows, numbered_words
from pcm3.data.formats.motion_file import About, Column, FileGroup, Span
from pcm3.data.names import check_name, printable
from pcm3.errors import DataError

UNKNOWN_CLASS = "-1"
"""A label that is none, as in stores."""
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CodedColumn:
    """A column as its different words, and which of them is in each row."""

    words: list[str]
    code: Codes
    """(R) which of the words."""

    @classmethod
    def of(cls, cells: Column) -> CodedColumn:
        """The cells of a column."""
        return cls(*numbered_words(cells))

    @property
    def there(self) -> NDArray[np.bool_]:
        """(R) where it says anything."""
        return np.array([bool(word) for word in self.words])[self.code]


@dataclass(frozen=True, eq=False)
class Table:
    """A table with columns that may tell of recordings."""

    group: FileGroup
    columns: Callable[[], Mapping[str, Column]]
    names: dict[str, str]
    """Those columns, as they are called here, by their `plain_name`."""
    coded: dict[str, CodedColumn]
    """Their cells."""
    place: Codes
    """(R) rows of one number are of one moment, body and joint."""
    moment: NDArray[np.float64] | None
    """(R) frame or time; None: no column tells it."""
    rounded: bool
    """Whether it is a time, and rows one after the other may have the same."""
    has_bodies: bool
    """Whether a column tells bodies apart."""
    is_long: bool
    """Whether a row is a joint, and not a frame."""


def numbered(cells: Column) -> Codes:
    """A number for each value, ascending."""
    return np.unique(np.array(cells, np.str_) if isinstance(cells, list) else cells, return_inverse=True)[1]


def codes(columns: Sequence[Codes], rows: int) -> Codes:
    """A number for each combination in a row, counted by where it comes first."""
    code = np.zeros(rows, np.int64)
    for other in columns:
        _, code = np.unique(code * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[code])


def about_rows(
    file: str, name: str, table: Table, rows: NDArray[np.intp], roles: Mapping[str, tuple[str, ...]], *, bodies: bool
) -> About:
    """What the columns tell of a recording."""

    def words(role: str) -> list[str]:
        column = next((key for key in roles[role] if key in table.coded), None)
        coded = None if column is None else table.coded[column]
        return [""] * len(rows) if coded is None else [coded.words[code] for code in coded.code[rows].tolist()]

    about = About()
    for role in ("subject", "camera"):
        values = set(words(role)) - {""}
        setattr(about, role, min(values) if len(values) == 1 else "")
    labels = ["" if word == UNKNOWN_CLASS else word for word in words("label")]
    for label in sorted(set(labels) - {""}):
        check_name(f"{file}: class names", label)
    frames = _frames(table, rows, bodies=bodies)
    by_frame: dict[int, str] = {}
    for frame, label in zip(frames.tolist(), labels, strict=True):
        if label and by_frame.setdefault(frame, label) != label:
            raise DataError(
                f"{file}: recording '{printable(name, 40)}', frame {frame} (0-based): expected one label, got "
                f"'{printable(by_frame[frame], 30)}' and '{printable(label, 30)}'"
            )
    spans = _spans([by_frame.get(frame, "") for frame in range(int(frames.max()) + 1)])
    if len(spans) == 1 and (spans[0].start, spans[0].stop) in ((0, 1), (0, int(frames.max()) + 1)):
        about.label = spans[0].label
    else:
        about.spans = spans
    return about


def _frames(table: Table, rows: NDArray[np.intp], *, bodies: bool) -> Codes:
    """The frame of each of the rows, as `from_columns` counts them."""
    moment = None if table.moment is None else table.moment[rows]
    if moment is None or not (table.is_long or bodies):
        return frames_of_rows(moment, len(rows))
    return numbered(moment)


def _spans(labels: Sequence[str]) -> list[Span]:
    """The stretches of one label, of the labels of frames."""
    starts = [frame for frame, label in enumerate(labels) if frame == 0 or label != labels[frame - 1]]
    stops = [*starts[1:], len(labels)]
    return [
        Span(start, stop, labels[start], in_frames=True)
        for start, stop in zip(starts, stops, strict=True)
        if labels[start]
    ]
