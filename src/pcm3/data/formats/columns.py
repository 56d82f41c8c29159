"""Columns of a table as joints: which column is which coordinate of which joint, which tells time, frame and person.

Wide tables have a row a frame and columns like ``left_hip_x``, ``LeftHipX`` or ``x23``; long ones a row a joint, with
its name in one column. Beside x, y, z a joint may have a confidence (``_v``, ``_visibility``, ``_likelihood``, …).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import SIZE_LIMIT
from pcm3.data.formats.motion_file import PIXELS, Column, MotionFile
from pcm3.data.names import NOTHING, printable
from pcm3.errors import DataError

MOST_BODIES = 8
MOST_CELLS = 50_000_000
MOST_TABLE_BYTES = 4 * SIZE_LIMIT
"""Of a table that holds many recordings."""
SCORES = "v|vis|visibility|c|conf|confidence|score|likelihood|prob|presence|scores"
TIMES = (
    "time",
    "timestamp",
    "timestamps",
    "t",
    "seconds",
    "time_s",
    "time_ms",
    "timestamp_ms",
    "timestamp_us",
    "time_us",
)
FRAMES = (
    "frame",
    "frames",
    "frame_id",
    "frame_number",
    "frame_idx",
    "fnum",
    "index",
    "framenumber",
    "",
    "__index_level_0__",
)
PEOPLE = ("person", "person_id", "body", "body_id", "individual", "individuals", "track_id", "skeleton", "skeleton_id")
JOINTS = ("joint", "joint_name", "landmark", "landmark_name", "landmark_id", "bodypart", "keypoint", "marker", "node")
COORDINATES = (
    re.compile(r"(?P<joint>.+?)[ _.:/-]+(?:pos(?:ition)?[ _.]*)?(?P<axis>[xyz])", re.IGNORECASE),
    re.compile(r"(?P<axis>[xyz])[ _.-]*(?P<joint>\d+)", re.IGNORECASE),
    re.compile(r"(?P<joint>.*[a-z0-9])(?P<axis>[XYZ])"),
)
CONFIDENCES = (
    re.compile(rf"(?P<joint>.+?)[ _.:/-]+(?:{SCORES})", re.IGNORECASE),
    re.compile(rf"(?:{SCORES})[ _.-]*(?P<joint>\d+)", re.IGNORECASE),
)


def from_columns(name: str, table: Mapping[str, Column]) -> MotionFile:
    """The recording in a table.

    Args:
        name: the file, for the error.
        table: its columns, of one length.

    Raises:
        DataError: no joints are found in the names of the columns; shows them.
    """
    if not any(len(values) for values in table.values()):
        raise DataError(f"{name}: expected rows below the names of the columns, got none")
    known = spelled(table)
    word = joint_column(known)
    return _wide(name, table, known) if word is None else _long(name, table, known, word)


def spelled(names: Iterable[str]) -> dict[str, str]:
    """The columns by their names in lower case."""
    return {name.strip().lower(): name for name in names}


def joint_column(known: Mapping[str, str]) -> str | None:
    """The column with the names of the joints, in a table of a row a joint."""
    return first_of(JOINTS, known) if {"x", "y"} <= set(known) else None


def first_of(names: Iterable[str], known: Mapping[str, str]) -> str | None:
    """The column that has the first of these names that any has."""
    return next((known[name] for name in names if name in known), None)


def is_motion_column(column: str) -> bool:
    """Whether a column is known for what frames hold: a coordinate, how sure it is, moments, bodies, joints."""
    bare = column.strip()
    known = bare.lower() in {*TIMES, *FRAMES, *PEOPLE, *JOINTS, *"xyz", *SCORES.split("|")}
    return known or any(form.fullmatch(bare) for form in (*COORDINATES, *CONFIDENCES))


def duplicate_row(name: str, row: int, moment: float, columns: Iterable[str]) -> DataError:
    """That a moment is there twice: the table holds several recordings.

    Args:
        name: of the table.
        row: of the second, from 0.
        moment: frame or time.
        columns: all of the table.
    """
    others = ", ".join(f"'{printable(column, 30)}'" for column in columns if not is_motion_column(column))
    return DataError(
        f"{name}: row {row + 2}: frame or time {moment:g} is there twice in one recording: which columns tell "
        f"recordings apart{f', of {printable(others, 150)}' if others else ''}? Name them with --columns clip=NAME "
        "(clip=ONE,clip=OTHER for two)"
    )


def repeated(moment: NDArray[Any], *, rounded: bool) -> int | None:
    """The first row whose moment one before has, too; those of rounded times may be equal one after the other."""
    order = np.argsort(moment, kind="stable")
    again = moment[order[1:]] == moment[order[:-1]]
    if rounded:
        again &= np.diff(order) > 1
    return int(order[1:][again].min()) if again.any() else None


def frames_of_rows(moments: Column | None, rows: int) -> NDArray[np.int64]:
    """The frame of each row (R) of one body: the rows may stand in any order, where a column tells moments."""
    if moments is None or isinstance(moments, list) or np.isnan(moments).any() or (np.diff(moments) >= 0).all():
        return np.arange(rows)
    return np.unique(moments, return_inverse=True)[1]


def _wide(name: str, table: Mapping[str, Column], known: Mapping[str, str]) -> MotionFile:
    """A row a frame, or a row a person in a frame."""
    places: dict[str, dict[str, str]] = {}
    for column in table:
        match = next((match for form in COORDINATES if (match := form.fullmatch(column.strip()))), None)
        if match is not None:
            places.setdefault(match["joint"], {})[match["axis"].lower()] = column
    joints = [joint for joint, axes in places.items() if {"x", "y"} <= set(axes)]
    if not joints:
        listed = ", ".join(printable(column, 20) for column in list(table)[:6])
        raise DataError(
            f"{name}: expected columns like left_hip_x, left_hip_y, left_hip_z, or joint, x, y, z, got {listed or 'no'}"
        )
    flat = not any("z" in places[joint] for joint in joints)
    if not flat:
        joints = [joint for joint in joints if "z" in places[joint]]
    rows = np.stack([_numbers(name, table, places[j][a]) for j in joints for a in ("xy" if flat else "xyz")], axis=1)
    points = rows.reshape(len(rows), len(joints), -1)
    scores = _scores(name, table, joints)
    place, count = _slots(name, table, known, len(rows))
    return _motion(name, points, scores, joints, place, count, table, known)


def _long(name: str, table: Mapping[str, Column], known: Mapping[str, str], word: str) -> MotionFile:
    """A row a joint: brought to a row a frame and person first."""
    joints, joint = numbered_words(table[word])
    key = first_of((*FRAMES, *TIMES), known)
    if key is None:
        raise DataError(f"{name}: expected a column frame or time beside the column {printable(word)}")
    if len(joints) > 1000:
        raise DataError(f"{name}: expected up to 1000 joints in the column {printable(word)}, got {len(joints)}")
    axes = [axis for axis in "xyz" if axis in known]
    values = np.stack([_numbers(name, table, known[axis]) for axis in axes], axis=1)
    score, person = first_of(SCORES.split("|"), known), first_of(PEOPLE, known)
    moments = _numbers(name, table, key)
    if np.isnan(moments).any():
        raise DataError(f"{name}: expected a number in each row of the column {printable(key)}")
    people, who = ([""], np.zeros(len(joint), np.int64)) if person is None else numbered_words(table[person])
    times, frame = np.unique(moments, return_inverse=True)
    keys, at = np.unique(frame * len(people) + who, return_inverse=True)
    if len(keys) * len(joints) > MOST_CELLS:
        raise DataError(
            f"{name}: expected each frame to have its joints, got {len(keys)} frames of {len(joints)} joints"
        )
    again = repeated(at * len(joints) + joint, rounded=False)
    if again is not None:
        raise duplicate_row(name, again, moments[again], known.values())
    points = np.full((len(keys), len(joints), len(axes)), np.nan)
    points[at, joint] = values
    scores = None
    if score is not None:
        scores = np.full((len(keys), len(joints)), np.nan)
        scores[at, joint] = _numbers(name, table, score)
    short: dict[str, Column] = {key: times[keys // len(people)]}
    if person is not None:
        short[person] = [people[number] for number in keys % len(people)]
    place, count = _slots(name, short, known, len(keys))
    return _motion(name, points, scores, joints, place, count, short, known)


def _motion(
    name: str,
    points: NDArray[np.float64],
    scores: NDArray[np.float64] | None,
    joints: Sequence[str],
    place: NDArray[np.int64],
    bodies: int,
    table: Mapping[str, Column],
    known: Mapping[str, str],
) -> MotionFile:
    """The rows (R, V, 2 or 3) in their frames and slots."""
    kept = place[:, 1] < MOST_BODIES
    shape = (int(place[:, 0].max()) + 1, min(bodies, MOST_BODIES), len(joints))
    flat = points.shape[-1] == 2
    frames = np.full((*shape, 3), np.nan)
    if flat:
        points = np.concatenate([points * [1, -1], np.where(np.isnan(points[..., :1]), np.nan, 0)], axis=-1)
    frames[place[kept, 0], place[kept, 1]] = points[kept]
    frames[~frames.any(axis=-1)] = np.nan
    sure = None
    if scores is not None:
        sure = np.full(shape, np.nan)
        sure[place[kept, 0], place[kept, 1]] = scores[kept]
        frames[np.isnan(sure)] = np.nan
    fps, notes = _rate(name, table, known)
    return MotionFile(frames, tuple(joints), fps=fps, unit=PIXELS if flat else None, scores=sure, notes=notes)


def _numbers(name: str, table: Mapping[str, Column], column: str) -> NDArray[np.float64]:
    """The column as numbers."""
    values = table[column]
    if isinstance(values, list):
        wrong = next((value for value in values if not _is_number(value)), "")
        raise DataError(f"{name}: expected numbers in the column {printable(column)}, got '{printable(wrong, 30)}'")
    if np.isinf(values).any():
        raise DataError(f"{name}: expected numbers in the column {printable(column)}, got infinity")
    return values


def _is_number(value: str) -> bool:
    try:
        return not value.strip() or bool(np.isfinite(float(value)))
    except ValueError:
        return False


def cell_word(value: str | float) -> str:
    """A cell as a name: a text without blanks around it, a number as it is written, nothing where there is nothing."""
    if isinstance(value, str):
        word = value.strip()
        return "" if word in NOTHING else word
    return "" if np.isnan(value) else f"{value:.15g}"


def numbered_words(cells: Column) -> tuple[list[str], NDArray[np.int64]]:
    """The words of a column in the order in which they come first, and for each row which of them it is (R)."""
    if isinstance(cells, list):
        word_of = {cell: cell_word(cell) for cell in dict.fromkeys(cells)}
        words = [word_of[cell] for cell in cells]
    else:
        values, inverse = np.unique(cells, return_inverse=True)
        words = np.array([cell_word(value) for value in values], object)[inverse].tolist()
    number = {word: place for place, word in enumerate(dict.fromkeys(words))}
    return list(number), np.fromiter(map(number.__getitem__, words), np.int64, len(words))


def _scores(name: str, table: Mapping[str, Column], joints: Sequence[str]) -> NDArray[np.float64] | None:
    """How sure the source was of each joint (R, V), where it tells that of all."""
    score_columns: dict[str, str] = {}
    for column in table:
        match = next((match for form in CONFIDENCES if (match := form.fullmatch(column.strip()))), None)
        if match is not None:
            score_columns.setdefault(match["joint"], column)
    if not set(joints) <= set(score_columns):
        return None
    return np.stack([_numbers(name, table, score_columns[joint]) for joint in joints], axis=1)


def _slots(
    name: str, table: Mapping[str, Column], known: Mapping[str, str], rows: int
) -> tuple[NDArray[np.int64], int]:
    """The frame and the slot of each row (R, 2), and how many slots there are: one a person, the longest first."""
    there = {key: column for key, column in known.items() if column in table}
    person, moment = first_of(PEOPLE, there), first_of((*FRAMES, *TIMES), there)
    moments = None if moment is None else table[moment]
    if person is None or moment is None:
        if isinstance(moments, np.ndarray) and len(np.unique(moments)) > 1:
            again = repeated(moments, rounded=first_of(FRAMES, there) is None)
            if again is not None:
                raise duplicate_row(name, again, moments[again], known.values())
        return np.stack([frames_of_rows(moments, rows), np.zeros(rows, np.int64)], axis=1), 1
    _, frame = np.unique(_numbers(name, table, moment), return_inverse=True)
    words = [cell_word(value) for value in table[person]]
    longest = [who for who, _ in Counter(words).most_common()]
    if len(longest) > 100:
        raise DataError(f"{name}: expected up to 100 people in the column {printable(person)}, got {len(longest)}")
    slot = {who: number for number, who in enumerate(longest)}
    place = np.stack([frame, np.array([slot[who] for who in words])], axis=1)
    again = repeated(place[:, 0] * len(longest) + place[:, 1], rounded=False)
    if again is not None:
        raise duplicate_row(name, again, _numbers(name, table, moment)[again], known.values())
    return place, len(longest)


def _rate(name: str, table: Mapping[str, Column], known: Mapping[str, str]) -> tuple[float | None, tuple[str, ...]]:
    """Frames a second by the column of times, where there is one, and what was guessed."""
    column = next((known[key] for key in TIMES if key in known and known[key] in table), None)
    if column is None or isinstance(table[column], list):
        return None, ()
    steps = np.diff(np.unique(_numbers(name, table, column)))
    step = float(np.median(steps[np.isfinite(steps)])) if np.isfinite(steps).any() else 0.0
    units = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    ending = column.strip().lower().rsplit("_", 1)[-1]
    unit = ending if ending in units else "s" if step < 1 else "ms" if step < 1000 else "us" if step < 1e6 else "ns"
    rate = 1 / (step * units[unit]) if step > 0 else 0.0
    if not 0.1 <= rate <= 10_000:
        return None, ()
    nearest = round(rate)
    rate = float(nearest) if abs(rate - nearest) < 0.02 * rate else round(rate, 2)
    return rate, (f"{rate:g} frames a second by the column '{printable(column)}', taken for {unit}",)
