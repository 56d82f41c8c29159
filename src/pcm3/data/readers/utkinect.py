"""UTKinect-Action3D: 20 untrimmed recordings of one body, ``joints_sSS_eEE.txt``, with ten actions each.

A line is a frame's number and x, y, z of 20 Kinect v1 joints in the order of its SDK: y is up by 1.4 to 1.7 m from
ankle to head, paired bones are equally long, the right shoulder has the larger x in 99.7 % of the frames (z points
away, as in NW-UCLA), and in throw, push and pull joint 11, the right hand, moves most (0.40 m; the left one 0.12 m).

Frame numbers are even, go in steps of 2 to 16 but for a few gaps where tracking was lost (up to 298), and repeat: 3 %
of the lines have the number of the line before and another estimate of the same pose (never the same coordinates). The
first is kept; it lies nearer to the frames around it (in 58 % of the cases). The authors give 30 frames a second
recorded and about 15 kept. A number is then a sixtieth of a second: the lines are 4.3 apart on average, which are 14
a second, and a walking cycle takes 86, which are 1.4 s. A store counts frames, so its time is true only on average.

Labels are ranges of frame numbers, both ends inside. There are two files of them. ``actionLabel.txt`` is the authors';
``actionLabel_modified.txt``, which came later from others, differs in 7 of 199 ranges, and in each of them the joints
agree with it: walk in s01_e02 (the authors' range ends after 0.6 s; the person walks on past the corrected end),
push in s03_e01 (a misprint, 2556 for 3556, which makes it run over the throw before it), pull in s07_e01 and s07_e02
(begin while the hand is still held forward), push in s09_e01 (runs to the end of the pull that follows), carry in
s10_e01 (goes on for 2.8 s after arrival), pull in s10_e02 (begins within the push). So it is taken where it is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.readers.text_table import coordinates, is_frame_number, printable, read_rows
from pcm3.data.recording import TEST, TRAIN, Interval, Recording
from pcm3.data.source_index import Options, SourceClip, SourceIndex, name_numbers
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError

WORDS = ("walk", "sitDown", "standUp", "pickUp", "carry", "throw", "push", "pull", "waveHands", "clapHands")
"""The actions as the label files write them, in the order of the labels."""

NAME = r"joints_s(\d\d)_e(\d\d)\.txt"
JOINTS = 20
COLUMNS = 1 + 3 * JOINTS

LABELS = {"modified": "actionLabel_modified.txt", "original": "actionLabel.txt"}
"""The files of labels, the preferred one first."""

PROTOCOLS: dict[str, Any] = {"xsub": {"by": "subject", "train": [1, 3, 5, 7, 9]}}
"""Papers train on half of the subjects, on differing halves or with the mean over several. The other usual protocol
leaves out one recording for the test and takes the mean over all: ``loso-s01_e01`` and so on, which `index` adds."""


class Range(NamedTuple):
    """A line of a label file."""

    line: int
    """In the file, from 1."""
    label: int
    first: int
    """The frame number with which the action begins."""
    last: int
    """The frame number with which it ends."""


def index(source: Path, options: Options) -> SourceIndex:
    """The recordings under the source with the labels of the file that the options say, or of the preferred one.

    Raises:
        DataError: no such file of labels, or it is damaged.
    """
    entries, unusable = list_entries(source)
    files: dict[str, Entry] = {}
    for entry in sorted((entry for entry in entries if re.fullmatch(r"joints_.*\.txt", entry.name)), key=str):
        name = entry.name.removeprefix("joints_").removesuffix(".txt")
        if name in files:
            unusable.append((str(entry), f"the id '{name}' is taken by '{files[name]}'"))
        files.setdefault(name, entry)
    if not files:
        return SourceIndex([], unusable=unusable)
    labels = _label_file(source, entries, options.labels)
    ranges, without = parse_labels(str(labels), labels.read())
    unusable += [
        (str(entry), f"{labels.name} has no labels of '{name}'") for name, entry in files.items() if name not in ranges
    ]
    names = [name for name in files if name in ranges]
    clips = [
        SourceClip(name, str(files[name]), partial(_read, files[name], name, ranges[name], names)) for name in names
    ]
    skipped = [alone for name, alone in without if name in files]
    notes = [f"labels of {labels.name}" + _other_labels(labels, entries)]
    protocols = {**PROTOCOLS, **(_each(names, BY_SPLIT) if len(names) > 1 else {})}
    return SourceIndex(clips, skipped=skipped, unusable=unusable, protocols=protocols, notes=notes)


def _label_file(source: Path, entries: Sequence[Entry], wanted: str | None) -> Entry:
    """The file of labels that is wanted, or the preferred one of those that are there."""
    if wanted is not None and wanted not in LABELS:
        raise DataError(f"expected labels {' or '.join(LABELS)} for utkinect, got '{wanted}'")
    for name in LABELS.values() if wanted is None else [LABELS[wanted]]:
        for entry in entries:
            if entry.name == name:
                return entry
    names = " or ".join(LABELS.values()) if wanted is None else LABELS[wanted]
    raise DataError(f"{source}: expected {names} beside the recordings, but it is not there")


def _other_labels(entry: Entry, entries: Sequence[Entry]) -> str:
    """What to say of the other file of labels, where it is there."""
    there = {other.name for other in entries}
    others = [choice for choice, name in LABELS.items() if name != entry.name and name in there]
    return "".join(f"; --labels {choice} takes those of {LABELS[choice]}" for choice in others)


def parse_labels(where: str, data: bytes) -> tuple[dict[str, list[Range]], list[tuple[str, Skipped]]]:
    """Recording → its labelled ranges; and the lines that are no ranges: of which recording, and why.

    Raises:
        DataError: a line is neither a recording's name nor ``action: first last``.
    """
    ranges: dict[str, list[Range]] = {}
    without: list[tuple[str, Skipped]] = []
    name: str | None = None
    for number, line in enumerate(data.splitlines(), 1):
        text = line.strip().decode("latin-1")
        match = re.fullmatch(r"(\w+)\s*:\s*(\d{1,9}|NaN)\s+(\d{1,9}|NaN)", text, re.ASCII)
        if re.fullmatch(r"s\d\d_e\d\d", text, re.ASCII):
            name = text
            if name in ranges:
                raise DataError(f"{where}: line {number}: {name} has labels already")
            ranges[name] = []
        elif match is not None and name is not None and match[1] in WORDS:
            if "NaN" in match.groups() or int(match[2]) > int(match[3]):
                reason = f"{name} has no {match[1]}: frames {match[2]} to {match[3]}"
                without.append((name, (f"{where} line {number}", reason)))
            else:
                ranges[name].append(Range(number, WORDS.index(match[1]), int(match[2]), int(match[3])))
        elif text:
            raise DataError(
                f"{where}: line {number}: expected sSS_eEE, or an action and its frames, got {printable(line)}"
            )
    return ranges, without


def parse(name: str, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
    """The frame numbers (T), rising; the body in each of these frames (T, 1, 20, 3), metres; and the subject.

    Raises:
        DataError: the name or the content is not that of a UTKinect recording.
    """
    subject, _sequence = name_numbers(name, NAME, "joints_sSS_eEE.txt")
    expected = f"a frame number and {COLUMNS - 1} coordinates"
    rows = read_rows(name, data, COLUMNS, expected, fits=is_frame_number)
    fields = [field for row in rows for field in row[1:]]
    points = coordinates(name, fields, lambda row: row // JOINTS + 1).reshape(-1, 1, JOINTS, 3)
    numbers = np.array([int(row[0]) for row in rows], np.int64)
    back = np.flatnonzero(np.diff(numbers) < 0)
    if len(back):
        line = int(back[0]) + 2
        raise DataError(f"{name}: line {line}: expected rising frame numbers, got {numbers[line - 1]}")
    numbers, first = np.unique(numbers, return_index=True)
    return numbers, points[first].astype(np.float32), subject


def _read(entry: Entry, name: str, ranges: Sequence[Range], names: Sequence[str]) -> Recording:
    """The recording with its actions, whose ranges of frame numbers become ranges of the frames that are there."""
    numbers, frames, subject = parse(entry.name, entry.read())
    intervals: list[Interval] = []
    lost: list[Skipped] = []
    for span in ranges:
        start, stop = np.searchsorted(numbers, span.first, "left"), np.searchsorted(numbers, span.last, "right")
        if start < stop:
            intervals.append(Interval(int(start), int(stop), span.label))
        else:
            reason = f"no frame has a number from {span.first} to {span.last}"
            lost.append((f"labels line {span.line}", reason))
    return Recording(
        id=name,
        frames=frames,
        subject=subject,
        splits=_each(names, TRAIN) | _each([name], TEST),
        intervals=tuple(sorted(intervals, key=lambda interval: (interval.start, interval.stop))),
        lost=tuple(lost),
    )


def _each(names: Sequence[str], value: Any) -> dict[str, Any]:
    """The value for the protocol that leaves out one recording, for each of the recordings."""
    return {f"loso-{name}": value for name in names}
