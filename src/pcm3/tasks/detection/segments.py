"""From scores of frames to actions with a beginning and an end."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from pcm3.tasks.detection.windows import BACKGROUND

Scores = Float64[np.ndarray, "T scores"]
"""Of each frame of a recording 1 + L: the share of the background, then of each class; a row sums to 1."""


def smooth(scores: Scores, reach: int) -> Scores:
    """Each frame t's mean over the frames t − reach … t + reach − 1, as far as they are there; (T, 1 + L).

    An action amid background, right in every frame, so becomes a quarter of the 2 · reach frames longer, where the
    threshold of `find_actions` is 0.4: with 10 it begins 2 frames early and ends 3 late, is not found if it is shorter
    than 8, and becomes one with the next if less than 13 frames of background are between them.

    Differs: in the authors' code the last `reach` frames' means leave out the recording's last frame.
    """
    if reach == 0:
        return scores
    at = np.arange(len(scores))
    begin, end = np.maximum(at - reach, 0), np.minimum(at + reach, len(scores))
    total = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0, dtype=np.float64)])
    mean: Scores = (total[end] - total[begin]) / (end - begin)[:, None]
    return mean


def find_actions(scores: Scores, activity: float) -> list[tuple[int, int, int, float]]:
    """The actions (label, start, stop, confidence) in a recording: runs of frames that are not background.

    A run is as long as 1 − P(background) ≥ `activity`; its class has the greatest mean score in it, which is its
    confidence. So two actions with hardly any background between them are found as one.

    Args:
        scores: (T, 1 + L), smoothed.
        activity: the threshold.
    """
    active = 1 - scores[:, BACKGROUND] >= activity
    changes = np.flatnonzero(np.diff(active, prepend=False, append=False))
    actions = []
    for start, stop in changes.reshape(-1, 2).tolist():
        mean = scores[start:stop, BACKGROUND + 1 :].mean(axis=0)
        label = int(mean.argmax())
        actions.append((label, start, stop, float(mean[label])))
    return actions
