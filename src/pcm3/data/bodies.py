"""Which bodies of a recording are kept, and how their empty frames are filled.

Both as the released PCM³ code and its ancestors do it, so that stores agree with theirs (docs/DATA.md). What is absent
is said by a mask beside the coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.geometry import present_joints

Frames = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bodies:
    """The bodies of a recording, and which of their joints are there."""

    frames: Frames
    """(T, M, V, C) metres; zeros at absent joints."""
    present: Booleans
    """(T, M, V) True where a joint is there."""
    scores: Frames | None = None
    """(T, M, V) how sure the source was of each joint, where it tells."""

    @cached_property
    def there(self) -> Booleans:
        """True where a body is in a frame (T, M)."""
        return np.asarray(self.present.any(axis=2))

    @cached_property
    def appearing(self) -> NDArray[np.intp]:
        """The bodies that are in any frame."""
        return np.flatnonzero(self.there.any(axis=0))

    def changed(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Bodies:
        """The bodies with frames, presence and scores, all (T, M, V, …), changed in one and the same way."""
        scores = None if self.scores is None else change(self.scores)
        return Bodies(change(self.frames), change(self.present), scores)

    def stretch(self, start: int, stop: int | None) -> Bodies:
        """The frames from ``start`` on, before ``stop``."""
        return self.changed(lambda values: values[start:stop])

    def in_order(self, order: NDArray[np.intp], kept: int) -> Bodies:
        """These bodies in their order, and room for ``kept``: absent ones where there are fewer."""

        def ordered(values: NDArray[Any]) -> NDArray[Any]:
            room = np.zeros((len(values), kept, *values.shape[2:]), values.dtype)
            room[:, : len(order)] = values[:, order]
            return room

        return self.changed(ordered)


def bodies_of(frames: Frames) -> Bodies:
    """The bodies in frames (T, M, V, C) of which nothing is known but that an absent joint is all zeros."""
    return Bodies(frames, present_joints(frames))


def present_bodies(frames: Frames) -> Booleans:
    """True where a body is in a frame (T, M): one that is absent is all zeros in (T, M, V, C)."""
    present: Booleans = (frames != 0).any(axis=(2, 3))
    return present


def energy(bodies: Bodies) -> NDArray[np.float64]:
    """How much each body is spread over space and time (M), metres; −1 for one that never appears.

    The sum over coordinates of the standard deviation over the joints that are there, in all frames.
    """
    spread = np.full(bodies.frames.shape[1], -1.0)
    there = bodies.there
    for body in bodies.appearing:
        frames, present = bodies.frames[there[:, body], body], bodies.present[there[:, body], body]
        joints = frames.reshape(-1, frames.shape[-1]) if present.all() else frames[present]
        spread[body] = joints.astype(np.float64).std(axis=0).sum()
    return spread


def choose_bodies(bodies: Bodies, kept: int) -> Bodies:
    """The ``kept`` bodies of highest energy, highest first; absent ones where there are fewer bodies."""
    alone = bodies.frames.shape[1] == 1  # most often: nothing to compare
    order = np.array([0]) if alone else np.argsort(-energy(bodies), kind="stable")[:kept]
    return bodies.in_order(order, kept)


def longest_present(bodies: Bodies, kept: int) -> Bodies:
    """The ``kept`` bodies that are in most frames, longest first; absent ones where there are fewer."""
    return bodies.in_order(np.argsort(-bodies.there.sum(axis=0), kind="stable")[:kept], kept)


def repair(bodies: Bodies) -> Bodies:
    """The clip without empty frames at either end of a body.

    A body that is absent at first has its frames moved together to the start; what is then empty at the end, or was,
    is filled with the body's frames from the start over and over. Gaps inside a body that begins in time stay.
    """
    there, count = bodies.there, len(bodies.frames)
    sources: dict[int, NDArray[np.intp]] = {}  # body → the frame that each of its frames is taken from
    for body in bodies.appearing.tolist():
        sources[body] = np.arange(count)
        if not (there[0, body] and there[-1, body]):
            valid = np.flatnonzero(there[:, body])
            sources[body] = np.resize(np.arange(valid[-1] + 1) if there[0, body] else valid, count)

    def repaired(values: NDArray[Any]) -> NDArray[Any]:
        room = np.zeros_like(values)
        for body, rows in sources.items():
            room[:, body] = values[rows, body]
        return room

    return bodies.changed(repaired)
