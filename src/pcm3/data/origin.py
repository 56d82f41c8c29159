"""A joint that lies at the origin because clips were centred on it, and is not absent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.bodies import bodies_of
from pcm3.data.recording import Recording
from pcm3.skeleton import Layout

ALWAYS = 0.99
"""Share of the frames in which a joint is at the origin, from which on the clips were centred on it."""
NEAR = 0.5
"""Share of the body's size within which its neighbours in the tree lie, if a joint really is at the origin."""
RIGID = 0.03
"""Variation in time of its neighbours' distance from the origin, against the body's size: bones keep their length."""
MOST = 0.9
"""Share of the recordings with a variation of at most that: a sensor loses some."""


def joint_at_origin(recordings: Iterable[Recording], layout: Layout) -> int | None:
    """The joint on which the recordings were centred before they came here; None: none was.

    All zeros stand for an absent joint, too. It is the origin if it is zero in (nearly) all frames of all recordings,
    and its neighbours are as near to the origin as to each other, and keep their distance from it while the body moves:
    people who only begin at the origin move away. Of several such joints, as where people hardly move, all but one are
    absent: it is the one that is usual to centre clips on, if that is among them.
    """
    frames, zeros, near = 0, np.zeros(len(layout.joints)), np.zeros(len(layout.joints))
    varied: dict[int, list[float]] = {}
    for recording in recordings:
        bodies = bodies_of(recording.frames)
        visible = bodies.there[:, :1].any(axis=1)
        body, present = recording.frames[visible, 0].astype(np.float64), bodies.present[visible, 0]
        frames += len(body)
        zeros += (~present).sum(axis=0)
        if len(body):
            size = float(np.median((body.max(axis=1) - body.min(axis=1)).max(axis=1)))
            for joint in np.flatnonzero(~present.any(axis=0)):
                around = layout.neighbours(int(joint))
                away = np.where(present[:, around], np.linalg.norm(body[:, around], axis=-1), np.nan)
                near[joint] += len(body) * bool(np.isfinite(away).any() and np.nanmedian(away) < NEAR * size)
                spread = [np.nanstd(bone) for bone in away.T if np.isfinite(bone).any()]
                varied.setdefault(int(joint), []).append(float(np.median(spread or [0.0])) / max(size, 1e-9))
    centred = np.flatnonzero((frames > 0) & (zeros >= ALWAYS * frames) & (near >= ALWAYS * frames))
    rigid = [int(joint) for joint in centred if np.quantile(varied[int(joint)], MOST) <= RIGID]
    if len(rigid) == 1:
        return rigid[0]
    return next((joint for joint in (layout.centre, layout.root) if joint in rigid), None)


def is_centred(body: NDArray[np.floating[Any]], joint: int, layout: Layout) -> bool:
    """Whether one body (T, V, 3), absent joints all zeros, stands with the joint at the origin in all of its frames.

    The second of two people who were both seen from the first is elsewhere: its zeros are an absent joint.
    """
    if body[:, joint].any():
        return False
    around = body[:, layout.neighbours(joint)].astype(np.float64)
    size = float(np.median((body.max(axis=1) - body.min(axis=1)).max(axis=1)))
    away = np.linalg.norm(around[around.any(axis=-1)], axis=-1)
    return bool(len(away) and np.median(away) < NEAR * size)
