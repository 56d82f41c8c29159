"""NTU RGB+D 60 and 120: one ``.skeleton`` text file a clip, up to 4 bodies of 25 Kinect v2 joints.

A file is a line with the number of frames; then for each frame a line with the number of bodies, and for each body a
line of 10 numbers, of which the first is its id, a line that says 25, and 25 lines of 12 numbers, of which x, y, z are
the first three. The other nine are not read: real files hold ``NaN`` among them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Skipped, list_entries
from pcm3.data.readers.class_names import class_names, own_classes
from pcm3.data.readers.ntu_bytes import read_bytes
from pcm3.data.readers.ntu_lines import JOINTS, Bodies, read_lines
from pcm3.data.readers.ntu_npy import read_npy
from pcm3.data.readers.text_table import printable
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options, SourceClip, SourceIndex, clip_files, name_numbers
from pcm3.errors import DataError

SUFFIX, SUFFIX_NPY = ".skeleton", ".skeleton.npy"
"""Of the recorder's files, and of what ``txt2npy.py`` makes of them."""
NAME = r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton"
FORM = "SsssCcccPpppRrrrAaaa.skeleton"

SLOTS = 4
"""The bodies of a frame that are read, in the order of the file; any after them are passed over, as is usual."""
IDS = 8
"""Bodies told apart by id that are read; of more, those that are in most frames."""

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

OWN_KIND = "ntu-format"
"""What a store of recordings with a ``classes.txt`` calls itself, so that no result of it is taken for NTU's."""


def index(source: Path, options: Options, *, actions: int) -> SourceIndex:
    """The clips of the first so many actions under the source (NTU 60 has 60, NTU 120 has 120).

    Raises:
        DataError: ``classes.txt`` is there and does not name classes.
    """
    entries, unusable = list_entries(source)
    clips, doubles = clip_files(entries, SUFFIX, partial(parse, track=options.track))
    rewritten, more_doubles = clip_files(entries, SUFFIX_NPY, partial(parse_npy, track=options.track))
    texts = {clip.id: clip.file for clip in clips}
    unusable += doubles + more_doubles
    unusable += [(c.file, f"the id '{c.id}' is taken by '{texts[c.id]}'") for c in rewritten if c.id in texts]
    clips += [clip for clip in rewritten if clip.id not in texts]
    own = own_classes(entries)
    classes = own or class_names("ntu")[:actions]
    inside: list[SourceClip] = []
    skipped: list[Skipped] = []
    for clip in clips:
        try:
            *_, action = name_numbers(clip.id + SUFFIX, NAME, FORM)
        except DataError as error:
            unusable.append((clip.file, str(error)))
            continue
        if not 1 <= action <= len(classes):
            skipped.append((clip.file, f"action {action} is not one of the {len(classes)} classes"))
        else:
            inside.append(clip)
    return SourceIndex(inside, skipped=skipped, unusable=unusable, classes=classes, kind=OWN_KIND if own else None)


index_60 = partial(index, actions=60)
index_120 = partial(index, actions=120)


def parse(name: str, data: bytes, track: Literal["slot", "id"] = "slot") -> Recording:
    """The recording in one file.

    Args:
        name: the name of the file.
        data: what it holds.
        track: what makes a body one body: its place among the bodies of a frame (M is the largest number of them in
            a frame, at most `SLOTS`), or the recorder's id for it (M is the number of different ones, at most `IDS`).

    Raises:
        DataError: the name is not of NTU's form, or the content is not; the error names the line.
    """
    setup, camera, subject, _repetition, action = name_numbers(name, NAME, FORM)
    bodies = read_bytes(name, data) or read_lines(name, data)
    body, most = (bodies.slot, SLOTS) if track == "slot" else (_numbered_by_id(name, data, bodies), IDS)
    clip = np.zeros((bodies.frames, min(int(body.max(initial=0)) + 1, most), JOINTS, 3), np.float32)
    kept = body < most
    clip[bodies.frame[kept], body[kept]] = bodies.points[kept]
    return Recording(name.removesuffix(SUFFIX), clip, action - 1, subject, camera, setup)


def parse_npy(name: str, data: bytes, track: Literal["slot", "id"] = "slot") -> Recording:
    """The recording in one file that ``txt2npy.py`` wrote.

    Raises:
        DataError: the name or the content is not of that form, or bodies are asked for by an id.
    """
    id = name.removesuffix(SUFFIX_NPY)
    setup, camera, subject, _repetition, action = name_numbers(id + SUFFIX, NAME, FORM)
    if track == "id":
        raise DataError(f"{name}: expected --track slot, since txt2npy.py drops the ids of the bodies")
    return Recording(id, read_npy(name, data), action - 1, subject, camera, setup)


def _numbered_by_id(name: str, data: bytes, bodies: Bodies) -> NDArray[np.int64]:
    """A number for each body (B): ids count from 0 by their first frame, then by size; `IDS` for those passed over.

    Raises:
        DataError: an id is not a number, or twice in a frame; the error names the line.
    """
    lines = data.splitlines()
    ids = [lines[line].split(None, 1)[0] for line in bodies.line.tolist()]
    frames_of: dict[bytes, list[int]] = {}
    for number, frame, line in zip(ids, bodies.frame.tolist(), bodies.line.tolist(), strict=True):
        frames = frames_of.setdefault(number, [])
        if not number.isdigit() or frames[-1:] == [frame]:
            raise DataError(f"{name}: line {line + 1}: expected a body id, once a frame, got {printable(number)}")
        frames.append(frame)
    order = sorted(frames_of, key=lambda number: (frames_of[number][0], len(number), number))
    longest = set(sorted(order, key=lambda number: -len(frames_of[number]))[:IDS])
    place = {number: index for index, number in enumerate(number for number in order if number in longest)}
    return np.array([place.get(number, IDS) for number in ids], np.int64)
