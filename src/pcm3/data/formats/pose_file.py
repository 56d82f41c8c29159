"""``.pose`` files of sign language work, by pose-format: MediaPipe's or OpenPose's points in a binary file."""

from __future__ import annotations

import numpy as np

from pcm3.data.formats.columns import MOST_BODIES, MOST_CELLS
from pcm3.data.formats.deeplabcut import upwards
from pcm3.data.formats.motion_file import PIXELS, FileGroup, MotionFile
from pcm3.data.formats.optional import library
from pcm3.data.names import printable
from pcm3.data.source_index import Options
from pcm3.errors import DataError

COMPONENTS = ("POSE_WORLD_LANDMARKS", "POSE_LANDMARKS", "pose_keypoints_3d", "pose_keypoints_2d", "BODY_135")
"""The parts of a file that are bodies, the preferred one first; faces and hands are not read."""


def read(group: FileGroup, options: Options) -> MotionFile:
    """The bodies in the file.

    Raises:
        DataError: it is no such file, or holds no body; pose-format is not installed.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    pose_format = library("pose_format", ".pose files")
    try:
        pose = pose_format.Pose.read(data)
        components = [(str(part.name), [str(point) for point in part.points]) for part in pose.header.components]
        places, scores = np.ma.getdata(pose.body.data), np.asarray(pose.body.confidence)
        fps = float(pose.body.fps)
    except Exception as error:  # the library lets out whatever its parts raise over damage
        raise DataError(
            f"{name}: expected a .pose file: {printable(str(error), 100) or type(error).__name__}"
        ) from error
    known = [part for part, _ in components]
    wanted = next((part for part in COMPONENTS if part in known), None)
    if wanted is None:
        raise DataError(f"{name}: expected a body ({', '.join(COMPONENTS[:2])}), got {printable(', '.join(known), 60)}")
    at = known.index(wanted)
    start = sum(len(points) for _, points in components[:at])
    joints = tuple(components[at][1])
    part = slice(start, start + len(joints))
    if places.ndim != 4 or scores.shape != places.shape[:3] or 0 in places.shape or places.size > MOST_CELLS:
        raise DataError(f"{name}: expected frames of people, got {places.shape}")
    if places.shape[2] < part.stop or places.shape[3] not in (2, 3) or len(set(joints)) < len(joints):
        raise DataError(f"{name}: expected {part.stop} points or more in 2 or 3 dimensions, got {places.shape}")
    frames = np.full((*places.shape[:2], len(joints), 3), np.nan)
    with np.errstate(invalid="ignore"):  # of damage, which what follows takes for absent
        frames[..., : places.shape[3]] = places[:, :, part]
        sure = scores[:, :, part].astype(np.float64)
    frames[~np.isfinite(sure) | (sure == 0) | ~(np.abs(frames[..., :2]) < 1e6).all(axis=-1)] = np.nan
    frames[..., 2] = np.where(np.abs(frames[..., 2]) < 1e6, frames[..., 2], np.nan)
    file = upwards(
        frames[:, :MOST_BODIES], joints, np.nan_to_num(sure[:, :MOST_BODIES]), fps if 0.1 <= fps <= 1e4 else None
    )
    if "WORLD" in wanted or wanted.endswith("3d"):
        return file
    return MotionFile(file.frames, joints, fps=file.fps, unit=PIXELS, scores=file.scores)
