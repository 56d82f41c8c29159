"""What every reader returns: the bodies of one recording, as they were in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError

UNKNOWN = -1
"""Value of `label`, `subject`, `camera`, `setup`, `confidence` and of a side where the data set does not tell."""

TRAIN, TEST = 0, 1
"""Sides of a split."""

CLASSES_LIMIT = 10_000
"""A label from here on is a mistake; the largest data sets have 400 classes."""

NPY_ERRORS = (OSError, ValueError, TypeError, KeyError, ArithmeticError, EOFError, SyntaxError, TokenError, MemoryError)
"""What NumPy raises over a damaged ``.npy``, whose head is a piece of Python."""

FARTHEST = 1000.0
"""Metres. No depth camera sees that far; a number beyond it is damage, or not metres."""


@dataclass(frozen=True)
class Interval:
    """An action in an untrimmed recording."""

    start: int
    """Its first frame, 0-based."""
    stop: int
    """The frame after its last."""
    label: int = UNKNOWN
    confidence: int = UNKNOWN
    """How sure the annotators were, where they say (PKU-MMD: 1 slight, 2 strong)."""
    id: str | None = None
    """What its clip is called, where it has a name of its own; None: by its recording and frames."""


@dataclass(frozen=True)
class Changes:
    """What was not kept, or made up, when a recording was prepared."""

    cut: int = 0
    """Frames at its ends that were cut off."""
    dropped: int = 0
    """Bodies for which a clip has no room."""
    absent: int = 0
    """Joints, counted frame by frame, that are absent from a body that is there, and stay so."""
    filled: int = 0
    """Joints, counted frame by frame, whose place was interpolated."""


@dataclass(frozen=True)
class Recording:
    """What was recorded in one go: every body of the file, nothing chosen, repaired or moved yet.

    It is one clip, or, where it has intervals, an untrimmed recording with a clip for each of them.
    """

    id: str
    """Name of the clip, unique in its data set (NTU: ``S001C002P003R002A013``)."""
    frames: NDArray[np.float32]
    """(T, M, V, C) metres, camera frame; a joint or body that is absent from a frame is all zeros there."""
    present: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    """(T, M, V) True where a joint is there; None: where it is not all zeros. For sources in which a joint can lie at
    the origin."""
    scores: NDArray[np.floating[Any]] | None = field(default=None, kw_only=True)
    """(T, M, V) how sure the source was of each joint, where it tells; kept in the store beside the frames."""
    changes: Changes = field(default=Changes(), kw_only=True)
    """What preparing it has changed; nothing of what a reader returns."""
    label: int = UNKNOWN
    """Class index, 0-based."""
    subject: int = UNKNOWN
    camera: int = UNKNOWN
    setup: int = UNKNOWN
    splits: Mapping[str, int] = field(default_factory=dict)
    """Protocol → `TRAIN` or `TEST`, where the data itself says to which side of it the recording belongs."""
    intervals: tuple[Interval, ...] | None = None
    """The labelled actions of an untrimmed recording, by their start; None: the recording itself is one action."""
    confidence: int = UNKNOWN
    """Of a clip that was an interval: that of the interval."""
    lost: tuple[tuple[str, str], ...] = ()
    """Labelled actions that cannot be used, as (where, why); the import reports them."""


def cut_into_clips(recording: Recording) -> list[Recording]:
    """Each interval of an untrimmed recording as a clip of its own, called ``ID:FIRST-LAST`` (frames, 0-based) where it
    has no name.

    Raises:
        DataError: an interval is empty or not inside the recording.
    """
    clips: list[Recording] = []
    taken: Counter[str] = Counter()
    for interval in recording.intervals or ():
        name = interval.id or f"{recording.id}:{interval.start}-{interval.stop - 1}"
        if not 0 <= interval.start < interval.stop <= len(recording.frames):
            raise DataError(f"{name}: expected an interval of the {len(recording.frames)} frames that were recorded")
        taken[name] += 1
        clip = replace(
            recording,
            id=name if taken[name] == 1 else f"{name}.{taken[name]}",
            frames=recording.frames[interval.start : interval.stop],
            present=None if recording.present is None else recording.present[interval.start : interval.stop],
            scores=None if recording.scores is None else recording.scores[interval.start : interval.stop],
            changes=Changes(),
            label=interval.label,
            confidence=interval.confidence,
            intervals=None,
            lost=(),
        )
        clips.append(clip)
    return clips


def metres(name: str, frames: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The frames (T, M, V, C) in single precision, when all of them can be metres; a joint with NaN is absent: zeros.

    Raises:
        DataError: a coordinate is infinite or farther off than `FARTHEST`; the error says whose.
    """
    near = np.abs(frames) <= FARTHEST
    if near.all():
        return frames.astype(np.float32)
    absent = np.isnan(frames)
    wrong = ~(near | absent)
    if wrong.any():
        frame, body, joint, axis = (int(index) for index in np.argwhere(wrong)[0])
        got = frames[frame, body, joint, axis]
        raise DataError(f"{name}: frame {frame}, body {body}, joint {joint} (0-based): expected metres, got {got:g}")
    return np.where(absent.any(axis=-1, keepdims=True), 0, frames).astype(np.float32)
