"""A recording at another rate: linear between frames, absent where the nearest frame has nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pcm3.data.bodies import bodies_of
from pcm3.data.recording import Interval, Recording


def resample(recording: Recording, ratio: float) -> Recording:
    """The recording with ``ratio`` times as many frames a second, from its first frame to its last at the latest.

    A joint is interpolated between two frames that both have it; between one that has it and one that has not, it is as
    in the nearer. Intervals keep their times.
    """
    count = len(recording.frames)
    if ratio == 1 or count == 0:
        return recording
    at = np.arange(max(1, int(np.floor((count - 1) * ratio + 1e-6)) + 1)) / ratio
    low = np.minimum(at.astype(int), count - 1)
    high = np.minimum(low + 1, count - 1)
    share = (at - low)[:, None, None]
    present = bodies_of(recording.frames).present if recording.present is None else recording.present
    preceding, following = present[low], present[high]
    share = np.where(preceding & following, share, share >= 0.5)[..., None]
    frames = recording.frames[low] * (1 - share) + recording.frames[high] * share
    there = np.where(share[..., 0] < 0.5, preceding, following) | (preceding & following)
    return replace(
        recording,
        frames=np.where(there[..., None], frames, 0).astype(recording.frames.dtype),
        present=there,
        scores=None if recording.scores is None else recording.scores[np.where(at - low < 0.5, low, high)],
        intervals=None
        if recording.intervals is None
        else tuple(_at(interval, ratio, len(at)) for interval in recording.intervals),
    )


def _at(interval: Interval, ratio: float, frames: int) -> Interval:
    """The interval in the frames of the other rate; one frame at least."""
    start = min(round(interval.start * ratio), frames - 1)
    return replace(interval, start=start, stop=max(start + 1, min(round(interval.stop * ratio), frames)))
