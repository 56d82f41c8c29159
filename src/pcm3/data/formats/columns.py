"""Columns of a table as joints: which column is which coordinate of which joint, which tells time, frame and person.

Wide tables have a row a frame and columns like ``left_hip_x``, ``LeftHipX`` or ``x23``; long ones a row a joint, with
its name in one column. Beside x, y, z a joint may have a confidence (``_v``, ``_visibility``, ``_likelihood``, …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import SIZE_LIMIT
from pcm3.data.formats.motion_file import PIXELS, Column, MotionFile
from pcm3.data.names import printable
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
FRAMES = ("frame", "frames", "frame_id", "frame_number", "frame_idx", "fnum", "index", "framenumber", "")
PEOPLE = ("person", "person_id", "body", "body_id", "individual", "individuals", "track_id", "skeleton", "skeleton_id")
JOINTS = ("joint", "joint_name", "landmark", "landmark_name", "landmark_id", "bodypart", "keypoint", "marker", "node")
COORDINATES = (
    re.compile(r"(?P<joint>.+?)[ _.:/-]+(?:pos(?:ition)?[ _.]*)?(?P<axis>[xyz])", re.IGNORECASE),
    re.compile(r"(?P<axis>[xyz])[ _.-]*(?P<joint>\d+)", re.IGNORECASE),
    re.compile(r"(?P<joint>.*[a-z0-9])(?P<axis>[XYZ])"),
)
CONFIDENCES = (
    re.compile(rf"(?P<joint>.+?)[ _.:/-]+(?:{SCORES})", re.IGNORECASE),
    re.compile(r"[vc][ _.-]*(?P<joint>\d+)", re.IGNORECASE),
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


def _wide(name: str, table: Mapping[str, Column], known: Mapping[str, str]) -> MotionFile:
    """A row a frame, or a row a person in a frame."""
    places: dict[str, dict[str, str]] = {}
    for column in table:
        match = next((match for form in COORDINATES if (match := form.fullmatch(column.strip()))), None)
        if match is not None:
            places.setdefault(match["joint"], {})[match["axis"].lower()] = column
    joints = [joint for joint, axes in places.items() if {"x", "y"} <= set(axes)]
    if not joints:
        shown = ", ".join(printable(column, 20) for column in list(table)[:6])
        raise DataError(
            f"{name}: expected columns like left_hip_x, left_hip_y, left_hip_z, or joint, x, y, z, got {shown or 'no'}"
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
    words = [cell_word(value) for value in table[word]]
    joints = list(dict.fromkeys(words))
    key = first_of((*FRAMES, *TIMES), known)
    if key is None:
        raise DataError(f"{name}: expected a column frame or time beside the column {printable(word)}")
    if len(joints) > 1000:
        raise DataError(f"{name}: expected up to 1000 joints in the column {printable(word)}, got {len(joints)}")
    axes = [axis for axis in "xyz" if axis in known]
    values = np.stack([_numbers(name, table, known[axis]) for axis in axes], axis=1)
    score, person = first_of(SCORES.split("|"), known), first_of(PEOPLE, known)
    people = [""] * len(words) if person is None else [cell_word(value) for value in table[person]]
    moments = _numbers(name, table, key)
    if np.isnan(moments).any():
        raise DataError(f"{name}: expected a number in each row of the column {printable(key)}")
    keys = list(dict.fromkeys(zip(moments.tolist(), people, strict=True)))
    row_of = {key: row for row, key in enumerate(keys)}
    joint_of = {joint: number for number, joint in enumerate(joints)}
    if len(keys) * len(joints) > MOST_CELLS:
        raise DataError(
            f"{name}: expected each frame to have its joints, got {len(keys)} frames of {len(joints)} joints"
        )
    at = np.array([row_of[key] for key in zip(moments.tolist(), people, strict=True)])
    column = np.array([joint_of[joint] for joint in words])
    points = np.full((len(keys), len(joints), len(axes)), np.nan)
    points[at, column] = values
    scores = None
    if score is not None:
        scores = np.full((len(keys), len(joints)), np.nan)
        scores[at, column] = _numbers(name, table, score)
    short: dict[str, Column] = {key: np.array([moment for moment, _ in keys])}
    if person is not None:
        short[person] = [who for _, who in keys]
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
    fps, told = _rate(name, table, known)
    return MotionFile(frames, tuple(joints), fps=fps, unit=PIXELS if flat else None, scores=sure, notes=told)


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
        return value.strip()
    return "" if np.isnan(value) else f"{value:.15g}"


def _scores(name: str, table: Mapping[str, Column], joints: Sequence[str]) -> NDArray[np.float64] | None:
    """How sure the source was of each joint (R, V), where it tells that of all."""
    found: dict[str, str] = {}
    for column in table:
        match = next((match for form in CONFIDENCES if (match := form.fullmatch(column.strip()))), None)
        if match is not None:
            found.setdefault(match["joint"], column)
    if not set(joints) <= set(found):
        return None
    return np.stack([_numbers(name, table, found[joint]) for joint in joints], axis=1)


def _slots(
    name: str, table: Mapping[str, Column], known: Mapping[str, str], rows: int
) -> tuple[NDArray[np.int64], int]:
    """The frame and the slot of each row (R, 2), and how many slots there are: one a person, the longest first."""
    person = next((known[key] for key in PEOPLE if key in known and known[key] in table), None)
    moment = next((known[key] for key in (*FRAMES, *TIMES) if key in known and known[key] in table), None)
    if person is None or moment is None:
        return np.stack([np.arange(rows), np.zeros(rows, np.int64)], axis=1), 1
    _, frame = np.unique(_numbers(name, table, moment), return_inverse=True)
    words = [cell_word(value) for value in table[person]]
    count = {who: words.count(who) for who in dict.fromkeys(words)} if len(set(words)) <= 100 else {}
    if not count:
        raise DataError(f"{name}: expected up to 100 people in the column {printable(person)}, got {len(set(words))}")
    slot = {who: number for number, who in enumerate(sorted(count, key=lambda who: -count[who]))}
    return np.stack([frame, np.array([slot[who] for who in words])], axis=1), len(slot)


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
    whole = round(rate)
    rate = float(whole) if abs(rate - whole) < 0.02 * rate else round(rate, 2)
    return rate, (f"{rate:g} frames a second by the column '{printable(column)}', taken for {unit}",)
