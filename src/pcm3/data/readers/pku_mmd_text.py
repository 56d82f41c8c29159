"""PKU-MMD's files of skeletons and of labels, and how its videos are called."""

from __future__ import annotations

import re
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped
from pcm3.data.readers.text_table import coordinates, printable
from pcm3.data.recording import FARTHEST
from pcm3.errors import DataError

BODIES, JOINTS = 2, 25
COLUMNS = BODIES * JOINTS * 3

VIDEO = {1: r"\d{4}-[LMR]", 2: r"A\d{2}N\d{2}-[LMR]"}
"""How the videos of each part are called."""
FORMS = {1: "0002-L", 2: "A01N01-L"}
PARTS = {1: "Part I", 2: "Part II"}
SUFFIX = ".txt"


class Row(NamedTuple):
    """A line of a label file."""

    line: int
    """In the file, from 1."""
    label: int
    """From 0."""
    start: int
    """The first frame, from 0."""
    stop: int
    """The frame after the last."""
    confidence: int


def part_of(video: str) -> int | None:
    """The part of PKU-MMD whose videos are called so."""
    return next((part for part, pattern in VIDEO.items() if re.fullmatch(pattern, video, re.ASCII)), None)


def what_is(data: bytes) -> str | None:
    """What a file named like a video holds, by its first line: ``skeleton``, ``labels``, or None: neither."""
    first = data.lstrip()[: 40 * COLUMNS].partition(b"\n")[0]
    if re.fullmatch(rb"-?\d+(\s*,\s*-?\d+){2,3}[\s,]*", first):
        return "labels"
    return "skeleton" if len(first.split()) == COLUMNS and b"," not in first else None


def parse_skeleton(name: str, data: bytes) -> NDArray[np.float32]:
    """The two bodies of each frame (T, 2, 25, 3), metres; a body that is absent is all zeros.

    Raises:
        DataError: a line is not 150 numbers, or they cannot be metres; the error names the line.
    """
    data = data.rstrip()
    lines = data.splitlines()
    if not lines:
        raise DataError(f"{name}: line 1: expected {COLUMNS} numbers, got the end of the file")
    # Where one space stands between two numbers, a count of the spaces is a count of the numbers, and much quicker.
    plain = b"  " not in data and b"\t" not in data and b"\v" not in data and b"\f" not in data
    for number, line in enumerate(lines, 1):
        if (line.strip().count(b" ") + 1 if plain else len(line.split())) != COLUMNS:
            raise DataError(f"{name}: line {number}: expected {COLUMNS} numbers, got {printable(line)}")
    values = _numbers(data)
    if values.size != len(lines) * COLUMNS or not (np.abs(values) <= FARTHEST).all():
        # Reads field by field and says which of them it is.
        values = coordinates(name, data.split(), lambda row: row // (BODIES * JOINTS) + 1)
    return values.reshape(-1, BODIES, JOINTS, 3).astype(np.float32)


def _numbers(data: bytes) -> NDArray[np.float64]:
    """The numbers of the text, as many as there are before anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how NumPy before 2.3 tells of text it cannot read
            return np.fromstring(data.decode("latin-1"), sep=" ")
    except (ValueError, DeprecationWarning):
        return np.empty(0)


def parse_labels(where: str, data: bytes, classes: int) -> tuple[list[Row], list[Skipped]]:
    """The actions in a label file, by their start; and the lines that cannot be actions, and why.

    Raises:
        DataError: a line is not ``label,start,end,confidence``: the file is damaged or none of labels.
    """
    rows: list[Row] = []
    broken: list[Skipped] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(rb"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})[\s,]*", line)
        if match is None:
            raise DataError(f"{where}: line {number}: expected label,start,end,confidence, got {printable(line)}")
        label, start, end, confidence = (int(group) for group in match.groups())
        if not 1 <= label <= classes:
            broken.append((f"{where} line {number}", f"label {label} is not one of 1 to {classes}"))
        elif not 0 <= start < end:
            broken.append((f"{where} line {number}", f"the action goes from frame {start} to frame {end}"))
        else:
            rows.append(Row(number, label - 1, start, end, confidence))
    return sorted(rows, key=lambda row: (row.start, row.stop)), broken
