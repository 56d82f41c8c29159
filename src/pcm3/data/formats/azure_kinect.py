"""Azure Kinect's body tracking as its offline processor writes it: a JSON file, 32 joints in millimetres."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pcm3.data.formats.json_file import load, numbers
from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

LAYOUT = "azure32"
JOINTS = 32
BODIES = 8
"""Bodies told apart by id that are read; of more, those that are in most frames."""
LEVELS = {0: 0.0, 1: 0.3, 2: 0.7, 3: 1.0}
"""Confidence of a joint: none (out of range), low (hidden), medium, high."""


def matches(name: str, head: bytes) -> bool:
    """Whether the beginning is that of the offline processor's output."""
    return head.lstrip()[:1] == b"{" and (b'"bone_list"' in head or b'"joint_positions"' in head or b'"k4abt' in head)


def read(group: FileGroup, options: Options) -> MotionFile:
    """The bodies by their ids.

    Raises:
        DataError: the content is not that of the offline processor.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    held = load(name, data)
    frames = held.get("frames") if isinstance(held, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise DataError(f"{name}: expected 'frames' as Azure Kinect's offline processor writes them")
    frame_bodies = [_bodies(name, number, frame) for number, frame in enumerate(frames)]
    ids = [body for body, _ in Counter(body for bodies in frame_bodies for body in bodies).most_common(BODIES)]
    if not ids:
        raise DataError(f"{name}: expected a body in one of the {len(frames)} frames, found nobody")
    points, scores = (
        np.full((len(frame_bodies), len(ids), JOINTS, 3), np.nan),
        np.zeros((len(frame_bodies), len(ids), JOINTS)),
    )
    for number, bodies in enumerate(frame_bodies):
        for place, body in enumerate(ids):
            if body in bodies:
                points[number, place], scores[number, place] = bodies[body]
    points[~points.any(axis=-1)] = np.nan
    fps = _rate([frame.get("timestamp_usec") for frame in frames])
    return MotionFile(points, load_layout(LAYOUT).joints, layout=LAYOUT, fps=fps, unit="millimetres", scores=scores)


def _bodies(name: str, number: int, frame: dict[str, Any]) -> dict[int, tuple[Any, Any]]:
    """Body id → its joints (32, 3) and how sure they are (32)."""
    where = f"{name}: frame {number}"
    bodies = frame.get("bodies", [])
    if not isinstance(bodies, list) or not all(isinstance(body, dict) for body in bodies):
        raise DataError(f"{where}: expected a list of 'bodies'")
    bodies_by_id = {}
    for place, body in enumerate(bodies):
        points = numbers(where, body.get("joint_positions"), 3, "joint_positions")
        if len(points) != JOINTS:
            raise DataError(f"{where}: expected {JOINTS} joint_positions, got {len(points)}")
        levels = body.get("confidence_level", body.get("joint_confidence_levels"))
        sure = np.ones(JOINTS)
        if isinstance(levels, list) and len(levels) == JOINTS:
            sure = np.array([LEVELS.get(level, 1.0) if isinstance(level, int) else 1.0 for level in levels])
        own = body.get("body_id", place)
        bodies_by_id[own if isinstance(own, int) else place] = (points, sure)
    return bodies_by_id


def _rate(times: list[Any]) -> float | None:
    """Frames a second of times in microseconds."""
    known = [
        time for time in times if isinstance(time, int | float) and not isinstance(time, bool) and abs(time) < 2**62
    ]
    steps = np.diff(np.array(known, np.float64)) if len(known) == len(times) else np.empty(0)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if not len(steps):
        return None
    rate = 1e6 / float(np.median(steps))
    nearest = round(rate)
    return (float(nearest) if abs(rate - nearest) < 0.02 * rate else rate) if 0.1 <= rate <= 10_000 else None
