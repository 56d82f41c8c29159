"""Walking from one place of the stage to another, as keys: feet stay where they are put down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcm3.simulate.body import CHANNELS, Floats, Subject
from pcm3.simulate.script import BACK
from pcm3.simulate.track import Track

LONGEST_STEP = 0.55
"""Leg lengths from where one foot is put down to where the other is."""
FAR = 0.7
"""Metres from which somebody turns to where he goes; over less he steps sideways or backwards."""


def walk(
    subject: Subject, base: dict[str, Floats], start: Floats, goal: Floats, pace: float, began: float
) -> Track | None:
    """The way on foot of a person in this posture from the root `start` (3,) to the root `goal` (3,), as in `Track`.

    None where he stands there already. He turns the shorter way round, takes `pace` seconds a step, and begins at that
    second.
    """
    x, z = goal[:2] - start[:2]
    far = float(np.hypot(x, z))
    turn = _shorter(goal[2] - start[2])
    if far < 0.05 and abs(turn) < 0.15:
        return None
    steps = max(1, int(np.ceil(far / (LONGEST_STEP * subject.leg))))
    if far <= FAR and abs(turn) < 2.0:
        stops = [start + np.array([x, z, turn]) * step / steps for step in range(steps + 1)]
    else:
        along = start[2] + (_shorter(np.arctan2(-x, -z) - start[2]) if far > FAR else turn / 2)
        stops = [start, *_turning(start, along)]
        stops += [np.array([*(start[:2] + np.array([x, z]) * step / steps), along]) for step in range(1, steps + 1)]
        stops += _turning(stops[-1], along + _shorter(goal[2] - along))
    return _stepping(subject, base, np.array(stops), pace, began, swinging=far > FAR)


def _shorter(turn: float) -> float:
    """The same turn, less than half round."""
    return float((turn + np.pi) % (2 * np.pi) - np.pi)


def _turning(root: Floats, heading: float) -> list[Floats]:
    """Turning on the spot, a step for every 70 degrees."""
    turns = int(np.ceil(abs(heading - root[2]) / 1.2))
    return [np.array([*root[:2], root[2] + (heading - root[2]) * turn / turns]) for turn in range(1, turns + 1)]


def _stepping(
    subject: Subject, base: dict[str, Floats], stops: Floats, pace: float, began: float, *, swinging: bool
) -> Track:
    """Keys for feet put down at the stops (S, 3) in turn, the last one for both."""
    feet = np.stack([stops[0], stops[0]])  # where each stands, right one first
    times, roots, poses = [began], [stops[0]], [base]
    for step, stop in enumerate([*stops[1:], stops[-1]]):
        swing = step % 2
        lifted = feet.copy()
        lifted[swing] = (feet[swing] + stop) / 2
        feet[swing] = stop
        for places, up in ((lifted, 0.08), (feet, 0.0)):
            root = places.mean(axis=0)
            times.append(times[-1] + pace / 2)
            roots.append(root)
            poses.append(_pose(subject, base, root, places, swing, up, swinging=swinging))
    poses[-1] = base
    channels = {name: np.array([pose[name] for pose in poses]) for name in CHANNELS}
    return Track(np.array(times), channels, np.array(roots))


def _pose(
    subject: Subject, base: dict[str, Floats], root: Floats, places: Floats, swing: int, up: float, *, swinging: bool
) -> dict[str, Floats]:
    """The posture with the feet at their places (2, 3) and the arms against them."""
    pose = dict(base)
    heading = root[2]
    x, z = (places[:, :2] - root[:2]).T / subject.leg
    ahead, right = -x * np.sin(heading) - z * np.cos(heading), x * np.cos(heading) - z * np.sin(heading)
    rise: NDArray[np.float64] = np.where(np.arange(2) == swing, up, 0.0)
    pose["foot"] = np.array([right[0], rise[0], ahead[0]])
    pose["foot2"] = np.array([-right[1], rise[1], ahead[1]])
    pose["pelvis"] = np.array([0.0, -(float(np.max(np.abs(ahead))) ** 2), 0.0])
    if swinging:
        for mark, opposite in (("", 1), ("2", 0)):
            pose["hand" + mark] = np.array([0.12, -0.92, 0.02 + 1.2 * ahead[opposite]])
            pose["elbow" + mark] = np.array(BACK)
    return pose
