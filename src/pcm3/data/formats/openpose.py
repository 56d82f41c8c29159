"""OpenPose's output: a folder with a JSON file a frame, the people of it with 25 (BODY_25) or 18 (COCO) keypoints."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.formats.json_file import load, numbers
from pcm3.data.formats.motion_file import PIXELS, FileGroup, MotionFile, folder_of
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

NAME = re.compile(r"(?P<name>.*?)_?(?P<frame>\d{1,15})_keypoints\.json", re.IGNORECASE | re.ASCII)
LAYOUTS = {25: "openpose25", 18: "openpose18"}
PEOPLE = 4
"""People of a frame that are read, in the order of the file."""
MOST_FRAMES = 1_000_000


def matches(name: str, head: bytes) -> bool:
    """Whether it is the file of a frame."""
    return NAME.fullmatch(name) is not None and b'"people"' in head


def frames_of_folders(entries: Sequence[Entry], suffixes: Sequence[str]) -> list[FileGroup]:
    """The files of a folder whose names differ by a number are the frames of one recording."""
    frames: dict[tuple[str, str], list[tuple[int, Entry]]] = {}
    for entry in entries:
        match = NAME.fullmatch(entry.name)
        if match is not None:
            key = (str(folder_of(entry)), match["name"])
            frames.setdefault(key, []).append((int(match["frame"]), entry))
    groups = []
    for (folder, name), numbered in frames.items():
        ordered = sorted(numbered, key=lambda pair: pair[0])
        groups.append(FileGroup(name or folder.rsplit("/", 1)[-1], tuple(entry for _, entry in ordered)))
    return groups


def read(group: FileGroup, options: Options) -> MotionFile:
    """The people of the frames, y upwards.

    Raises:
        DataError: a file is not OpenPose's, or has another number of keypoints than the others.
    """
    return parse([(entry.name, entry.read()) for entry in group.entries])


def parse(files: Sequence[tuple[str, bytes]]) -> MotionFile:
    """As `read`, of the names and bytes of the frames."""
    frame_people = [_people(name, data) for name, data in files]
    counts = {len(person) for _, people in frame_people for person in people}
    name = files[0][0]
    if not counts:
        raise DataError(f"{name}: expected people in one of the {len(files)} frames, found nobody")
    if len(counts) > 1 or not counts <= set(LAYOUTS):
        raise DataError(f"{name}: expected 25 or 18 keypoints in all frames, got {', '.join(map(str, sorted(counts)))}")
    space = any(deep for deep, people in frame_people if people)
    (count,) = counts
    bodies = min(PEOPLE, max(len(people) for _, people in frame_people))
    frames, scores = (
        np.full((len(frame_people), bodies, count, 3), np.nan),
        np.zeros((len(frame_people), bodies, count)),
    )
    for number, (deep, people) in enumerate(frame_people):
        for body, person in enumerate(people[:bodies]):
            if deep != space:
                raise DataError(f"{files[number][0]}: expected keypoints in two dimensions, or in three, in all frames")
            frames[number, body, :, : 3 if space else 2] = person[:, :-1] * (1 if space else np.array([1, -1]))
            scores[number, body] = person[:, -1]
    if not space:
        frames[..., 2] = np.where(np.isnan(frames[..., 0]), np.nan, 0)
    frames[scores == 0] = np.nan
    layout = LAYOUTS[count]
    notes = (
        () if bodies < 2 else ("people are in the order of the files: who is who is not followed from frame to frame",)
    )
    return MotionFile(
        frames, load_layout(layout).joints, layout=layout, unit=None if space else PIXELS, scores=scores, notes=notes
    )


def _people(name: str, data: bytes) -> tuple[bool, list[NDArray[np.float64]]]:
    """Whether the keypoints have three dimensions, and those of each person (V, 3 or 4)."""
    held = load(name, data)
    people = held.get("people") if isinstance(held, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f"{name}: expected 'people' as OpenPose writes them")
    deep = any(person.get("pose_keypoints_3d") for person in people)
    key, width = ("pose_keypoints_3d", 4) if deep else ("pose_keypoints_2d", 3)
    rows = [numbers(name, person.get(key, person.get("pose_keypoints", [])), width, key) for person in people]
    return deep, [row for row in rows if len(row)]
