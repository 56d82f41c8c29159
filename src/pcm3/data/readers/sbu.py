"""SBU Kinect Interaction: two bodies of 15 joints a clip, ``sXXsYY/CC/NNN/skeleton_pos.txt``: pair, action, repetition.

A line is a frame number and x, y, z of 15 joints of the one person and of 15 of the other, with commas between. x and y
are normalised to 0 … 1 and z to 0 … 7.8125; the authors' README gives X = 1280 − 2560x, Y = 960 − 1920y and
Z = 10000z / 7.8125. These are millimetres along three axes that are alike: over all 6,822 frames shoulders come out
0.30 m apart and upper and lower legs 0.43 m and 0.41 m long, with a spread of 3 cm wherever they point. Y is up, Z
away, X to the camera's left: a right-handed frame, in which the persons face each other in nine of ten frames, and left
is left, for people shake hands with what the README names the right ones.

The README does not number the actions, and a list that is passed on in code does not fit: in 05 two right hands meet
(4 cm), in 06 the trunks do, in 04 both hands go to the other's chest, in 08 one goes to the head, quickly, and in 07
hands near each other slowly at arm's length. So these are shaking hands, hugging, pushing, punching and exchanging.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.readers.text_table import coordinates, is_frame_number, printable, read_rows
from pcm3.data.recording import FARTHEST, Recording
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.errors import DataError

ACTIONS = 8

FILE = "skeleton_pos.txt"
FORM = f"sXXsYY/CC/NNN/{FILE}"
BODIES, JOINTS = 2, 15
COLUMNS = 1 + BODIES * JOINTS * 3

PAIRS = (
    "s01s02", "s01s03", "s01s07", "s02s01", "s02s03", "s02s06", "s02s07", "s03s02", "s03s04", "s03s05", "s03s06",
    "s04s02", "s04s03", "s04s06", "s05s02", "s05s03", "s06s02", "s06s03", "s06s04", "s07s01", "s07s03",
)  # fmt: skip
"""The 21 sets in their order, one a pair of persons, the acting one first; the number of the set is a clip's setup."""

FOLDS = ((1, 9, 15, 19), (5, 7, 10, 16), (2, 3, 20, 21), (4, 6, 8, 11), (12, 13, 14, 17, 18))
"""The sets of each of the authors' five folds."""

PROTOCOLS: dict[str, Any] = {
    f"fold{number}": {
        "by": "setup",
        "train": [pair_number for pair_number in range(1, len(PAIRS) + 1) if pair_number not in fold],
    }
    for number, fold in enumerate(FOLDS, 1)
}
"""Each tests on one fold and trains on the other four; results are means over the five."""

SCALE = np.array([-2.56, -1.92, 1.28])
ORIGIN = np.array([1.28, 0.96, 0.0])
"""Metres: what is written, times the scale, plus the origin."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips under the source, but for those of the noisy version, which holds the same actions cut wider."""
    entries, unusable = list_entries(source)
    clips: dict[str, SourceClip] = {}
    skipped: list[Skipped] = []
    for entry in sorted((entry for entry in entries if entry.name == FILE), key=str):
        folders = _folders(entry)
        if any(folder.endswith("_noisy") for folder in folders):
            skipped.append((str(entry), "of the noisy version"))
            continue
        try:
            pair, action, repetition = _place(folders)
        except DataError as error:
            unusable.append((str(entry), str(error)))
            continue
        name = f"{PAIRS[pair - 1]}-{action:02}-{repetition:03}"
        if name in clips:
            unusable.append((str(entry), f"the id '{name}' is taken by '{clips[name].file}'"))
        else:
            clips[name] = SourceClip(name, str(entry), partial(_read, entry, name, pair, action))
    return SourceIndex([clips[name] for name in sorted(clips)], skipped=skipped, unusable=unusable)


def _folders(entry: Entry) -> tuple[str, ...]:
    """The folders that the file lies in; a zip is one, for each set is a zip of its own."""
    if entry.member is None:
        return entry.container.parts[:-1]
    return (entry.container.stem, *PurePosixPath(entry.member).parts[:-1])


def _place(folders: Sequence[str]) -> tuple[int, int, int]:
    """The number of the pair, the action and the repetition, all from 1.

    Raises:
        DataError: the folders are not called so, or there is no such pair or action.
    """
    match = re.fullmatch(r"(s\d\ds\d\d)/(\d\d)/(\d{3})", "/".join(folders[-3:]), re.ASCII)
    if match is None:
        raise DataError(f"{FILE}: expected a path like {FORM}, got {'/'.join((*folders[-3:], FILE))}")
    if match[1] not in PAIRS:
        raise DataError(f"{FILE}: {match[1]} is not one of the {len(PAIRS)} pairs")
    if not 1 <= int(match[2]) <= ACTIONS:
        raise DataError(f"{FILE}: expected an action from 01 to {ACTIONS:02}, got {match[2]}")
    return PAIRS.index(match[1]) + 1, int(match[2]), int(match[3])


def _read(entry: Entry, name: str, pair: int, action: int) -> Recording:
    return Recording(name, parse(FILE, entry.read()), action - 1, setup=pair)


def parse(name: str, data: bytes) -> NDArray[np.float32]:
    """The two bodies of each frame (T, 2, 15, 3), metres; a joint that is written as 0, 0, 0 is absent.

    Raises:
        DataError: the content is not that of an SBU skeleton; the error names the line.
    """
    expected = f"a frame number and {COLUMNS - 1} coordinates"
    rows = read_rows(name, data, COLUMNS, expected, b",", is_frame_number)
    if not rows:
        raise DataError(f"{name}: line 1: expected {expected}, got the end of the file")
    numbers = [int(row[0]) for row in rows]
    for line, (before, number) in enumerate(pairwise(numbers), 2):
        if number <= before:
            raise DataError(f"{name}: line {line}: expected rising frame numbers, got {number}")
    fields = [field for row in rows for field in row[1:]]
    written = coordinates(name, fields, lambda row: row // (BODIES * JOINTS) + 1)
    points = np.where(written.any(axis=1, keepdims=True), written * SCALE + ORIGIN, 0)
    wrong = np.flatnonzero(~(np.abs(points) <= FARTHEST).all(axis=1))
    if len(wrong):
        first = int(wrong[0])
        got = printable(b",".join(fields[3 * first : 3 * first + 3]))
        line = first // (BODIES * JOINTS) + 1
        raise DataError(f"{name}: line {line}: expected x, y, z normalised, about 0 to 1 and 0 to 8, got {got}")
    return points.reshape(-1, BODIES, JOINTS, 3).astype(np.float32)
