"""From the rate at which frames come to that of a model, as soon as the frames around a moment are there."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from numbers import Real

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.errors import DataError, brief
from pcm3.geometry import present_joints

PAUSE = 0.5
"""Seconds without a frame after which a stream begins anew: nothing is made up between the two."""
EQUAL = 1e-6
"""Frames by which a moment may be off a frame that it falls on."""


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """A frame at the model's rate."""

    time: float
    """Seconds on the clock of the sender."""
    frame: Float[NDArray[np.float32], "M V 3"]
    """Absent joints all zeros."""
    anew: bool
    """Whether it is the first, or the first after a pause."""


class Clock:
    """Frames in, frames at another rate out, linear between two of them as `pcm3.data.resample` has it.

    Where the rates are the same and no times are given, a frame comes out as it came in, at once; else a moment between
    two frames waits for the second, so less than one frame of the sender's.
    """

    def __init__(self, fps: float, to_fps: float) -> None:
        self._fps, self._ratio = fps, to_fps / fps
        self._place = -1.0  # in frames of the sender since the clock began
        self._last: NDArray[np.float32] | None = None
        self._began, self._frames_out = 0.0, 0

    @property
    def time(self) -> float:
        """Of the last frame that came, in seconds."""
        return self._began + max(self._place, 0.0) / self._fps

    def push(self, frame: Float[NDArray[np.float32], "M V 3"], time: float | None = None) -> list[TimedFrame]:
        """The moments that lie after the frame before, up to this one.

        Args:
            frame: absent joints all zeros.
            time: of the frame in seconds; None: a frame after the one before.

        Raises:
            DataError: the time is not after that of the frame before.
        """
        if time is not None and not (isinstance(time, Real) and isfinite(time)):
            raise DataError(f"time: expected seconds, got {brief(time)}")
        place = self._place + 1 if time is None else (time - self._began) * self._fps
        if self._last is None or place - self._place > PAUSE * self._fps + 1:
            return self._begin(frame, time or 0.0)
        if place <= self._place:
            before = self._began + self._place / self._fps
            raise DataError(f"time: expected more than that of the frame before ({before:g} s), got {time:g}")
        last, current = _alike(self._last, frame)
        frames = []
        while (wanted := self._frames_out / self._ratio) <= place + EQUAL:
            share = (wanted - self._place) / (place - self._place)
            frames.append(self._timed(current if wanted >= place - EQUAL else _between(last, current, share)))
        self._place, self._last = place, frame
        return frames

    def _begin(self, frame: NDArray[np.float32], time: float) -> list[TimedFrame]:
        self._place, self._last, self._began, self._frames_out = 0.0, frame, time, 0
        return [self._timed(frame, anew=True)]

    def _timed(self, frame: NDArray[np.float32], *, anew: bool = False) -> TimedFrame:
        time = self._began + self._frames_out / self._ratio / self._fps
        self._frames_out += 1
        return TimedFrame(time, frame, anew)


def _between(last: NDArray[np.float32], current: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Linear where both have a joint; else as in the nearer."""
    both = (present_joints(last[None]) & present_joints(current[None]))[0]
    shares = np.where(both, share, float(share >= 0.5))[..., None]
    return np.asarray(last * (1 - shares) + current * shares, np.float32)


def _alike(*frames: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The frames with as many bodies as the one that has most."""
    most = max(len(frame) for frame in frames)
    return [np.concatenate([frame, np.zeros((most - len(frame), *frame.shape[1:]), np.float32)]) for frame in frames]
