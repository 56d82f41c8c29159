"""What a Kinect v2 makes of a performance: another point of view, and its mistakes.

Camera frame: metres, right-handed, x to the sensor's left, y up, z away from the sensor. The right hand of a
subject who faces the camera has the greater x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.simulate.body import JOINT, KINECT, Floats, rotation, unit

TRACKED, INFERRED, LOST = 2, 1, 0
"""Tracking states of the Kinect: seen, guessed, not there."""

CAMERA_ANGLES = (0.0, -np.pi / 4, np.pi / 4)
"""Around the stage, from where -z looks, for cameras 1, 2 and 3: NTU's middle, left and right one."""

FIRST_ID = 72057594037927936
"""Of a body, about."""
HALF_VIEW = 0.70
"""Tangent of half the horizontal field of view of a Kinect v2, 70 degrees."""

# How unsteadily the Kinect sees a joint that it does see, metres at a depth of 2 m.
_UNSTEADY = {
    "spine": 0.005,
    "neck": 0.006,
    "head": 0.006,
    "shoulder": 0.009,
    "elbow": 0.012,
    "wrist": 0.013,
    "hand": 0.016,
    "hand_tip": 0.024,
    "thumb": 0.026,
    "hip": 0.007,
    "knee": 0.012,
    "ankle": 0.015,
    "foot": 0.019,
}
UNSTEADY: Floats = np.array(
    [_UNSTEADY.get(name.removeprefix("left_").removeprefix("right_"), _UNSTEADY["spine"]) for name in JOINT]
)
# How thick the body is around a joint, metres: what is behind is hidden.
THICK: Floats = np.array([0.13 if name.startswith("spine") else 0.10 if name == "head" else 0.05 for name in JOINT])


@dataclass(frozen=True)
class Camera:
    """Where a Kinect stands; it looks at a point of the stage at the height of the hips."""

    angle: float
    """Around the stage, radians; 0 is where a subject who does not turn looks."""
    distance: float
    """From the middle of the stage, metres."""
    height: float
    """Over the floor, metres."""


def draw_cameras(rng: np.random.Generator, cameras: int) -> tuple[Camera, ...]:
    """The first so many cameras as somebody put them up: about where they should be, at any height."""
    distance, height = rng.uniform(2.7, 3.6), rng.uniform(0.8, 1.6)
    return tuple(
        Camera(
            angle=float(angle + rng.normal(0, 0.06)),
            distance=float(distance + rng.normal(0, 0.1)),
            height=float(height + rng.normal(0, 0.05)),
        )
        for angle in CAMERA_ANGLES[:cameras]
    )


def camera_coordinates(camera: Camera, points: Floats) -> Floats:
    """Points of the stage (..., 3) in the frame of the camera."""
    down = np.arctan2(camera.height - 0.9, camera.distance)
    # Row vectors times a rotation: the inverse turn, that of the camera undone.
    before_it = points @ rotation(1, np.array(camera.angle)) - np.array([0.0, camera.height, -camera.distance])
    rotated: Floats = before_it @ rotation(0, np.array(down))
    return rotated


def record(joints: Floats, rng: np.random.Generator, other: Floats | None = None) -> tuple[Floats, NDArray[np.int64]]:
    """What the sensor reports of joints (T, 25, 3) in its frame: positions, and tracking states (T, 25).

    Joints behind the body, or behind that of the `other` (T, 25, 3), are guessed: drawn towards the middle of the body
    and unsteady. Any joint may be lost for a while.
    """
    # Ten times a second is often enough: what hides a joint does not come and go faster.
    hides = _hidden(joints[::3], joints[::3], ~SAME_LIMB)
    if other is not None:
        hides = np.maximum(hides, _hidden(joints[::3], other[::3], np.array(True)))
    hidden = _smoothed(np.repeat(hides, 3, axis=0)[: len(joints)], 0.6)
    centre = joints[:, [JOINT["spine_mid"]]]
    depth = np.maximum(joints[..., 2:], 0.3)  # who walks off the stage may be behind a camera
    size = UNSTEADY[:, None] * (depth / 2.0) ** 1.5 * (1 + 2.0 * hidden[..., None])
    size = size * float(np.exp(rng.normal(0, 0.2)))
    jitter = _correlated(joints.shape, 0.75, rng) * np.array([1.0, 1.0, 1.5])
    drift = rng.normal(0, 1.0, (1, *joints.shape[1:]))  # the same throughout: the pose estimator's prejudice
    reported = joints + 0.3 * hidden[..., None] * (centre - joints) * rng.uniform(0.0, 1.0, (1, len(JOINT), 1))
    reported = reported + 0.6 * size * (jitter + drift)
    state = np.where(hidden > 0.5, INFERRED, TRACKED)
    _lose_joints(reported, state, rng)
    return reported, state


def record_pair(bodies: Floats, rng: np.random.Generator) -> tuple[Floats, tuple[int, ...], NDArray[np.int64]]:
    """What the sensor reports of two bodies (T, 2, 25, 3), each before or behind the other.

    Returns:
        Positions (T, 3, 25, 3), ids (3), tracking states (T, 3, 25). Who is lost for a while comes back as body 3.
    """
    order = rng.permutation(2)  # who was there first is not for the sensor to know
    bodies = bodies[:, order]
    frames = len(bodies)
    reported, states = np.zeros((frames, 3, len(JOINT), 3)), np.zeros((frames, 3, len(JOINT)), dtype=np.int64)
    for body in (0, 1):
        reported[:, body], states[:, body] = record(bodies[:, body], rng, bodies[:, 1 - body])
        reported[~in_view(bodies[:, body]), body] = 0.0
    hidden = (states[:, :2] == INFERRED).mean(axis=2)
    if rng.random() < 0.12 or hidden.max() > 0.75:
        lost = int(np.argmax(hidden.mean(axis=0)))
        start = int(np.argmax(hidden[:, lost])) if hidden.max() > 0.75 else int(rng.integers(frames))
        back = start + int(rng.integers(4, 25))
        reported[back:, 2], states[back:, 2] = reported[back:, lost], states[back:, lost]
        reported[start:, lost] = 0.0
    reported[missing_frames(frames, rng)] = 0.0
    first = FIRST_ID + int(rng.integers(3000, 30000))
    return reported, (first, first + int(rng.integers(1, 4)), first + int(rng.integers(4, 9))), states


def missing_frames(frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which frames (T,) have no body at all: mostly none, never many."""
    missing = np.zeros(frames, dtype=bool)
    if rng.random() < 0.12:
        length = int(rng.integers(1, 6))
        start = (0, frames - length, int(rng.integers(frames - length)))[int(rng.integers(3))]
        missing[start : start + length] = True
    return missing


def in_view(joints: Floats) -> NDArray[np.bool_]:
    """In which frames (T,) the sensor has the body (T, 25, 3) in its field of view, or most of it."""
    x, _, z = np.moveaxis(joints[:, JOINT["spine_mid"]], -1, 0)
    view: NDArray[np.bool_] = (np.abs(x) < HALF_VIEW * z) & (z > 0.8) & (z < 7.0)
    return view


def furniture(joints: Floats, rng: np.random.Generator) -> Floats:
    """A chair that is taken for a body, (T, 25, 3), beside the body `joints`: crumpled, and it hardly moves."""
    frames = len(joints)
    beside = joints[:1, [JOINT["spine_base"]]] + np.array([rng.choice([-0.8, 0.8]), -0.2, rng.normal(0, 0.3)])
    crumpled = beside + rng.normal(0, 1.0, (1, len(JOINT), 3)) * np.array([0.15, 0.25, 0.1])
    chair: Floats = crumpled + 0.01 * _correlated((frames, len(JOINT), 3), 0.5, rng)
    return chair


def _hidden(joints: Floats, body: Floats, may_hide: NDArray[np.bool_]) -> Floats:
    """How far each joint (T, 25) is behind a part of the body (T, 25, 3) that may hide it, from 0 to 1."""
    depth = np.linalg.norm(joints, axis=-1)
    along = np.einsum("tac,tbc->tab", unit(joints), body)  # how far b lies along the ray of a
    beside = np.sqrt(np.maximum(np.linalg.norm(body, axis=-1)[:, None, :] ** 2 - along**2, 0.0))
    before = depth[:, :, None] - along - 0.5 * THICK
    covers = np.clip(1.5 - beside / THICK, 0.0, 1.0) * np.clip(before / 0.08, 0.0, 1.0)
    most: Floats = np.max(covers * may_hide, axis=2)
    return most


def _same_limb() -> NDArray[np.bool_]:
    """(25, 25): joints of one limb do not hide each other, their distances are within the Kinect's model."""
    part = np.zeros(len(JOINT), dtype=int)
    for number, joints in enumerate(KINECT.parts):
        part[list(joints)] = number
    same: NDArray[np.bool_] = part[:, None] == part[None, :]
    return same


SAME_LIMB = _same_limb()


def _lose_joints(reported: Floats, state: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Makes some joints stick or jump for a while, in place; distal ones and hidden ones more often."""
    frames = len(reported)
    weight = UNSTEADY * (1 + 4 * (state == INFERRED).mean(axis=0))
    for _ in range(int(rng.poisson(frames / 50))):
        joint = int(rng.choice(len(JOINT), p=weight / weight.sum()))
        start, length = int(rng.integers(frames)), int(rng.integers(3, 16))
        span = slice(start, start + length)
        if rng.random() < 0.6:
            reported[span, joint] = reported[start, joint]
            state[span, joint] = INFERRED
        else:
            reported[span, joint] += rng.normal(0, 0.12, 3)
            state[span, joint] = LOST if rng.random() < 0.2 else INFERRED


def _correlated(shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> Floats:
    """Noise of unit size whose successive frames (first axis) correlate by `keep`."""
    noise = rng.normal(0, 1.0, shape)
    fresh = np.sqrt(1 - keep**2)
    for frame in range(1, shape[0]):
        noise[frame] = keep * noise[frame - 1] + fresh * noise[frame]
    return noise


def _smoothed(values: Floats, keep: float) -> Floats:
    """The values (T, ...) following with a delay, as a filter does."""
    smooth = values.copy()
    for frame in range(1, len(values)):
        smooth[frame] = keep * smooth[frame - 1] + (1 - keep) * values[frame]
    return smooth
