"""Clips as long as they were recorded: in arrays of fixed length the rest is zeros, or the clip over and over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.bodies import present_bodies

Frames = NDArray[np.floating[Any]]

SINGLE = float(np.finfo(np.float32).eps)


def unpadded(frames: Frames, precision: float = SINGLE) -> Frames:
    """The clip (T, M, V, C) without the padding at its end.

    The array may have been filled by repetition, as 2s-AGCN's script does: each body by itself from its first frame on,
    until the array is full. Then the clip is as long as the longest of the periods in which its bodies repeat
    themselves, and whole if one of them never does. Frames without a body at the end are cut.

    What cannot be told apart: frames at the end of a recording in which nobody was seen are padding to that script too,
    and are cut. A body that never moves repeats itself in any period, and says nothing; if no body moves, the length
    stays: a recording in which nothing happens is `pcm3 check`'s to find, and not one frame long.

    Args:
        frames: one clip, a body or joint that is absent from a frame all zeros.
        precision: of the numbers as they were stored, relative.
    """
    present = present_bodies(frames)
    occupied = np.flatnonzero(present.any(axis=1))
    end = int(occupied[-1]) + 1 if len(occupied) else 0
    periods = [_period(frames[:, body], precision) for body in np.flatnonzero(present.any(axis=0))]
    moving = [period for period in periods if period is not None]
    return frames[: min(end, max(moving, default=end))]


def is_padding(frames: Frames, length: int) -> bool:
    """Whether body 0 of the clip (T, M, V, C) does from frame ``length`` on what padding does: nothing, or all again.

    Nothing: it is absent, or holds its last pose. All again: it repeats itself in a period of at most ``length``.
    """
    body, rest = frames[:, :1], frames[length:, :1]
    if not rest.any() or (rest == frames[length - 1, :1]).all():
        return True
    return len(unpadded(body)) <= length


def _period(body: Frames, precision: float) -> int | None:
    """The frames after which the body (T, V, C) begins again, to repeat itself to its end; T if it does not.

    What must come again is which joints are there, and how they lie about their mean: bodies but the first were moved
    by another body's position, which has another period. None for a body that does not move.
    """
    there = np.asarray(body.any(axis=2))
    count = np.maximum(there.sum(axis=1), 1)[:, None, None]
    mean = body.sum(axis=1, keepdims=True, dtype=np.float64) / count  # absent joints are zeros
    posture = np.where(there[..., None], body - mean, 0)
    near = 8 * precision * max(1.0, float(np.abs(body).max()))

    def same(some: slice, others: slice) -> NDArray[np.bool_]:
        alike = there[some] == there[others]
        alike &= (np.abs(posture[some] - posture[others]) <= near).all(axis=2)
        return np.asarray(alike.all(axis=1))

    length = len(body)
    if same(slice(1, None), slice(-1)).all():
        return None
    if not there[0].any():
        return length  # repetition begins with a body that is there
    again = same(slice(None), slice(1))
    for period in np.flatnonzero(again)[1:].tolist():
        if same(slice(period, None), slice(length - period)).all():
            return int(period)
    return length
