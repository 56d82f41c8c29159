"""At which rate and from which frame on one path runs along another, to a fraction of a frame."""

from __future__ import annotations

from functools import partial

import numpy as np

from pcm3.data.audit.copy_search import RATES, Hits, in_batches, poses_at
from pcm3.data.audit.pose_paths import Doubles, PosePaths

WINDOWS = (16, 32, 64, 128, 320)
"""Frames to each side of the hit that are taken in, one after the other: near ones first, since they lead on. Fewer say
too little of the rate: from 8 frames the search could end at a wrong one."""
ROUNDS = 6
"""Gauss-Newton steps in each window; of three the search could end a fifth of a frame away."""
SAMPLES = 49
"""Frames of a window at which the paths are compared."""
SOFT = 0.05
"""Metres between the paths at which a frame counts half as much as one where they meet."""
SPEED_SPAN = 0.5
"""Frames to both sides over which the speed of a path is measured."""
HITS_AT_ONCE = 1024


def timed(paths: PosePaths, hits: Hits) -> Hits:
    """The hits with rate and training frame such that the paths are as near to each other as can be."""
    return in_batches(partial(_timed, paths), hits, HITS_AT_ONCE)


def _timed(paths: PosePaths, hits: Hits) -> Hits:
    hits = hits.copy()
    for window in WINDOWS:
        for _ in range(ROUNDS):
            _improve(paths, hits, window)
    return hits


def _improve(paths: PosePaths, hits: Hits, window: int) -> None:
    """One weighted Gauss-Newton step on (training frame, rate), with the frames around the hit."""
    after = np.minimum(window, paths.length[hits["test"]] - 1 - hits["test_frame"])
    before = np.minimum(window, hits["test_frame"])
    steps = np.linspace(0, 1, SAMPLES) * (after + before)[:, None] - before[:, None]  # (H, S)
    frame = hits["train_frame"][:, None] + hits["rate"][:, None] * steps
    test, test_present = poses_at(paths, hits["test"], hits["test_frame"][:, None] + steps)
    train, train_present = poses_at(paths, hits["train"], frame)
    earlier, was = poses_at(paths, hits["train"], frame - SPEED_SPAN)
    later, will = poses_at(paths, hits["train"], frame + SPEED_SPAN)
    speed = ((later - earlier) / (2 * SPEED_SPAN)).astype(np.float64)
    left = (test - train).astype(np.float64)
    weight = (test_present & train_present & was & will) / (1 + (left**2).sum(axis=2) / SOFT**2) ** 2
    _solve(hits, steps, weight * (speed**2).sum(axis=2), weight * (speed * left).sum(axis=2))


def _solve(hits: Hits, steps: Doubles, a: Doubles, b: Doubles) -> None:
    """Solves, for each hit, the two normal equations in the shift and the change of the rate."""
    small = 1e-6 + 1e-3 * a.sum(axis=1)  # a path that hardly moves says nothing about its timing
    aa, at, tt = a.sum(axis=1) + small, (a * steps).sum(axis=1), (a * steps**2).sum(axis=1) + 9 * small
    y, yt = b.sum(axis=1), (b * steps).sum(axis=1)
    determinant = aa * tt - at**2
    hits["train_frame"] += np.clip((tt * y - at * yt) / determinant, -2, 2)
    faster = np.clip((aa * yt - at * y) / determinant, -0.1, 0.1)
    hits["rate"] = np.clip(hits["rate"] + faster, RATES[0], RATES[-1])
