"""Joints that are absent for a moment: short gaps are filled from the frames around, longer ones stay absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.body_centre import reference_path
from pcm3.data.bodies import Bodies
from pcm3.skeleton import Layout


def fill_gaps(bodies: Bodies, longest: int, layout: Layout, *, whole_bodies: bool) -> Bodies:
    """The bodies with every gap of at most ``longest`` frames filled.

    A joint's place in a gap is interpolated between the frames around, as seen from the centre of the body
    (`reference_path`), so that it goes along with a body that walks. At the start and the end of a clip it keeps its
    place beside the body, as long as the body is there.

    Args:
        bodies: (T, M, V, C).
        longest: frames of the longest gap that is filled; 0: none.
        layout: says from where the joints of a body are seen.
        whole_bodies: fill also gaps in which all joints of a body are absent.
    """
    present = bodies.present
    wanted = np.ones((1, 1, 1), np.bool_) if whole_bodies else bodies.there[..., None]
    gaps = np.flatnonzero((wanted & ~present).any(axis=(0, 2)))
    gaps = np.intersect1d(gaps, bodies.appearing) if len(gaps) and longest > 0 else gaps[:0]
    if len(gaps) == 0:
        return bodies
    frames, filled = bodies.frames.copy(), present.copy()
    for body in gaps:
        missing = _short(present[:, body], longest, whole_bodies)
        if missing.any():
            frames[:, body] = _interpolated(frames[:, body], present[:, body], missing, layout)
            filled[:, body] |= missing
    return Bodies(frames, filled, bodies.scores)


def _short(present: NDArray[np.bool_], longest: int, whole_bodies: bool) -> NDArray[np.bool_]:
    """True where a joint (T, V) is absent for at most ``longest`` frames in a row, and its place can be told."""
    frames, joints = present.shape
    there = np.asarray(present.any(axis=1))
    short = np.zeros_like(present)
    for joint in range(joints):
        if present[:, joint].all() or not present[:, joint].any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[True], present[:, joint], [True]]).astype(np.int8)))
        for start, stop in edges.reshape(-1, 2).tolist():
            if stop - start <= longest:
                short[start:stop, joint] = True
                if start == 0 or stop == frames:  # who is not there yet, or no longer, is not made up
                    short[start:stop, joint] = there[start:stop]
    return short if whole_bodies else short & there[:, None]


def _interpolated(
    body: NDArray[np.floating[Any]], present: NDArray[np.bool_], missing: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """The body (T, V, C) with the missing joints (T, V) in their likely places."""
    path = reference_path(body, present, layout).astype(np.float64)
    completed = body.copy()
    time = np.arange(len(body))
    for joint in np.flatnonzero(missing.any(axis=0)):
        known, wanted = np.flatnonzero(present[:, joint]), np.flatnonzero(missing[:, joint])
        beside = body[known, joint] - path[known]
        for axis in range(body.shape[2]):
            completed[wanted, joint, axis] = path[wanted, axis] + np.interp(time[wanted], known, beside[:, axis])
    return completed
