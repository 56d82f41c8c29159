"""Landmarks in JSON, as programs around MediaPipe and its kin write them: a list of frames, variously wrapped.

A frame is a list of landmarks, or an object that holds it under a usual name (``pose_world_landmarks`` before
``pose_landmarks``); a landmark is ``{"x", "y", "z", "visibility"}`` or a list of these numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcm3.data.formats.json_file import load, numbers
from pcm3.data.formats.mediapipe import as_mediapipe
from pcm3.data.formats.motion_file import PIXELS, FileGroup, MotionFile
from pcm3.data.source_index import Options
from pcm3.errors import DataError

FRAMES = ("frames", "data", "results", "poses", "annotations", "sequence")
LANDMARKS = (
    "pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks", "keypoints3D", "keypoints_3d",
    "pose_landmarks", "poseLandmarks", "landmarks", "landmark", "keypoints", "pose", "joints",
)  # fmt: skip
SURE = ("visibility", "score", "confidence", "likelihood", "presence")
RATES = ("fps", "frame_rate", "frameRate", "framerate")
DEEP = 6


def matches(name: str, head: bytes) -> bool:
    """Whether names of landmarks stand in the beginning."""
    return head.lstrip()[:1] in (b"[", b"{") and any(
        f'"{word}"'.encode() in head for word in (*LANDMARKS, "visibility")
    )


def read(group: FileGroup, options: Options) -> MotionFile:
    """The body in the frames.

    Raises:
        DataError: there are no landmarks, or not equally many in all frames.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    held = load(name, data)
    fps = None
    if isinstance(held, dict):
        rate = next((held[key] for key in RATES if key in held), None)
        fps = float(rate) if isinstance(rate, int | float) and 0.1 <= rate <= 10_000 else None
        held = next((held[key] for key in FRAMES if isinstance(held.get(key), list)), None)
    if not isinstance(held, list) or not held:
        raise DataError(f"{name}: expected a list of frames, or one under {', '.join(FRAMES)}")
    frame_landmarks = [_landmarks(frame, DEEP) for frame in held]
    count = max((len(landmarks) for landmarks in frame_landmarks), default=0)
    first = next((landmarks for landmarks in frame_landmarks if landmarks), None)
    if first is None:
        raise DataError(
            f"{name}: expected landmarks, as a list or under {', '.join(LANDMARKS[:6])}, in one of the frames"
        )
    names = _names(first)
    points, scores = np.full((len(held), count, 3), np.nan), np.full((len(held), count), np.nan)
    flat = True
    for number, landmarks in enumerate(frame_landmarks):
        if len(landmarks) not in (0, count):
            raise DataError(f"{name}: frame {number}: expected {count} landmarks as in others, got {len(landmarks)}")
        if landmarks:
            rows = numbers(f"{name}: frame {number}", [_row(landmark) for landmark in landmarks], 4, "landmarks")
            flat = flat and bool(np.isnan(rows[:, 2]).all())
            points[number], scores[number] = rows[:, :3], rows[:, 3]
    if flat:
        points[..., 1] *= -1
        points[..., 2] = np.where(np.isnan(points[..., 0]), np.nan, 0)
    sure = None if np.isnan(scores).all() else scores[:, None]
    return as_mediapipe(MotionFile(points[:, None], names, fps=fps, unit=PIXELS if flat else None, scores=sure))


def _landmarks(frame: Any, deep: int) -> list[Any]:
    """The landmarks of a frame; none where nobody was seen."""
    if isinstance(frame, dict):
        inner = next((frame[key] for key in LANDMARKS if frame.get(key)), None)
        return _landmarks(inner, deep - 1) if deep and inner is not None else []
    if not isinstance(frame, list) or not frame:
        return []
    if len(frame) == 1 and isinstance(frame[0], dict | list) and not _is_landmark(frame[0]):  # a list of people
        return _landmarks(frame[0], deep - 1) if deep else []
    return frame if all(_is_landmark(landmark) for landmark in frame) else []


def _is_landmark(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and 2 <= len(value) <= 5 and all(isinstance(number, int | float) for number in value)


def _row(landmark: Any) -> list[Any]:
    """x, y, z and how sure it is, null where it is not told."""
    if isinstance(landmark, dict):
        sure = next((landmark[key] for key in SURE if key in landmark), None)
        return [landmark["x"], landmark["y"], landmark.get("z"), sure]
    return [*landmark[:3], *[None] * (4 - len(landmark))] if len(landmark) < 4 else landmark[:4]


def _names(landmarks: list[Any]) -> tuple[str, ...]:
    """The names that the landmarks have, or numbers."""
    names = [
        landmark.get("name", landmark.get("part")) if isinstance(landmark, dict) else None for landmark in landmarks
    ]
    if all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
        return tuple(str(name) for name in names)
    return tuple(f"landmark{number}" for number in range(len(landmarks)))
