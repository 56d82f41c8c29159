"""MSRC-12: people do one of twelve gestures about ten times before a Kinect v1; untrimmed, and tagged.

A recording is ``P1_2_9A_p14.csv``: instruction 1, then class 9 (A: with pictures and words), then person 14. Its lines
are a time in microseconds and x, y, z, 1 of 20 joints, in metres; in a frame without a skeleton all are zero. The file
of the same name with ``.tagstream`` holds, after a heading, the ticks of a processor's clock at which a gesture had its
decisive moment: a point, no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.readers.text_table import coordinates, printable
from pcm3.data.recording import Interval, Recording
from pcm3.data.source_index import Options, SourceClip, SourceIndex, name_numbers
from pcm3.errors import ConfigError, DataError

CLASSES = (
    "lift outstretched arms", "duck", "push right", "goggles", "wind it up", "shoot", "bow", "throw", "had enough",
    "change weapon", "beat both", "kick",
)  # fmt: skip
"""1 to 12."""

NAME = r"[Pp](\d)_(\d)_(\d{1,2})A?_[Pp](\d{1,3})\.csv"
FORM = "P1_2_9A_p14.csv"
JOINTS = 20
COLUMNS = 1 + 4 * JOINTS
TICKS = 49_875
"""Ticks of the processor's clock in a millisecond times 20, as the data's own scripts convert them."""
FPS = 30
REACH = 60
"""Frames before and after a tag that belong to its gesture, unless the user says otherwise or the next one is nearer
(2 s)."""
LONGEST = 60
"""Seconds that a user may say for it; recordings last half a minute."""

PROTOCOLS: dict[str, Any] = {"xsub": {"by": "subject", "train": list(range(1, 31, 2))}}
"""Odd people train; several files are of one person."""


def index(source: Path, options: Options) -> SourceIndex:
    """The recordings under the source that have tags."""
    reach = _reach(options.reach)
    entries, unusable = list_entries(source)
    tags: dict[str, Entry] = {}
    for entry in entries:
        if entry.name.lower().endswith(".tagstream"):
            tags.setdefault(_stem(entry), entry)
    clips: dict[str, SourceClip] = {}
    for entry in sorted((entry for entry in entries if entry.name.lower().endswith(".csv")), key=str):
        stem = _stem(entry)
        if stem in clips:
            unusable.append((str(entry), f"the id '{clips[stem].id}' is taken by '{clips[stem].file}'"))
        elif stem not in tags:
            unusable.append((str(entry), "there is no .tagstream of its name"))
        else:
            name = entry.name[: -len(".csv")]
            clips[stem] = SourceClip(name, str(entry), partial(_read, entry, tags[stem], reach))
    alone: list[Skipped] = [
        (str(tags[stem]), "there is no .csv of its name") for stem in sorted(set(tags) - set(clips))
    ]
    notes = [
        f"a gesture reaches to the middle between its tag and the next, {reach} frames at most",
        "every recording holds one gesture alone: a detector fitted on them may know the recording instead (pcm3 join "
        "makes recordings of several)",
    ]
    return SourceIndex(list(clips.values()), skipped=alone, unusable=unusable, notes=notes)


def _stem(entry: Entry) -> str:
    """The name by which recording and tags belong together; one pair of the data differs in case."""
    return PurePosixPath(entry.name).stem.lower()


def _reach(seconds: float | None) -> int:
    """Frames before and after a tag that belong to its gesture."""
    if seconds is None:
        return REACH
    if not 0 <= seconds <= LONGEST:
        raise ConfigError(f"setting reach: expected seconds, 0 to {LONGEST}, got {seconds}")
    return round(seconds * FPS)


def _read(entry: Entry, tags: Entry, reach: int) -> Recording:
    return parse(entry.name, entry.read(), tags.name, tags.read(), reach)


def parse(name: str, data: bytes, tags_name: str, tags: bytes, reach: int = REACH) -> Recording:
    """A recording with an interval for each tag, which reaches so many frames to either side at most.

    Raises:
        DataError: name or content are not those of MSRC-12; the error names the line.
    """
    _instruction, _third, action, subject = name_numbers(name, NAME, FORM)
    if not 1 <= action <= len(CLASSES):
        raise DataError(f"{name}: expected a class from 1 to {len(CLASSES)}, got {action}")
    times, frames = _frames(name, data)
    points = parse_tags(tags_name, tags)
    at = _nearest(times, points)
    inside = np.asarray((points >= times[0]) & (points <= times[-1]))
    usable = inside & np.asarray(frames.any(axis=(1, 2, 3)))[at]
    if not usable.any():
        raise DataError(f"{name}: none of its {len(points)} tags lies on a frame with a skeleton")
    lost = tuple(
        (f"{tags_name} tag {number + 1}", "outside the recording" if not inside[number] else "no skeleton in its frame")
        for number in np.flatnonzero(~usable)
    )
    intervals = _intervals(np.unique(at[usable]), len(frames), action - 1, reach)
    return Recording(name[: -len(".csv")], frames, subject=subject, intervals=intervals, lost=lost)


def _frames(name: str, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The times (T) in microseconds, rising, and the body (T, 1, 20, 3)."""
    lines = data.rstrip().splitlines()
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != COLUMNS or not row[0].isdigit() or len(row[0]) > 18:
            got = printable(lines[number - 1])
            raise DataError(f"{name}: line {number}: expected a time and {COLUMNS - 1} numbers, got {got}")
    if not rows:
        raise DataError(f"{name}: line 1: expected a time and {COLUMNS - 1} numbers, got the end of the file")
    times = np.array([int(row[0]) for row in rows], np.int64)
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        raise DataError(f"{name}: line {int(back[0]) + 2}: expected rising times, got {times[int(back[0]) + 1]}")
    fields = [field for row in rows for joint in range(JOINTS) for field in row[1 + 4 * joint : 4 + 4 * joint]]
    points = coordinates(name, fields, lambda row: row // JOINTS + 1)
    return times, points.reshape(-1, 1, JOINTS, 3).astype(np.float32)


def parse_tags(name: str, data: bytes) -> NDArray[np.int64]:
    """The times of the tags in microseconds of the recording's clock, in the order of the file.

    Raises:
        DataError: a line after the heading is not ``tick;name``.
    """
    lines = data.rstrip().splitlines()
    times = []
    for number, line in enumerate(lines[1:], 2):
        tick = line.split(b";")[0].strip()
        if not line.strip():
            continue
        if b";" not in line or not tick.isdigit() or len(tick) > 18:
            raise DataError(f"{name}: line {number}: expected tick;name, got {printable(line)}")
        times.append((int(tick) * 1000 + TICKS // 2) // TICKS)
    return np.array(times, np.int64).clip(0, 2**62)


def _nearest(times: NDArray[np.int64], points: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frame nearest to each point of time."""
    after = np.searchsorted(times, points).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    return np.where(np.abs(points - times[before]) <= np.abs(times[after] - points), before, after)


def _intervals(tags: NDArray[np.int64], frames: int, label: int, reach: int) -> tuple[Interval, ...]:
    """From the middle between two tags to the next middle, and not farther than that many frames from the tag."""
    middles: Sequence[int] = [0, *((tags[:-1] + tags[1:] + 1) // 2).tolist(), frames]
    return tuple(
        Interval(max(begin, int(tag) - reach), min(end, int(tag) + reach + 1), label)
        for tag, begin, end in zip(tags, middles[:-1], middles[1:], strict=True)
    )
