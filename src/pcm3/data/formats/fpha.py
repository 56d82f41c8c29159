"""First-Person Hand Action's text: ``Subject_1/open_juice/1/skeleton.txt``, a frame's number and 21 joints in mm."""

from __future__ import annotations

import numpy as np

from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.readers.text_table import number_rows
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

LAYOUT = "hand21"
PATTERN = "Subject_{subject}/{label}/{}/{}"
ORDER = np.array([0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20])
"""The place in a line of each joint of the layout: a line has the wrist, the five knuckles, then finger by finger."""


def matches(name: str, head: bytes) -> bool:
    """Whether the first line is that of a frame."""
    return name == "skeleton.txt" and len(head.split(b"\n", 1)[0].split()) == 64


def read(group: FileGroup, options: Options) -> MotionFile:
    """The hand in the file.

    Raises:
        DataError: the content is not of that form; the error names the line.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    rows = number_rows(name, data, 64, None)
    if not (np.abs(rows) < 1e6).all():
        raise DataError(f"{name}: expected millimetres, got {np.abs(rows).max():g}")
    frames = rows[:, 1:].reshape(len(rows), 1, 21, 3)[:, :, ORDER]
    frames[~frames.any(axis=-1)] = np.nan
    return MotionFile(frames, load_layout(LAYOUT).joints, layout=LAYOUT, fps=30.0, unit="millimetres")
