"""The bodies in a ``.skeleton`` file, line by line: any file that can be read, and every mistake with its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.text_table import coordinates, printable
from pcm3.errors import DataError

JOINTS = 25
JOINT_COLUMNS = 12
BODY_COLUMNS = 10
BODY_LINES = 2 + JOINTS


@dataclass(frozen=True)
class Bodies:
    """The B bodies of all frames of a file, in the order of the file."""

    frames: int
    """T, the frames of the file, also those without bodies."""
    frame: NDArray[np.int64]
    """The frame of each body (B), 0-based."""
    slot: NDArray[np.int64]
    """Its place among the bodies of its frame (B), 0-based."""
    line: NDArray[np.int64]
    """The line that it begins with (B), 0-based."""
    points: NDArray[np.float64]
    """Its joints (B, 25, 3), metres."""


def read_lines(name: str, data: bytes) -> Bodies:
    """The bodies in a file.

    Raises:
        DataError: the content is not of the form; the error names the line.
    """
    lines = data.splitlines()
    frames, bodies = _bodies(name, lines)
    frame, slot, line = np.array(bodies, np.int64).reshape(-1, 3).T
    numbers = [first + joint for _, _, head in bodies for joint, first in enumerate([head + 2] * JOINTS)]
    fields = _fields(name, lines, numbers)
    points = coordinates(name, fields, lambda row: numbers[row] + 1)
    return Bodies(frames, frame, slot, line, points.reshape(-1, JOINTS, 3))


def _bodies(name: str, lines: Sequence[bytes]) -> tuple[int, list[tuple[int, int, int]]]:
    """The number of frames; and for each body its frame, its place in the frame and the index of its first line."""
    frames = _count(name, lines, 0, "the number of frames")
    if frames > len(lines):
        raise DataError(f"{name}: line 1: says {frames} frames, but the file has only {len(lines)} lines")
    bodies: list[tuple[int, int, int]] = []
    at = 1
    for frame in range(frames):
        count = _count(name, lines, at, f"the number of bodies in frame {frame + 1} of {frames}")
        at += 1
        if count * BODY_LINES > len(lines) - at:
            raise DataError(f"{name}: line {at}: says {count} bodies, but only {len(lines) - at} lines follow")
        for slot in range(count):
            if len(lines[at].split()) != BODY_COLUMNS:
                raise DataError(f"{name}: line {at + 1}: expected {BODY_COLUMNS} numbers, got {printable(lines[at])}")
            if lines[at + 1].strip() != b"25":
                raise DataError(f"{name}: line {at + 2}: expected {JOINTS} joints, got {printable(lines[at + 1])}")
            bodies.append((frame, slot, at))
            at += BODY_LINES
    for rest in range(at, len(lines)):
        if lines[rest].strip():
            raise DataError(
                f"{name}: line {rest + 1}: expected the end after {frames} frames, got {printable(lines[rest])}"
            )
    return frames, bodies


def _count(name: str, lines: Sequence[bytes], index: int, what: str) -> int:
    """The number that a line consists of."""
    if index >= len(lines):
        raise DataError(f"{name}: line {index + 1}: expected {what}, got the end of the file")
    digits = lines[index].strip()
    if not digits.isdigit() or len(digits) > 18:
        raise DataError(f"{name}: line {index + 1}: expected {what}, got {printable(lines[index])}")
    return int(digits)


def _fields(name: str, lines: Sequence[bytes], numbers: Sequence[int]) -> list[bytes]:
    """x, y, z in each of the numbered lines, as they are written."""
    fields: list[bytes] = []
    for number in numbers:
        columns = lines[number].split()
        if len(columns) != JOINT_COLUMNS:
            raise DataError(
                f"{name}: line {number + 1}: expected {JOINT_COLUMNS} numbers for a joint, "
                f"got {printable(lines[number])}"
            )
        fields += columns[:3]
    return fields
