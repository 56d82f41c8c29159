"""Which way is up in recordings of any camera or mocap rig: told by the user, or found by how people stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.bodies import bodies_of
from pcm3.data.recording import Recording
from pcm3.errors import ConfigError
from pcm3.normalisation import body_directions, main_body
from pcm3.skeleton import Layout

Direction = tuple[float, float, float]

AXES: dict[str, Direction] = {
    "x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0),
    "-x": (-1.0, 0.0, 0.0), "-y": (0.0, -1.0, 0.0), "-z": (0.0, 0.0, -1.0),
}  # fmt: skip

FRAMES = 40
"""Frames of a recording that are looked at, evenly."""
ALIKE = 45.0
"""Degrees from the common direction up to which a body stands along it, and beyond which it bends down or lies."""
MOST = 0.6
"""Share of the bodies that stand along a direction, from which on it is up."""
AGAINST = 0.05
"""Share of the recordings that stand upside down, from which on they are taken for those of another camera."""
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
    axis = word.strip().lower()
    axis = axis[1:] if axis[:1] == "+" and axis[1:2] != "-" else axis
    if axis in AXES:
        return Up(AXES[axis], f"up is {word} of the recordings, as given")
    try:
        vector = np.array([float(number) for number in word.split(",")])
        length = float(np.linalg.norm(vector))
        if vector.shape != (3,) or not 0 < length < np.inf:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"setting up: expected x, y, z, -x, -y, -z or three numbers like 0,-1,0, got '{word}'"
        ) from None
    return Up(_tuple(vector / length), f"up is {word} of the recordings, as given")


def find_up(recordings: Iterable[Recording], layout: Layout) -> Up:
    """The direction in which most bodies stand in some of the recordings.

    An axis of the recordings' frame where it is within `ON_AXIS` of it, else itself (a tilted camera). Those who lie or
    bend down do not change it.
    """
    directions = [
        of_recording
        for of_recording in (_directions(recording, layout) for recording in recordings)
        if len(of_recording)
    ]
    every = np.concatenate([np.zeros((0, 3)), *directions])
    common = _common(every, directions)
    alike = every @ common >= np.cos(np.radians(ALIKE))
    if alike.sum() < MOST * max(len(every), 1):
        return Up(None, f"no direction was found in which most bodies stand: {_EACH}")
    means = np.stack([_unit(of_recording.mean(axis=0)) for of_recording in directions])
    against = int((means @ common <= -np.cos(np.radians(ALIKE))).sum())
    if against > 1 and against >= AGAINST * len(directions):
        return Up(None, f"{against} of {len(directions)} recordings stand upside down beside the others: {_EACH}")
    name, axis = max(AXES.items(), key=lambda entry: float(np.dot(entry[1], common)))
    lean = float(np.median(_degrees(every @ common)))
    off = float(_degrees(np.dot(axis, common)))
    count = f"{len(directions)} recording{'s' * (len(directions) > 1)}"
    evidence = f"found in {count}, whose bodies stand within {lean:.0f} degrees of it in the median"
    others = int((means @ common < np.cos(np.radians(ALIKE))).sum())
    if others:
        evidence += f"; in {others} they lie, or another way is up"
    if off <= ON_AXIS:
        return Up(axis, f"up is {name} of the recordings ({evidence}; --up tells another)")
    direction = ",".join(f"{number:.2f}" for number in common)
    return Up(
        _tuple(common),
        f"up is {direction}, {off:.0f} degrees off the axis {name}: a tilted camera? ({evidence}; --up tells another)",
    )


_EACH = "each clip is turned by how its own body stands (--up tells which way is up)"


def _common(every: NDArray[np.float64], groups: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The direction (3,) that most of the directions (K, 3) are near to: the mean of those."""
    if len(every) == 0:
        return np.zeros(3)
    near = np.cos(np.radians(ALIKE))
    candidates = np.stack([*AXES.values(), _unit(every.mean(axis=0)), *(_unit(group.mean(axis=0)) for group in groups)])
    common: NDArray[np.float64] = candidates[(every @ candidates.T >= near).sum(axis=0).argmax()]
    for _ in range(10):  # settles after a few
        alike = every[every @ common >= near]
        common = _unit(alike.mean(axis=0)) if len(alike) else common
    return common


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector (3,) at length 1; 0 stays 0."""
    return np.asarray(vector / (float(np.linalg.norm(vector)) or 1.0))


def _degrees(cosine: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _directions(recording: Recording, layout: Layout) -> NDArray[np.float64]:
    """The directions of the main body of the recording in some of its frames (K, 3)."""
    last = max(len(recording.frames) - 1, 0)
    rows = np.unique(np.linspace(0, last, FRAMES).astype(int))[: len(recording.frames)]
    some = recording.frames[rows]
    present = bodies_of(some).present if recording.present is None else recording.present[rows]
    there = np.asarray(present.any(axis=2))
    if not there.any():
        return np.zeros((0, 3))
    main = main_body(there)  # the others may be furniture
    return body_directions(some[:, main], present[:, main], layout)


def _tuple(vector: NDArray[np.float64]) -> Direction:
    x, y, z = vector.tolist()
    return x, y, z
