"""Which bodies of a recording are kept, and how their empty frames are filled.

Both as the released PCM³ code and its ancestors do it, so that stores agree with theirs (docs/DATA.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.floating[Any]]


def present_bodies(frames: Frames) -> NDArray[np.bool_]:
    """True where a body is in a frame (T, M): one that is absent is all zeros in (T, M, V, C)."""
    present: NDArray[np.bool_] = (frames != 0).any(axis=(2, 3))
    return present


def energy(frames: Frames) -> NDArray[np.float64]:
    """How much each body of (T, M, V, C) is spread over space and time (M), metres; −1 for one that never appears.

    The sum over coordinates of the standard deviation over the joints and those frames in which the body is present.
    """
    present = present_bodies(frames)
    spread = np.full(frames.shape[1], -1.0)
    for body in np.flatnonzero(present.any(axis=0)):
        spread[body] = frames[present[:, body], body].astype(np.float64).std(axis=(0, 1)).sum()
    return spread


def choose_bodies(frames: Frames, kept: int) -> Frames:
    """The ``kept`` bodies of highest energy, highest first (T, kept, V, C); zeros where there are fewer bodies."""
    alone = frames.shape[1] == 1  # most often: nothing to compare
    order = np.array([0]) if alone else np.argsort(-energy(frames), kind="stable")[:kept]
    return _in_order(frames, order, kept)


def longest_present(frames: Frames, kept: int) -> Frames:
    """The ``kept`` bodies that are in most frames, longest first (T, kept, V, C); zeros where there are fewer."""
    return _in_order(frames, np.argsort(-present_bodies(frames).sum(axis=0), kind="stable")[:kept], kept)


def _in_order(frames: Frames, order: NDArray[np.intp], kept: int) -> Frames:
    """These bodies in their order, and room for ``kept`` (T, kept, V, C)."""
    chosen = np.zeros((len(frames), kept, *frames.shape[2:]), frames.dtype)
    chosen[:, : len(order)] = frames[:, order]
    return chosen


def repair(frames: Frames) -> Frames:
    """The clip (T, M, V, C) without empty frames at either end of a body.

    A body that is absent at first has its frames moved together to the start; what is then empty at the end, or was,
    is filled with the body's frames from the start over and over. Gaps inside a body that begins in time stay.
    """
    present = present_bodies(frames)
    repaired = np.zeros_like(frames)
    for body in np.flatnonzero(present.any(axis=0)):
        if present[0, body] and present[-1, body]:
            repaired[:, body] = frames[:, body]
            continue
        valid = np.flatnonzero(present[:, body])
        if present[0, body]:
            valid = np.arange(valid[-1] + 1)
        repaired[:, body] = frames[np.resize(valid, len(frames)), body]
    return repaired
