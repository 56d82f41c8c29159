"""NTU RGB+D 60 and 120: one ``.skeleton`` text file a clip, up to 4 bodies of 25 Kinect v2 joints.

A file is a line with the number of frames; then for each frame a line with the number of bodies, and for each body a
line of 10 numbers, a line that says 25, and 25 lines of 12 numbers, of which x, y, z are the first three. The other
nine are not read: real files hold ``NaN`` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pcm3.data.contents import Contents, Options, SourceClip, list_clips, name_numbers
from pcm3.data.ntu_classes import CLASSES
from pcm3.data.recording import Recording
from pcm3.data.sources import LeftOut
from pcm3.data.text_table import coordinates, shown
from pcm3.errors import DataError

SUFFIX = ".skeleton"
NAME = r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton"
FORM = "SsssCcccPpppRrrrAaaa.skeleton"

BODIES = 4
"""The bodies of a frame that are read, in the order of the file; any after them are passed over, as is usual."""
JOINTS = 25
JOINT_COLUMNS = 12
BODY_COLUMNS = 10
BODY_LINES = 2 + JOINTS

TRAIN_SUBJECTS_60 = [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38]
TRAIN_SUBJECTS_120 = [
    *TRAIN_SUBJECTS_60,
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95,
    97, 98, 100, 103,
]  # fmt: skip
PROTOCOLS_60 = {"xsub": {"by": "subject", "train": TRAIN_SUBJECTS_60}, "xview": {"by": "camera", "train": [2, 3]}}
PROTOCOLS_120 = {
    "xsub": {"by": "subject", "train": TRAIN_SUBJECTS_120},
    "xset": {"by": "setup", "train": list(range(2, 33, 2))},
}

OWN_CLASSES = "classes.txt"
"""A file beside the recordings with the name of action k in line k: the recordings are not NTU's own then."""
OWN_KIND = "ntu-format"
"""What a store of such recordings calls itself, so that no result of theirs is taken for one on NTU RGB+D."""


def contents(source: Path, options: Options, *, actions: int) -> Contents:
    """The clips of the first so many actions under the source (NTU 60 has 60, NTU 120 has 120).

    Raises:
        DataError: ``classes.txt`` is there and does not name classes.
    """
    clips, entries, unusable = list_clips(source, SUFFIX, parse)
    own = [entry for entry in entries if entry.name == OWN_CLASSES]
    classes = _own_classes(own[0].read(), str(own[0])) if own else CLASSES[:actions]
    inside: list[SourceClip] = []
    left_out: list[LeftOut] = []
    for clip in clips:
        try:
            *_, action = name_numbers(clip.id + SUFFIX, NAME, FORM)
        except DataError as error:
            unusable.append((clip.file, str(error)))
            continue
        if not 1 <= action <= len(classes):
            left_out.append((clip.file, f"action {action} is not one of the {len(classes)} classes"))
        else:
            inside.append(clip)
    return Contents(inside, left_out=left_out, unusable=unusable, classes=classes, kind=OWN_KIND if own else None)


contents_60 = partial(contents, actions=60)
contents_120 = partial(contents, actions=120)


def _own_classes(data: bytes, where: str) -> tuple[str, ...]:
    """The names in a classes.txt, without empty lines at its end."""
    try:
        names = tuple(line.strip() for line in data.decode("utf-8").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected one class name a line in UTF-8, got other bytes") from error
    if not all(names) or len(set(names)) != len(names) or not names:
        raise DataError(f"{where}: expected one class name a line, none empty and no two alike")
    return names


def parse(name: str, data: bytes) -> Recording:
    """The recording in one file; M is the largest number of bodies in a frame, at most `BODIES`.

    Raises:
        DataError: the name is not of NTU's form, or the content is not; the error names the line.
    """
    setup, camera, subject, _repetition, action = name_numbers(name, NAME, FORM)
    lines = data.splitlines()
    frames, bodies = _bodies(name, lines)
    firsts = [first for _, _, first in bodies]
    fields = _fields(name, lines, firsts)
    points = coordinates(name, fields, lambda row: firsts[row // JOINTS] + row % JOINTS + 1).reshape(-1, JOINTS, 3)
    slot = np.array([slot for _, slot, _ in bodies], int)
    kept = slot < BODIES
    clip = np.zeros((frames, int(slot[kept].max(initial=0)) + 1, JOINTS, 3), np.float32)
    clip[np.array([frame for frame, _, _ in bodies], int)[kept], slot[kept]] = points[kept]
    return Recording(name.removesuffix(SUFFIX), clip, action - 1, subject, camera, setup)


def _bodies(name: str, lines: Sequence[bytes]) -> tuple[int, list[tuple[int, int, int]]]:
    """The number of frames; and for each body its frame, its place in the frame and the index of its first joint."""
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
                raise DataError(f"{name}: line {at + 1}: expected {BODY_COLUMNS} numbers, got {shown(lines[at])}")
            if lines[at + 1].strip() != b"25":
                raise DataError(f"{name}: line {at + 2}: expected {JOINTS} joints, got {shown(lines[at + 1])}")
            bodies.append((frame, slot, at + 2))
            at += BODY_LINES
    for rest in range(at, len(lines)):
        if lines[rest].strip():
            raise DataError(
                f"{name}: line {rest + 1}: expected the end after {frames} frames, got {shown(lines[rest])}"
            )
    return frames, bodies


def _count(name: str, lines: Sequence[bytes], index: int, what: str) -> int:
    """The number that a line consists of."""
    if index >= len(lines):
        raise DataError(f"{name}: line {index + 1}: expected {what}, got the end of the file")
    digits = lines[index].strip()
    if not digits.isdigit() or len(digits) > 18:
        raise DataError(f"{name}: line {index + 1}: expected {what}, got {shown(lines[index])}")
    return int(digits)


def _fields(name: str, lines: Sequence[bytes], firsts: Sequence[int]) -> list[bytes]:
    """x, y, z of all joints of all bodies, as they are written."""
    fields: list[bytes] = []
    others: list[bytes] = []
    for first in firsts:
        for number in range(first, first + JOINTS):
            try:
                x, y, z, other = lines[number].split(None, 3)
            except ValueError:
                raise DataError(_not_a_joint(name, lines, number)) from None
            fields += (x, y, z)
            others.append(other)
    # One count of all spaces is much quicker than one a line; only an odd file is looked at line by line.
    if b"\n".join(others).count(b" ") != len(others) * (JOINT_COLUMNS - 4):
        for first in firsts:
            for number in range(first, first + JOINTS):
                if len(lines[number].split()) != JOINT_COLUMNS:
                    raise DataError(_not_a_joint(name, lines, number))
    return fields


def _not_a_joint(name: str, lines: Sequence[bytes], number: int) -> str:
    return f"{name}: line {number + 1}: expected {JOINT_COLUMNS} numbers for a joint, got {shown(lines[number])}"
