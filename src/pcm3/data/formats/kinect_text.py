"""A ``.skeleton`` file of NTU RGB+D's form under any name: somebody's own recording with a Kinect v2."""

from __future__ import annotations

import numpy as np

from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.readers.ntu import SLOTS
from pcm3.data.readers.ntu_bytes import read_bytes
from pcm3.data.readers.ntu_lines import JOINTS, read_lines
from pcm3.data.source_index import Options
from pcm3.skeleton import load_layout


def read(group: FileGroup, options: Options) -> MotionFile:
    """The bodies in the file, up to four.

    Raises:
        DataError: the content is not of that form; the error names the line.
    """
    entry = group.entries[0]
    data = entry.read()
    bodies = read_bytes(entry.name, data) or read_lines(entry.name, data)
    kept = bodies.slot < SLOTS
    shape = (bodies.frames, int(bodies.slot[kept].max(initial=0)) + 1, JOINTS, 3)
    frames = np.full(shape, np.nan)
    frames[bodies.frame[kept], bodies.slot[kept]] = bodies.points[kept]
    frames[~frames.any(axis=-1)] = np.nan
    return MotionFile(frames, load_layout("kinect_v2").joints, layout="kinect_v2", fps=30.0, unit="metres")
