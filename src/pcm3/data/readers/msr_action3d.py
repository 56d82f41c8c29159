"""MSR-Action3D: one text file a clip, ``aAA_sSS_eEE_skeleton3D.txt``, 20 Kinect v1 joints in an order of its own.

A line is ``x y z confidence``, twenty lines are a frame. The files do not say which of two paired joints is left.
The data does, in two ways that agree. In the camera's frame (y up, z away) the right shoulder of a
person who faces the camera has the larger x, as in UTD-MHAD, whose joints are named: joint 2 has it over joint 1 in
99 % of the clips, by 0.35 m on average (UTD-MHAD: 0.32 m). And in the one-armed actions (1 to 9), which were done
with the right arm, joint 11 moves (standard deviation 0.6 m over x, y, z) and joint 10 does not (0.1 m); in the two
kicks joint 17 moves and joint 16 does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pcm3.data.readers.joint_order import joint_order
from pcm3.data.readers.text_table import coordinates, read_rows
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options, SourceIndex, list_clips, name_numbers
from pcm3.errors import DataError

JOINTS = (
    "left_shoulder", "right_shoulder", "shoulder_centre", "spine", "left_hip", "right_hip", "hip_centre",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
    "left_knee", "right_knee", "left_ankle", "right_ankle", "left_foot", "right_foot", "head",
)  # fmt: skip
ORDER = joint_order(JOINTS, "kinect_v1")

ACTIONS = 20

SUFFIX = "_skeleton3D.txt"
NAME = r"a(\d{1,3})_s(\d{1,3})_e(\d{1,3})_skeleton3D\.txt"
LIST = "files_used_in_cvpr12_paper.txt"
"""Comes with the data: the 557 of 567 recordings that the literature uses; the others are too noisy."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips under the source: those of its list of 557, or all of them where it has no list or the user says so."""
    clips, entries, unusable = list_clips(source, SUFFIX, parse)
    lists = [entry for entry in entries if entry.name == LIST]
    if options.all_files or not lists:
        return SourceIndex(clips, unusable=unusable)
    listed = set(lists[0].read().decode("latin-1").split())
    used = [clip for clip in clips if clip.id in listed]
    skipped = [(clip.file, f"not among the {len(listed)} of {LIST}") for clip in clips if clip.id not in listed]
    return SourceIndex(used, skipped=skipped, unusable=unusable)


def parse(name: str, data: bytes) -> Recording:
    """The recording in one file, without the frames that are all zeros (the tracker had lost the person).

    Raises:
        DataError: the name or the content is not that of an MSR-Action3D skeleton.
    """
    action, subject, _repetition = name_numbers(name, NAME, f"aAA_sSS_eEE{SUFFIX}")
    if not 1 <= action <= ACTIONS:
        raise DataError(f"{name}: expected an action from 1 to {ACTIONS}, got {action}")
    rows = read_rows(name, data, 4, "x, y, z, confidence")
    if len(rows) % len(JOINTS):
        raise DataError(f"{name}: line {len(rows)}: the file ends within a frame of {len(JOINTS)} lines")
    fields = [field for row in rows for field in row[:3]]
    points = coordinates(name, fields, lambda row: row + 1).reshape(-1, 1, len(JOINTS), 3)
    tracked = points.any(axis=(1, 2, 3))
    return Recording(
        id=name.removesuffix(SUFFIX),
        frames=points[tracked][:, :, ORDER].astype(np.float32),
        label=action - 1,
        subject=subject,
    )
