"""Human3.6M as exponential maps, the form in which motion prediction passes it on: ``S5/walking_1.txt``, 50 a second.

A line is a frame: 3 numbers for the root's way and 32 times 3 for rotations. Way and rotation of the root are those
since the frame before, as seen from the body; summed up they give the place in the room. The lengths of the bones are
those of one skeleton for all people (Martinez et al. 2017, as everybody after them).

Files ``label11_S5_walking_1.txt`` (github.com/jutanke/h36m_framewise_actions) tell the action in each frame; recordings
are untrimmed then. Without them a recording is a clip of its scenario.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry, list_entries
from pcm3.data.formats.motion_file import folder_of
from pcm3.data.kinematics import from_rotation_vectors, joint_positions
from pcm3.data.readers.text_table import number_rows
from pcm3.data.recording import Interval, Recording, metres
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.errors import DataError, not_one_of
from pcm3.skeleton import load_layout

LAYOUT = "h36m32"
SCENARIOS = (
    "directions", "discussion", "eating", "greeting", "phoning", "posing", "purchases", "sitting", "sittingdown",
    "smoking", "takingphoto", "waiting", "walking", "walkingdog", "walkingtogether",
)  # fmt: skip
ACTIONS = (
    "kneeling", "kneeling down", "leaning down", "sitting on a chair", "sitting down", "sitting on the floor",
    "squatting", "standing", "standing up", "steps", "walking",
)  # fmt: skip
"""The columns of the files of labels."""
LABELS = ("frames", "scenarios")
"""What ``--labels`` may say: the action of each frame, or the scenario of each recording."""
PROTOCOLS: dict[str, Any] = {"xsub": {"by": "subject", "train": [1, 6, 7, 8, 9, 11]}}
"""Subject 5 tests."""

COLUMNS = 99
OFFSETS_MM = np.zeros((32, 3))
"""From parent to joint."""
OFFSETS_MM[[1, 6], 0] = -132.948591, 132.948826
OFFSETS_MM[[2, 3, 7, 8], 1] = -442.894612, -454.206447, -442.894413, -454.206590
OFFSETS_MM[[4, 5, 9, 10], 2] = 162.767078, 74.999437, 162.767426, 74.999948
OFFSETS_MM[11:16, 1] = 0.1, 233.383263, 257.077681, 121.134938, 115.002227
OFFSETS_MM[[16, 17, 18, 19, 22], 1] = 257.077681, 151.034226, 278.882773, 251.733451, 100.000188
OFFSETS_MM[[24, 25, 26, 27, 30], 1] = 257.077681, 151.031437, 278.892924, 251.728680, 137.499922
OFFSETS_MM[[21, 29], 2] = 99.999627, 99.999888


def index(source: Path, options: Options) -> SourceIndex:
    """The recordings under the source; untrimmed, where the labels of their frames lie there too.

    Raises:
        DataError: labels that this kind has not, or that are not there.
    """
    entries, unusable = list_entries(source)
    labels = {entry.name.removeprefix("label11_"): entry for entry in entries if entry.name.startswith("label11_")}
    wanted = options.labels or ("frames" if labels else "scenarios")
    if wanted not in LABELS:
        raise DataError(not_one_of("labels of h36m", wanted, LABELS))
    if wanted == "frames" and not labels:
        raise DataError(f"{source}: expected label11_S1_walking_1.txt and so on beside the recordings, found none")
    clips: dict[str, SourceClip] = {}
    pattern = rf"S(\d{{1,2}})/({'|'.join(SCENARIOS)})_(\d)\.txt"
    for entry in sorted(entries, key=str):
        match = re.fullmatch(pattern, f"{folder_of(entry).name}/{entry.name}", re.ASCII)
        if match is None:
            continue
        name = f"S{match[1]}_{match[2]}_{match[3]}"
        of_frames = labels.get(f"{name}.txt")
        if name in clips:
            unusable.append((str(entry), f"the id '{name}' is taken by '{clips[name].file}'"))
        elif wanted == "frames" and of_frames is None:
            unusable.append((str(entry), "the labels of its frames are not there"))
        else:
            used = of_frames if wanted == "frames" else None
            clips[name] = SourceClip(name, str(entry), partial(_read, entry, name, used, options.fixed_root))
    notes = ["published results on motion prediction: --fps 25 --fixed_root true, then prediction.scored=h36m-256"]
    classes = ACTIONS if wanted == "frames" else SCENARIOS
    return SourceIndex(list(clips.values()), unusable=unusable, classes=classes, notes=notes if clips else [])


def _read(entry: Entry, name: str, labels: Entry | None, fixed_root: bool) -> Recording:
    subject, scenario, _ = name[1:].split("_")
    frames = parse(entry.name, entry.read(), fixed_root)
    recording = Recording(name, frames, subject=int(subject), present=np.ones(frames.shape[:3], np.bool_))
    if labels is None:
        return replace(recording, label=SCENARIOS.index(scenario))
    return replace(recording, intervals=parse_labels(labels.name, labels.read(), len(frames)))


def parse(name: str, data: bytes, fixed_root: bool = False) -> NDArray[np.float32]:
    """The frames (T, 1, 32, 3) in metres, the first one at the origin; with a fixed root, the root of all is there and
    looks the same way.

    Raises:
        DataError: the content is not of that form; the error names the line.
    """
    rows = number_rows(name, data, COLUMNS, b",")
    rotations = from_rotation_vectors(-rows[:, 3:].reshape(len(rows), -1, 3))
    way = np.zeros((len(rows), 3))
    if fixed_root:
        rotations[:, 0] = np.eye(3)
    for frame, step in enumerate(rows[:, :3] if not fixed_root else ()):
        before = rotations[frame - 1, 0] if frame else np.eye(3)
        way[frame] = (way[frame - 1] if frame else 0) + before @ step
        rotations[frame, 0] = before @ rotations[frame, 0]
    places = joint_positions(OFFSETS_MM, load_layout(LAYOUT).parents, rotations, way) / 1000
    return metres(name, places[:, None])


def parse_labels(name: str, data: bytes, frames: int) -> tuple[Interval, ...]:
    """The stretches of one action; frames of which no column is 1 are in none.

    Raises:
        DataError: not one-hot rows, or not as many as there are frames.
    """
    rows = number_rows(name, data, len(ACTIONS), None)
    if not np.isin(rows, (0, 1)).all() or (rows.sum(axis=1) > 1).any():
        raise DataError(f"{name}: expected one 1 a line and zeros")
    if len(rows) != frames:
        raise DataError(f"{name}: expected labels of the {frames} frames of the recording, got {len(rows)}")
    label = np.where(rows.any(axis=1), rows.argmax(axis=1), -1)
    starts = np.flatnonzero(np.diff(label, prepend=-2))
    stops = [*starts[1:].tolist(), frames]
    return tuple(
        Interval(int(start), int(stop), int(label[start]))
        for start, stop in zip(starts, stops, strict=True)
        if label[start] >= 0
    )
