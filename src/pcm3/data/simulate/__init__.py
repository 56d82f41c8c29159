"""Simulated Kinect recordings, the data set that comes with the package: raw files as NTU RGB+D has them.

Forward kinematics of people who perform everyday actions (`body`, `actions`, `performance`), seen by three cameras
with a Kinect's mistakes (`camera`) and written as genuine ``.skeleton`` files (`writer`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.simulate.actions import ACTION_TABLE, ACTIONS
from pcm3.data.simulate.body import Floats, Subject, draw_subject, rotation
from pcm3.data.simulate.camera import (
    CAMERA_ANGLES,
    INFERRED,
    Camera,
    draw_cameras,
    furniture,
    missing_frames,
    record,
    seen_from,
)
from pcm3.data.simulate.performance import draw_manner, perform
from pcm3.data.simulate.writer import skeleton_bytes, write_skeleton
from pcm3.errors import DataError

__all__ = ["ACTIONS", "simulate", "skeleton_bytes", "subject_of", "write_skeleton"]

SUBJECTS_PER_SETUP = 5
CLASSES_FILE = "classes.txt"
# What a stream of random numbers is for; part of its seed, so that no two are the same.
_SUBJECT, _MANNER, _PERFORMANCE, _SETUP, _RECORDING = range(1, 6)


def simulate(
    folder: Path,
    *,
    subjects: int = 10,
    repetitions: int = 2,
    cameras: int = 3,
    actions: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes simulated recordings into `folder`, ``SsssCccPpppRrrrAaaa.skeleton`` and ``classes.txt``.

    A file depends on the seed and on what its name says, nothing else: more subjects, repetitions, cameras or
    actions leave the others as they are.

    Args:
        folder: is made; if it exists it must be empty.
        subjects: people, numbered from 1; protocol `xsub` trains on 1 2 4 5 8 9 … as in NTU RGB+D.
        repetitions: of every action by everyone. As in NTU, in odd ones he faces camera 2, in even ones camera 3.
        cameras: 1 to 3, of the same performance.
        actions: the first so many of `ACTIONS`, all if None.
        seed: other seeds are other people.
        progress: called after every file with how many are written and how many there will be.

    Returns:
        The number of recordings.

    Raises:
        DataError: the folder holds something, or a number is out of range.
    """
    names = ACTIONS[:actions]
    _check(subjects, repetitions, cameras, actions, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new or an empty folder to simulate into; remove it or name another")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    total, written = subjects * len(names) * repetitions * cameras, 0
    for subject in range(1, subjects + 1):
        setup = 1 + (subject - 1) // SUBJECTS_PER_SETUP
        places = draw_cameras(_random(seed, _SETUP, setup), cameras)
        for action, repetition in product(range(1, len(names) + 1), range(1, repetitions + 1)):
            joints = _performance(seed, subject, action, repetition)
            for camera, place in enumerate(places, start=1):
                name = f"S{setup:03}C{camera:03}P{subject:03}R{repetition:03}A{action:03}.skeleton"
                rng = _random(seed, _RECORDING, subject, action, repetition, camera)
                write_skeleton(folder / name, *_recording(joints, place, rng))
                written += 1
                if progress is not None:
                    progress(written, total)
    return written


def subject_of(seed: int, number: int) -> Subject:
    """The person with that number, from 1, among those of the seed."""
    return draw_subject(_random(seed, _SUBJECT, number))


def _check(subjects: int, repetitions: int, cameras: int, actions: int | None, seed: int) -> None:
    """Raises DataError unless there is something to simulate and the file names have room for it."""
    for what, value, most in (
        ("subjects", subjects, 999),
        ("repetitions", repetitions, 999),
        ("cameras", cameras, len(CAMERA_ANGLES)),
        ("actions", len(ACTIONS) if actions is None else actions, len(ACTIONS)),
    ):
        if not 1 <= value <= most:
            raise DataError(f"expected {what} from 1 to {most}, got {value}")
    if seed < 0:
        raise DataError(f"expected a seed of 0 or more, got {seed}")


def _random(*words: int) -> np.random.Generator:
    """The random numbers that belong to these words, the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _performance(seed: int, subject: int, action: int, repetition: int) -> Floats:
    """Joints (T, 25, 3) on the stage: somewhere near the middle, facing camera 2 or 3 more or less."""
    rng = _random(seed, _PERFORMANCE, subject, action, repetition)
    manner = draw_manner(_random(seed, _MANNER, subject, action))
    joints = perform(subject_of(seed, subject), ACTION_TABLE[ACTIONS[action - 1]], manner, rng)
    faces = CAMERA_ANGLES[1 if repetition % 2 else 2] + rng.normal(0, 0.15)
    place = rng.normal(0, 0.2, 3) * np.array([1.0, 0.0, 1.0])
    placed: Floats = joints @ rotation(1, np.array(faces)).T + place
    return placed


def _recording(
    joints: Floats, camera: Camera, rng: np.random.Generator
) -> tuple[Floats, tuple[int, ...], NDArray[np.int64]]:
    """What `write_skeleton` needs of one camera's view: frames (T, M, 25, 3), body ids (M), tracking (T, M, 25)."""
    true = seen_from(camera, joints)
    reported, state = record(true, rng)
    reported[missing_frames(len(joints), rng)] = 0.0
    first = 72057594037927936 + int(rng.integers(3000, 30000))
    if rng.random() >= 0.04:
        return reported[:, None], (first,), state[:, None]
    chair = furniture(true, rng)
    start, length = int(rng.integers(len(chair))), int(rng.integers(10, 60))
    chair[:start], chair[start + length :] = 0.0, 0.0
    return (
        np.stack([reported, chair], axis=1),
        (first, first + 1),
        np.stack([state, np.full_like(state, INFERRED)], axis=1),
    )
