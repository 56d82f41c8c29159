"""A subject performs an action: his own way of doing it, his mood today, and what he does besides.

Nothing here is noise of a sensor. What makes the classes hard is what people do: they choose different ways, start
from different postures, take their time, do things larger or smaller, shift their weight, scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcm3.simulate.body import CHANNELS, Floats, Motion, Subject, joints_of, mirrored
from pcm3.simulate.script import BACK, LOW, OUT, SEATED, Key, Pose, Way

FPS = 30
SHORTEST, LONGEST = 40, 160
"""Frames of a recording."""

IDLE: tuple[Pose, ...] = (
    {"hand": (0.12, -0.96, 0.05), "elbow": BACK},  # hanging
    {"hand": (0.10, -0.95, 0.12), "elbow": BACK},
    {"hand": (0.15, -0.94, -0.02), "elbow": BACK},
    {"hand": (0.12, -0.76, 0.06), "elbow": (1.0, 0.0, -0.9)},  # in the pocket
    {"hand": (0.20, -0.68, 0.00), "elbow": (1.0, 0.0, -0.5), "wrist": (0.6,)},  # on the hip
    {"hand": (-0.12, -0.45, 0.50), "elbow": LOW},  # holding something
    {"hand": (-0.30, -0.62, 0.30), "elbow": (1.0, -0.3, -0.2)},  # folded in front
)
"""Where a hand rests when it has nothing to do."""
ON_LAP: Pose = {"hand": (-0.12, -0.66, 0.48), "elbow": (0.8, -0.3, -0.7)}

FIDGETS: tuple[Pose, ...] = (
    {"hand": (-0.15, 0.25, 0.30), "elbow": LOW, "wrist": (0.5,)},  # scratches the chin
    {"hand": (0.00, 0.45, 0.12), "elbow": OUT, "wrist": (0.4,)},  # arranges the hair
    {"hand": (-0.30, -0.30, 0.40), "elbow": LOW},  # looks for a button
    {"hand": (-0.05, -0.55, 0.40), "elbow": BACK},
)


@dataclass(frozen=True)
class Manner:
    """How one person goes about one action, the same each time he is asked."""

    favourite: float
    """In [0, 1): which of the ways he likes best."""
    slow: float
    habit: Floats
    """(2, 3): where his acting and his other hand differ from the book, in arm lengths."""
    elbow: Floats
    """(3,): where his elbows point besides."""


def draw_manner(rng: np.random.Generator) -> Manner:
    """A manner as they come."""
    return Manner(
        float(rng.random()), float(np.exp(rng.normal(0, 0.2))), rng.normal(0, 0.05, (2, 3)), rng.normal(0, 0.25, 3)
    )


def perform(subject: Subject, ways: tuple[Way, ...], manner: Manner, rng: np.random.Generator) -> Floats:
    """One performance, (T, 25, 3) metres in the frame of the stage, facing -z around the origin, 30 frames a second.

    The performance of a left-hander is the mirror image of what he would do as a right-hander.
    """
    as_usual = rng.random() < 0.7
    way = ways[int((manner.favourite if as_usual else rng.random()) * len(ways))]
    other_side = rng.random() < 0.1
    base = draw_posture(subject, rng, seated=way.seatable and rng.random() < 0.2)
    times, poses, travel = timeline(subject, way, manner, base, rng)
    poses = larger_or_smaller(subject, way.exact, manner, base, poses, rng)
    poses["travel"] = travel - travel[-1] / 2
    if rng.random() < 0.3 * subject.restless:
        times, poses = _with_fidget(times, poses, rng)
    frames, offset = cut(times[-1], rng)
    at = offset + np.arange(frames) / FPS
    motion = swaying(subject, {name: smooth_path(times, values, at) for name, values in poses.items()}, at, rng)
    joints = joints_of(subject, motion)
    return mirrored(joints) if subject.left_handed != other_side else joints


def swaying(subject: Subject, motion: Motion, at: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """The motion at the times `at` (T,) of somebody who does not stand quite still."""
    result = dict(motion)
    for name, size in (
        ("lean", 0.03),
        ("tilt", 0.025),
        ("twist", 0.06),
        ("head", 0.08),
        ("hand", 0.02),
        ("hand2", 0.02),
    ):
        result[name] = motion[name] + _sway(at, CHANNELS[name], size * subject.restless, rng)
    result["pelvis"] = motion["pelvis"] + _sway(at, 3, 0.02 * subject.restless, rng) * np.array([1.0, 0.1, 0.5])
    return result


def draw_posture(subject: Subject, rng: np.random.Generator, *, seated: bool) -> dict[str, Floats]:
    """How he stands or sits before anything happens: every channel, (numbers,)."""
    base = {name: np.zeros(numbers) for name, numbers in CHANNELS.items()}
    usual = rng.random(2) < 0.6
    for mark, habit, is_usual in zip(("", "2"), subject.idle_hands, usual, strict=True):
        pose = ON_LAP if seated else IDLE[int((habit if is_usual else rng.random()) * len(IDLE))]
        for name, value in pose.items():
            base[name + mark] = np.array(value)
        base["hand" + mark] += rng.normal(0, 0.03, 3)
        base["foot" + mark] += rng.normal(0, 0.04, 3) * np.array([0.7, 0.0, 1.0])
    for name, value in (SEATED if seated else {}).items():
        base[name] = np.array(value)
    base["twist"] += rng.normal(0, 0.06)
    base["lean"] += rng.normal(0, 0.04)
    base["head"] += rng.normal(0, 0.1, 3)
    return base


def timeline(
    subject: Subject, way: Way, manner: Manner, base: dict[str, Floats], rng: np.random.Generator
) -> tuple[Floats, dict[str, Floats], Floats]:
    """Times (K,) in seconds, every channel at those times (K, numbers) as by the book, and the travel (K, 1)."""
    cycles = int(rng.integers(way.cycles[0], way.cycles[1] + 1))
    keys: Sequence[Key] = (*way.begin, *way.cycle * cycles, *way.end)
    pace = subject.tempo * manner.slow * float(np.exp(rng.normal(0, 0.1)))
    times, travelled, poses, travel = [0.0], 0.0, [way.start], [0.0]

    def reach(seconds: float, pose: Pose) -> None:
        times.append(times[-1] + seconds)
        poses.append(pose)
        travel.append(travelled)

    reach(rng.uniform(0.05, 0.9), way.start)
    for key in keys:
        travelled += key.travel
        reach(key.seconds * pace * float(np.exp(rng.normal(0, 0.08))), key.pose)
        if key.hold:
            reach(key.hold * pace * rng.uniform(0.5, 1.5), key.pose)
    reach(rng.uniform(0.6, 1.0) * pace, way.finish)
    reach(rng.uniform(0.05, 0.9), way.finish)
    channels = {name: np.array([pose.get(name, base[name]) for pose in poses], dtype=np.float64) for name in CHANNELS}
    return np.array(times), channels, np.array(travel)[:, None]


def larger_or_smaller(
    subject: Subject,
    exact: tuple[str, ...],
    manner: Manner,
    base: dict[str, Floats],
    poses: dict[str, Floats],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """The poses as this person makes them today: his amplitude, his habits, and no two keys quite as meant."""
    size = float(np.clip(subject.vigour * np.exp(rng.normal(0, 0.1)), 0.65, 1.3))
    result = {}
    for name, values in poses.items():
        amount = 1.0 if name in exact else size
        # The trunk is the freest: the hands know where to go, and floor and balance are the same for all.
        amount = amount if name in ("lean", "twist") else 1 + 0.5 * (amount - 1)
        departs = values - base[name]
        changed = base[name] + amount * departs
        moves = np.any(np.abs(departs) > 1e-6, axis=1, keepdims=True)
        if name.startswith("hand"):
            scale = 0.4 if name in exact else 1.0
            habit = manner.habit[1 if name.endswith("2") else 0] + rng.normal(0, 0.025, 3)
            changed = changed + moves * scale * (habit + rng.normal(0, 0.02, values.shape))
        elif name.startswith("elbow"):
            changed = changed + moves * manner.elbow
        result[name] = changed
    return result


def _with_fidget(times: Floats, poses: dict[str, Floats], rng: np.random.Generator) -> tuple[Floats, dict[str, Floats]]:
    """The same with the other hand doing something of its own for a second, if it has nothing to do."""
    if np.ptp(poses["hand2"], axis=0).max() > 0.2:
        return times, poses
    fidget = FIDGETS[int(rng.integers(len(FIDGETS)))]
    start = rng.uniform(0, max(times[-1] - 1.5, 0.1))
    extra = start + np.array([0.0, 0.5, 0.9, 1.5])
    grid = np.union1d(times, extra)
    result = {name: smooth_path(times, values, grid) for name, values in poses.items()}
    busy = (grid > start + 0.1) & (grid < start + 1.4)
    for name, value in fidget.items():
        result[name + "2"][busy] = value
    return grid, result


def cut(seconds: float, rng: np.random.Generator) -> tuple[int, float]:
    """Frames to record and the second at which recording starts: someone pressed the button, not quite in time."""
    early, late = rng.uniform(0.0, 0.3, 2)
    frames = int(np.clip(round((seconds - early - late) * FPS), SHORTEST, LONGEST))
    return frames, float(early)


def _sway(at: Floats, numbers: int, size: float, rng: np.random.Generator) -> Floats:
    """Slow aimless movement (T, numbers) of about that size."""
    frequency = rng.uniform(0.1, 0.9, (3, numbers))
    phase = rng.uniform(0, 2 * np.pi, (3, numbers))
    waves = np.sin(2 * np.pi * frequency * at[:, None, None] + phase)
    sway: Floats = size * np.mean(waves * rng.uniform(0.5, 1.5, (3, numbers)), axis=1)
    return sway


def smooth_path(times: Floats, values: Floats, at: Floats) -> Floats:
    """Values (T, n) at the times `at` (T,) of a smooth path through `values` (K, n) at `times` (K,).

    Piecewise cubic Hermite after Fritsch and Carlson (SIAM J. Numer. Anal. 17, 1980): it never overshoots, so a
    held pose is held, and does not stop at a key that lies on the way.
    """
    step = np.diff(times)[:, None]
    slope = np.diff(values, axis=0) / step
    tangent = np.zeros_like(values)
    same_way = slope[:-1] * slope[1:] > 0
    before_weight, after_weight = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        harmonic = (before_weight + after_weight) / (before_weight / slope[:-1] + after_weight / slope[1:])
    tangent[1:-1] = np.where(same_way, harmonic, 0.0)
    at = np.clip(at, times[0], times[-1])
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    width = step[left]
    u = (at - times[left])[:, None] / width
    rise = u * u * (3 - 2 * u)
    bend = u * (1 - u) * width
    return (
        values[left]
        + rise * (values[left + 1] - values[left])
        + bend * ((1 - u) * tangent[left] - u * tangent[left + 1])
    )
