"""NTU RGB+D as the usual preparation script reads it: line by line and joint by joint, in plain Python.

Slow, and there for no other purpose: `pcm3 benchmark import` measures the import against it, and the tests compare
both. It does what the scripts do that most skeleton repositories share, in their order and with their loops: a
dictionary a joint with all twelve numbers, four slots, the two bodies of highest energy, room for 300 frames that is
filled by repetition, and two rotations, each with one `numpy.dot` a joint.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

ROOM = 300
"""Frames of the array that the scripts fill, however long the recording is."""
SLOTS, KEPT, JOINTS = 4, 2, 25
BODY_COLUMNS = (
    "id", "clipped edges", "left hand confidence", "left hand state", "right hand confidence", "right hand state",
    "restricted", "lean x", "lean y", "tracking",
)  # fmt: skip
JOINT_COLUMNS = (
    "x", "y", "z", "depth x", "depth y", "colour x", "colour y", "orientation w", "orientation x", "orientation y",
    "orientation z", "tracking",
)  # fmt: skip
CENTRE, UP, ACROSS = 1, (0, 1), (4, 8)
"""Joints: the origin; from, to: what is turned onto z, and onto x."""


def clip_line_by_line(file: Path) -> Floats:
    """The clip in one file, prepared (300, 2, 25, 3) float32, metres."""
    bodies = np.zeros((KEPT, ROOM, JOINTS, 3), np.float32)
    chosen = chosen_bodies(frames_of(file))
    bodies[:, : chosen.shape[1]] = chosen[:, :ROOM]
    for body in bodies:
        fill(body)
    centre = bodies[0, :, CENTRE : CENTRE + 1].copy()
    for body in bodies:
        body[:] = (body - centre) * (body.sum(axis=-1, keepdims=True) != 0)
    for (start, end), axis in ((UP, np.array([0.0, 0.0, 1.0])), (ACROSS, np.array([1.0, 0.0, 0.0]))):
        rotate_bodies(bodies, rotation(bodies[0, 0, end] - bodies[0, 0, start], axis))
    return bodies.transpose(1, 0, 2, 3)


def frames_of(file: Path) -> list[list[dict[str, Any]]]:
    """The bodies of each frame, with every number that the file has of them."""
    frames = []
    with file.open(encoding="utf-8") as lines:
        for _ in range(int(lines.readline())):
            bodies = []
            for _ in range(int(lines.readline())):
                body: dict[str, Any] = dict(zip(BODY_COLUMNS, map(float, lines.readline().split()), strict=True))
                body["joints"] = []
                for _ in range(int(lines.readline())):
                    numbers = [float(word) for word in lines.readline().split()]
                    body["joints"].append(dict(zip(JOINT_COLUMNS, numbers, strict=True)))
                bodies.append(body)
            frames.append(bodies)
    return frames


def chosen_bodies(frames: list[list[dict[str, Any]]]) -> Floats:
    """The two bodies of highest energy, highest first (2, T, 25, 3)."""
    bodies = np.zeros((SLOTS, len(frames), JOINTS, 3))
    for t, frame in enumerate(frames):
        for m, body in enumerate(frame[:SLOTS]):
            for v, joint in enumerate(body["joints"]):
                bodies[m, t, v] = [joint["x"], joint["y"], joint["z"]]
    energies = []
    for coordinates in bodies:
        nonzero = coordinates[coordinates.sum(axis=-1).sum(axis=-1) != 0]
        energies.append(sum(nonzero[:, :, c].std() for c in range(3)) if len(nonzero) else 0.0)
    return bodies[sorted(range(SLOTS), key=lambda m: -energies[m])[:KEPT]]


def fill(body: Floats) -> None:
    """Moves the frames of a body (300, 25, 3) that is absent at first to the start, and repeats them to the end."""
    if body.sum() == 0:
        return
    if body[0].sum() == 0:
        nonzero = body[body.sum(axis=-1).sum(axis=-1) != 0].copy()
        body[:] = 0
        body[: len(nonzero)] = nonzero
    for t, frame in enumerate(body):
        if frame.sum() == 0 and body[t:].sum() == 0:
            rest = len(body) - t
            body[t:] = np.concatenate([body[:t]] * math.ceil(rest / t))[:rest]
            return


def rotation(source: Floats, target: Floats) -> Floats:
    """The rotation (3, 3) of a direction onto an axis, by Euler's four parameters."""
    axis = np.cross(source, target)
    if np.abs(axis).sum() < 1e-6 or np.abs(source).sum() < 1e-6:
        return np.eye(3)
    cosine = np.dot(source, target) / np.linalg.norm(source)
    half = math.acos(min(max(float(cosine), -1.0), 1.0)) / 2
    a = math.cos(half)
    b, c, d = math.sin(half) * axis / np.linalg.norm(axis)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def rotate_bodies(bodies: Floats, matrix: Floats) -> None:
    """Turns every joint of the bodies (2, 300, 25, 3), one after the other."""
    for body in bodies:
        if body.sum() == 0:
            continue
        for frame in body:
            if frame.sum() == 0:
                continue
            for v, joint in enumerate(frame):
                frame[v] = np.dot(matrix, joint)
