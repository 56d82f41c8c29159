"""Which way is up in recordings of any camera or mocap rig: told by the user, or found by how people stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.bodies import bodies_of
from pcm3.data.recording import Recording
from pcm3.errors import ConfigError
from pcm3.normalisation import body_directions
from pcm3.skeleton import Layout

Direction = tuple[float, float, float]

AXES: dict[str, Direction] = {
    "x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0),
    "-x": (-1.0, 0.0, 0.0), "-y": (0.0, -1.0, 0.0), "-z": (0.0, 0.0, -1.0),
}  # fmt: skip

FRAMES = 40
"""Frames of a recording that are looked at, evenly."""
AGREEMENT = 0.7
"""Length of the mean of the bodies' directions, each of length 1, from which on they have one in common."""
ON_AXIS = 10.0
"""Degrees from an axis up to which that axis is taken: people lean, and most frames are level."""


@dataclass(frozen=True)
class Up:
    """What was found."""

    direction: Direction | None
    """(3,) in the frame of the recordings, of length 1; None: the bodies have no direction in common."""
    text: str
    """How it was found, in one line for the user."""


def given_up(word: str) -> Up:
    """The direction that the user names: an axis, or three numbers with commas between.

    Raises:
        ConfigError: it is neither.
    """
    if word in AXES:
        return Up(AXES[word], f"up is {word} of the recordings, as told")
    try:
        vector = np.array([float(number) for number in word.split(",")])
        length = float(np.linalg.norm(vector))
        if vector.shape != (3,) or not 0 < length < np.inf:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"setting up: expected x, y, z, -x, -y, -z or three numbers like 0,-1,0, got '{word}'"
        ) from None
    return Up(_tuple(vector / length), f"up is {word} of the recordings, as told")


def find_up(recordings: Iterable[Recording], layout: Layout) -> Up:
    """The direction in which bodies stand, in the mean over some of the recordings.

    An axis of the recordings' frame where the mean is within `ON_AXIS` of it, else the mean itself (a tilted camera).
    """
    directions = [_directions(recording, layout) for recording in recordings]
    every = np.concatenate([np.zeros((0, 3)), *directions])
    mean = every.mean(axis=0) if len(every) else np.zeros(3)
    length = float(np.linalg.norm(mean))
    if length < AGREEMENT:
        return Up(
            None,
            "no direction was found in which most bodies stand: each clip is turned by how its own body stands "
            "(--up tells which way is up)",
        )
    mean /= length
    name, axis = max(AXES.items(), key=lambda entry: float(np.dot(entry[1], mean)))
    lean = float(np.median(np.degrees(np.arccos(np.clip(every @ mean, -1, 1)))))
    off = float(np.degrees(np.arccos(np.clip(np.dot(axis, mean), -1, 1))))
    seen = f"found in {len(directions)} recordings, whose bodies stand within {lean:.0f} degrees of it in the median"
    if off <= ON_AXIS:
        return Up(axis, f"up is {name} of the recordings ({seen}; --up tells another)")
    told = ",".join(f"{number:.2f}" for number in mean)
    return Up(
        _tuple(mean),
        f"up is {told}, {off:.0f} degrees off the axis {name}: a tilted camera? ({seen}; --up tells another)",
    )


def _directions(recording: Recording, layout: Layout) -> NDArray[np.float64]:
    """The directions of all bodies of the recording in some of its frames (K, 3)."""
    last = max(len(recording.frames) - 1, 0)
    rows = np.unique(np.linspace(0, last, FRAMES).astype(int))[: len(recording.frames)]
    some = recording.frames[rows]
    present = bodies_of(some).present if recording.present is None else recording.present[rows]
    bodies = np.flatnonzero(present.any(axis=(0, 2)))
    return np.concatenate([np.zeros((0, 3)), *(body_directions(some[:, b], present[:, b], layout) for b in bodies)])


def _tuple(vector: NDArray[np.float64]) -> Direction:
    x, y, z = vector.tolist()
    return x, y, z
