"""Simulated Kinect recordings, the data set that comes with the package: raw files as NTU RGB+D or PKU-MMD have them.

Forward kinematics of people who perform everyday actions alone (`body`, `actions`, `performance`) or with each other
(`pair`, `track`), seen by three cameras with a Kinect's mistakes (`camera`) and written as genuine ``.skeleton`` files
(`writer`); or one action after the other in a long recording (`session`), as PKU-MMD has them (`pku_mmd`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.simulate.actions import ACTIONS, PAIR_ACTIONS, SOLO_ACTIONS
from pcm3.simulate.body import Floats, rotation
from pcm3.simulate.camera import (
    CAMERA_ANGLES,
    FIRST_ID,
    INFERRED,
    Camera,
    camera_coordinates,
    draw_cameras,
    furniture,
    missing_frames,
    record,
    record_pair,
)
from pcm3.simulate.folder import begin, check_counts
from pcm3.simulate.ntu_files import skeleton_bytes, write_skeleton
from pcm3.simulate.pair import perform_together
from pcm3.simulate.performance import perform
from pcm3.simulate.pku_files import simulate_sessions
from pcm3.simulate.random_streams import (
    PARTNER,
    PERFORMANCE,
    RECORDING,
    SETUP,
    manner_of,
    partner_of,
    random,
    subject_of,
)

__all__ = ["ACTIONS", "simulate", "simulate_sessions", "skeleton_bytes", "subject_of", "write_skeleton"]

SUBJECTS_PER_SETUP = 5


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
        actions: the first so many of `ACTIONS`, all if None. Those of two people have a partner whom the file's name
            does not tell: somebody of the same side of xsub, maybe one who has no recordings of his own.
        seed: other seeds are other people.
        progress: called after every file with how many are written and how many there will be.

    Returns:
        The number of recordings.

    Raises:
        DataError: the folder holds something, or a number is out of range.
    """
    names = ACTIONS[:actions]
    counts = {"subjects": (subjects, 999), "repetitions": (repetitions, 999), "cameras": (cameras, len(CAMERA_ANGLES))}
    check_counts(counts, actions, seed)
    begin(folder, names)
    total, written = subjects * len(names) * repetitions * cameras, 0
    for subject in range(1, subjects + 1):
        setup = 1 + (subject - 1) // SUBJECTS_PER_SETUP
        places = draw_cameras(random(seed, SETUP, setup), cameras)
        for action, repetition in product(range(1, len(names) + 1), range(1, repetitions + 1)):
            bodies = _performance(seed, subject, action, repetition)
            for camera, place in enumerate(places, start=1):
                name = f"S{setup:03}C{camera:03}P{subject:03}R{repetition:03}A{action:03}.skeleton"
                rng = random(seed, RECORDING, subject, action, repetition, camera)
                write_skeleton(folder / name, *_recording(bodies, place, rng))
                written += 1
                if progress is not None:
                    progress(written, total)
    return written


def _performance(seed: int, subject: int, action: int, repetition: int) -> Floats:
    """Bodies (T, M, 25, 3) on the stage: near the middle, one who faces camera 2 or 3 more or less, or two across."""
    rng = random(seed, PERFORMANCE, subject, action, repetition)
    name, manner = ACTIONS[action - 1], manner_of(seed, subject, action)
    faces = CAMERA_ANGLES[1 if repetition % 2 else 2]
    if name in PAIR_ACTIONS:
        partner = partner_of(subject, random(seed, PARTNER, subject, action, repetition))
        people = (subject_of(seed, subject), subject_of(seed, partner))
        manners = (manner, manner_of(seed, partner, action))
        bodies = perform_together(people, PAIR_ACTIONS[name], manners, rng)
        faces += float(rng.choice([-0.5, 0.5])) * np.pi + rng.normal(0, 0.15)
    else:
        bodies = perform(subject_of(seed, subject), SOLO_ACTIONS[name], manner, rng)[:, None]
    faces += rng.normal(0, 0.15)
    place = rng.normal(0, 0.2, 3) * np.array([1.0, 0.0, 1.0])
    placed: Floats = bodies @ rotation(1, np.array(faces)).T + place
    return placed


def _recording(
    bodies: Floats, camera: Camera, rng: np.random.Generator
) -> tuple[Floats, tuple[int, ...], NDArray[np.int64]]:
    """What `write_skeleton` needs of one camera's view: frames (T, M, 25, 3), body ids (M), tracking (T, M, 25)."""
    true = camera_coordinates(camera, bodies)
    if true.shape[1] == 2:
        return record_pair(true, rng)
    true = true[:, 0]
    reported, state = record(true, rng)
    reported[missing_frames(len(true), rng)] = 0.0
    first = FIRST_ID + int(rng.integers(3000, 30000))
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
