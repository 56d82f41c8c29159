"""Simulated sessions in the raw format of PKU-MMD, Part I: long recordings with labelled intervals (`session`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.ntu import TRAIN_SUBJECTS_60
from pcm3.simulate.actions import ACTIONS
from pcm3.simulate.body import JOINT, Floats
from pcm3.simulate.camera import Camera, camera_coordinates, draw_cameras, in_view, missing_frames, record
from pcm3.simulate.folder import begin, check_counts
from pcm3.simulate.ntu_files import written
from pcm3.simulate.random_streams import (
    PARTNER,
    PROGRAMME,
    SESSION,
    SETUP,
    VIDEO,
    manner_of,
    partner_of,
    random,
    subject_of,
)
from pcm3.simulate.session import Person, Session, perform_session

SKELETONS, LABELS, SPLITS = "PKU_Skeleton_Renew", "Train_Label_PKU_final", "Split"
"""The folders of the genuine download."""
VIEWS = {"L": 1, "M": 0, "R": 2}
"""PKU-MMD's letters, and which of `camera.CAMERA_ANGLES` they stand for."""
TRAIN_VIEWS = ("M", "R")
"""Those that cross-view trains on."""
HEADINGS = ("Training videos:", "Validataion videos:")
"""As the genuine lists spell them, and the scripts that read those expect."""
FEWEST, MOST = 10, 13
"""Actions of a session."""
DECIMALS = 6


def simulate_sessions(
    folder: Path,
    *,
    sessions: int = 20,
    subjects: int = 10,
    actions: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes simulated sessions into `folder` as PKU-MMD has them: skeletons, labels, split lists; and ``classes.txt``.

    Session k is ``000k-L.txt``, ``000k-M.txt`` and ``000k-R.txt``, by its three cameras; a label line is
    ``label,start,end,confidence``, labels from 1, frames from ``start`` to ``end - 1`` counted from 0. How many there
    are changes none of them, only the lists; who they are by and what is done depends on `subjects` and `actions`.

    Args:
        folder: is made; if it exists it must be empty.
        sessions: numbered from 1; three files each.
        subjects: people, who take turns; the partner of one is of the same side of xsub, that of NTU RGB+D 60.
        actions: the first so many of `ACTIONS`, all if None.
        seed: other seeds are other people.
        progress: called after every file with how many are written and how many there will be.

    Returns:
        The number of videos.

    Raises:
        DataError: the folder holds something, or a number is out of range.
    """
    check_counts({"sessions": (sessions, 9999), "subjects": (subjects, 999)}, actions, seed)
    names = ACTIONS[:actions]
    begin(folder, names)
    for name in (SKELETONS, LABELS, SPLITS):
        (folder / name).mkdir(parents=True)
    numbers = range(1, sessions + 1)
    for number, written_before in zip(numbers, range(0, 3 * sessions, 3), strict=True):
        subject = _subject(number, subjects)
        session = _perform(seed, number, subject, subjects, len(names))
        places = draw_cameras(random(seed, SETUP, number, VIDEO), len(VIEWS))
        for view, (letter, place) in enumerate(VIEWS.items()):
            frames = film(session, places[place], random(seed, VIDEO, number, view))
            (folder / SKELETONS / f"{number:04}-{letter}.txt").write_bytes(skeleton_text(frames))
            (folder / LABELS / f"{number:04}-{letter}.txt").write_text(label_text(session), encoding="utf-8")
            if progress is not None:
                progress(written_before + view + 1, 3 * sessions)
    by_subject = [number for number in numbers if _subject(number, subjects) in TRAIN_SUBJECTS_60]
    _write_list(folder / SPLITS / "cross-subject.txt", numbers, lambda number, _: number in by_subject)
    _write_list(folder / SPLITS / "cross-view.txt", numbers, lambda _, letter: letter in TRAIN_VIEWS)
    return 3 * sessions


def film(session: Session, camera: Camera, rng: np.random.Generator) -> Floats:
    """What a camera's files hold of a session: two bodies (T, 2, 25, 3), zeros where there is none.

    Who comes into view, or is found again after being lost, gets the place after the other's, as new ids do.
    """
    true = camera_coordinates(camera, session.bodies)
    frames, bodies = true.shape[:2]
    recorded, present = np.zeros_like(true), np.zeros((frames, bodies), dtype=bool)
    for body in range(bodies):
        other = true[:, 1 - body] if bodies == 2 else None
        recorded[:, body], _ = record(true[:, body], rng, other)
        present[slice(*session.there[body]), body] = True
        present[:, body] &= in_view(true[:, body])
        for start in rng.integers(frames, size=int(rng.poisson(frames / 900))):
            present[start : start + int(rng.integers(2, 20)), body] = False
    for start in range(0, frames, 500):
        gap = missing_frames(min(500, frames - start), rng)
        present[start : start + 500][gap] = False
    return _in_slots(recorded, present)


def _in_slots(recorded: Floats, present: NDArray[np.bool_]) -> Floats:
    """Bodies (T, M, 25, 3) by how long they have been there without a break: (T, 2, 25, 3), the first come first."""
    frames, bodies = present.shape
    before = np.concatenate([np.zeros((1, bodies), dtype=bool), present[:-1]])
    arrived = np.where(present & ~before, 1 + np.arange(frames * bodies).reshape(frames, bodies), 0)
    since = np.where(present, np.maximum.accumulate(arrived, axis=0), np.iinfo(np.int64).max)
    slots = np.zeros((frames, 2, len(JOINT), 3))
    for slot, body in enumerate(np.argsort(since, axis=1, kind="stable").T):
        occupied = np.flatnonzero(present[np.arange(frames), body])
        slots[occupied, slot] = recorded[occupied, body[occupied]]
    return slots


def skeleton_text(frames: Floats) -> bytes:
    """Bodies (T, 2, 25, 3), metres, as the content of a skeleton file: 150 numbers a line."""
    rows = written(frames.reshape(len(frames), -1), DECIMALS)
    rows[:, -1, -1] = ord("\n")
    text: NDArray[np.uint8] = rows[rows != 0]
    return text.tobytes()


def label_text(session: Session) -> str:
    """The content of a label file."""
    return "".join(f"{action.action},{action.start},{action.stop},{action.confidence}\n" for action in session.labelled)


def _perform(seed: int, number: int, subject: int, subjects: int, classes: int) -> Session:
    """The session of that number."""
    rng = random(seed, SESSION, number, subject)
    partner = partner_of(subject, random(seed, PARTNER, number, subject))
    main, other = (Person(subject_of(seed, action), partial(manner_of, seed, action)) for action in (subject, partner))
    return perform_session(main, other, _programme(seed, subject, (number - 1) // subjects, classes), rng)


def _programme(seed: int, subject: int, turn: int, classes: int) -> list[int]:
    """What somebody is asked to do when it is his turn, from 0: all actions come up before one comes up again.

    He draws them from packs of all actions, each shuffled, one pack after the other. Some are asked for twice.
    """
    first, last = turn * FEWEST // classes, ((turn + 1) * FEWEST - 1) // classes
    packs = [random(seed, PROGRAMME, subject, pack, classes, 0).permutation(classes) for pack in range(first, last + 1)]
    drawn = np.concatenate(packs)[turn * FEWEST - first * classes :][:FEWEST] + 1
    rng = random(seed, PROGRAMME, subject, turn, classes)
    again = rng.choice(drawn, size=int(rng.integers(MOST - FEWEST + 1)))
    return [int(action) for action in (*drawn, *again)]


def _subject(number: int, subjects: int) -> int:
    """Who does the session of that number."""
    return 1 + (number - 1) % subjects


def _write_list(path: Path, numbers: Sequence[int], trains: Callable[[int, str], bool]) -> None:
    """Writes a split list."""
    splits: tuple[list[str], list[str]] = ([], [])
    for number, letter in product(numbers, VIEWS):
        splits[0 if trains(number, letter) else 1].append(f"{number:04}-{letter}")
    text = "".join(f"{heading} \n{', '.join(videos)}\n" for heading, videos in zip(HEADINGS, splits, strict=True))
    path.write_text(text, encoding="utf-8")
