"""Frames centred and turned one at a time, each as the last frame of the recording so far would be.

A recording of the same frames comes out the same (`normalise_upright_untrimmed`, `normalise_untrimmed`), but for what
it knows from later: gaps are held for as long as an import fills them, not interpolated; bodies keep the places in
which they come; the rotation is told by the first second in which somebody is there.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.body_centre import path_of_first
from pcm3.data.bodies import Bodies
from pcm3.data.gaps import fill_gaps
from pcm3.data.live.clock import TimedFrame
from pcm3.data.live.start import Preparation, Start, start_from
from pcm3.normalisation import moved

FIRST = 1.0
"""Seconds with somebody in them from which it is told which way is up and which way they face."""
Frame = Float[NDArray[np.float32], "M V 3"]


class LivePose:
    """Timed frames in, frames (M, V, 3) out as an encoder is fed with them."""

    start: Start | None = None
    """What the first second told; None: it is not over yet."""

    def __init__(self, how: Preparation) -> None:
        """For the frames of one sender."""
        self._how = how
        self._places = list(range(how.bodies))
        self._second = max(2, round(FIRST * how.fps))
        self._held: list[NDArray[np.float32]] = []
        self._recent: deque[Bodies] = deque(maxlen=self._second)

    def push(self, timed: TimedFrame) -> list[Frame]:
        """The frames that are ready: this one; none while the first second lasts; at its end all of it.

        Raises:
            DataError: the frames of the first second cannot be metres in space; it begins again.
        """
        frame = self._kept(timed.frame)
        if timed.anew:
            self._recent.clear()
            self._held.clear()
        if self.start is not None:
            return [self._prepared(frame, self.start)]
        if not self._held and not frame.any():
            return [frame]
        self._held.append(frame)
        if len(self._held) < self._second:
            return []
        held, self._held = self._held, []
        self.start = start_from(np.stack(held), self._how)
        return [self._prepared(frame, self.start) for frame in held]

    def _kept(self, frame: Float[NDArray[np.float32], "N V 3"]) -> Frame:
        """The bodies for which there is room: each keeps its place until it leaves and another waits for it."""
        there = np.flatnonzero(frame.any(axis=(1, 2))).tolist()
        waiting = [body for body in there if body not in self._places]
        for place, body in enumerate(self._places):
            if waiting and body not in there:
                self._places[place] = waiting.pop(0)
        kept = np.zeros((len(self._places), *frame.shape[1:]), np.float32)
        for place, body in enumerate(self._places):
            if body < len(frame):
                kept[place] = frame[body]
        return kept

    def _prepared(self, frame: Frame, start: Start) -> Frame:
        bodies = start.bodies(frame[None])
        self._recent.append(bodies)
        absent = bodies.there[..., None] & ~bodies.present
        if absent.any() and any((absent & recent.present).any() for recent in self._recent):
            bodies = self._held_beside(start)
        if not self._how.normalise or not bodies.there[-1].any():
            return np.array(bodies.frames[-1])
        centre = path_of_first(bodies.frames, bodies.present, bodies.there, self._how.layout)
        return np.array(moved(bodies.frames[-1:], bodies.present[-1:], centre[-1:], start.rotation)[0])

    def _held_beside(self, start: Start) -> Bodies:
        """The last second, with joints that are absent for a moment beside their body where they were last."""
        frames, present = (
            np.concatenate([getattr(bodies, name) for bodies in self._recent]) for name in ("frames", "present")
        )
        return fill_gaps(Bodies(frames, present), start.fill, self._how.layout, whole_bodies=start.whole_bodies)
